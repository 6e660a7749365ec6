"""Operators with windows: convolutions and pooling, as sums and maxima over the places in a window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators.shapes import padded
from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, like, need, plain


class _Window:
    """Lengths, steps and border of a window that moves over the positions of (N, C, ...)."""

    def __init__(self, use: Use, lengths: tuple[int, ...], size: list[int]) -> None:
        count = len(size)
        self.size, self.lengths = size, lengths
        self.stride = list(use.get("strides", [1] * count))
        self.dilation = list(use.get("dilations", [1] * count))
        self.extent = [(n - 1) * d + 1 for n, d in zip(size, self.dilation, strict=True)]
        if min([*size, *self.stride, *self.dilation], default=1) < 1:
            raise NotComputed(f"a window of {size}, strides {self.stride}, dilations {self.dilation}")
        kind = use.get("auto_pad", "NOTSET")
        pads = list(use.get("pads", [0] * 2 * count)) if kind == "NOTSET" else [0] * 2 * count
        self.before, self.after = pads[:count], pads[count:]
        if kind in ("SAME_UPPER", "SAME_LOWER"):
            for axis, (n, step, extent) in enumerate(zip(lengths, self.stride, self.extent, strict=True)):
                total = max(0, (-(-n // step) - 1) * step + extent - n)
                less, more = total // 2, total - total // 2
                self.before[axis], self.after[axis] = (less, more) if kind == "SAME_UPPER" else (more, less)
        self.counts = self._counts(bool(use.get("ceil_mode", 0)))
        if min(self.counts, default=1) < 1:
            raise NotComputed("a window that is larger than the input")

    def _counts(self, up: bool) -> list[int]:
        counts = []
        for n, a, b, extent, step in zip(self.lengths, self.before, self.after, self.extent, self.stride, strict=True):
            rest = n + a + b - extent
            count = (-(-rest // step) if up else rest // step) + 1
            if up and (count - 1) * step >= n + a:  # a window that begins behind the input
                count -= 1
            counts.append(count)
        return counts

    def border(self) -> list[list[int]]:
        """Return [before, after] of each position, with what windows at the end reach beyond the border."""
        ends = [
            (count - 1) * step + extent
            for count, step, extent in zip(self.counts, self.stride, self.extent, strict=True)
        ]
        return [
            [a, max(b, end - n - a)] for a, b, n, end in zip(self.before, self.after, self.lengths, ends, strict=True)
        ]

    def places(self) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Yield each place in a window with the slices of the padded input that lie there."""
        for place in itertools.product(*map(range, self.size)):
            yield (
                place,
                (
                    Ellipsis,
                    *(
                        slice(n * d, n * d + (count - 1) * step + 1, step)
                        for n, d, count, step in zip(place, self.dilation, self.counts, self.stride, strict=True)
                    ),
                ),
            )

    def over(self, x: Any, value: float) -> Any:
        """Return the input with its border."""
        return padded(x, [[0, 0], [0, 0], *self.border()], "constant", value)


def _convolution(use: Use) -> Any:
    x, weights = use.inputs[:2]
    groups, shape = use.get("group", 1), np.shape(weights)
    window = _Window(use, np.shape(x)[2:], list(shape[2:]))
    batch = np.shape(x)[0]
    need(batch, shape[0], *window.counts)
    source = window.over(x, 0)
    each, count = shape[0] // groups, math.prod(window.counts)
    filters = weights.reshape((groups, each, shape[1], *shape[2:]))
    total: Any = 0
    for place, part in window.places():
        seen = source[part].reshape((batch, groups, shape[1], count))
        total = total + np.matmul(filters[(..., *place)], seen)
    total = total.reshape((batch, shape[0], *window.counts))
    return total if use.input(2) is None else total + _spread(use.inputs[2], len(window.size))


def _spread(bias: Any, count: int) -> Any:
    return bias.reshape((-1, *[1] * count))


def _transposed_convolution(use: Use) -> Any:
    """Add the filters, times the input, to their places in an output of zeros."""
    x, weights = use.inputs[:2]
    groups, shape = use.get("group", 1), np.shape(weights)
    batch, lengths = np.shape(x)[0], np.shape(x)[2:]
    count = len(lengths)
    stride, dilation = (list(use.get(name, [1] * count)) for name in ("strides", "dilations"))
    extent = [(n - 1) * d + 1 for n, d in zip(shape[2:], dilation, strict=True)]
    more = list(use.get("output_padding", [0] * count))
    pads = list(use.get("pads", [0] * 2 * count))
    whole = [(n - 1) * s + e + p for n, s, e, p in zip(lengths, stride, extent, more, strict=True)]
    kind = use.get("auto_pad", "NOTSET")
    wanted = use.get("output_shape")
    if wanted is None and kind in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(lengths, stride, strict=True)]
    if wanted is not None:
        totals = [max(n - w, 0) for n, w in zip(whole, wanted[-count:], strict=True)]
        less, rest = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = [*less, *rest] if kind == "SAME_UPPER" else [*rest, *less]
        missing = [n - a - b - w for n, a, b, w in zip(whole, pads[:count], pads[count:], wanted[-count:], strict=True)]
        pads = [*pads[:count], *(b + m for b, m in zip(pads[count:], missing, strict=True))]
    result = [n - a - b for n, a, b in zip(whole, pads[:count], pads[count:], strict=True)]
    need(batch, shape[1] * groups, *whole)
    filters = weights.reshape((groups, shape[0] // groups, shape[1], *shape[2:]))
    seen = x.reshape((batch, groups, shape[0] // groups, math.prod(lengths)))
    total: Any = 0
    for place in itertools.product(*map(range, shape[2:])):
        part = np.matmul(np.swapaxes(filters[(..., *place)], -1, -2), seen)
        part = _dilated(part.reshape((batch, shape[1] * groups, *lengths)), stride)
        starts = [n * d for n, d in zip(place, dilation, strict=True)]
        widths = [[a, n - a - m] for a, n, m in zip(starts, whole, np.shape(part)[2:], strict=True)]
        total = total + padded(part, [[0, 0], [0, 0], *widths])
    widths = [[-a, n - w + a] for a, n, w in zip(pads[:count], result, whole, strict=True)]
    total = padded(total, [[0, 0], [0, 0], *widths])
    return total if use.input(2) is None else total + _spread(use.inputs[2], count)


def _dilated(x: Any, stride: list[int]) -> Any:
    """Return the array with zeros between the positions."""
    for axis, step in enumerate(stride, start=2):
        if step > 1 and np.shape(x)[axis] > 1:
            index = np.arange((np.shape(x)[axis] - 1) * step + 1)
            keep = (index % step == 0).astype(plain(x).dtype).reshape(-1, *[1] * (np.ndim(x) - axis - 1))
            x = np.take(x, index // step, axis=axis) * keep
    return x


def _pool(use: Use) -> _Window:
    return _Window(use, np.shape(use.x)[2:], list(use.get("kernel_shape")))


def _max_pooling(use: Use) -> Any:
    window = _pool(use)
    x, kind = use.x, plain(use.x).dtype
    least = -np.inf if kind.kind == "f" else np.iinfo(kind).min
    source = window.over(x, least)
    best: Any = None
    for _, part in window.places():
        best = source[part] if best is None else np.maximum(best, source[part])
    return (best, _winners(use, window, source, best)) if use.outputs > 1 else best


def _winners(use: Use, window: _Window, source: Any, best: Any) -> np.ndarray:
    """Return the number of the element of the input that is the maximum of each window."""
    shape = np.shape(use.x)
    lengths = shape[2:]
    numbers = np.arange(math.prod(lengths)).reshape(lengths, order="F" if use.get("storage_order", 0) else "C")
    source, best = plain(source), plain(best)
    places = padded(numbers, window.border(), "constant", -1)
    result = np.full(best.shape, -1, np.int64)
    for _, part in window.places():
        here = np.broadcast_to(places[part], best.shape)
        hit = (result < 0) & (source[part] == best) & (here >= 0)
        result[hit] = here[hit]
    planes = np.arange(shape[0] * shape[1]).reshape(shape[:2] + (1,) * len(lengths))
    return result + planes * math.prod(lengths)


def _average_pooling(use: Use) -> Any:
    window = _pool(use)
    if use.get("count_include_pad", 0):  # the border counts, what lies beyond it does not
        spaces = [n + a + b for n, a, b in zip(window.lengths, window.before, window.after, strict=True)]
        inside = np.ones(spaces)
        more = [
            [0, max(0, sum(pair) + n - space)]
            for pair, n, space in zip(window.border(), window.lengths, spaces, strict=True)
        ]
        inside = padded(inside, more)
    else:
        inside = padded(np.ones(window.lengths), window.border())
    source = window.over(use.x, 0)
    total: Any = 0
    counts: Any = 0
    for _, part in window.places():
        total, counts = total + source[part], counts + inside[part]
    return total / like(counts, use.x)


def _norm_pooling(use: Use) -> Any:
    window, power = _pool(use), use.get("p", 2)
    source = np.abs(window.over(use.x, 0)) ** power
    total: Any = 0
    for _, part in window.places():
        total = total + source[part]
    return total ** (1 / power)


def _whole(function: Any) -> Operator:
    def run(use: Use) -> Any:
        return function(use.x, axis=tuple(range(2, np.ndim(use.x))), keepdims=True)

    return run


def _global_norm(use: Use) -> Any:
    power = use.get("p", 2)
    return np.sum(np.abs(use.x) ** power, axis=tuple(range(2, np.ndim(use.x))), keepdims=True) ** (1 / power)


def _unpooling(use: Use) -> Any:
    x, places = use.x, plain(use.inputs[1])
    count = len(use.get("kernel_shape"))
    stride, pads = use.get("strides", [1] * count), use.get("pads", [0] * 2 * count)
    lengths = [
        (n - 1) * s - a - b + k
        for n, s, a, b, k in zip(
            np.shape(x)[2:], stride, pads[:count], pads[count:], use.get("kernel_shape"), strict=True
        )
    ]
    shape = [*np.shape(x)[:2], *lengths]
    wanted = shape if use.input(2) is None else [int(n) for n in plain(use.input(2))]
    need(*wanted)
    if wanted != shape:  # numbers are those of the smaller output, which lies in the corner of the larger one
        planes = np.array(np.unravel_index(places.ravel(), shape))
        places = np.ravel_multi_index(tuple(planes), wanted)
    result = np.zeros(math.prod(wanted), plain(x).dtype) if isinstance(x, np.ndarray) else None
    if result is None:
        raise NotComputed("the derivative of MaxUnpool")
    result[places.ravel()] = x.ravel()
    return result.reshape(wanted)


TABLE: dict[str, Operator] = {
    "AveragePool": _average_pooling,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "GlobalAveragePool": _whole(np.mean),
    "GlobalLpPool": _global_norm,
    "GlobalMaxPool": _whole(np.max),
    "LpPool": _norm_pooling,
    "MaxPool": _max_pooling,
    "MaxUnpool": _unpooling,
}
