"""Layers that give the elements of an observation another shape or order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, spaced
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import Refused, Rule, choice, integer, is_empty, read_only


class FlattenLayer(Layer):
    """Turns height, width and channels into channels."""

    type_name = "Flatten"
    base_name = "flatten"

    def output_size(self, size: Size) -> Size:
        """Return the number of elements as channels, without spatial dimensions."""
        return Size(size.format.replace("S", ""), (size.count,))

    def operation(self, size: Size, *, training: bool) -> Call | None:
        """Return the reordering of images; features pass unchanged."""
        return Call("flatten") if size.spatial else None


@constructs(FlattenLayer)
def flattenLayer() -> None:
    """Create a layer that turns height, width and channels into channels.

    Images of H x W x C become H * W * C features, with height fastest, then width, then channels; of sequences each
    time step by itself. Features pass unchanged.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import flattenLayer
    >>> flattenLayer(Name='flatten1')
      FlattenLayer with properties:
    <BLANKLINE>
        Name: 'flatten1'
    """


def _dimension_order() -> Rule:
    """Return the rule of a permutation of 1, 2, ..., as a row vector of at least two numbers."""

    def convert(value: Any) -> np.ndarray:
        numbers = np.asarray(value, dtype=object).ravel().tolist()
        order = [integer().convert(each) for each in numbers]
        if len(order) < 2 or sorted(order) != list(range(1, len(order) + 1)):
            raise Refused
        return read_only(order)

    needed = "a vector that has each of the numbers 1, 2, ... once, at least two of them"
    return Rule(needed, convert, (1, [1, 3], [1, 1], [0, 1], [], None, "x", [1.5, 2]))


class PermuteLayer(Layer):
    """Reorders height, width and channels."""

    type_name = "Permute"
    base_name = "permute"
    table = layer_table(
        Option(
            "DimensionOrder",
            None,
            _dimension_order(),
            "Dimension i of the output is dimension DimensionOrder(i) of the input.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
    )

    def description(self) -> str:
        """Return e.g. "Permute with dimension order [2  1  3]"."""
        return f"Permute with dimension order {spaced(self.DimensionOrder)}"

    def output_size(self, size: Size) -> Size:
        """Return the dimensions in their new order."""
        return Size(size.format, tuple(size.dims[axis] for axis in self._order(size)))

    def operation(self, size: Size, *, training: bool) -> Call | None:
        """Return the reordering; None where every dimension stays in its place."""
        order = self._order(size)
        return None if order == tuple(range(len(order))) else Call("permute", (), {"order": order})

    def _order(self, size: Size) -> tuple[int, ...]:
        """Return for each dimension of one observation the number, from 0, of the one that comes in its place."""
        count = len(size.dims)
        order = [int(n) - 1 for n in self.DimensionOrder]
        beyond = order[count:]
        if beyond != list(range(count, len(order))):
            fix = f"The dimensions of one observation are 1 to {count}; observations and time steps keep their places."
            raise SizeError(f"an order of the first {count} dimensions", f"{spaced(self.DimensionOrder)}", fix)
        return (*order[:count], *range(len(order), count))


@constructs(PermuteLayer)
def permuteLayer() -> None:
    """Create a layer that reorders the dimensions of an observation.

    Dimensions have MATLAB's numbers: 1 height, 2 width, 3 channels for images; those that the order does not name
    stay where they are.

    Differs from MATLAB: observations and time steps keep their places.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import permuteLayer
    >>> permuteLayer([2, 1, 3], Name='permute1')
      PermuteLayer with properties:
    <BLANKLINE>
                  Name: 'permute1'
    <BLANKLINE>
       Hyperparameters
        DimensionOrder: [2 1 3]
    """


def lengths_with_gap(*names: str, gaps: int = 1) -> Rule:
    """Return the rule of one positive integer for each of ``names``; ``gaps`` may be NaN or [], stored as NaN."""
    count = len(names)

    def convert(value: Any) -> np.ndarray:
        if isinstance(value, np.ndarray) and value.size == max(value.shape, default=1):
            value = value.ravel()  # a row or column
        if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != count:
            raise Refused
        lengths = [math.nan if is_gap(each) else integer().convert(each) for each in value]
        if sum(map(is_gap, lengths)) not in (0, gaps):
            raise Refused
        return read_only(lengths)

    ones = [1] * (count - 1)
    bad: tuple[Any, ...] = (
        5,
        ones,
        [*ones, 1, 1],
        [0, *ones],
        [1.5, *ones],
        ["a", *ones],
        [math.nan] * count,
        "x",
        None,
    )
    if gaps > 1:
        bad = (*bad, [math.nan, *ones])
    open_ones = {1: "one", 2: "two"}[gaps]
    return Rule(f"{count} positive integers ({', '.join(names)}), {open_ones} of which may be NaN", convert, bad)


def is_gap(length: Any) -> bool:
    """Tell whether a length is left open: NaN or []."""
    return is_empty(length) or (isinstance(length, (float, np.floating)) and math.isnan(length))


class ReshapeLayer(Layer):
    """Arranges the elements of an observation as an image of another size."""

    type_name = "Reshape"
    base_name = "reshape"
    table = layer_table(
        Option(
            "OutputSize",
            None,
            lengths_with_gap("height", "width", "channels"),
            "Size of the output; what is NaN (or []) follows from the number of elements.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option(
            "OperationDimension",
            "spatial-channel",
            choice("spatial-channel"),
            "The dimensions that OutputSize stands for.",
            Group.HYPERPARAMETERS,
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        lengths = next((number for number, each in enumerate(args) if isinstance(each, str)), len(args))
        if lengths > 1:
            args = (args[:lengths], *args[lengths:])
        super().__init__(*args, **kwargs)

    def description(self) -> str:
        """Return e.g. "Reshape to 7x7x64"; '?' stands for what follows from the input."""
        lengths = ["?" if is_gap(length) else str(int(length)) for length in self.OutputSize.tolist()]
        return f"Reshape to {'x'.join(lengths)}"

    def output_size(self, size: Size) -> Size:
        """Return OutputSize, with what is open filled in."""
        known = [int(length) for length in self.OutputSize.tolist() if not is_gap(length)]
        product = math.prod(known)
        is_open = len(known) < len(self.OutputSize)
        if size.count % product or (not is_open and size.count != product):
            needed = f"a multiple of {product} elements" if is_open else f"{product} elements"
            raise SizeError(f"{needed} (OutputSize)", f"{size.count} ({size.text})")
        rest = size.count // product
        lengths = (rest if is_gap(length) else int(length) for length in self.OutputSize.tolist())
        return Size("SSCT" if size.is_sequence else "SSC", tuple(lengths))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the reshaping."""
        return Call("reshape", (), {"size": self.output_size(size).dims})


@constructs(ReshapeLayer)
def reshapeLayer() -> None:
    """Create a layer that arranges the elements of an observation as an image of another size.

    Elements are taken and put in MATLAB's order: height fastest, then width, then channels. Features become images.
    The three lengths can also be given one by one: ``reshapeLayer(7, 7, [])``.

    Differs from MATLAB: observations and time steps never mix, so OutputSize always has three elements, and
    OperationDimension is 'spatial-channel'.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import reshapeLayer
    >>> reshapeLayer([7, 7, 64], Name='reshape1')
      ReshapeLayer with properties:
    <BLANKLINE>
                      Name: 'reshape1'
    <BLANKLINE>
       Hyperparameters
                OutputSize: [7 7 64]
        OperationDimension: 'spatial-channel'
    """
