"""The crop layer, and what layers with a reference input have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, need_images, ports, spaced
from mlnet.options import Argument, Derived, Group, Option, constructs
from mlnet.rules import EMPTY, Rule, choice, either, empty, integer, row

R = TypeVar("R", bound="ReferenceLayer")


class ReferenceLayer(Layer):
    """A layer for images whose second input tells only a height and a width."""

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield images together with sequences of images."""
        if len({size.is_sequence for size in sizes}) > 1:
            yield SizeError("inputs of the same kind", ", ".join(map(str, sizes)))

    def output_size(self, *sizes: Size) -> Size:
        """Return the new height and width with the channels of the first input."""
        for size in sizes:
            need_images(size)
        return Size(sizes[0].format, (*self.new_size(*sizes), sizes[0].channels))

    def new_size(self, *sizes: Size) -> tuple[int, ...]:
        """Return the new height and width; raise `SizeError` where there are none."""
        raise NotImplementedError

    def with_size(self: R, *sizes: Size) -> R:
        """Return a copy."""
        return self.copy()


def _location() -> Rule:
    center = choice("centercrop")

    def convert(value: object) -> object:
        center.convert(value)
        return EMPTY

    by_name = Rule(center.needed, convert, center.bad, center.names)
    return either(by_name, empty(), row(integer(), 2, expand=False))


class Crop2DLayer(ReferenceLayer):
    """Cuts a window out of images, as high and wide as a second input."""

    type_name = "Crop 2D"
    base_name = "crop2d"
    inputs = ("in", "ref")
    table = layer_table(
        *ports("input"),
        Derived(
            "Mode",
            lambda layer: "custom" if layer.Location.size else "centercrop",
            "'centercrop', or 'custom' where a Location was given.",
            Group.HYPERPARAMETERS,
        ),
        Option(
            "Location",
            None,
            _location(),
            "Column and row of the window's upper-left corner, from 1; [] for 'centercrop'.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
    )

    def description(self) -> str:
        """Return e.g. "upper-left corner of cropping rectangle at [1 33]", or "center crop"."""
        if self.Mode == "centercrop":
            return "center crop"
        column, row_number = self.Location.tolist()
        return f"upper-left corner of cropping rectangle at [{column} {row_number}]"

    def new_size(self, *sizes: Size) -> tuple[int, ...]:
        """Return the height and width of the reference."""
        size, reference = sizes
        top, left = self._offset(*sizes)
        rows, columns = top + reference.spatial[0], left + reference.spatial[1]
        if min(top, left) < 0 or rows > size.spatial[0] or columns > size.spatial[1]:
            corner = "" if self.Mode == "centercrop" else f" with the corner at {spaced(self.Location)}"
            fix = "Connect the larger images with 'in' and the smaller ones with 'ref'."
            window = f"{reference.spatial[0]}x{reference.spatial[1]}"
            raise SizeError(f"images that have room for {window} pixels{corner}", str(size), fix)
        return reference.spatial

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the cropping."""
        return Call("crop", (), {"offset": self._offset(*sizes)})

    def _offset(self, size: Size, reference: Size) -> tuple[int, int]:
        """Return the number of rows above and of columns left of the window."""
        if self.Mode == "custom":
            return int(self.Location[1]) - 1, int(self.Location[0]) - 1
        top, left = ((n - kept) // 2 for n, kept in zip(size.spatial, reference.spatial, strict=True))
        return top, left


@constructs(Crop2DLayer)
def crop2dLayer() -> None:
    """Create a layer that cuts a window out of images, as high and wide as the images of a second input.

    The images come in at 'in', those that tell the height and width at 'ref'. ``crop2dLayer('centercrop')`` takes the
    window from the middle, where the numbers are odd one pixel nearer to the upper and left edge;
    ``crop2dLayer([x, y])`` from column x and row y on.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import crop2dLayer
    >>> crop2dLayer('centercrop', Name='crop1')
      Crop2DLayer with properties:
    <BLANKLINE>
              Name: 'crop1'
         NumInputs: 2
        InputNames: {'in'  'ref'}
    <BLANKLINE>
       Hyperparameters
              Mode: 'centercrop'
          Location: []
    """
