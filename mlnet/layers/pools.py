"""What pooling layers over one, two and three dimensions share."""

from __future__ import annotations

from typing import Any, ClassVar

from mlnet.errors import OptionError
from mlnet.layers.base import Call, Layer, Size, layer_table, no_lengths
from mlnet.layers.windowed import (
    WindowedLayer,
    border_options,
    border_pairs,
    in_image_words,
    need_dimensions,
    scalar_or_tuple,
    vector,
    window_options,
)
from mlnet.options import Derived, Group, Option, Table
from mlnet.rules import choice, either, number

_ADDED = "What is added around the input; 'same' makes the output ceil(input / Stride)."


def pool_table(count: int, *more: Option, first: tuple[Option | Derived, ...] = ()) -> Table:
    """Return the table of pooling over ``count`` dimensions; ``more`` are the options behind the padding."""
    border = border_options("Padding", count, _ADDED)
    border = in_image_words(border) if count == 2 else border
    return layer_table(*first, *window_options("PoolSize", "the pool", count), *border, *more)


def padding_value() -> Option:
    """Return the option PaddingValue of averages."""
    return Option(
        "PaddingValue",
        0,
        either(choice("mean"), number(0, 0)),
        "0 counts the padding as zeros; 'mean' leaves it out of the mean.",
        Group.HYPERPARAMETERS,
        shown=lambda layer: layer.PaddingValue != 0,
    )


class PoolingLayer(WindowedLayer):
    """A pool that slides over one, two or three dimensions."""

    window = "PoolSize"
    kind: ClassVar[str]
    """'max' or 'average'"""

    def description(self) -> str:
        """Return e.g. "2x2x2 max pooling with stride ..." or "Max pooling with pool size 2, stride 1, ..."."""
        if self.dimensions == 1:
            title = f"{self.kind.capitalize()} pooling with pool size {self.size_text()}"
            return f"{title}, {self.stride_text()}, and {self.border_text()}"
        return f"{self.size_text()} {self.kind} pooling with {self.window_text()}"

    def check(self) -> None:
        """Refuse padding that is not smaller than the pool."""
        if isinstance(self.Padding, str):
            return
        if any(max(pair) >= size for pair, size in zip(border_pairs(self.Padding), vector(self.PoolSize), strict=True)):
            size, padding = scalar_or_tuple(vector(self.PoolSize)), self.Padding.tolist()
            size = size if self.dimensions == 1 else list(size)
            raise OptionError(f"{self.where()}: needs padding smaller than PoolSize {size}, but got {padding}.")

    def output_size(self, size: Size) -> Size:
        """Return the size of what comes out; the number of time steps stays open."""
        return self.windows_output(size, size.channels)

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the pooling with its padding resolved."""
        more: dict[str, Any] = {"pool_size": scalar_or_tuple(vector(self.PoolSize))}
        if "PaddingValue" in self.table.options:
            more["padding_value"] = self.PaddingValue if self.PaddingValue == "mean" else 0.0
        return self.windows_call(f"{self.kind}_pooling", (), size, **more)


class GlobalPoolingLayer(Layer):
    """Pooling over all positions."""

    dimensions: ClassVar[int]
    kind: ClassVar[str]

    def description(self) -> str:
        """Return e.g. "1-D global max pooling", or "Global max pooling" for images."""
        if self.dimensions == 2:
            return f"Global {self.kind} pooling"
        return f"{self.dimensions}-D global {self.kind} pooling"

    def output_size(self, size: Size) -> Size:
        """Return one position: 1 x 1 x C for images, 1 x 1 x 1 x C for 3-D images, features for sequences."""
        need_dimensions(size, self.dimensions)
        if self.dimensions == 1 and size.format == "CT":
            return Size("C", (size.channels,))
        return Size(size.format, (*[1] * self.dimensions, size.channels))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the pooling."""
        along_time = self.dimensions == 1 and size.format == "CT"
        ending = "" if self.dimensions == 2 else f"{self.dimensions}d"
        return Call(f"global_{self.kind}_pooling{ending}", time=no_lengths if along_time else None)
