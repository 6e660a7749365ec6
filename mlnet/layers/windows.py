"""What convolution and pooling share: windows that slide over images, their padding and their output size."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.layers.base import Size, SizeError, need_images, spaced
from mlnet.options import Argument, Derived, Group, Option
from mlnet.rules import EMPTY, Refused, Rule, integer, read_only, row


def _padding(value: Any) -> Any:
    if isinstance(value, str):
        if value and "same".startswith(value.lower()):
            return "same"
        raise Refused
    for count, order in ((1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (4, [0, 1, 2, 3])):
        if np.size(value) == count:
            return read_only(row(integer(0), count).convert(value)[order])
    raise Refused


PADDING_RULE = Rule(
    "an amount p, [vertical horizontal], [top bottom left right] or 'same'",
    _padding,
    (-1, "valid", "", [1, 2, 3], [[1, 2], [3, 4]], [0, -1], [], None, 0.5, True, np.nan),
    ("same",),
)


def window_options(size_name: str, what: str) -> tuple[Option, Option]:
    """Return the options of the window itself: its size and its step."""
    pair = row(integer(), 2)
    return (
        Option(size_name, None, pair, f"Height and width of {what}.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        Option("Stride", read_only([1, 1]), pair, "Vertical and horizontal step.", Group.HYPERPARAMETERS),
    )


def padding_options() -> tuple[Option, Derived, Derived]:
    """Return the option Padding and the two properties that show it."""
    doc = "Rows and columns added around the input; 'same' makes the output ceil(input / Stride)."
    return (
        Option("Padding", read_only([0, 0, 0, 0]), PADDING_RULE, doc),
        Derived("PaddingMode", _mode, "'manual' or 'same'.", Group.HYPERPARAMETERS),
        Derived("PaddingSize", _manual, "[top bottom left right]; [] while 'same'.", Group.HYPERPARAMETERS),
    )


def _is_same(layer: Any) -> bool:
    return isinstance(layer.Padding, str)


def _mode(layer: Any) -> str:
    return "same" if _is_same(layer) else "manual"


def _manual(layer: Any) -> np.ndarray:
    return EMPTY if _is_same(layer) else layer.Padding


def window_text(layer: Any) -> str:
    """Return the end of the description: stride, dilation where it is not 1, and padding."""
    padding = "'same'" if _is_same(layer) else spaced(layer.Padding)
    if "DilationFactor" in layer.table.options and np.any(layer.DilationFactor != 1):
        return f"stride {spaced(layer.Stride)}, dilation factor {spaced(layer.DilationFactor)}, and padding {padding}"
    return f"stride {spaced(layer.Stride)} and padding {padding}"


def resolved_padding(layer: Any, spatial: tuple[int, ...], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) for an input with ``spatial`` size and the effective ``window``.

    'same' makes the output ``ceil(input / stride)``; an odd total gives the extra row to the bottom and the extra
    column to the right.
    """
    if not _is_same(layer):
        top, bottom, left, right = (int(n) for n in layer.Padding)
        return top, bottom, left, right
    amounts = []
    for length, extent, step in zip(spatial, window, layer.Stride, strict=True):
        output = -(-length // int(step))
        total = max((output - 1) * int(step) + extent - length, 0)
        amounts += [total // 2, total - total // 2]
    return amounts[0], amounts[1], amounts[2], amounts[3]


def window_output(layer: Any, size: Size, window: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the output: ``floor((input + padding - window) / stride) + 1``."""
    need_images(size)
    top, bottom, left, right = resolved_padding(layer, size.spatial, window)
    padded = (size.spatial[0] + top + bottom, size.spatial[1] + left + right)
    if padded[0] < window[0] or padded[1] < window[1]:
        raise SizeError(
            f"an input of at least {window[0]}x{window[1]} including padding",
            f"{size}, with padding {padded[0]}x{padded[1]}",
            "Use a smaller window, more padding, or fewer pooling layers before.",
        )
    height, width = ((p - w) // int(s) + 1 for p, w, s in zip(padded, window, layer.Stride, strict=True))
    return height, width
