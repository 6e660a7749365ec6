"""Predictions in pieces of a mini-batch, each of which one thread computes from beginning to end.

What a piece needs stays in the cache of its core, and threads wait for one another once, not behind every operation.
Mini-batches of little work are one piece.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from mlnet.engines.base import Engine
from mlnet.engines.onednn import teams
from mlnet.engines.onednn.compiled import Compiled, builder_of
from mlnet.engines.onednn.library import Library
from mlnet.engines.onednn.normalization import FarFromZeroError
from mlnet.engines.onednn.plan import ALONE, KEPT, OneDnnPlan, is_finite
from mlnet.engines.onednn.rooms import zeros
from mlnet.engines.program import Key, Program
from mlnet.parallel import blocks

_WORK = 1 << 26
"""Multiplications that a piece has at least where a mini-batch has several: about a millisecond."""

_MANY = 8
"""Observations of a piece of which there is no need to be more, and pieces that a long mini-batch is to have."""

_LARGEST = 1 << 20
"""Elements of parameters up to which a mini-batch is cut: every piece reads them all."""

_QUIET = 1 << 24
"""Multiplications of one piece from which on several threads work on it."""

_FLOAT = np.dtype(np.float32)

PieceKey = tuple[tuple[int, ...], "int | None"]
"""The shape of a piece, and how many threads work on it; None means all."""


class Piece(Compiled):
    """A program compiled for data of one ``shape``."""

    def __init__(self, shape: tuple[int, ...], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._shape = shape
        self._place: np.ndarray | None = None

    def outputs_for(self, x: np.ndarray, parameters: Mapping[Key, np.ndarray]) -> list[np.ndarray] | None:
        """Return all outputs for as many observations as there is room for, or fewer; None where some are not finite.

        They are valid until the next run.
        """
        count, data = len(x), x
        is_copied = x.size <= ALONE or count < self._shape[0] or not x.flags.c_contiguous
        if is_copied:
            if self._place is None:
                self._place = zeros(_FLOAT.itemsize * math.prod(self._shape)).view(_FLOAT).reshape(self._shape)
            data = self._place
            np.copyto(data if count == len(data) else data[:count], x)
        if not is_finite(data):
            self._place = None
            return None
        self.forward((data,), parameters, None, None)
        tensors = self.tensors
        found = [tensors[value].array() if value >= 0 else data for value in self._program.outputs]
        if not is_copied:
            self.forget_data()
        return found if count == len(data) else [array[:count] for array in found]


class PredictionPlan(OneDnnPlan):
    """Predicts on oneDNN: parameters are taken to be the same while the same table comes, only outputs are looked at.

    Mini-batches of one plain array are computed in pieces where the library computes everything: observations have
    nothing to do with one another then.
    """

    def __init__(self, engine: Engine, program: Program, library: Library) -> None:
        super().__init__(engine, program, library, is_training=False, is_final=True)
        self._is_pure = all(builder_of(node) is not None and node.time is None for node in program.nodes)
        self._work_of: dict[tuple[int, ...], int] = {}

    def again(self, x: np.ndarray, parameters: Mapping[Key, np.ndarray]) -> np.ndarray | None:
        """Return the first output for a mini-batch like one before, see `StepPlan.again`."""
        work = self._work_of.get(x.shape[1:])
        if not work or parameters is not self._given or x.dtype != _FLOAT or self._generation != teams.generation():
            return None
        key = self._piece_key(x.shape, work)
        try:
            is_known = self._has_sound((key, 0)) and not self._compiled[key, 0].is_mixed
            outputs = self._computed(key, x, parameters) if is_known else None
        except FarFromZeroError:
            self._never_in_pieces()
            return None
        return None if outputs is None else outputs[0]

    def _forward(
        self,
        data: list[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
        key: tuple[Any, ...],
    ) -> np.ndarray:
        is_plain = self._is_pure and len(data) == 1 and self._data_lengths[0] is None and last is None
        output = self._in_pieces(data[0], parameters) if is_plain else None
        return super()._forward(data, parameters, generator, last, key) if output is None else output

    def _in_pieces(self, x: np.ndarray, parameters: Mapping[Key, np.ndarray]) -> np.ndarray | None:
        """Return the first output, None where a mini-batch has to stay whole."""
        self._renew()
        dims = x.shape[1:]
        if dims not in self._work_of:
            self._work_of = {dims: self._work_each(dims, parameters)}
        key = self._piece_key(x.shape, self._work_of[dims])
        try:
            if not self._has_sound((key, 0)):
                self._make_room()
                with self._running(), teams.together(self._library, key[1]):
                    self._piece(key, 0).outputs_for(x[: key[0][0]], parameters)
                if self._piece(key, 0).is_mixed:
                    self._never_in_pieces()
                    return None
            outputs = self._computed(key, x, parameters)
        except FarFromZeroError:
            self._never_in_pieces()
            return None
        if outputs is None:
            return None
        self._active = self._compiled[key, 0]
        self.values = dict(zip(self.program.outputs, outputs, strict=True))  # type: ignore[assignment]
        self.lengths, self.saved = self._active.lengths, []
        return outputs[0]

    def _never_in_pieces(self) -> None:
        """Let mini-batches stay whole from now on: NumPy has to compute something."""
        self._is_pure, self._work_of = False, {}
        self._drop()

    def _computed(self, key: PieceKey, x: np.ndarray, parameters: Mapping[Key, np.ndarray]) -> list[np.ndarray] | None:
        """Return the outputs, None where data are not finite."""
        shape, threads = key
        if len(x) > shape[0]:
            return self._by_threads(key, x, parameters)
        if threads == 1:
            teams.use(self._library, 1)
            return self._piece(key, 0).outputs_for(x, parameters)
        with teams.together(self._library, threads):
            return self._piece(key, 0).outputs_for(x, parameters)

    def _by_threads(
        self, key: PieceKey, x: np.ndarray, parameters: Mapping[Key, np.ndarray]
    ) -> list[np.ndarray] | None:
        """Return the outputs for a mini-batch of several pieces, which threads share."""
        shape, threads = key
        known = self._compiled[key, 0].tensors
        shapes = [known[value].shape if value >= 0 else shape for value in self.program.outputs]
        results = [np.empty((len(x), *each[1:]), np.float32) for each in shapes]
        is_finite = True

        def task(part: int, slot: int) -> None:
            nonlocal is_finite
            teams.use(self._library, threads)
            rows = slice(part * shape[0], (part + 1) * shape[0])
            outputs = self._piece(key, slot).outputs_for(x[rows], parameters) if is_finite else None
            if outputs is None:
                is_finite = False
                return
            for result, output in zip(results, outputs, strict=True):
                result[rows] = output

        blocks.run(task, -(-len(x) // shape[0]))
        return results if is_finite else None

    def _piece(self, key: PieceKey, slot: int) -> Piece:
        """Return what computes pieces of one shape in one thread."""
        piece = self._compiled.get((key, slot))
        if piece is None or not piece.is_sound:
            piece = self._compiled[key, slot] = self._compile((key, slot), partial(Piece, key[0]), key[1])
        assert isinstance(piece, Piece)
        return piece

    def _make_room(self) -> None:
        """Drop the oldest pieces, so that one more shape can be kept."""
        kept = list(dict.fromkeys(key for key, _ in self._compiled))
        for old in kept[: max(0, len(kept) + 1 - KEPT)]:
            for each in [each for each in self._compiled if each[0] == old]:
                self._compiled.pop(each).close()

    def _piece_key(self, shape: tuple[int, ...], work: int) -> PieceKey:
        """Return the key of the pieces of a mini-batch; ``work`` is that of one observation."""
        count = shape[0]
        if work < 0 or count == 1 or count * work < 2 * _WORK:
            return shape, 1 if count * abs(work) < _QUIET else None
        size = max(_power_below(_WORK // work), min(_power_below(count // _MANY), _MANY))
        return (size, *shape[1:]), 1

    def _work_each(self, dims: tuple[int, ...], parameters: Mapping[Key, np.ndarray]) -> int:
        """Return about how many multiplications one observation takes, negative where a mini-batch is not to be cut."""
        sizes = [sum(parameters[node.name, name].size for name in node.parameters) for node in self.program.nodes]
        ones = (1,) * (len(dims) - 1)
        spatial = {-1: dims[:-1]}
        work = 1
        for value, node, size in zip(self.program.first_values, self.program.nodes, sizes, strict=True):
            lengths = spatial[node.inputs[0]]
            stride = np.broadcast_to(node.attributes.get("stride", 1), len(ones)).tolist()
            if node.operation.endswith("fully_connected") or node.operation.startswith("global"):
                lengths = ones
            elif "transposed" in node.operation:
                lengths = tuple(length * step for length, step in zip(lengths, stride, strict=True))
            else:
                lengths = tuple(-(-length // step) for length, step in zip(lengths, stride, strict=True))
            spatial[value] = lengths
            work += math.prod(lengths) * size
        return work if sum(sizes) <= _LARGEST else -work


def _power_below(number: int) -> int:
    """Return the largest power of two up to a number, 1 at least."""
    return 1 << max(1, number).bit_length() - 1
