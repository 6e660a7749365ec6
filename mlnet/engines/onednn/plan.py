"""The plan of a program: compiled once for each shape of mini-batch, NumPy's where that cannot be."""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from mlnet.engines.base import Engine
from mlnet.engines.onednn import recurrent, spares, teams
from mlnet.engines.onednn.compiled import Compiled
from mlnet.engines.onednn.library import Library, RefusedError
from mlnet.engines.onednn.normalization import FarFromZeroError
from mlnet.engines.onednn.objects import Context
from mlnet.engines.onednn.tensors import Tensor
from mlnet.engines.program import Data, Key, Program, Report, StepPlan
from mlnet.parallel.blas import single_threaded

_SMALL = 1 << 24
"""Multiplications of a pass below which one thread is as fast as several: they would mostly wait for one another."""

ALONE = 1 << 13
"""Elements up to which OpenBLAS computes a sum of squares on the calling thread."""

KEPT = 4
"""Shapes of mini-batches for which a plan stays compiled: full and last ones, of training or validation."""


class OneDnnPlan(StepPlan):
    """Runs a program on oneDNN with everything built and allocated once.

    With ``is_final`` parameters are taken to be the same while the same table comes, and only outputs are looked at.
    ``whole_reason`` tells why the last mini-batch ran operation by operation on NumPy, '' if it did not.
    """

    def __init__(
        self,
        engine: Engine,
        program: Program,
        library: Library,
        is_training: bool,
        *,
        is_final: bool = False,
        is_mixed: bool = False,
    ) -> None:
        super().__init__(engine, program)
        self._is_final, self._is_mixed = is_final, is_mixed
        self._given: Mapping[Key, np.ndarray] = {}
        self._engine, self._library, self._is_training = engine, library, is_training
        self._compiled: OrderedDict[tuple[Any, ...], Compiled] = OrderedDict()
        self._keys: dict[Any, Hashable] = {}
        weakref.finalize(self, spares.give, self._compiled, self._keys).atexit = False
        self._by_numpy: dict[int, str] = {}
        self._refused: dict[tuple[Any, ...], str] = {}
        self._generation = teams.generation()
        self._is_of_users = any(node.is_of_users for node in program.nodes)
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
        self._active = None
        if self._is_repeated(x, parameters, last, lengths):
            try:
                return self._forward([x], parameters, generator, None, self._known_key)  # type: ignore[list-item]
            except RefusedError:  # told below
                self._known_key = ()
        data = [x] if isinstance(x, np.ndarray) else list(x)
        given: list[Any] = list(lengths) if isinstance(lengths, (tuple, list)) else [lengths]
        given += [None] * (len(data) - len(given))
        key = self._key(data, given)
        self._data_lengths = given
        self.whole_reason = self._reason(data, parameters, key)
        if not self.whole_reason:
            try:
                return self._forward(data, parameters, generator, last, key)
            except RefusedError as error:
                self.whole_reason = self._refused[key] = str(error)
                self._drop()
        return super().forward(x, parameters, generator, last, lengths)

    def _is_repeated(self, x: Data, parameters: Mapping[Key, np.ndarray], last: int | None, lengths: Any) -> bool:
        """Tell whether a mini-batch of a shape and a table of parameters come that were the library's before."""
        return (
            not self._is_final
            and parameters is self._given
            and isinstance(x, np.ndarray)
            and self._known_key == ((x.shape, None),)
            and last is None
            and lengths is None
            and self._known_key not in self._refused
            and not self.whole_reason
            and x.dtype == np.float32
            and is_finite(x)
        )

    def _forward(
        self,
        data: list[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
        key: tuple[Any, ...],
    ) -> np.ndarray:
        compiled = self._run(data, parameters, generator, last, key)
        self._active = compiled
        self.values = Values(compiled.tensors)  # type: ignore[assignment]
        self.saved = [node.saved for node in compiled.nodes]
        self.lengths = compiled.lengths
        return self.output(data, 0) if last is None else self.values[self.program.first_values[last]]

    def _run(
        self,
        data: list[np.ndarray],
        parameters: Mapping[Key, np.ndarray],
        generator: np.random.Generator | None,
        last: int | None,
        key: tuple[Any, ...],
    ) -> Compiled:
        while True:
            compiled = self._compiled_for(key)
            try:
                with self._at_work(compiled):
                    compiled.forward(data, parameters, generator, last)
            except FarFromZeroError:  # a node more is NumPy's now
                self._drop()
            else:
                return compiled

    @contextmanager
    def _at_work(self, compiled: Compiled) -> Iterator[None]:
        working = teams.together(self._library, self._threads, may_hold=not self._is_of_users)
        with working, self._running() if compiled.is_mixed else nullcontext():
            yield

    def _is_known(self, key: tuple[Any, ...], parameters: Mapping[Key, np.ndarray]) -> bool:
        """Tell whether parameters are the arrays of the last run, and data of the same shape."""
        if self._is_final and parameters is self._given and key == self._known_key:
            return True
        self._given = parameters
        return (
            bool(self._known)
            and key == self._known_key
            and all(parameters[each] is array for each, array in self._known)
        )

    def _work(self, data: list[np.ndarray], parameters: Mapping[Key, np.ndarray]) -> int:
        """Return at most how many multiplications a pass takes; layers that enlarge images are left out of account."""
        work = 0
        for node in self.program.nodes:
            positions = 1 if node.operation.endswith("fully_connected") else prod(data[0].shape[1:-1])
            work += positions * sum(parameters[node.name, name].size for name in node.parameters)
        return work * len(data[0])

    def _reason(self, data: list[np.ndarray], parameters: Mapping[Key, np.ndarray], key: tuple[Any, ...]) -> str:
        """Return why this mini-batch is not for the library, '' if it is."""
        if any(array.dtype != np.float32 for array in data):
            return f"data of type {data[0].dtype}"
        if not self._is_known(key, parameters):
            used = [(node.name, name) for node in self.program.nodes for name in node.parameters]
            if any(parameters[each].dtype != np.float32 for each in used):
                return "parameters that are not float32"
            self._known_key = ()
            self._threads = 1 if self._work(data, parameters) < _SMALL else None
            self._known = [(each, parameters[each]) for each in used]
            self._known_key = key
        if any(array.size == 0 for array in data):
            return "no observations"
        # The library's ReLU and maxima make a number of NaN: NumPy's way lets it be seen.
        if not all(map(is_finite, data)):
            return "data that are not finite"
        if any(own is not None and own.size and own.min() != own.max() for own in self._data_lengths):
            # Not to be compiled for each mini-batch; nor for some of them, or results would depend on those before.
            return "sequences of different lengths"
        return self._refused.get(key, "")

    @staticmethod
    def _key(data: list[np.ndarray], lengths: Sequence[np.ndarray | None]) -> tuple[Any, ...]:
        """Return what a compiled program depends on: shapes, and the lengths of sequences."""
        steps = [None if own is None else np.asarray(own).tobytes() for own in lengths]
        return tuple(zip([array.shape for array in data], steps, strict=True))

    def _drop(self) -> None:
        for compiled in self._compiled.values():
            compiled.close()
        self._compiled.clear()

    def _renew(self) -> None:
        """Compile again in a forked process, and with another number of threads."""
        if self._generation != teams.generation():
            self._drop()
            self._generation = teams.generation()

    def _compiled_for(self, key: tuple[Any, ...]) -> Compiled:
        self._renew()
        if self._has_sound(key):
            self._compiled.move_to_end(key)
        else:
            while len(self._compiled) >= KEPT:
                self._compiled.popitem(last=False)[1].close()
            self._compiled[key] = self._compile(key, Compiled, self._threads)
        return self._compiled[key]

    def _has_sound(self, key: tuple[Any, ...]) -> bool:
        """Tell whether there is a compiled program; one that was interrupted is dropped."""
        found = self._compiled.get(key)
        if found is not None and not found.is_sound:
            self._compiled.pop(key).close()
            found = None
        return found is not None

    def _compile(self, key: tuple[Any, ...], kind: Callable[..., Compiled], threads: int | None) -> Compiled:
        """Return a compiled program that nobody uses, from an earlier plan if there is one."""
        found = None
        if not self._is_training:
            shapes = tuple(array.shape for _, array in self._known)
            choices = (threads, id(self._library), tuple(self._by_numpy), self._is_final, self._is_mixed, shapes)
            self._keys[key] = spares.key_of(self.program, key, *choices)
            found = spares.take(self._keys[key])
        if found is not None:
            return found
        context = Context(self._library, threads, is_final=self._is_final, is_mixed=self._is_mixed)
        return kind(context, self._engine, self.program, self._is_training, self._by_numpy, self._data_lengths)

    def backward(
        self, d_output: np.ndarray | Sequence[np.ndarray | None], wanted: Collection[Key], want_input: bool = False
    ) -> tuple[dict[Key, np.ndarray], np.ndarray | None]:
        """Return the gradients, see `StepPlan.backward`."""
        if self._active is None:
            return super().backward(d_output, wanted, want_input)
        given = [d_output] if isinstance(d_output, np.ndarray) else d_output
        self._active.context.gradient_room = self.gradient_room
        with self._at_work(self._active):
            return self._active.backward(given, self._schedule(frozenset(wanted), want_input))

    @property
    def allocated(self) -> int:
        """The number of bytes that the plan keeps between runs."""
        return super().allocated + sum(compiled.context.allocated for compiled in self._compiled.values())

    def forget(self) -> None:
        """Let go of the data of the last run."""
        super().forget()
        self._active = None
        for compiled in self._compiled.values():
            compiled.forget_data()

    def report(self) -> list[Report]:
        """Return for each node how the last mini-batch was computed."""
        if self._active is None:
            found = [replace(each, reason=self.whole_reason) for each in super().report()]
            return [
                replace(each, engine="onednn", reason="") if self._is_own(number) else each
                for number, each in enumerate(found)
            ]
        return self._active.report()

    def _is_own(self, number: int) -> bool:
        """Tell whether an operation that was called by itself was the library's."""
        is_recurrent = self.program.nodes[number].operation in recurrent.OPERATIONS
        return is_recurrent and not recurrent.remarks(self._workspaces[number])


def is_finite(array: np.ndarray) -> bool:
    """Tell whether the sum of squares is finite: no NaN, no infinity, and nothing that is nearly one."""
    flat = array.reshape(-1)
    if flat.size <= ALONE:
        return math.isfinite(np.dot(flat, flat))
    with single_threaded():
        return math.isfinite(np.dot(flat, flat))


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
