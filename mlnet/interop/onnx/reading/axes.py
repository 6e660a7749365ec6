"""Tensors of an ONNX graph as outputs of layers: which axis is what, through transposing, reshaping and squeezing.

An axis is a label, or several that were joined: 'N' observations, 'T' time steps, 'C' channels, 'D' the directions of a
recurrent layer (before its channels), 'H', 'W', 'Z' positions, '1' an axis that was added. Nothing is computed when
labels change places; layers see the sizes that they know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlnet.layers.base import Size

Axis = tuple[str, ...]
"""The labels of one axis, the slowest first."""
Symbol = int | Axis
"""A length in a computed shape: a number, or the length of an axis."""

SPATIAL = "HWZ"


class NotImported(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """An operator, or a use of it, that no layer stands for."""


def axes(*labels: str) -> tuple[Axis, ...]:
    """Return axes of one label each."""
    return tuple((label,) for label in labels)


@dataclass(frozen=True)
class Tensor:
    """An output of a layer: its port, the size of one observation, its axes, and the directions in its channels."""

    port: str
    size: Size
    axes: tuple[Axis, ...]
    directions: int = 1
    dtype: str = "float32"

    def length(self, label: str) -> int | None:
        """Return the length of an axis; None where it is not fixed."""
        if label in "NT":
            return None
        if label == "1":
            return 1
        if label == "D":
            return self.directions
        if label == "C":
            return self.size.channels // self.directions
        return self.size.spatial[SPATIAL.index(label)]

    def lengths(self, axis: Axis) -> list[int | None]:
        """Return the lengths of the labels of an axis."""
        return [self.length(label) for label in axis]

    def with_axes(self, new: Sequence[Axis]) -> Tensor:
        """Return the tensor with other axes; directions before their channels have become channels."""
        joined = tuple(_joined(axis) for axis in new)
        is_whole = not any("D" in axis for axis in joined)
        return replace(self, axes=joined, directions=1 if is_whole else self.directions)

    def is_channels(self, axis: Axis) -> bool:
        """Tell whether an axis has the channels and nothing else longer than 1."""
        return "C" in axis and all(self.length(label) == 1 for label in axis if label != "C")

    def axis_of_channels(self) -> int:
        """Return where the channels are; raise `NotImported` where they are joined with something."""
        for number, axis in enumerate(self.axes):
            if self.is_channels(axis):
                return number
        raise NotImported("channels and positions in one axis")

    def transposed(self, order: Sequence[int]) -> Tensor:
        """Return the tensor with its axes in another order."""
        return self.with_axes([self.axes[number] for number in order])

    def squeezed(self, places: Sequence[int] | None) -> Tensor:
        """Return the tensor without axes of length 1: positions that are left out stay in mind behind the channels."""
        count = len(self.axes)
        gone = {place % count for place in places} if places is not None else set()
        if places is None:
            gone = {number for number, axis in enumerate(self.axes) if set(self.lengths(axis)) == {1}}
        left = [axis for number, axis in enumerate(self.axes) if number not in gone]
        for number in gone:
            if set(self.lengths(self.axes[number])) != {1}:
                raise NotImported(f"an axis that is longer than 1, {number}, left out")
        return self.with_axes(left)

    def unsqueezed(self, places: Sequence[int]) -> Tensor:
        """Return the tensor with further axes of length 1, those of positions that had been left out first."""
        count = len(self.axes) + len(places)
        held = {label for axis in self.axes for label in axis}
        missing = [
            label for label in SPATIAL[: len(self.size.spatial)] if label not in held and self.length(label) == 1
        ]
        new = list(self.axes)
        for place in sorted(place % count for place in places):
            new.insert(place, (missing.pop(0),) if missing else ("1",))
        return self.with_axes(new)

    def reshaped(self, shape: Sequence[Symbol], *, keeps_zero: bool = False) -> Tensor:
        """Return the tensor in another shape, as far as that joins and parts axes."""
        shape = list(shape)
        for number, length in enumerate(shape):
            if (length == 0 and not keeps_zero) or self._is_batch(number, length):
                shape[number] = self.axes[number]
        atoms = [label for axis in self.axes for label in axis]
        held = set(atoms)
        atoms += [label for label in SPATIAL[: len(self.size.spatial)] if label not in held and self.length(label) == 1]
        gap = shape.index(-1) if -1 in shape else len(shape)
        first = [self._take(atoms, length, 0) for length in shape[:gap]]
        last = [self._take(atoms, length, -1) for length in reversed(shape[gap + 1 :])][::-1]
        middle = [tuple(atoms)] if gap < len(shape) else []
        if gap == len(shape) and any(self.length(label) != 1 for label in atoms):
            raise NotImported("a shape that neither joins nor parts axes")
        return self.with_axes([*first, *middle, *last])

    def _is_batch(self, number: int, length: Symbol) -> bool:
        """Tell whether a number in a shape stands for the observations that the file was made with."""
        return isinstance(length, int) and length > 0 and number == 0 and self.axes[0] == ("N",)

    def _take(self, atoms: list[str], length: Symbol, end: int) -> Axis:
        """Return the labels from one end of ``atoms`` that make up ``length``, and take them away."""
        if not isinstance(length, int):
            for label in length:
                if label not in atoms:
                    raise NotImported("a shape of other axes")
                atoms.remove(label)
            return length
        taken: list[str] = []
        while atoms and (not taken or math.prod(self.length(label) or 0 for label in taken) < length):
            if length == 1 and self.length(atoms[end]) != 1:
                return ("1",)
            if self.length(atoms[end]) is None:
                break
            taken.append(atoms.pop(end))
        if length == 1 and not taken:
            return ("1",)
        if math.prod(self.length(label) or 0 for label in taken) != length:
            raise NotImported("a shape that neither joins nor parts axes")
        return tuple(taken if end == 0 else taken[::-1])


def _joined(axis: Axis) -> Axis:
    """Return an axis without added ones, and with directions right before channels as channels."""
    labels = [label for label in axis if label != "1"] if len(axis) > 1 else list(axis)
    if "D" in labels and labels[labels.index("D") + 1 :][:1] == ["C"]:
        labels.remove("D")
    return tuple(labels) or ("1",)
