"""Two-dimensional transposed convolution: the input gradient of a convolution as a forward, and the reverse.

``y[n, p s_v + i - top, q s_h + j - left, f] = bias[f] + sum over p, q, i, j, c of x[n, p, q, c] * weights[i, j, f, c]``
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.constants import column_sums
from mlnet.engines.numpy.convolution import ConvolutionState, convolution2d, convolution2d_backward
from mlnet.engines.numpy.padding import Padding
from mlnet.engines.numpy.windows import Pair, Windows


class TransposedConvolutionState(NamedTuple):
    """What the backward of `transposed_convolution2d` needs.

    ``convolution`` is the convolution that takes outputs to inputs; its own ``x`` has a shape and no values.
    """

    x: np.ndarray
    convolution: ConvolutionState


def transposed_convolution2d(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, stride: Pair, cropping: Padding, workspace: Workspace
) -> tuple[np.ndarray, TransposedConvolutionState]:
    """Spread images (N, H, W, C) with weights (h, w, F, C) and add bias (1, 1, F).

    Returns (N, rows, columns, F), where rows = (H - 1) * stride + h - top - bottom. ``cropping`` is (top, bottom, left,
    right); a negative bottom or right adds rows or columns of the bias alone, fewer than ``stride``.
    """
    top, bottom, left, right = cropping
    rows = (x.shape[1] - 1) * stride[0] + weights.shape[0] - top - bottom
    columns = (x.shape[2] - 1) * stride[1] + weights.shape[1] - left - right
    shape = (len(x), rows, columns, weights.shape[2])
    convolution = ConvolutionState(
        np.broadcast_to(np.zeros((), x.dtype), shape),
        weights,
        bias.shape,
        Windows(weights.shape[:2], stride),
        (top, max(0, bottom), left, max(0, right)),
        0.0,
    )
    x = np.ascontiguousarray(x)
    output, *_ = convolution2d_backward(convolution, x, wanted=(True, False, False), workspace=workspace)
    assert output is not None
    np.add(output, bias.ravel(), out=output)
    return output, TransposedConvolutionState(x, convolution)


def transposed_convolution2d_backward(
    saved: TransposedConvolutionState, d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of x, weights and bias."""
    convolution = saved.convolution._replace(x=np.ascontiguousarray(d_output))
    d_x = d_weights = d_bias = None
    if wanted[0]:
        windows = convolution.windows
        d_x, _ = convolution2d(
            convolution.x,
            convolution.weights,
            np.zeros(saved.x.shape[3], d_output.dtype),
            stride=windows.stride,
            dilation=windows.dilation,
            padding=convolution.padding,
            workspace=workspace,
        )
    if wanted[1]:
        _, d_weights, _ = convolution2d_backward(convolution, saved.x, wanted=(False, True, False), workspace=workspace)
    if wanted[2]:
        d_bias = column_sums(convolution.x.reshape(-1, d_output.shape[3])).reshape(convolution.bias_shape)
    return d_x, d_weights, d_bias
