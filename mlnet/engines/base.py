"""The seam between networks and the engines that compute them.

An engine is a table of operations. Each operation is a pair of functions::

    output, saved = forward(*arrays, workspace=workspace, **attributes)
    gradients     = backward(saved, d_output, wanted=(True, False, ...), workspace=workspace)

``arrays`` are the inputs followed by the parameters, in the order that the operation documents. ``gradients`` has one
entry for each of them, None where ``wanted`` is False. An operation with several outputs returns a tuple of them, and
its ``d_output`` is a tuple with None for outputs that nothing depends on. ``saved`` is a small named record of what
the backward needs. Neither function changes the arrays that it is given.

Layout inside engines: observations first, channels last. Images are (N, H, W, C), features (N, C). Parameters have
MATLAB's shapes (``mlnet.layers``); `mlnet.data.sources.layout` holds the only functions that convert between the two.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlnet.errors import NotSupportedError
from mlnet.parallel.kernels import Kernels

if TYPE_CHECKING:
    from mlnet.engines.program import Program, StepPlan


class Operation(NamedTuple):
    """One operation: ``forward`` and the ``backward`` that belongs to it."""

    forward: Callable[..., tuple[np.ndarray | tuple[np.ndarray, ...], Any]]
    backward: Callable[..., tuple[np.ndarray | None, ...]]


class Loss(NamedTuple):
    """One loss and its ``backward``.

    ``forward(z, targets, weights=..., shares=..., workspace=..., **attributes) -> (scores, loss, saved)``: ``scores``
    is what the network predicts for ``z``, ``loss`` a float, the mean over the observations or the sum by ``shares``.
    Class indices in ``targets`` are -1 where there is no class; such positions do not count.
    ``backward(saved, workspace=...)`` returns the gradient of the loss with respect to ``z``.
    """

    forward: Callable[..., tuple[np.ndarray, float, Any]]
    backward: Callable[..., np.ndarray]


class Predictor(NamedTuple):
    """A plan of which only the outputs are looked at, and the parameters that it takes.

    They are taken to be the same from run to run as long as the same table comes. ``merged`` tells for each node that
    is gone the name of the one that it has become a part of.
    """

    plan: StepPlan
    values: Mapping[Any, np.ndarray]
    merged: Mapping[str, str]


class Workspace:
    """Buffers that one node of a plan keeps from step to step, so that training allocates nothing.

    ``empty`` returns a buffer that stays untouched until the same name is asked for again. ``scratch`` returns one
    that all nodes of the plan share: its content is lost when the operation returns.
    """

    def __init__(self, shared: dict[Any, np.ndarray] | None = None) -> None:
        self._own: dict[Any, np.ndarray] = {}
        self._shared: dict[Any, np.ndarray] = {} if shared is None else shared
        self._parts: dict[str, Workspace] = {}
        self._kept: dict[Any, Any] = {}

    def empty(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an uninitialised array that belongs to this node."""
        return _buffer(self._own, name, shape, dtype)

    def scratch(self, name: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an uninitialised array that is valid until the operation returns."""
        return _buffer(self._shared, name, shape, dtype)

    def keep(self, name: Any, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned when ``name`` was asked for first."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @property
    def allocated(self) -> int:
        """The number of bytes that belong to this node."""
        return bytes_of(self._own) + sum(part.allocated for part in self.parts)

    @property
    def parts(self) -> Collection[Workspace]:
        """The workspaces of the parts of this node."""
        return self._parts.values()

    def part(self, name: str) -> Workspace:
        """Return the workspace of one part of this node, whose own arrays are apart from those of other parts."""
        return self._parts.setdefault(name, Workspace(self._shared))


def bytes_of(pool: Mapping[Any, np.ndarray]) -> int:
    """Return the bytes of the buffers in a pool, whose views have longer keys."""
    return sum(array.nbytes for key, array in pool.items() if len(key) == 2)


def _buffer(pool: dict[Any, np.ndarray], name: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    view = pool.get((name, shape, dtype))
    if view is not None:
        return view
    flat = pool.get((name, dtype))
    size = math.prod(shape)
    if flat is None or flat.size < size:
        for key in list(pool):  # a copy: other threads ask for buffers with other names
            if key[0] == name and key[-1] == dtype:
                del pool[key]
        flat = pool[name, dtype] = np.empty(size, dtype)
    view = pool[name, shape, dtype] = flat[:size].reshape(shape)
    return view


class Engine(ABC):
    """A way of computing: a name, a table of operations and a table of losses."""

    name: str
    kernels: Kernels | None = None
    """Arithmetic that is faster than NumPy's."""

    @property
    def description(self) -> str:
        """The name for people, with the version."""
        return f"NumPy {np.__version__}"

    @property
    @abstractmethod
    def operations(self) -> Mapping[str, Operation]:
        """The operations that this engine has, by name."""

    @property
    @abstractmethod
    def losses(self) -> Mapping[str, Loss]:
        """The losses that this engine has, by name."""

    def running(self) -> AbstractContextManager[None]:
        """Return a context in which a plan calls the operations of one pass."""
        return nullcontext()

    def fuse(self, program: Program) -> Program:
        """Return a program with the same output and gradients that this engine runs faster.

        Nodes keep their names but some may be gone, so that their outputs cannot be looked at.
        """
        return program

    def plan(self, program: Program, *, is_training: bool = True) -> StepPlan:
        """Return what runs a program; without ``is_training`` no `StepPlan.backward` follows.

        What a plan puts out is valid as long as the plan is there.
        """
        from mlnet.engines.program import StepPlan

        return StepPlan(self, program)

    def predictor(self, program: Program, values: Mapping[Any, np.ndarray]) -> Predictor:
        """Return what predicts with a program and its parameters, which an engine may merge beforehand."""
        return Predictor(self.plan(self.fuse(program), is_training=False), values, {})

    def in_precision(self, precision: str) -> Engine:
        """Return the engine that trains in 'single' precision, or in 'mixed': products of bfloat16 numbers.

        Raises
        ------
        NotSupportedError
            Where the engine or the processor lacks it.
        """
        if precision != "single":
            raise NotSupportedError(
                f"Precision='{precision}': the {self.description} engine computes in single precision only. "
                "Install the fast engine, pip install mlnet[fast], or use 'single'."
            )
        return self

    def lacks(self, operation: str) -> str:
        """Return why another engine computes an operation in the plans of this one, '' where it does so itself."""
        return ""

    def operation(self, name: str) -> Operation:
        """Return the operation ``name``; raise `NotSupportedError` where the engine lacks it."""
        try:
            return self.operations[name]
        except KeyError:
            raise NotSupportedError(f"Engine '{self.name}' has no operation '{name}'.") from None
