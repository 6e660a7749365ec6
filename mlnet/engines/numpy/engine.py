"""The table of what the NumPy engine computes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from mlnet.engines.base import Engine, Loss, Operation
from mlnet.engines.numpy import (
    activation,
    adaptive_pooling,
    attention,
    combination,
    convolution,
    convolution1d,
    convolution3d,
    crop,
    cross_channel,
    custom_layer,
    custom_loss,
    dice_loss,
    dropout,
    element_loss,
    embedding,
    focal_loss,
    group_normalization,
    grouped_convolution,
    gru,
    indexing,
    input,
    linear,
    loss,
    normalization,
    patch_embedding,
    pooling,
    pooling1d,
    pooling3d,
    position_encoding,
    quadratic,
    recurrent,
    recurrent_ports,
    resize,
    shape,
    smooth_activation,
    spatial_dropout,
    transposed_convolution,
    unpooling,
    user_function,
    weights,
    whitening,
)
from mlnet.engines.numpy.fusion import fuse
from mlnet.engines.program import Program
from mlnet.parallel.blas import single_threaded

_MODULES = (
    activation,
    adaptive_pooling,
    unpooling,
    user_function,
    attention,
    embedding,
    indexing,
    patch_embedding,
    position_encoding,
    transposed_convolution,
    pooling3d,
    quadratic,
    pooling1d,
    grouped_convolution,
    convolution3d,
    convolution1d,
    spatial_dropout,
    shape,
    resize,
    crop,
    combination,
    convolution,
    cross_channel,
    custom_layer,
    dropout,
    group_normalization,
    gru,
    input,
    linear,
    normalization,
    pooling,
    recurrent,
    recurrent_ports,
    smooth_activation,
    weights,
    whitening,
)


def _pairs() -> dict[str, Operation]:
    """Return every function of the modules that has a ``..._backward`` beside it."""
    return {
        name: Operation(forward, getattr(module, f"{name}_backward"))
        for module in _MODULES
        for name, forward in vars(module).items()
        if hasattr(module, f"{name}_backward")
    }


_OPERATIONS: Mapping[str, Operation] = _pairs()
_LOSSES: Mapping[str, Loss] = {
    name: Loss(getattr(module, name), getattr(module, f"{name}_backward"))
    for module, names in (
        (custom_loss, "custom_loss"),
        (dice_loss, "generalized_dice"),
        (element_loss, "absolute_error huber_error sigmoid_cross_entropy softmax_soft_cross_entropy"),
        (focal_loss, "softmax_focal"),
        (loss, "softmax_cross_entropy half_mean_squared_error"),
    )
    for name in names.split()
}


class NumpyEngine(Engine):
    """Every operation of mlnet with NumPy alone, in float32 and float64."""

    name = "numpy"

    def running(self) -> AbstractContextManager[None]:
        """Keep matrix products on the calling thread: the operations bring their own threads."""
        return single_threaded()

    def fuse(self, program: Program) -> Program:
        """Return the program with neighbouring operations merged, see `mlnet.engines.numpy.fusion`."""
        return fuse(program)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The operations, by name."""
        return _OPERATIONS

    @property
    def losses(self) -> Mapping[str, Loss]:
        """The losses, by name."""
        return _LOSSES
