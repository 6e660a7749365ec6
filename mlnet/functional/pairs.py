"""Operations of the engine in traced computations: each call is one node of the tape, with the pair behind it.

Where derivatives are to be differentiated again, the operation is computed once more as `definitions` writes it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply, dlarray, wrap
from mlnet.autodiff.differentiate import traced_gradients
from mlnet.autodiff.tape import JointRule
from mlnet.engines.base import Workspace
from mlnet.engines.select import select_engine
from mlnet.errors import NotSupportedError, message
from mlnet.functional.definitions import DEFINITIONS
from mlnet.functional.rows import carved, in_a_row, parts_of


class Pair:
    """One call of an operation; ``saved`` is the record of its last forward.

    Random operations draw from ``generator``, and the same numbers where a released value has to be computed again.
    """

    def __init__(
        self, where: str, name: str, attributes: Mapping[str, Any], generator: np.random.Generator | None
    ) -> None:
        self._where, self._name, self._attributes = where, name, attributes
        self._generator, self._beginning = generator, copy.deepcopy(generator)
        self._engine = select_engine()
        self._operation = self._engine.operation(name)
        self.saved: Any = None
        self.outputs: tuple[np.ndarray, ...] = ()

    def forward(self, *arrays: np.ndarray) -> np.ndarray:
        """Return the output, or all outputs of the type of the first one in a row."""
        attributes = dict(self._attributes)
        if self._generator is not None:
            attributes["generator"] = self._generator
            self._generator = copy.deepcopy(self._beginning)
        with self._engine.running():
            found, self.saved = self._operation.forward(*arrays, workspace=Workspace(), **attributes)
        if not isinstance(found, tuple):
            return found
        self.outputs = found
        return in_a_row(found)

    def backward(self, wanted: Sequence[bool], g: Any, y: Any, *arrays: Any) -> Sequence[Any]:
        """Return the gradients of the inputs, traced where g or one of the arrays is."""
        if any(isinstance(each, dlarray) for each in (g, *arrays)):
            return traced_gradients(self._defined, wanted, g, arrays)
        given: Any = np.ascontiguousarray(g)
        if self.outputs:
            given = tuple(None if part is None else carved(g, part) for part in parts_of(self.outputs))
        with self._engine.running():
            return self._operation.backward(self.saved, given, wanted=tuple(wanted), workspace=Workspace())

    def _defined(self, *arrays: dlarray) -> dlarray:
        """Return what `forward` returns, with derivatives of any order."""
        definition = DEFINITIONS.get(self._name)
        if definition is None:
            needed = "to be differentiated once"
            fix = "It has no rule for higher derivatives: leave EnableHigherDerivatives out, or write it with others."
            raise NotSupportedError(message(self._where, needed, "a second derivative", fix))
        found = definition(*arrays, saved=self.saved, **self._attributes)
        if self.outputs:
            first = found if isinstance(found, tuple) else (found,)
            return in_a_row([*first, *map(wrap, self.outputs[len(first) :])])
        return found


def call_pair(
    where: str,
    name: str,
    arrays: Sequence[dlarray],
    attributes: Mapping[str, Any] | None = None,
    *,
    generator: np.random.Generator | None = None,
) -> tuple[tuple[dlarray, ...], Any]:
    """Return the outputs of an operation of the engine and its record.

    ``arrays`` are unformatted and in the layout of engines; ``where`` names the function in errors.
    """
    pair = Pair(where, name, attributes or {}, generator)
    dtype = common_type(arrays)
    row = apply(JointRule(pair.forward, pair.backward, formats.drop), [as_type(each, dtype) for each in arrays])
    if not pair.outputs:
        return (row,), pair.saved
    found = [
        dlarray(each) if part is None else carved(row, part)
        for each, part in zip(pair.outputs, parts_of(pair.outputs), strict=True)
    ]
    return tuple(found), pair.saved


def common_type(arrays: Sequence[dlarray]) -> np.dtype:
    """Return single where one of the arrays is single, as in MATLAB, and double otherwise."""
    single = any(each.dtype == np.float32 for each in arrays)
    return np.dtype(np.float32 if single else np.float64)


def as_type(array: dlarray, dtype: np.dtype) -> dlarray:
    """Return an array in another type; whole numbers and logical values stay as they are."""
    return array if array.dtype == dtype or array.dtype.kind != "f" else array.astype(dtype)
