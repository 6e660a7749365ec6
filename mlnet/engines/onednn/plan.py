"""The plan of a program: compiled once for each shape of mini-batch, NumPy's where that cannot be."""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from mlnet.engines.base import Engine
from mlnet.engines.onednn import spares, teams
from mlnet.engines.onednn.compiled import Compiled
from mlnet.engines.onednn.library import Library, RefusedError
from mlnet.engines.onednn.normalization import FarFromZeroError
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.tensors import Tensor
from mlnet.engines.program import Data, Key, Program, Report, StepPlan

_SMALL = 1 << 24
"""Multiplications of a pass below which one thread is as fast as several: they would mostly wait for one another."""

_KEPT = 4
"""Shapes of mini-batches for which a plan stays compiled: full and last ones, of training or validation."""


class OneDnnPlan(StepPlan):
    """Runs a program on oneDNN with everything built and allocated once.

    ``whole_reason`` tells why the last mini-batch ran operation by operation on NumPy, '' if it did not.
    """

    def __init__(self, engine: Engine, program: Program, library: Library, is_training: bool) -> None:
        super().__init__(engine, program)
        self._engine, self._library, self._is_training = engine, library, is_training
        self._compiled: OrderedDict[tuple[Any, ...], Compiled] = OrderedDict()
        self._keys: dict[Any, Hashable] = {}
        weakref.finalize(self, spares.give, self._compiled, self._keys).atexit = False
        self._by_numpy: dict[int, str] = {}
        self._refused: dict[tuple[Any, ...], str] = {}
        self._along_time = any(node.time is not None for node in program.nodes)
        self._generation = teams.generation()
        self._active: Compiled | None = None
        self._threads: int | None = None
        self._known_key: tuple[Any, ...] = ()
        self._known: list[tuple[Key, np.ndarray]] = []
        self.whole_reason = ""

    def forward(
        self,
        x: Data,
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None = None,
        last: int | None = None,
        lengths: np.ndarray | Sequence[np.ndarray | None] | None = None,
    ) -> np.ndarray:
        """Return the first output for the mini-batch ``x``, see `StepPlan.forward`."""
        data = [x] if isinstance(x, np.ndarray) else list(x)
        self._active = None
        self.whole_reason = self._reason(data, parameters, lengths)
        if not self.whole_reason:
            try:
                return self._forward(data, parameters, generator, last)
            except RefusedError as error:
                self.whole_reason = self._refused[self._key(data)] = str(error)
                self._drop()
        return super().forward(x, parameters, generator, last, lengths)

    def _forward(
        self,
        data: list[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
    ) -> np.ndarray:
        self._data_lengths = [None] * len(data)
        compiled = self._run(data, parameters, generator, last)
        self._active = compiled
        self.values = Values(compiled.tensors)  # type: ignore[assignment]
        self.saved = [node.saved for node in compiled.nodes]
        self.lengths = [None] * len(compiled.tensors)
        return self.output(data, 0) if last is None else self.values[self.program.first_values[last]]

    def _run(
        self,
        data: list[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
    ) -> Compiled:
        teams.use(self._library, self._threads)
        while True:
            compiled = self._compiled_for(self._key(data))
            try:
                with self._running() if compiled.is_mixed else nullcontext():
                    compiled.forward(data, parameters, generator, last)
            except FarFromZeroError:  # a node more is NumPy's now
                self._drop()
            else:
                return compiled

    def _is_known(self, data: list[np.ndarray], parameters: Mapping[Key, np.ndarray]) -> bool:
        """Tell whether parameters are the arrays of the last run, and data of the same shape."""
        return (
            bool(self._known)
            and self._key(data) == self._known_key
            and all(parameters[key] is array for key, array in self._known)
        )

    def _work(self, data: list[np.ndarray], parameters: Mapping[Key, np.ndarray]) -> int:
        """Return at most how many multiplications a pass takes; layers that enlarge images are left out of account."""
        work = 0
        for node in self.program.nodes:
            positions = 1 if node.operation == "fully_connected" else prod(data[0].shape[1:-1])
            work += positions * sum(parameters[node.name, name].size for name in node.parameters)
        return work * len(data[0])

    @staticmethod
    def _key(data: list[np.ndarray]) -> tuple[Any, ...]:
        return tuple(array.shape for array in data)

    def _reason(self, data: list[np.ndarray], parameters: Mapping[Key, np.ndarray], lengths: Any) -> str:
        """Return why this mini-batch is not for the library, '' if it is."""
        if self._along_time or (lengths is not None and any(own is not None for own in lengths)):
            return "sequences"
        if any(array.dtype != np.float32 for array in data):
            return f"data of type {data[0].dtype}"
        if not self._is_known(data, parameters):
            keys = [(node.name, name) for node in self.program.nodes for name in node.parameters]
            if any(parameters[key].dtype != np.float32 for key in keys):
                return "parameters that are not float32"
            self._threads = 1 if self._work(data, parameters) < _SMALL else None
            self._known = [(key, parameters[key]) for key in keys]
            self._known_key = self._key(data)
        if any(array.size == 0 for array in data):
            return "no observations"
        # The library's ReLU and maxima make a number of NaN: NumPy's way lets it be seen.
        if not all(map(_is_finite, data)):
            return "data that are not finite"
        return self._refused.get(self._key(data), "")

    def _drop(self) -> None:
        for compiled in self._compiled.values():
            compiled.close()
        self._compiled.clear()

    def _compiled_for(self, key: tuple[Any, ...]) -> Compiled:
        if self._generation != teams.generation():  # in a forked process
            self._drop()
            self._generation = teams.generation()
        if key in self._compiled:
            self._compiled.move_to_end(key)
        else:
            while len(self._compiled) >= _KEPT:
                self._compiled.popitem(last=False)[1].close()
            self._compiled[key] = self._compile(key)
        return self._compiled[key]

    def _compile(self, key: tuple[Any, ...]) -> Compiled:
        found = None
        if not self._is_training:
            choices = (self._threads, id(self._library), tuple(self._by_numpy))
            self._keys[key] = spares.key_of(self.program, key, *choices)
            found = spares.take(self._keys[key])
        if found is not None:
            return found
        context = Context(self._library, self._threads)
        return Compiled(context, self._engine, self.program, self._is_training, self._by_numpy)

    def backward(
        self, d_output: np.ndarray | Sequence[np.ndarray | None], wanted: Collection[Key], want_input: bool = False
    ) -> tuple[dict[Key, np.ndarray], np.ndarray | None]:
        """Return the gradients, see `StepPlan.backward`."""
        if self._active is None:
            return super().backward(d_output, wanted, want_input)
        given = [d_output] if isinstance(d_output, np.ndarray) else d_output
        teams.use(self._library, self._threads)
        self._active.context.gradient_room = self.gradient_room
        with self._running() if self._active.is_mixed else nullcontext():
            return self._active.backward(given, self._schedule(frozenset(wanted), want_input))

    def report(self) -> list[Report]:
        """Return for each node how the last mini-batch was computed."""
        if self._active is None:
            return [replace(each, reason=self.whole_reason) for each in super().report()]
        return self._active.report()


def _is_finite(array: np.ndarray) -> bool:
    """Tell whether the sum is finite: no NaN, no infinity, and nothing that is nearly one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(np.add.reduce(array, axis=None))


class Values(Sequence[np.ndarray]):
    """The values of a compiled plan as arrays (N, ..., C); they are converted when somebody looks."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, number: Any) -> Any:
        return self._tensors[number].array()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (tensor.array() for tensor in self._tensors)
