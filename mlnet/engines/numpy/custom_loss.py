"""Losses that users have written: `mlnet.layers.custom_output.LossCall` runs their methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.user_function import to_engine, to_user
from mlnet.engines.packing import pack, pad


class CustomLossState(NamedTuple):
    """What returns the gradient in MATLAB's order, the format and lengths, and the type of the gradient."""

    gradient: Callable[[], np.ndarray]
    format: str
    lengths: np.ndarray | None
    dtype: np.dtype


def custom_loss(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    call: Any,
    weights: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    workspace: Workspace,
) -> tuple[np.ndarray, float, CustomLossState]:
    """Return z and the loss that the user's method computes; ``call`` is a `LossCall`.

    Classes (N, ...) become vectors with a one, zeros where they are -1. Packed sequences are padded with zeros.
    """
    if targets.dtype.kind == "i":
        t: np.ndarray = (targets.reshape(z.shape[:-1])[..., None] == np.arange(z.shape[-1])).astype(z.dtype)
    else:
        t = targets.reshape(z.shape).astype(z.dtype, copy=False)
    format = "S" * (z.ndim - 2) + "C" + "T" * (lengths is not None)
    y = z
    if lengths is not None:
        y, t = pad(z, lengths), pad(t, lengths)
    loss, gradient = call.run(to_user(y, format), to_user(t, format), format)
    return z, float(loss), CustomLossState(gradient, format, lengths, z.dtype)


def custom_loss_backward(saved: CustomLossState, *, workspace: Workspace) -> np.ndarray:
    """Return the gradient of z."""
    d_y = to_engine(saved.gradient(), saved.format)
    d_z = d_y if saved.lengths is None else pack(d_y, saved.lengths)
    result = workspace.empty("d_z", d_z.shape, saved.dtype)
    np.copyto(result, d_z, casting="same_kind")
    return result
