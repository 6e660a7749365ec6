"""Layers that combine several inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, ports
from mlnet.layers.unknown import UNKNOWN, is_known
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import integer

_NUM_INPUTS = Option("NumInputs", None, integer(2), "Number of inputs.", Group.PLAIN, Argument.REQUIRED)
_, _INPUT_NAMES = ports("input")


def _same_kind(sizes: tuple[Size, ...]) -> str:
    """Return what makes inputs of different formats alike."""
    if any(size.is_sequence for size in sizes) and not all(size.is_sequence for size in sizes):
        return "Take the last time step (OutputMode='last') or a global pooling of the sequences."
    if any(not size.spatial for size in sizes):
        return "Put a flattenLayer behind the images."
    return "Give all inputs the same dimensions."


class CombinationLayer(Layer):
    """Base of the layers with the inputs in1, in2, ..."""

    text: ClassVar[str]

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return tuple(f"in{number}" for number in range(1, self.NumInputs + 1))

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Refuse inputs of different formats, of which no further size can be told."""
        if len({size.format for size in sizes}) > 1:
            raise SizeError("inputs of the same kind", ", ".join(map(str, sizes)), _same_kind(sizes))
        yield from ()

    def with_size(self, *sizes: Size) -> CombinationLayer:
        """Return a copy."""
        return self.copy()

    def description(self) -> str:
        """Return e.g. "Element-wise addition of 2 inputs"."""
        return f"{self.text} of {self.NumInputs} inputs"


class ElementwiseLayer(CombinationLayer):
    """Combines elements at the same place."""

    operation_name: ClassVar[str]
    table = layer_table(_NUM_INPUTS, _INPUT_NAMES)

    def output_size(self, *sizes: Size) -> Size:
        """Return the common size; an input with one element along a dimension is repeated along it."""
        dims = []
        for lengths in zip(*(size.dims for size in sizes), strict=False):
            known = [length for length in lengths if is_known(length)]
            longest = max(known, default=UNKNOWN)
            if longest == 1 and len(known) < len(lengths):
                longest = UNKNOWN
            if any(length not in (1, longest) for length in lengths):
                raise SizeError("inputs of the same size", ", ".join(map(str, sizes)))
            dims.append(longest)
        return Size(sizes[0].format, tuple(dims))

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the element-wise operation."""
        return Call(self.operation_name)


class AdditionLayer(ElementwiseLayer):
    """Adds its inputs."""

    type_name = "Addition"
    base_name = operation_name = "addition"
    text = "Element-wise addition"


@constructs(AdditionLayer)
def additionLayer() -> None:
    """Create a layer that adds its inputs element by element.

    Inputs have the same size; one with a single element along a dimension is repeated along it.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import additionLayer
    >>> additionLayer(2, Name='add_1')
      AdditionLayer with properties:
    <BLANKLINE>
              Name: 'add_1'
         NumInputs: 2
        InputNames: {'in1'  'in2'}
    """


class MultiplicationLayer(ElementwiseLayer):
    """Multiplies its inputs."""

    type_name = "Multiplication"
    base_name = operation_name = "multiplication"
    text = "Element-wise multiplication"


@constructs(MultiplicationLayer)
def multiplicationLayer() -> None:
    """Create a layer that multiplies its inputs element by element.

    Inputs have the same size; one with a single element along a dimension is repeated along it.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import multiplicationLayer
    >>> multiplicationLayer(3, Name='mul').InputNames
    ['in1', 'in2', 'in3']
    """


class _JoiningLayer(CombinationLayer):
    """Joins its inputs along one dimension."""

    def _axis(self, size: Size) -> int:
        """Return the position in the sizes' dims of the dimension along which inputs are joined."""
        raise NotImplementedError

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of the inputs with their lengths along one dimension added."""
        axis = self._axis(sizes[0])
        if len({len(size.dims) for size in sizes}) > 1:
            raise SizeError("inputs of as many dimensions", ", ".join(map(str, sizes)))
        dims = []
        for place, lengths in enumerate(zip(*(size.dims for size in sizes), strict=True)):
            if place == axis:
                dims.append(sum(lengths))
                continue
            common = next(filter(is_known, lengths), UNKNOWN)
            if any(length != common for length in lengths):
                raise SizeError("inputs that differ only along the joined dimension", ", ".join(map(str, sizes)))
            dims.append(common)
        return Size(sizes[0].format, tuple(dims))

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the concatenation; in the engines' order observations come before the sizes' dims."""
        return Call("concatenation", (), {"axis": self._axis(sizes[0]) - len(sizes[0].dims)})


class DepthConcatenationLayer(_JoiningLayer):
    """Joins its inputs along the channels."""

    type_name = "Depth concatenation"
    base_name = "depthcat"
    text = "Depth concatenation"
    table = layer_table(_NUM_INPUTS, _INPUT_NAMES)

    def _axis(self, size: Size) -> int:
        return len(size.dims) - 1


@constructs(DepthConcatenationLayer)
def depthConcatenationLayer() -> None:
    """Create a layer that joins inputs of the same height and width along the channels.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import depthConcatenationLayer
    >>> depthConcatenationLayer(2, Name='concat_1')
      DepthConcatenationLayer with properties:
    <BLANKLINE>
              Name: 'concat_1'
         NumInputs: 2
        InputNames: {'in1'  'in2'}
    """


class ConcatenationLayer(_JoiningLayer):
    """Joins its inputs along a dimension."""

    type_name = "Concatenation"
    base_name = "concat"
    text = "Concatenation"
    table = layer_table(
        Option("Dim", None, integer(), "Dimension, in MATLAB's numbers.", Group.PLAIN, Argument.REQUIRED),
        _NUM_INPUTS,
        _INPUT_NAMES,
    )

    def description(self) -> str:
        """Return e.g. "Concatenation of 2 inputs along dimension 3"."""
        return f"{super().description()} along dimension {self.Dim}"

    def _axis(self, size: Size) -> int:
        if self.Dim > len(size.dims):
            fix = "Dimensions count from 1: height 1, width 2, channels 3; features 1."
            raise SizeError(f"a dimension from 1 to {len(size.dims)}", f"Dim {self.Dim}", fix)
        return int(self.Dim) - 1


@constructs(ConcatenationLayer)
def concatenationLayer() -> None:
    """Create a layer that joins its inputs along a spatial dimension or the channels.

    Dimensions have MATLAB's numbers: 1 height, 2 width, 3 channels for images; 1 channels for features.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import concatenationLayer
    >>> concatenationLayer(3, 2, Name='concat')
      ConcatenationLayer with properties:
    <BLANKLINE>
              Name: 'concat'
               Dim: 3
         NumInputs: 2
        InputNames: {'in1'  'in2'}
    """
