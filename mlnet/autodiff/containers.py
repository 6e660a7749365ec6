"""Arrays inside lists, tuples, dicts, structures and tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from mlnet.autodiff.array import dlarray
from mlnet.structure import Structure
from mlnet.table import DataTable


class ArrayContainer(ABC):
    """An object that holds dlarrays, such as a network whose learnables are to be differentiated."""

    @abstractmethod
    def with_arrays(self, function: Callable[[dlarray], Any]) -> Any:
        """Return a copy with ``function`` applied to each dlarray."""


class NestedNetwork(ArrayContainer):
    """A network that a layer may hold as a learnable parameter."""

    Initialized: bool

    @abstractmethod
    def learnable_keys(self) -> list[tuple[str, str]]:
        """Return (layer name, parameter name) of each learnable."""

    @abstractmethod
    def state_keys(self) -> list[tuple[str, str]]:
        """Return (layer name, parameter name) of each state."""

    @abstractmethod
    def state_value(self, key: tuple[str, str]) -> dlarray:
        """Return a state."""

    @abstractmethod
    def learnable_value(self, key: tuple[str, str]) -> dlarray:
        """Return a learnable."""

    @abstractmethod
    def factors_of(self, key: tuple[str, str]) -> list[tuple[float, float]]:
        """Return (learning-rate factor, L2 factor) for each block of rows of a learnable."""

    @abstractmethod
    def with_learnables(self, function: Callable[[tuple[str, str], dlarray], dlarray]) -> Any:
        """Return a copy with ``function`` applied to the key and value of each learnable."""

    @abstractmethod
    def with_states(self, function: Callable[[tuple[str, str], dlarray], dlarray]) -> Any:
        """Return a copy with ``function`` applied to the key and value of each state."""

    @abstractmethod
    def with_state_table(self, table: Any) -> Any:
        """Return a copy with the states of a table like its State."""


def mapped(value: Any, function: Callable[[dlarray], Any]) -> Any:
    """Return ``value`` with ``function`` applied to each dlarray in it; all else stays as it is."""
    if isinstance(value, dlarray):
        return function(value)
    if isinstance(value, ArrayContainer):
        return value.with_arrays(function)
    if isinstance(value, dict):
        return {name: mapped(each, function) for name, each in value.items()}
    if isinstance(value, Structure):
        return Structure(**{name: mapped(each, function) for name, each in value.fields().items()})
    if isinstance(value, DataTable):
        return type(value)(**{name: mapped(value[name], function) for name in value.columns})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(each, function) for each in value))
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(each, function) for each in value)
    return value
