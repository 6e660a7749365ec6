"""Programs of networks as one node of the tape: the plan of an engine runs them forward and back.

Plans are kept from call to call. A plan belongs to one call as long as something can ask for derivatives of it, so that
several calls of one network in an evaluation have plans of their own.
"""

from __future__ import annotations

import copy
import weakref
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply, dlarray
from mlnet.autodiff.differentiate import traced_gradients, vjp
from mlnet.autodiff.tape import JointRule
from mlnet.engines.base import Engine
from mlnet.engines.program import Key, Program, StepPlan
from mlnet.engines.select import select_engine
from mlnet.functional import traced
from mlnet.functional.programs import Lengths, TracedRun
from mlnet.functional.rows import carved, in_a_row, parts_of
from mlnet.parallel import kernels
from mlnet.randomness import spawn_generators

_MOST_KEPT = 4
"""Plans of a program that wait for the next call."""
_MOST_USED = 16
"""Plans of a program that calls may have at a time; where a script keeps more calls, they have none."""

_OF_USERS = frozenset({"user_function", "custom_layer"})
"""Operations whose functions may use traced arrays from elsewhere, which a plan would not see."""


class Plans:
    """A program, and plans that run it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        operations = {node.operation for node in program.nodes}
        self._suits = bool(operations - set(traced.OPERATIONS)) and not operations & _OF_USERS
        self.keys = list({(node.name, name): None for node in program.nodes for name in node.parameters})
        self.is_random = any(node.random for node in program.nodes)
        self._engine: Engine | None = None
        self._free: deque[StepPlan] = deque(maxlen=_MOST_KEPT)
        self._used = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return Plans, (self.program,)

    def suit(self, arrays: Collection[dlarray], lengths: Sequence[Lengths]) -> bool:
        """Tell whether a plan is to run the program: in single precision, without sequences or functions of users.

        Programs of functions with derivatives of any order, as physics-informed networks have, run one by one:
        recomputing them for second derivatives would take longer.
        """
        return (
            self._suits
            and self.has_room
            and all(each is None for each in lengths)
            and all(each.dtype == np.float32 for each in arrays)
        )

    @property
    def has_room(self) -> bool:
        """Whether one more call may have a plan."""
        return self._used < _MOST_USED

    def take(self) -> StepPlan:
        """Return a plan that nobody uses."""
        engine = select_engine()
        if engine is not self._engine:
            self._engine = engine
            self._free.clear()
        self._used += 1
        try:
            return self._free.pop()
        except IndexError:
            return engine.plan(engine.fuse(self.program))

    def give(self, plan: StepPlan, engine: Engine | None) -> None:
        """Take a plan back that is used no more."""
        self._used -= 1
        plan.forget()
        if engine is self._engine:
            self._free.append(plan)


class WholeRun:
    """What a program makes of traced arrays, as `TracedRun` has it, computed by a plan."""

    def __init__(
        self,
        plans: Plans,
        data: Sequence[dlarray],
        parameters: Mapping[Key, dlarray],
        generator: np.random.Generator,
    ) -> None:
        call = _Call(plans, len(data), generator)
        arrays = [*data, *[parameters[key] for key in plans.keys]]
        row = apply(JointRule(call.forward, call.backward, formats.drop), arrays)
        self.program = call.plan.program
        self.saved = {number: saved for number, saved in enumerate(call.plan.saved) if saved is not None}
        self._outputs = (
            [row]
            if call.parts is None
            else [
                dlarray(other) if part is None else carved(row, part)
                for part, other in zip(call.parts, call.others, strict=True)
            ]
        )

    def outputs(self) -> list[tuple[dlarray, Lengths]]:
        """Return the outputs of the program; they are no sequences."""
        return [(each, None) for each in self._outputs]


AnyRun = TracedRun | WholeRun


def run_program(
    plans: Plans, data: Sequence[dlarray], lengths: Sequence[Lengths], parameters: Mapping[Key, dlarray]
) -> AnyRun:
    """Run a program on traced arrays: as a whole where a plan suits, operation by operation otherwise."""
    kernels.offer(select_engine().kernels)
    generator = spawn_generators().dropout if plans.is_random else np.random.default_rng(0)
    if plans.suit([*data, *[parameters[key] for key in plans.keys]], lengths):
        return WholeRun(plans, data, parameters, generator)
    return TracedRun(plans.program, data, lengths, parameters, generator)


class _Call:
    """One call of a program, which has a plan for itself."""

    def __init__(self, plans: Plans, inputs: int, generator: np.random.Generator) -> None:
        self._plans, self._inputs = plans, inputs
        self._beginning = generator
        self.plan = plans.take()
        weakref.finalize(self, plans.give, self.plan, plans._engine).atexit = False
        self.parts: list[Any] | None = None
        self.others: list[np.ndarray | None] = []

    def forward(self, *arrays: np.ndarray) -> np.ndarray:
        """Return the output, or all outputs in a row; memory of their own."""
        data, values = arrays[: self._inputs], dict(zip(self._plans.keys, arrays[self._inputs :], strict=True))
        plan, given = self.plan, data[0] if len(data) == 1 else list(data)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # NaN in the data shows
            plan.forward(given, values, copy.deepcopy(self._beginning), lengths=[None] * len(data))
        outputs = [plan.output(given, number) for number in range(len(plan.program.outputs))]
        if len(outputs) == 1:
            return np.array(outputs[0])
        self.parts = parts_of(outputs)
        self.others = [each if part is None else None for each, part in zip(outputs, self.parts, strict=True)]
        return in_a_row(outputs)

    def backward(self, wanted: Sequence[bool], g: Any, y: Any, *arrays: Any) -> Sequence[Any]:
        """Return the gradients of data and parameters, traced where g or one of the arrays is."""
        if any(isinstance(each, dlarray) for each in (g, *arrays)):
            return traced_gradients(self._one_by_one, wanted, g, arrays)
        if any(wanted[1 : self._inputs]):  # plans have the gradient of the first data only
            _, pullback = vjp(self._one_by_one, [dlarray(each) for each in arrays])
            return pullback(g, wanted=wanted)
        keys = [key for key, wish in zip(self._plans.keys, wanted[self._inputs :], strict=True) if wish]
        seeds = (
            [np.ascontiguousarray(g)]
            if self.parts is None
            else [None if part is None else carved(g, part) for part in self.parts]
        )
        found, d_data = self.plan.backward(seeds, keys, want_input=wanted[0])
        gradients = [found.get(key) for key in self._plans.keys]
        return [d_data if wanted[0] else None, *[None] * (self._inputs - 1), *gradients]

    def _one_by_one(self, *arrays: dlarray) -> dlarray:
        """Return what `forward` returns, computed operation by operation."""
        parameters = dict(zip(self._plans.keys, arrays[self._inputs :], strict=True))
        data = arrays[: self._inputs]
        generator = copy.deepcopy(self._beginning)
        run = TracedRun(self._plans.program, data, [None] * len(data), parameters, generator)
        outputs = [value for value, _ in run.outputs()]
        return outputs[0] if len(outputs) == 1 else in_a_row(outputs)
