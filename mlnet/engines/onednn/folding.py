"""Programs for predicting, with fewer operations: what follows a convolution or product becomes a part of it.

Normalizations by given statistics go into weights and bias, which are computed once. Functions element by element, and
additions, are computed on the result before it is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.onednn.activation import FUNCTIONS
from mlnet.engines.onednn.normalization import FAR
from mlnet.engines.program import Key, Node, Program

PREFIX = "followed_"

Follower = tuple[str, tuple[tuple[str, Any], ...]]
"""An operation on the result, and its attributes."""

Scaling = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _by_rows(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return array * factors.reshape(-1, *[1] * (array.ndim - 1))


def _by_last_axis(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return array * factors


def _by_axis_before(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return array * factors[:, np.newaxis]


def _by_groups(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    filters, groups = array.shape[-2:]
    return array * factors.reshape(groups, filters).T


class _Kind(NamedTuple):
    """How weights are multiplied by one factor for each output channel, and bias; whether an addition may follow."""

    weights: Scaling
    bias: Scaling
    takes_addition: bool


_CONVOLUTION = _Kind(_by_last_axis, _by_last_axis, True)
_KINDS = {
    "convolution1d": _CONVOLUTION._replace(takes_addition=False),
    "convolution2d": _CONVOLUTION,
    "convolution3d": _CONVOLUTION,
    "grouped_convolution2d": _Kind(_by_groups, _by_groups, True),
    "transposed_convolution2d": _Kind(_by_axis_before, _by_last_axis, False),
    "fully_connected": _Kind(_by_rows, _by_rows, False),
}


class Folded(NamedTuple):
    """A program, the parameters that it takes, and for each node that is gone the name of the one it is a part of."""

    program: Program
    values: dict[Key, np.ndarray]
    merged: dict[str, str]


@dataclass
class _Item:
    """A node whose inputs are outputs of other items, or numbers of data."""

    node: Node
    inputs: list[tuple[_Item, int] | int]
    followers: list[Follower] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether more can follow: no function has been applied yet."""
        return all(name == "addition" for name, _ in self.followers)


def fold(program: Program, values: Mapping[Key, np.ndarray]) -> Folded:
    """Return a program that predicts the same, and its parameters; ``values`` has those of ``program``."""
    return _Folding(program, values).folded()


class _Folding:
    def __init__(self, program: Program, values: Mapping[Key, np.ndarray]) -> None:
        self._program, self._values = program, dict(values)
        self._readers = Counter(source for node in program.nodes for source in node.inputs)
        self._readers.update(program.outputs)
        self._items: list[_Item] = []
        self._place: dict[int, tuple[_Item, int] | int] = {}
        self._merged: dict[str, str] = {}

    def folded(self) -> Folded:
        for first, node in zip(self._program.first_values, self._program.nodes, strict=True):
            owner = self._normalized(node) or self._rectified(node) or self._added(node)
            if owner is None:
                owner = _Item(node, [self._at(source) for source in node.inputs])
                self._items.append(owner)
            elif owner.node.name != node.name:
                self._merged[node.name] = owner.node.name
            self._place.update({first + output: (owner, output) for output in range(node.outputs)})
        return Folded(self._numbered(), self._values, self._merged)

    def _at(self, value: int) -> tuple[_Item, int] | int:
        return self._place[value] if value >= 0 else value

    def _only_reader_of(self, value: int) -> _Item | None:
        """Return what puts a value out, where that can be followed and nobody else reads it."""
        place = self._at(value)
        if isinstance(place, int) or self._readers[value] != 1:
            return None
        node = place[0].node
        is_plain = node.operation in _KINDS and node.parameters == ("Weights", "Bias")
        return place[0] if is_plain and place[0].is_open else None

    def _normalized(self, node: Node) -> _Item | None:
        """Put a normalization into the weights before it, and return what it is a part of then."""
        if node.operation != "batch_normalization_inference" or node.attributes.get("rectified"):
            return None
        item = self._only_reader_of(node.inputs[0])
        if item is None or item.followers:
            return None
        offset, scale, mean, variance = (
            np.ravel(self._values[node.name, name]).astype(np.float64) for name in node.parameters
        )
        weights, bias = ((item.node.name, name) for name in item.node.parameters)
        kind = _KINDS[item.node.operation]
        deviation = np.sqrt(variance + node.attributes["epsilon"])
        if (np.abs(mean) > FAR * deviation).any():
            return None
        with np.errstate(all="ignore"):
            factors = scale / deviation
            new_weights = kind.weights(self._values[weights].astype(np.float64), factors).astype(np.float32)
            ones = kind.bias(np.ones(self._values[bias].shape), offset - mean * factors)
            new_bias = (kind.bias(self._values[bias].astype(np.float64), factors) + ones).astype(np.float32)
        if not (np.isfinite(new_weights).all() and np.isfinite(new_bias).all()):
            return None
        self._values[weights], self._values[bias] = np.ascontiguousarray(new_weights), np.ascontiguousarray(new_bias)
        return item

    def _rectified(self, node: Node) -> _Item | None:
        """Let a function element by element follow the operation before it."""
        item = self._only_reader_of(node.inputs[0]) if node.operation in FUNCTIONS else None
        if item is not None:
            item.followers.append((node.operation, tuple(node.attributes.items())))
        return item

    def _added(self, node: Node) -> _Item | None:
        """Let an addition follow one of its inputs, which is computed where the addition was then."""
        if node.operation != "addition" or len(node.inputs) != 2:
            return None
        for value, other in (node.inputs[::-1], node.inputs):
            item = self._only_reader_of(value)
            if item is None or item.followers or not _KINDS[item.node.operation].takes_addition or value == other:
                continue
            item.followers.append(("addition", ()))
            item.inputs.append(self._at(other))
            self._items.remove(item)
            self._items.append(item)
            return item
        return None

    def _numbered(self) -> Program:
        """Return the items as nodes, with the numbers of values in their order."""
        first: dict[int, int] = {}
        count = 0
        for item in self._items:
            first[id(item)] = count
            count += item.node.outputs

        def number(place: tuple[_Item, int] | int) -> int:
            return place if isinstance(place, int) else first[id(place[0])] + place[1]

        nodes = []
        for item in self._items:
            node = replace(item.node, inputs=tuple(map(number, item.inputs)))
            if item.followers:
                attributes = {**node.attributes, "followers": tuple(item.followers)}
                node = replace(node, operation=PREFIX + node.operation, attributes=attributes)
            nodes.append(node)
        return Program(tuple(nodes), tuple(number(self._at(value)) for value in self._program.outputs))


def with_followed(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    """Return a table of operations with those that `fold` makes."""
    return {**operations, **{PREFIX + name: _followed(operations, name) for name in _KINDS}}


def _followed(operations: Mapping[str, Operation], name: str) -> Operation:
    """Return an operation with others behind it: ``followers``, of which an addition takes the second array."""

    def forward(
        x: np.ndarray, *arrays: np.ndarray, followers: tuple[Follower, ...], workspace: Workspace, **attributes: Any
    ) -> tuple[np.ndarray, list[Any]]:
        others = list(arrays[:-2])
        output, saved = operations[name].forward(x, *arrays[-2:], workspace=workspace, **attributes)
        record = [saved]
        for number, (after, own) in enumerate(followers):
            inputs = (output, others.pop(0)) if after == "addition" else (output,)
            room = workspace.part(str(number))
            output, saved = operations[after].forward(*inputs, workspace=room, **dict(own))
            record.append((after, saved))
        assert isinstance(output, np.ndarray)
        return output, record

    def backward(
        saved: list[Any], d_output: np.ndarray, *, wanted: tuple[bool, ...], workspace: Workspace
    ) -> tuple[np.ndarray | None, ...]:
        first, *followers = saved
        d_others: list[np.ndarray | None] = []
        d_value: np.ndarray | None = d_output
        for number, (after, own) in reversed(list(enumerate(followers))):
            assert d_value is not None
            flags = (True, wanted[1]) if after == "addition" else (True,)
            back = operations[after].backward(own, d_value, wanted=flags, workspace=workspace.part(str(number)))
            d_value, d_others = back[0], [*back[1:], *d_others]
        assert d_value is not None
        own_wanted = (wanted[0], *wanted[-2:])
        d_x, *d_parameters = operations[name].backward(first, d_value, wanted=own_wanted, workspace=workspace)
        return (d_x, *d_others, *d_parameters)

    return Operation(forward, backward)
