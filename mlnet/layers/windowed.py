"""What convolution and pooling over one, two or three dimensions share: windows, borders and output sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from mlnet.layers.base import Call, Layer, Size, SizeError, dims, need_images, spaced
from mlnet.options import Argument, Derived, Group, Option
from mlnet.rules import EMPTY, Refused, Rule, choice, integer, read_only, row

_SIZES = {1: "Length", 2: "Height and width", 3: "Height, width and depth"}
_STEPS = {1: "Step", 2: "Vertical and horizontal step", 3: "Vertical, horizontal and depth step"}
_BORDERS = {
    1: ("[left right]", {1: [0, 0], 2: [0, 1]}),
    2: ("[vertical horizontal], [top bottom left right]", {1: [0] * 4, 2: [0, 0, 1, 1], 4: [0, 1, 2, 3]}),
    3: ("[vertical horizontal depth], [top left front; bottom right back]", {1: [0] * 6, 3: [0, 1, 2] * 2}),
}
"""By the number of dimensions: forms of a border in words, and where its elements come from, by their number."""

_IMAGE_DOCS = {
    "DilationFactor": f"{_STEPS[2]} between the elements of a filter.",
    "Padding": "Rows and columns added around the input; 'same' makes the output ceil(input / Stride).",
    "PaddingMode": "'manual' or 'same'.",
    "PaddingSize": "[top bottom left right]; [] while 'same'.",
    "PaddingValue": "Value of the added rows and columns, or how it is taken from the edge.",
}
"""What docstrings say of options and properties where there are rows and columns only."""


def per_dimension(rule: Rule, count: int) -> Rule:
    """Return the rule of one value for each of ``count`` dimensions; a scalar stands for all of them."""
    return rule if count == 1 else row(rule, count)


def ones(count: int) -> Any:
    """Return 1 for each of ``count`` dimensions."""
    return 1 if count == 1 else read_only([1] * count)


def border_rule(count: int, names: tuple[str, ...]) -> Rule:
    """Return the rule of what is added or cut off around ``count`` dimensions, or one of ``names``."""
    forms, orders = _BORDERS[count]

    def convert(value: Any) -> Any:
        if isinstance(value, str):
            return choice(*names).convert(value)
        if count == 3 and np.shape(value) == (2, 3):
            return read_only(row(integer(0), 6).convert(np.ravel(value)).reshape(2, 3))
        order = orders.get(np.size(value))
        if order is None:
            raise Refused
        border = row(integer(0), np.size(value)).convert(value)[order]
        return read_only(border.reshape(2, 3) if count == 3 else border)

    needed = f"an amount p, {forms} or {' or '.join(repr(name) for name in names)}"
    bad: tuple[Any, ...] = (-1, "valid", "", [1] * 5, [[1, 2], [3, 4]], [0, -1], [], None, 0.5, True, np.nan)
    return Rule(needed, convert, bad, names)


def window_options(size_name: str, what: str, count: int) -> tuple[Option, Option]:
    """Return the options of the window itself: its size and its step."""
    rule = per_dimension(integer(), count)
    return (
        Option(size_name, None, rule, f"{_SIZES[count]} of {what}.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        Option("Stride", ones(count), rule, f"{_STEPS[count]}.", Group.HYPERPARAMETERS),
    )


def border_options(name: str, count: int, doc: str, names: tuple[str, ...] = ("same",)) -> tuple[Option | Derived, ...]:
    """Return the option 'Padding' or 'Cropping' and the two properties that show it."""
    rule = border_rule(count, names)
    listed = ", ".join(repr(each) for each in ("manual", *names))
    return (
        Option(name, rule.convert(0), rule, doc),
        Derived(f"{name}Mode", partial(_mode, name=name), f"One of {listed}.", Group.HYPERPARAMETERS),
        Derived(f"{name}Size", partial(_manual, name=name), "The amounts; [] unless 'manual'.", Group.HYPERPARAMETERS),
    )


def _mode(layer: Any, name: str) -> str:
    border = getattr(layer, name)
    return border if isinstance(border, str) else "manual"


def _manual(layer: Any, name: str) -> np.ndarray:
    border = getattr(layer, name)
    if isinstance(border, str):
        return EMPTY
    return border if border.ndim == 1 else np.asarray(border, np.float64)


def in_image_words(entries: Iterable[Option | Derived]) -> tuple[Option | Derived, ...]:
    """Return options and properties whose docstrings speak of rows and columns."""
    return tuple(replace(entry, doc=_IMAGE_DOCS.get(entry.name, entry.doc)) for entry in entries)


def vector(value: Any) -> tuple[int, ...]:
    """Return one number for each dimension."""
    return tuple(int(n) for n in np.ravel(value))


def border_pairs(border: np.ndarray) -> list[tuple[int, int]]:
    """Return (before, after) of each dimension."""
    return [(int(before), int(after)) for before, after in (border.T if border.ndim == 2 else border.reshape(-1, 2))]


def _step_text(value: Any) -> str:
    return spaced(value) if np.ndim(value) else str(value)


def _border_text(border: Any) -> str:
    if isinstance(border, str):
        return f"'{border}'"
    return f"[{'; '.join(spaced(line)[1:-1] for line in border)}]" if border.ndim == 2 else spaced(border)


class WindowedLayer(Layer):
    """A layer whose windows slide over ``dimensions`` dimensions."""

    dimensions: ClassVar[int]
    border: ClassVar[str] = "Padding"
    window: ClassVar[str]
    """The option that has the size of the window."""

    def size_text(self, channels: Any = "auto") -> str:
        """Return the size of the window, e.g. "3x3", followed by the channels where they are known: "3x3x16"."""
        known = () if channels == "auto" else (channels,)
        return "x".join(str(n) for n in (*vector(getattr(self, self.window)), *known))

    def window_text(self) -> str:
        """Return the end of the description: stride, dilation where it is not 1, and the border."""
        if "DilationFactor" in self.table.options and np.any(self.DilationFactor != ones(self.dimensions)):
            return f"{self.stride_text()}, dilation factor {_step_text(self.DilationFactor)}, and {self.border_text()}"
        return f"{self.stride_text()} and {self.border_text()}"

    def stride_text(self) -> str:
        """Return e.g. "stride [1  1  1]"."""
        return f"stride {_step_text(self.Stride)}"

    def border_text(self) -> str:
        """Return e.g. "padding [0  0]" or "cropping 'same'"."""
        return f"{self.border.lower()} {_border_text(getattr(self, self.border))}"

    def extents(self) -> tuple[int, ...]:
        """Return what a window covers in each dimension."""
        size = vector(getattr(self, self.window))
        if "DilationFactor" not in self.table.options:
            return size
        return tuple((n - 1) * step + 1 for n, step in zip(size, vector(self.DilationFactor), strict=True))

    def resolved_padding(self, spatial: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return (before, after) of each dimension of an input with ``spatial`` size.

        'same' makes the output ``ceil(input / stride)``, an odd total gives the extra element to the end; 'causal' puts
        all of it before the input.
        """
        if not isinstance(self.Padding, str):
            return border_pairs(self.Padding)
        if self.Padding == "causal":
            return [(extent - 1, 0) for extent in self.extents()]
        pairs = []
        for length, extent, step in zip(spatial, self.extents(), vector(self.Stride), strict=True):
            total = max((-(-length // step) - 1) * step + extent - length, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs

    def window_counts(self, size: Size) -> tuple[int, ...]:
        """Return how many windows fit in each dimension: ``floor((input + padding - extent) / stride) + 1``."""
        extents = self.extents()
        border = self.resolved_padding(size.spatial)
        padded = [length + before + after for length, (before, after) in zip(size.spatial, border, strict=True)]
        if any(length < extent for length, extent in zip(padded, extents, strict=True)):
            raise SizeError(
                f"an input of at least {_times(extents)} including padding",
                f"{size}, with padding {_times(padded)}",
                "Use a smaller window, more padding, or fewer pooling layers before.",
            )
        return tuple((p - e) // s + 1 for p, e, s in zip(padded, extents, vector(self.Stride), strict=True))

    def windows_output(self, size: Size, channels: int) -> Size:
        """Return the size of an output with ``channels``; that of sequences has no entry for the time."""
        need_dimensions(size, self.dimensions)
        spatial = () if is_along_time(self, size) else self.window_counts(size)
        return Size(size.format, (*spatial, channels))

    def windows_call(self, operation: str, parameters: tuple[str, ...], size: Size, **attributes: Any) -> Call:
        """Return the operation with stride and padding; along time 'same' depends on the lengths and stays a word."""
        stride = vector(self.Stride)
        padding: Any = "same"
        if self.dimensions > 1 or self.PaddingMode != "same":
            padding = tuple(n for pair in self.resolved_padding(size.spatial) for n in pair)
        attributes = {"stride": scalar_or_tuple(stride), "padding": padding, **attributes}
        time = None
        if is_along_time(self, size):
            time = partial(window_lengths, extent=self.extents()[0], stride=stride[0], padding=padding)
        return Call(f"{operation}{self.dimensions}d", parameters, attributes, time=time)


def scalar_or_tuple(values: tuple[int, ...]) -> Any:
    """Return the only element of ``values``, or all of them."""
    return values[0] if len(values) == 1 else values


def window_lengths(lengths: np.ndarray, *, extent: int, stride: int, padding: Any) -> np.ndarray:
    """Return how many steps windows make of sequences with ``lengths``; none of those that are too short."""
    if padding == "same":
        return -(-lengths // stride)
    return np.maximum((lengths + sum(padding) - extent) // stride + 1, 0)


def is_along_time(layer: WindowedLayer, size: Size) -> bool:
    """Tell whether the windows of ``layer`` slide along time."""
    return layer.dimensions == 1 and size.format == "CT"


def need_dimensions(size: Size, count: int) -> None:
    """Raise `SizeError` where the input does not have ``count`` dimensions for windows."""
    if count == 2:
        need_images(size)
    elif count == 1 and size.format not in ("CT", "SC", "SCT"):
        fix = "Put a flattenLayer before this layer." if size.is_sequence else "Start with a sequenceInputLayer."
        raise SizeError("sequences of vectors or 1-D images", str(size), fix)
    elif count == 3 and not size.format.startswith("SSSC"):
        needed = "3-D images (height x width x depth x channels)"
        raise SizeError(needed, str(size), "Start with an image3dInputLayer.")


def _times(lengths: Any) -> str:
    return dims(tuple(lengths)) if len(lengths) > 1 else str(lengths[0])
