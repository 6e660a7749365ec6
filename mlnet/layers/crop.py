"""The crop layers, and what layers with a reference input have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeVar

import numpy as np

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, ports, spaced
from mlnet.layers.windowed import need_dimensions
from mlnet.options import Argument, Derived, Group, Option, constructs
from mlnet.rules import EMPTY, Rule, choice, either, empty, integer, row

R = TypeVar("R", bound="ReferenceLayer")


class ReferenceLayer(Layer):
    """A layer for images of ``dimensions`` dimensions whose second input tells only a height and a width (a depth)."""

    dimensions: ClassVar[int] = 2

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield images together with sequences of images."""
        if len({size.is_sequence for size in sizes}) > 1:
            yield SizeError("inputs of the same kind", ", ".join(map(str, sizes)))

    def output_size(self, *sizes: Size) -> Size:
        """Return the new height and width (and depth) with the channels of the first input."""
        for size in sizes:
            need_dimensions(size, self.dimensions)
        return Size(sizes[0].format, (*self.new_size(*sizes), sizes[0].channels))

    def new_size(self, *sizes: Size) -> tuple[int, ...]:
        """Return the new height and width (and depth); raise `SizeError` where there are none."""
        raise NotImplementedError

    def with_size(self: R, *sizes: Size) -> R:
        """Return a copy."""
        return self.copy()


class CropLayer(ReferenceLayer):
    """Cuts a window out of images, as large as a second input."""

    inputs = ("in", "ref")

    def location(self) -> np.ndarray:
        """Return column and row (and layer) of the window's first corner, from 1; [] for the center."""
        raise NotImplementedError

    def new_size(self, *sizes: Size) -> tuple[int, ...]:
        """Return the height and width (and depth) of the reference."""
        size, reference = sizes
        offset = self.offset(*sizes)
        ends = [start + kept for start, kept in zip(offset, reference.spatial, strict=True)]
        if min(offset) < 0 or any(end > n for end, n in zip(ends, size.spatial, strict=True)):
            corner = f" with the corner at {spaced(self.location())}" if self.location().size else ""
            fix = "Connect the larger images with 'in' and the smaller ones with 'ref'."
            window = "x".join(map(str, reference.spatial))
            raise SizeError(f"images that have room for {window} pixels{corner}", str(size), fix)
        return reference.spatial

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the cropping."""
        return Call("crop", (), {"offset": self.offset(*sizes)})

    def offset(self, size: Size, reference: Size) -> tuple[int, ...]:
        """Return the number of rows above and of columns left of the window (and of layers before it)."""
        if self.location().size:
            column, row_number, *layers = (int(n) - 1 for n in self.location())
            return row_number, column, *layers
        return tuple((n - kept) // 2 for n, kept in zip(size.spatial, reference.spatial, strict=True))


def _location() -> Rule:
    center = choice("centercrop")

    def convert(value: object) -> object:
        center.convert(value)
        return EMPTY

    by_name = Rule(center.needed, convert, center.bad, center.names)
    return either(by_name, empty(), row(integer(), 2, expand=False))


class Crop2DLayer(CropLayer):
    """Cuts a window out of images, as high and wide as a second input."""

    type_name = "Crop 2D"
    base_name = "crop2d"
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

    def location(self) -> np.ndarray:
        """Return column and row of the window's upper-left corner, from 1; [] for the center."""
        return self.Location


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


def _crop_location() -> Rule:
    return either(choice("centercrop"), row(integer(), 3, expand=False))


class Crop3DLayer(CropLayer):
    """Cuts a box out of 3-D images, as large as a second input."""

    type_name = "Crop 3D"
    base_name = "crop3d"
    dimensions = 3
    table = layer_table(
        *ports("input"),
        Option(
            "cropLocation",
            "centercrop",
            _crop_location(),
            "Column, row and layer of the box's first corner, from 1; or 'centercrop'.",
            Group.HYPERPARAMETERS,
            Argument.OPTIONAL,
        ),
    )

    def description(self) -> str:
        """Return e.g. "upper-left-front corner of cropping cuboid at [1 33 2]", or "center crop"."""
        if isinstance(self.cropLocation, str):
            return "center crop"
        return f"upper-left-front corner of cropping cuboid at [{' '.join(map(str, self.cropLocation.tolist()))}]"

    def location(self) -> np.ndarray:
        """Return column, row and layer of the box's first corner, from 1; [] for the center."""
        return EMPTY if isinstance(self.cropLocation, str) else self.cropLocation


@constructs(Crop3DLayer)
def crop3dLayer() -> None:
    """Create a layer that cuts a box out of 3-D images, as large as the images of a second input.

    The images come in at 'in', those that tell height, width and depth at 'ref'. Without an argument the box is taken
    from the middle, where the numbers are odd one element nearer to the first row, column and layer;
    ``crop3dLayer([x, y, z])`` takes it from column x, row y and layer z on.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import crop3dLayer
    >>> crop3dLayer([1, 2, 1], Name='crop1')
      Crop3DLayer with properties:
    <BLANKLINE>
                Name: 'crop1'
           NumInputs: 2
          InputNames: {'in'  'ref'}
    <BLANKLINE>
       Hyperparameters
        cropLocation: [1 2 1]
    """
