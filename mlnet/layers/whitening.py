"""The whitening layer."""

from __future__ import annotations

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Call, Size, layer_table, num_channels
from mlnet.layers.group_normalization import GroupedLayer, epsilon, num_groups
from mlnet.layers.per_channel import OFFSET, SCALE, TRAINED_MEAN, PopulationLayer, decay
from mlnet.matrix_root import inverse_root
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import EMPTY, array

_MATRIX = "K x K x groups, K channels in each group"


class WhiteningLayer(GroupedLayer, PopulationLayer):
    """Decorrelates groups of channels over the mini-batch, then scales and shifts each channel."""

    type_name = "Whitening"
    title = "Whitening"
    base_name = "whitening"
    learnables = (OFFSET, SCALE)
    states = ("TrainedMean", "TrainedWhiteningMatrix")
    per_channel = ("Offset", "Scale", "TrainedMean")
    spread_field = "covariance"
    decays = ("MeanDecay", "CovarianceDecay")
    table = layer_table(
        num_channels(Group.PLAIN),
        TRAINED_MEAN,
        Option(
            "TrainedWhiteningMatrix",
            EMPTY,
            array(),
            f"{_MATRIX}; what multiplies the centred channels at prediction, set by training.",
            Group.PLAIN,
        ),
        num_groups("all-channels", Argument.OPTIONAL),
        epsilon("eigenvalues of the covariance"),
        decay("MeanDecay", "mean"),
        decay("CovarianceDecay", "covariance"),
        *OFFSET.options(),
        *SCALE.options(),
    )

    def check(self) -> None:
        """Refuse parameters and groups that do not fit one another."""
        super().check()
        shape = self.TrainedWhiteningMatrix.shape
        if self.TrainedWhiteningMatrix.size > 1 and (len(shape) not in (2, 3) or shape[0] != shape[1]):
            raise OptionError(
                f"{self.where()}: TrainedWhiteningMatrix: needs a {_MATRIX} array, but got shape {shape}."
            )

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return K x K x groups for the matrix, 1 x 1 x C or C x 1 for the others."""
        if name != "TrainedWhiteningMatrix":
            return super().parameter_shape(name, size)
        groups = self.group_count(size.channels)
        return (size.channels // groups, size.channels // groups, groups)

    def first_moments(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariances from which moving ones start; a covariance W came from is (W' W)^-1 - Epsilon."""
        mean, matrix = (given.astype(np.float64) for given in (self.TrainedMean, self.TrainedWhiteningMatrix))
        width, _, groups = self.parameter_shape("TrainedWhiteningMatrix", size)
        covariance = np.tile(np.eye(width), (groups, 1, 1))
        if matrix.size:
            matrix = np.moveaxis(matrix.reshape(width, width, groups), 2, 0)
            covariance = np.linalg.pinv(matrix.transpose(0, 2, 1) @ matrix, hermitian=True) - self.Epsilon * covariance
        return mean.reshape(-1) if mean.size else np.zeros(size.channels), covariance

    def trained_states(self, mean: np.ndarray, spread: np.ndarray) -> dict[str, np.ndarray]:
        """Return the mean, and the matrices that whiten by the covariances."""
        matrix = np.moveaxis(inverse_root(spread, self.Epsilon), 0, 2)
        return {"TrainedMean": mean, "TrainedWhiteningMatrix": matrix}

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the whitening by the mini-batch (training) or by the trained statistics (prediction)."""
        if not training:
            return Call("whitening_inference", ("Offset", "Scale", *self.states))
        attributes = {"groups": self.group_count(size.channels), "epsilon": self.Epsilon}
        return Call("whitening", ("Offset", "Scale"), attributes)


@constructs(WhiteningLayer)
def whiteningLayer() -> None:
    """Create a layer that decorrelates channels over the mini-batch, then scales and shifts each channel.

    ``x_hat = W * (x - mean)``, ``y = Scale * x_hat + Offset`` with ``W = (covariance + Epsilon * I) ** (-1/2)``, the
    symmetric root (ZCA), so that the channels of a group have variance 1 and covariance 0. In training, mean and
    covariance (divided by the count) are those of the mini-batch, over observations and positions; at prediction
    TrainedMean and TrainedWhiteningMatrix take their place, from mean and covariance over the training set as
    BatchNormalizationStatistics says (see `batchNormalizationLayer`). With NumGroups='channel-wise' it is batch
    normalization.

    A mini-batch needs more values (observations times positions) than there are channels in a group; otherwise the
    covariance has no full rank, and Epsilon decides.

    MATLAB has no such layer; this one follows the pattern of batchNormalizationLayer and groupNormalizationLayer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Huang, Yang, Lang and Deng, "Decorrelated Batch Normalization", 2018; on groups: Huang, Zhou, Zhu, Liu and Shao,
    "Iterative Normalization: Beyond Standardization towards Efficient Whitening", 2019.

    Examples
    --------
    >>> from mlnet import whiteningLayer
    >>> whiteningLayer(2, Name='white1')
      WhiteningLayer with properties:
    <BLANKLINE>
                          Name: 'white1'
                   NumChannels: 'auto'
                   TrainedMean: []
        TrainedWhiteningMatrix: []
    <BLANKLINE>
       Hyperparameters
                     NumGroups: 2
                       Epsilon: 1.0000e-05
    <BLANKLINE>
       Learnable Parameters
                        Offset: []
                         Scale: []
    <BLANKLINE>
      Show all properties
    """
