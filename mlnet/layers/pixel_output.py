"""Output layers for semantic segmentation: a class for each pixel or voxel."""

from __future__ import annotations

from typing import Any

from mlnet.layers.base import Size, layer_table
from mlnet.layers.output import (
    CLASS_NAMES,
    CLASS_WEIGHTS,
    CLASSES,
    OUTPUT_SIZE,
    ClassesOutputLayer,
    loss_function,
)
from mlnet.options import Group, Option, constructs
from mlnet.rules import number


class PixelClassificationLayer(ClassesOutputLayer):
    """Compares images of scores with images of labels by the cross-entropy."""

    type_name = "Pixel Classification Layer"
    base_name = "classoutput"
    loss = "softmax_cross_entropy"
    averages = "positions"
    table = layer_table(CLASSES, CLASS_WEIGHTS, OUTPUT_SIZE, loss_function("crossentropyex"), CLASS_NAMES)

    def is_pixelwise(self, size: Size) -> bool:
        """Return true: labels are always images."""
        return True

    def description(self) -> str:
        """Return the name of the loss, with the classes once they are known."""
        loss = "Cross-entropy loss" if self.class_weights() is None else "Class weighted cross-entropy loss"
        return self.with_classes(loss)


@constructs(PixelClassificationLayer)
def pixelClassificationLayer() -> None:
    """Create an output layer that compares images of scores with images of labels by the cross-entropy.

    ``loss = -1/M * sum_m sum_k w_k * t_mk * log(y_mk)`` over the M pixels of a mini-batch that have a label and the
    classes k, with w_k the ClassWeights (1 if 'none'). Pixels with an undefined label do not count, neither in the loss
    nor in the accuracy. The layer before must be a softmax layer; voxels of 3-D images are pixels here.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt, or the weights do not fit the classes.

    Examples
    --------
    >>> from mlnet import pixelClassificationLayer
    >>> pixelClassificationLayer(Name='labels')
      PixelClassificationLayer with properties:
    <BLANKLINE>
                Name: 'labels'
             Classes: 'auto'
        ClassWeights: 'none'
          OutputSize: 'auto'
    <BLANKLINE>
       Hyperparameters
        LossFunction: 'crossentropyex'
    """


class DicePixelClassificationLayer(ClassesOutputLayer):
    """Compares images of scores with images of labels by the generalized Dice loss."""

    type_name = "Dice Pixel Classification Layer"
    base_name = "dice-pixel-class"
    loss = "generalized_dice"
    table = layer_table(CLASSES, OUTPUT_SIZE, loss_function("generalizedDiceLoss"), CLASS_NAMES)

    def is_pixelwise(self, size: Size) -> bool:
        """Return true: labels are always images."""
        return True

    def description(self) -> str:
        """Return the name of the loss, with the classes once they are known."""
        return self.with_classes("Generalized Dice loss")


@constructs(DicePixelClassificationLayer)
def dicePixelClassificationLayer() -> None:
    """Create an output layer that compares images of scores with images of labels by the generalized Dice loss.

    The loss of one image is ``1 - (2 sum_k w_k sum_m y_mk t_mk + e) / (sum_k w_k sum_m (y_mk^2 + t_mk^2) + e)`` over
    its pixels m and the classes k, with ``w_k = 1 / (sum_m t_mk)^2`` and ``e = 1e-8`` (Sudre et al. 2017,
    arXiv:1707.03237): small regions count as much as large ones. The loss of a mini-batch is the mean over its images.
    Pixels with an undefined label do not count, neither in the loss nor in the accuracy, and images without any label
    count in no mean. The layer before must be a softmax layer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    A class that an image does not have gets the largest weight of those that it has, as in the program of the cited
    paper: 1/0 would leave nothing of the other classes.

    Examples
    --------
    >>> from mlnet import dicePixelClassificationLayer
    >>> dicePixelClassificationLayer(Name='labels')
      DicePixelClassificationLayer with properties:
    <BLANKLINE>
                Name: 'labels'
             Classes: 'auto'
          OutputSize: 'auto'
    <BLANKLINE>
       Hyperparameters
        LossFunction: 'generalizedDiceLoss'
    """


class FocalLossLayer(ClassesOutputLayer):
    """Compares scores with classes by the focal loss, for images, observations or time steps."""

    type_name = "Focal Loss Layer"
    base_name = "focal-loss"
    loss = "softmax_focal"
    averages = "positions"
    table = layer_table(
        Option("Alpha", 0.25, number(0, above=True), "Balancing parameter: a factor of the loss.", Group.PLAIN),
        Option("Gamma", 2, number(0, above=True), "Focusing parameter: how little easy cases count.", Group.PLAIN),
        CLASSES,
        loss_function("focalLoss"),
        CLASS_NAMES,
    )

    def is_pixelwise(self, size: Size) -> bool:
        """Tell whether scores are images."""
        return not size.is_flat

    def loss_attributes(self) -> dict[str, Any]:
        """Return the two parameters of the loss."""
        return {"alpha": self.Alpha, "gamma": self.Gamma}

    def description(self) -> str:
        """Return the name of the loss, with the classes once they are known."""
        return self.with_classes("Focal loss")


@constructs(FocalLossLayer)
def focalLossLayer() -> None:
    """Create an output layer that compares scores with classes by the focal loss.

    ``loss = -1/M * sum_m sum_k Alpha * t_mk * (1 - y_mk)^Gamma * log(y_mk)`` over the classes k and the M pixels of a
    mini-batch that have a label (Lin et al. 2017, arXiv:1708.02002); M are the observations where the network puts out
    one score for each class, and sequences count as in `classificationLayer`. Cases that are easy already count little,
    which helps where one class is much more frequent than others. The layer before must be a softmax layer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import focalLossLayer
    >>> focalLossLayer(Name='focal')
      FocalLossLayer with properties:
    <BLANKLINE>
                Name: 'focal'
               Alpha: 0.2500
               Gamma: 2
             Classes: 'auto'
    <BLANKLINE>
       Hyperparameters
        LossFunction: 'focalLoss'
    """
