"""Output layers: what is predicted, and the loss that training makes small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from mlnet.errors import OptionError
from mlnet.labels import categorical, categories
from mlnet.layers.base import Layer, Size, SizeError, layer_table
from mlnet.options import Derived, Group, Option, constructs
from mlnet.rules import Refused, Rule, choice, either, is_empty, number, read_only, texts


class OutputLayer(Layer):
    """Base of the output layers."""

    outputs = ()
    loss: ClassVar[str]
    """Name of the engine's loss."""
    metric: ClassVar[str]
    """'Accuracy' (in percent) or 'RMSE'."""
    averages: ClassVar[str] = "observations"
    """What the loss is the mean over: 'observations', or the 'positions' that have a class."""
    takes_lengths: ClassVar[bool] = False
    """Whether the loss takes the lengths of sequences."""
    takes_activation: ClassVar[bool] = False
    """Whether the loss computes the softmax or sigmoid layer before it too, so that its gradient is exact."""

    def loss_attributes(self) -> dict[str, Any]:
        """Return what the engine's loss takes besides scores and targets."""
        return {}


def _classes(value: Any) -> categorical:
    if isinstance(value, str) or is_empty(value) or max(np.shape(value)) != np.size(value):
        raise Refused
    labels = value if isinstance(value, categorical) else categorical(value)
    names = labels.names().ravel().tolist()
    if None in names or len(names) != len(set(names)):
        raise Refused
    return categorical.from_codes(np.arange(len(names)), names)


def _weights(value: Any) -> np.ndarray:
    if is_empty(value) or max(np.shape(value), default=1) != np.size(value):
        raise Refused
    return read_only([number(0, above=True).convert(weight) for weight in np.ravel(value).tolist()], float)


_BAD_CLASSES: tuple[Any, ...] = (1, None, [], ["a", "a"], ["a", None], ["1", 1], [["a", "b"], ["c", "d"]])
_BAD_WEIGHTS: tuple[Any, ...] = (["a"], [0, 1], [1, np.nan], [1, np.inf], [[1, 2], [3, 4]], [], -1, True, None)


def _output_size(layer: Any) -> Any:
    return "auto" if isinstance(layer.Classes, str) else len(layer.Classes)


CLASSES = Option(
    "Classes",
    "auto",
    either(choice("auto"), Rule("a categorical array or list of different classes", _classes, _BAD_CLASSES)),
    "Classes in the order of the scores; those of the training labels if 'auto'.",
    Group.PLAIN,
)
CLASS_WEIGHTS = Option(
    "ClassWeights",
    "none",
    either(choice("none"), Rule("a vector of positive numbers", _weights, _BAD_WEIGHTS)),
    "Weight of each class in the loss; needs Classes.",
    Group.PLAIN,
)
OUTPUT_SIZE = Derived("OutputSize", _output_size, "Number of classes.", Group.PLAIN)
CLASS_NAMES = Derived("ClassNames", lambda layer: layer.class_names(), "Names of the classes.")


def loss_function(name: str) -> Derived:
    """Return the property LossFunction."""
    return Derived("LossFunction", lambda layer: name, "The loss.", Group.HYPERPARAMETERS)


def change_channels(pixelwise: bool, count: int) -> str:
    """Return how a network comes to put out scores of ``count`` classes, as the beginning of a sentence."""
    if pixelwise:
        return f"Change the filters of the last convolution to {count}"
    return f"Change the last fullyConnectedLayer to {count}"


class ClassesOutputLayer(OutputLayer):
    """Base of the layers that compare the scores of a softmax layer with classes; their tables have `CLASSES`."""

    metric = "Accuracy"
    takes_activation = True

    def class_names(self) -> list[str]:
        """Return the names of the classes; an empty list while they are 'auto'."""
        return [] if isinstance(self.Classes, str) else categories(self.Classes)

    def class_weights(self) -> np.ndarray | None:
        """Return one weight for each class, or None where there are none."""
        weights = self.ClassWeights if "ClassWeights" in self.table.options else "none"
        return None if isinstance(weights, str) else weights

    def is_pixelwise(self, size: Size) -> bool:
        """Tell whether scores of ``size`` are compared with an image of labels."""
        return False

    def check(self) -> None:
        """Refuse weights that do not belong to classes one by one."""
        weights = self.class_weights()
        if weights is None:
            return
        if isinstance(self.Classes, str):
            raise OptionError(f"{self.where()}: ClassWeights needs Classes, but Classes is 'auto'. Give both.")
        if len(weights) != len(self.Classes):
            raise OptionError(
                f"{self.where()}: ClassWeights needs {len(self.Classes)} values, one for each class, "
                f"but got {len(weights)}."
            )

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield scores that are not one number for each class, or not one image for each class."""
        pixelwise, count = self.is_pixelwise(size), len(self.class_names())
        if pixelwise and (size.is_sequence or not size.spatial):
            fix = "For one class for each observation or time step use classificationLayer."
            yield SizeError("an image of scores for each class", f"an input of {size.text}", fix)
        elif not pixelwise and not size.is_flat:
            fix = "Put fullyConnectedLayer(number of classes) and softmaxLayer() before it."
            yield SizeError("one score for each class", f"an input of {size.text}", fix)
        elif count not in (0, size.channels):
            fix = f"{change_channels(pixelwise, count)}, or Classes."
            yield SizeError(f"{count} scores, one for each of the Classes", f"{size.channels}", fix)

    def with_classes(self, loss: str) -> str:
        """Return the name of a loss, with the classes once they are known."""
        names = [f"'{name}'" for name in self.class_names()]
        if not names:
            return loss
        if len(names) == 1:
            return f"{loss} with class {names[0]}"
        if len(names) == 2:
            return f"{loss} with classes {names[0]} and {names[1]}"
        return f"{loss} with {names[0]} and {len(names) - 1} other classes"


class ClassificationOutputLayer(ClassesOutputLayer):
    """Compares scores with classes by the cross-entropy."""

    type_name = "Classification Output"
    base_name = "classoutput"
    loss = "softmax_cross_entropy"
    table = layer_table(
        CLASSES,
        replace(CLASS_WEIGHTS, shown=lambda layer: not isinstance(layer.ClassWeights, str)),
        OUTPUT_SIZE,
        loss_function("crossentropyex"),
        CLASS_NAMES,
    )

    def description(self) -> str:
        """Return "crossentropyex", with the classes once they are known."""
        return self.with_classes("crossentropyex")


@constructs(ClassificationOutputLayer)
def classificationLayer() -> None:
    """Create an output layer that compares scores with classes by the cross-entropy.

    ``loss = -1/N * sum_n sum_k w_k * t_nk * log(y_nk)`` over the N observations of a mini-batch and the classes k,
    with w_k the ClassWeights (1 if 'none'). The layer before must be a softmax layer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt, or the weights do not fit the classes.

    Examples
    --------
    >>> from mlnet import classificationLayer
    >>> classificationLayer(Name='output')
      ClassificationOutputLayer with properties:
    <BLANKLINE>
                Name: 'output'
             Classes: 'auto'
          OutputSize: 'auto'
    <BLANKLINE>
       Hyperparameters
        LossFunction: 'crossentropyex'
    """


class RegressionOutputLayer(OutputLayer):
    """Compares predictions with responses by the half mean squared error."""

    type_name = "Regression Output"
    base_name = "regressionoutput"
    loss = "half_mean_squared_error"
    metric = "RMSE"
    table = layer_table(
        Option("ResponseNames", [], texts(), "Names of the responses.", Group.PLAIN),
        Derived("LossFunction", lambda layer: "mean-squared-error", "The loss.", Group.HYPERPARAMETERS),
    )

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield names that are not one for each response."""
        if self.ResponseNames and len(self.ResponseNames) != size.channels:
            came = f"{len(self.ResponseNames)}"
            yield SizeError(f"{size.channels} ResponseNames, one for each response of the network", came)

    def description(self) -> str:
        """Return "mean-squared-error", with the names of the responses once they are known."""
        names = [f"'{name}'" for name in self.ResponseNames]
        if not names:
            return "mean-squared-error"
        if len(names) == 1:
            return f"mean-squared-error with response {names[0]}"
        if len(names) == 2:
            return f"mean-squared-error with responses {names[0]} and {names[1]}"
        rest = len(names) - 2
        return (
            f"mean-squared-error with responses {names[0]}, {names[1]}, "
            f"and {rest} other response{'s' if rest > 1 else ''}"
        )


@constructs(RegressionOutputLayer)
def regressionLayer() -> None:
    """Create an output layer that compares predictions with responses by the half mean squared error.

    ``loss = 1/(2N) * sum_n sum_i (t_ni - y_ni)**2`` over the N observations of a mini-batch and all responses i; it is
    not divided by the number of responses.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import regressionLayer
    >>> regressionLayer()
      RegressionOutputLayer with properties:
    <BLANKLINE>
                 Name: ''
        ResponseNames: {}
    <BLANKLINE>
       Hyperparameters
         LossFunction: 'mean-squared-error'
    """
