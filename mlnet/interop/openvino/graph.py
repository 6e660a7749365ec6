"""A graph of OpenVINO's IR as plain data, and how one is put together: nothing here needs the package `openvino`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

OPEN = -1
"""A length that the file leaves open."""

Shape = tuple[int, ...]
_KINDS = {np.dtype(np.float32): "f32", np.dtype(np.int64): "i64"}


@dataclass(frozen=True)
class IrValue:
    """An output of a layer: lengths are -1 where open, ``known`` are its whole numbers where they are fixed."""

    layer: int
    port: int
    shape: Shape
    kind: str = "f32"
    known: tuple[int | None, ...] | None = None

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return len(self.shape)


@dataclass(frozen=True)
class IrBody:
    """What a loop computes for each part of its first input.

    The first parameter of the graph takes the parts, the others take what the results behind the first one were before;
    the parts of the first result are put one after the other.
    """

    build: IrBuilder
    reverse: bool


@dataclass
class IrLayer:
    """One operation; ``names`` are those of the tensors that it puts out, by port; loops have a ``body``."""

    name: str
    kind: str
    opset: int
    attributes: dict[str, str]
    inputs: tuple[IrValue, ...]
    outputs: list[IrValue]
    names: dict[int, list[str]] = field(default_factory=dict)
    constant: np.ndarray | None = None
    body: IrBody | None = None


class IrBuilder:
    """Adds layers and constants, named after what they are made for, to a graph."""

    def __init__(self, name: str) -> None:
        self.name, self.layers = name, []  # type: tuple[str, list[IrLayer]]
        self.stem = ""
        self._taken: set[str] = set()
        self._constants: dict[tuple[Any, ...], IrValue] = {}

    def _fresh(self, stem: str) -> str:
        count, name = 1, stem
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def several(
        self, kind: str, opset: int, inputs: Sequence[IrValue], outputs: Sequence[tuple[Shape, str]], **attributes: Any
    ) -> list[IrValue]:
        """Add an operation of version ``opset`` and return its outputs, given by shape and kind of numbers."""
        number, texts = len(self.layers), {name: text_of(value) for name, value in attributes.items()}
        values = [
            IrValue(number, len(inputs) + place, shape, numbers) for place, (shape, numbers) in enumerate(outputs)
        ]
        self.layers.append(IrLayer(self._fresh(self.stem or kind), kind, opset, texts, tuple(inputs), values))
        return values

    def add(
        self,
        kind: str,
        opset: int,
        inputs: Sequence[IrValue],
        shape: Shape,
        *,
        numbers: str = "",
        known: tuple[int | None, ...] | None = None,
        **attributes: Any,
    ) -> IrValue:
        """Add an operation with one output and return it; its numbers are those of the first input if not given."""
        (value,) = self.several(kind, opset, inputs, [(tuple(shape), numbers or inputs[0].kind)], **attributes)
        if known is None:
            return value
        value = IrValue(value.layer, value.port, value.shape, value.kind, known)
        self.layers[-1].outputs = [value]
        return value

    def constant(self, value: Any, dtype: type = np.float32) -> IrValue:
        """Add a constant, or find a small one that is equal."""
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.nbytes <= 1024 else (len(self.layers),)
        if key not in self._constants:
            kind = _KINDS[array.dtype]
            known = tuple(int(n) for n in array.ravel()) if kind == "i64" and array.ndim <= 1 else None
            made = IrValue(len(self.layers), 0, array.shape, kind, known)
            name = self._fresh(f"{self.stem}/constant")
            self.layers.append(IrLayer(name, "Const", 1, {}, (), [made], constant=array))
            self._constants[key] = made
        return self._constants[key]

    def whole(self, numbers: Any) -> IrValue:
        """Add whole numbers."""
        return self.constant(numbers, np.int64)

    def parameter(self, name: str, shape: Shape) -> IrValue:
        """Add an input."""
        self.stem = name
        lengths = ",".join("?" if length == OPEN else str(length) for length in shape)
        (value,) = self.several("Parameter", 1, [], [(shape, "f32")], shape=lengths, element_type="f32")
        self.layers[-1].names[0] = [name]
        return value

    def result(self, name: str, value: IrValue) -> None:
        """Add an output, under whose name its value is known."""
        self.layers[value.layer].names.setdefault(value.port, []).append(name)
        self.stem = name
        self.several("Result", 1, [value], [])

    def used(self) -> list[IrLayer]:
        """Return the layers that results need, numbered anew, and all parameters."""
        needed: set[int] = set()
        waiting = [number for number, layer in enumerate(self.layers) if layer.kind in ("Result", "Parameter")]
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting.extend(value.layer for value in self.layers[number].inputs)
        new = {old: number for number, old in enumerate(sorted(needed))}

        def moved(value: IrValue) -> IrValue:
            return IrValue(new[value.layer], value.port, value.shape, value.kind, value.known)

        layers = []
        for old in sorted(needed):
            layer = self.layers[old]
            inputs, outputs = tuple(map(moved, layer.inputs)), list(map(moved, layer.outputs))
            layers.append(replace(layer, inputs=inputs, outputs=outputs))
        return layers


def text_of(value: Any) -> str:
    """Return the text of an attribute: 'true', '1,2', '1e-05'."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return ",".join(text_of(each) for each in value)
    return repr(int(value)) if isinstance(value, (int, np.integer)) else repr(float(value))
