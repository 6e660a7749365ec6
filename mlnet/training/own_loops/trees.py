"""Arrays in networks, tables, structures, dicts, lists, or by themselves: taken out in order, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.errors import DataError, message
from mlnet.network.dlnetwork import dlnetwork
from mlnet.options import describe
from mlnet.rules import is_empty
from mlnet.structure import Structure
from mlnet.table import DataTable


def leaves(value: Any, where: str) -> list[np.ndarray]:
    """Return the arrays of a value in their order; raise `DataError` where there are none."""
    found = [np.asarray(each._data if isinstance(each, dlarray) else each) for each in _leaves(value)]
    if not found:
        raise DataError(message(where, "a network, table, structure, dict, list or array", describe(value)))
    return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dlnetwork):
        value = value.Learnables
    if isinstance(value, DataTable):
        value = [value[name] for name in value.columns]
    if isinstance(value, Structure):
        value = value.fields()
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, (dlarray, np.ndarray, np.generic)) or type(value) in (int, float):
        yield value


def rebuilt(value: Any, arrays: Iterator[Any]) -> Any:
    """Return a value with new arrays in the place of its own, dlarrays for dlarrays."""
    if isinstance(value, dlnetwork):
        return value.with_learnables(lambda key, old: _like(old, next(arrays)))
    if isinstance(value, DataTable):
        return type(value)(**{name: rebuilt(value[name], arrays) for name in value.columns})
    if isinstance(value, Structure):
        return Structure(**{name: rebuilt(each, arrays) for name, each in value.fields().items()})
    if isinstance(value, Mapping):
        return {name: rebuilt(each, arrays) for name, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(rebuilt(each, arrays) for each in value))
    if isinstance(value, (list, tuple)):
        return type(value)(rebuilt(each, arrays) for each in value)
    if isinstance(value, (dlarray, np.ndarray, np.generic)) or type(value) in (int, float):
        return _like(value, next(arrays))
    return value


def _like(old: Any, new: Any) -> Any:
    if not isinstance(old, dlarray):
        return new._data if isinstance(new, dlarray) else new
    return wrap(np.asarray(new._data if isinstance(new, dlarray) else new), None, old.dims())


def state_of(value: Any) -> Any:
    """Return the structure in which the memory of a solver is kept: for a network a table like its Learnables."""
    return value.Learnables if isinstance(value, dlnetwork) else value


def matching(state: Any, like: list[np.ndarray], where: str) -> list[np.ndarray]:
    """Return the arrays of a state or gradient, zeros for ``[]``; raise `DataError` where they do not fit."""
    if is_empty(state):
        return [np.zeros_like(each) for each in like]
    found = leaves(state, where)
    shapes, own = [each.shape for each in like], [each.shape for each in found]
    if shapes != own:
        first = next(
            (n for n, (a, b) in enumerate(zip(shapes, own, strict=False)) if a != b), min(len(own), len(shapes))
        )
        needed = f"{len(shapes)} arrays like the parameters"
        came = f"{len(own)}" if len(own) != len(shapes) else f"size {own[first]} where {shapes[first]} belongs"
        raise DataError(message(where, needed, came, "Give what dlgradient and the last update returned."))
    return found


Update = Callable[..., tuple[np.ndarray, ...]]


def updated(where: str, params: Any, grad: Any, states: dict[str, Any], step: Update) -> tuple[Any, ...]:
    """Return parameters and states after ``step(value, gradient, *states) -> (value, *states)`` for each array."""
    _check_names(params, grad, where)
    values = leaves(params, where)
    gradients = leaves(grad, f"{where}: grad")
    matching(gradients, values, f"{where}: grad")
    memory = [matching(state, values, f"{where}: {name}") for name, state in states.items()]
    results = [step(*each) for each in zip(values, gradients, *memory, strict=True)]
    columns = list(zip(*results, strict=True))
    like = state_of(params)
    return rebuilt(params, iter(columns[0])), *(rebuilt(like, iter(column)) for column in columns[1:])


def _check_names(params: Any, grad: Any, where: str) -> None:
    """Raise where the rows of tables of parameters and gradients are not the same."""
    like = state_of(params)
    if (
        isinstance(like, DataTable)
        and isinstance(grad, DataTable)
        and "Layer" in like.columns
        and "Layer" in grad.columns
    ):
        rows = [list(zip(each["Layer"], each["Parameter"], strict=True)) for each in (like, grad)]
        if rows[0] != rows[1]:
            fix = "Use dlgradient(loss, net.Learnables) for the same network."
            raise DataError(message(f"{where}: grad", "the rows of Learnables", "others", fix))
