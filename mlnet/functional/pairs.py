"""Operations of the engine in traced computations: each call is one node of the tape, with the pair behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply, data_of, dlarray
from mlnet.autodiff.tape import JointRule, Rule
from mlnet.engines.base import Workspace
from mlnet.engines.select import select_engine
from mlnet.errors import NotSupportedError, message


class Pair:
    """One call of an operation; ``saved`` is the record of its last forward.

    Random operations draw from a generator made of ``seed``, so that they do the same where a released value has to be
    computed again.
    """

    def __init__(self, where: str, name: str, attributes: Mapping[str, Any], seed: int | None) -> None:
        self._where, self._attributes, self._seed = where, attributes, seed
        self._engine = select_engine()
        self._operation = self._engine.operation(name)
        self.saved: Any = None
        self.outputs: tuple[np.ndarray, ...] = ()

    def forward(self, *arrays: np.ndarray) -> np.ndarray:
        """Return the output, or all outputs of the type of the first one in a row."""
        attributes = dict(self._attributes)
        if self._seed is not None:
            attributes["generator"] = np.random.default_rng(self._seed)
        with self._engine.running():
            found, self.saved = self._operation.forward(*arrays, workspace=Workspace(), **attributes)
        if not isinstance(found, tuple):
            return found
        self.outputs = found
        return np.concatenate([each.ravel() for each in found if each.dtype == found[0].dtype])

    def backward(self, wanted: Sequence[bool], g: Any, y: Any, *arrays: Any) -> Sequence[Any]:
        """Return the gradients of the inputs; those that are differentiated once more raise an error."""
        seeds = data_of(g)
        given: Any = np.ascontiguousarray(seeds)
        if self.outputs:
            given = tuple(carved(seeds, part) if part is not None else None for part in self.parts())
        with self._engine.running():
            found = self._operation.backward(self.saved, given, wanted=tuple(wanted), workspace=Workspace())
        if not any(isinstance(each, dlarray) for each in (g, *arrays)):
            return found
        return [None if each is None else self._final(each, (g, *arrays)) for each in found]

    def parts(self) -> list[tuple[int, tuple[int, ...]] | None]:
        """Return for each output where it begins in the row and its shape; None for those that are not in it."""
        start, parts = 0, []
        for each in self.outputs:
            inside = each.dtype == self.outputs[0].dtype
            parts.append((start, each.shape) if inside else None)
            start += each.size * inside
        return parts

    def _final(self, gradient: np.ndarray, inputs: tuple[Any, ...]) -> dlarray:
        return apply(Rule(lambda *_: gradient, self._refuse), inputs)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        needed = "to be differentiated once"
        fix = "Higher derivatives go through fullyconnect, activations, losses and NumPy's functions."
        raise NotSupportedError(message(self._where, needed, "a second derivative", fix))


def carved(row: Any, part: tuple[int, tuple[int, ...]]) -> Any:
    """Return the array of a shape that begins at a place of a row."""
    start, shape = part
    return row[start : start + int(np.prod(shape))].reshape(shape)


def call_pair(
    where: str,
    name: str,
    arrays: Sequence[dlarray],
    attributes: Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
) -> tuple[tuple[dlarray, ...], Any]:
    """Return the outputs of an operation of the engine and its record.

    ``arrays`` are unformatted and in the layout of engines; ``where`` names the function in errors.
    """
    pair = Pair(where, name, attributes or {}, seed)
    dtype = common_type(arrays)
    row = apply(JointRule(pair.forward, pair.backward, formats.drop), [as_type(each, dtype) for each in arrays])
    if not pair.outputs:
        return (row,), pair.saved
    found = [
        dlarray(each) if part is None else carved(row, part)
        for each, part in zip(pair.outputs, pair.parts(), strict=True)
    ]
    return tuple(found), pair.saved


def common_type(arrays: Sequence[dlarray]) -> np.dtype:
    """Return single where one of the arrays is single, as in MATLAB, and double otherwise."""
    single = any(each.dtype == np.float32 for each in arrays)
    return np.dtype(np.float32 if single else np.float64)


def as_type(array: dlarray, dtype: np.dtype) -> dlarray:
    """Return an array in another type; whole numbers and logical values stay as they are."""
    return array if array.dtype == dtype or array.dtype.kind != "f" else array.astype(dtype)
