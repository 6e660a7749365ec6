"""Maximum and average along time, or along the one dimension of 1-D images: over windows, and over whole sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.pooling import (
    AveragePoolingState,
    GlobalPoolingState,
    MaxPoolingState,
    average_pooling2d,
    average_pooling2d_backward,
    global_max_pooling,
    global_max_pooling_backward,
    max_pooling2d,
    max_pooling2d_backward,
)
from mlnet.engines.numpy.time_padding import TimeBorder, TimePadding, need_steps, time_border


class MaxPooling1DState(NamedTuple):
    """What the backward of `max_pooling1d` needs."""

    border: TimeBorder
    pooling: MaxPoolingState


class AveragePooling1DState(NamedTuple):
    """What the backward of `average_pooling1d` needs; ``share`` (N, T', 1) of each window is averaged, None for all."""

    border: TimeBorder
    pooling: AveragePoolingState
    share: np.ndarray | None


class GlobalMaxPooling1DState(NamedTuple):
    """What the backward of `global_max_pooling1d` needs."""

    border: TimeBorder
    pooling: GlobalPoolingState


class GlobalAveragePooling1DState(NamedTuple):
    """What the backward of `global_average_pooling1d` needs; ``weights`` (N, T) are 1 / length, 0 behind the end."""

    weights: np.ndarray


def max_pooling1d(
    x: np.ndarray, *, pool_size: int, stride: int, padding: TimePadding, lengths: Any = None, workspace: Workspace
) -> tuple[np.ndarray, MaxPooling1DState]:
    """Return the maximum of each window of the sequences x (N, T, C); the border never is the maximum.

    ``padding``, ``lengths`` and the steps that come out are those of `convolution1d`, as is the `DataError`.
    """
    border = time_border(x, lengths, pool_size, stride, padding, -np.inf)
    images, pooling = max_pooling2d(
        border.images(x), pool_size=(1, pool_size), stride=(1, stride), padding=border.padding, workspace=workspace
    )
    return border.output(images), MaxPooling1DState(border, pooling)


def max_pooling1d_backward(
    saved: MaxPooling1DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: of equal maxima the first one in its window gets it."""
    (d_images,) = max_pooling2d_backward(
        saved.pooling, saved.border.d_output(d_output), wanted=wanted, workspace=workspace
    )
    return (saved.border.from_images(d_images),)


def average_pooling1d(
    x: np.ndarray,
    *,
    pool_size: int,
    stride: int,
    padding: TimePadding,
    padding_value: float | str = 0.0,
    lengths: Any = None,
    workspace: Workspace,
) -> tuple[np.ndarray, AveragePooling1DState]:
    """Return the mean of each window of the sequences x (N, T, C).

    With ``padding_value=0.0`` the zeros of the border count, with ``'mean'`` only steps of the sequence do.
    ``padding``, ``lengths`` and the steps that come out are those of `convolution1d`, as is the `DataError`.
    """
    border = time_border(x, lengths, pool_size, stride, padding)
    windows: dict[str, Any] = {"pool_size": (1, pool_size), "stride": (1, stride), "padding": border.padding}
    share = None
    if padding_value == "mean":
        steps = border.images(np.ones((*x.shape[:2], 1), x.dtype))
        share = border.output(average_pooling2d(steps, **windows, workspace=Workspace())[0])
    images, pooling = average_pooling2d(border.images(x), **windows, workspace=workspace)
    output = border.output(images)
    if share is not None:
        share = np.where(share > 0, share, 1)
        output = output / share
    return output, AveragePooling1DState(border, pooling, share)


def average_pooling1d_backward(
    saved: AveragePooling1DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: each step gets its share from every window it lies in."""
    d_mean = d_output if saved.share is None else d_output / saved.share
    (d_images,) = average_pooling2d_backward(
        saved.pooling, saved.border.d_output(d_mean), wanted=wanted, workspace=workspace
    )
    return (saved.border.from_images(d_images),)


def global_max_pooling1d(
    x: np.ndarray, *, lengths: Any = None, workspace: Workspace
) -> tuple[np.ndarray, GlobalMaxPooling1DState]:
    """Return the maximum over the steps of each sequence of x (N, T, C).

    With ``lengths`` (N,), the numbers of steps of each, the output has no axis of time, (N, C); 1-D images come without
    and keep theirs, (N, 1, C). Raises `DataError` for an observation without steps.
    """
    border = time_border(x, lengths, 1, 1, (0, 0), -np.inf)
    output, pooling = global_max_pooling(border.images(x), workspace=workspace)
    return _without_time(output[:, 0], lengths), GlobalMaxPooling1DState(border, pooling)


def global_max_pooling1d_backward(
    saved: GlobalMaxPooling1DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: of equal maxima the first one gets it."""
    (d_images,) = global_max_pooling_backward(saved.pooling, d_output, wanted=wanted, workspace=workspace)
    return (saved.border.from_images(d_images),)


def global_average_pooling1d(
    x: np.ndarray, *, lengths: Any = None, workspace: Workspace
) -> tuple[np.ndarray, GlobalAveragePooling1DState]:
    """Return the mean over the steps of each sequence of x (N, T, C).

    ``lengths``, the output and the `DataError` are those of `global_max_pooling1d`.
    """
    steps = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
    need_steps(steps, steps, 1)
    weights = ((np.arange(x.shape[1]) < steps[:, None]) / steps[:, None]).astype(x.dtype)
    output = np.matmul(weights[:, None], x)
    return _without_time(output, lengths), GlobalAveragePooling1DState(weights)


def global_average_pooling1d_backward(
    saved: GlobalAveragePooling1DState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradient of x: an equal share for each step."""
    if not wanted[0]:
        return (None,)
    return (saved.weights[:, :, None] * d_output.reshape(len(d_output), 1, d_output.shape[-1]),)


def _without_time(output: np.ndarray, lengths: Any) -> np.ndarray:
    return output if lengths is None else output[:, 0]
