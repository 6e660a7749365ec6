"""Normalization layers: batch normalization and cross-channel normalization."""

from __future__ import annotations

import numpy as np

from mlnet.layers.base import Call, Layer, Size, layer_table, num_channels
from mlnet.layers.per_channel import CHANNELS, OFFSET, SCALE, TRAINED_MEAN, PopulationLayer, channel_shape, decay
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import EMPTY, array, integer, number


class BatchNormalizationLayer(PopulationLayer):
    """Normalizes each channel over the mini-batch, then scales and shifts it."""

    type_name = "Batch Normalization"
    title = "Batch normalization"
    base_name = "batchnorm"
    learnables = (OFFSET, SCALE)
    states = ("TrainedMean", "TrainedVariance")
    per_channel = ("Offset", "Scale", "TrainedMean", "TrainedVariance")
    spread_field = "variance"
    decays = ("MeanDecay", "VarianceDecay")
    table = layer_table(
        num_channels(Group.PLAIN),
        TRAINED_MEAN,
        Option(
            "TrainedVariance",
            EMPTY,
            array(low=0),
            f"{CHANNELS}; variance (divided by the count) for prediction, set by training.",
            Group.PLAIN,
        ),
        Option("Epsilon", 1e-5, number(1e-5), "Added to the variance before the square root.", Group.HYPERPARAMETERS),
        decay("MeanDecay", "mean"),
        decay("VarianceDecay", "variance"),
        *OFFSET.options(),
        *SCALE.options(),
    )

    def first_moments(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance from which moving ones start."""
        mean, variance = (given.astype(np.float64) for given in (self.TrainedMean, self.TrainedVariance))
        shape = channel_shape(size)
        return (
            mean.reshape(shape) if mean.size else np.zeros(shape),
            variance.reshape(shape) if variance.size else np.ones(shape),
        )

    def trained_states(self, mean: np.ndarray, spread: np.ndarray) -> dict[str, np.ndarray]:
        """Return mean and variance as they are."""
        return {"TrainedMean": mean, "TrainedVariance": spread}

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the normalization by the mini-batch (training) or by the trained statistics (prediction)."""
        attributes = {"epsilon": self.Epsilon}
        if training:
            return Call("batch_normalization", ("Offset", "Scale"), attributes)
        return Call("batch_normalization_inference", ("Offset", "Scale", *self.states), attributes)


@constructs(BatchNormalizationLayer)
def batchNormalizationLayer() -> None:
    """Create a layer that normalizes each channel over the mini-batch, then scales and shifts it.

    ``x_hat = (x - mean) / sqrt(variance + Epsilon)``, ``y = Scale * x_hat + Offset``. In training, mean and variance
    (divided by the count, not by the count less one) are those of the mini-batch, over observations and positions.

    At prediction they are TrainedMean and TrainedVariance. With ``BatchNormalizationStatistics='population'`` these are
    the mean and variance of the layer's input over the whole training set, from one more pass after the last
    iteration: every observation counts once, those of an incomplete last mini-batch too; the parameters are the final
    ones, dropout is off, and the batch-normalization layers below normalize by the mini-batches of that pass, as they
    did in training. With 'population-exact', which MATLAB does not have, there is one more pass for each layer, and the
    layers below already predict: over the training set, ``x_hat`` then has mean 0 and variance ``v / (v + Epsilon)``, v
    being the variance of the layer's input. With 'moving' they are ``decay * batch + (1 - decay) * before`` after each
    iteration, starting from the values given to the layer, otherwise from mean 0 and variance 1.

    A frozen layer, with OffsetLearnRateFactor and ScaleLearnRateFactor 0, normalizes by the mini-batch in training like
    any other and gets new statistics too, as in MATLAB. To keep given statistics, set MeanDecay and VarianceDecay to 0
    and train with 'moving'.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
    2015. Differs from MATLAB: Scale may also hold values that are not positive, as training may produce them.

    Examples
    --------
    >>> from mlnet import batchNormalizationLayer
    >>> batchNormalizationLayer(Name='BN1')
      BatchNormalizationLayer with properties:
    <BLANKLINE>
                   Name: 'BN1'
            NumChannels: 'auto'
            TrainedMean: []
        TrainedVariance: []
    <BLANKLINE>
       Hyperparameters
                Epsilon: 1.0000e-05
    <BLANKLINE>
       Learnable Parameters
                 Offset: []
                  Scale: []
    <BLANKLINE>
      Show all properties
    """


class CrossChannelNormalizationLayer(Layer):
    """Divides each element by a power of the squares in the channels around it."""

    type_name = "Cross Channel Normalization"
    base_name = "crossnorm"
    table = layer_table(
        Option(
            "WindowChannelSize",
            None,
            integer(),
            "Number of channels in the window.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option("Alpha", 1e-4, number(), "Factor of the sum of squares.", Group.HYPERPARAMETERS),
        Option("Beta", 0.75, number(0.01), "Exponent.", Group.HYPERPARAMETERS),
        Option("K", 2, number(1e-5), "Added before the power is taken.", Group.HYPERPARAMETERS),
    )

    def description(self) -> str:
        """Return e.g. "cross channel normalization with 5 channels per element"."""
        return f"cross channel normalization with {self.WindowChannelSize} channels per element"

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the normalization over the channel window."""
        attributes = {"window": self.WindowChannelSize, "alpha": self.Alpha, "beta": self.Beta, "k": self.K}
        return Call("cross_channel_normalization", (), attributes)


@constructs(CrossChannelNormalizationLayer)
def crossChannelNormalizationLayer() -> None:
    """Create a layer that normalizes each element by the squares in the channels around it.

    ``y = x / (K + Alpha * ss / WindowChannelSize) ** Beta`` with ``ss`` the sum of squares over the window. A window of
    even size w takes ``floor((w - 1) / 2)`` channels before and ``floor(w / 2)`` after; at the edges it is cut.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

    Examples
    --------
    >>> from mlnet import crossChannelNormalizationLayer
    >>> crossChannelNormalizationLayer(5, K=1)
      CrossChannelNormalizationLayer with properties:
    <BLANKLINE>
                     Name: ''
    <BLANKLINE>
       Hyperparameters
        WindowChannelSize: 5
                    Alpha: 1.0000e-04
                     Beta: 0.7500
                        K: 1
    """
