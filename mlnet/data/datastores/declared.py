"""Datastores whose properties are declared in a table."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from mlnet.data.datastores.datastore import Datastore
from mlnet.errors import OptionError
from mlnet.options import Declared, Option
from mlnet.rules import integer

D = TypeVar("D", bound="DeclaredDatastore")

READ_SIZE = Option("ReadSize", 1, integer(), "Observations that `read` returns; more than one come as a list.")


class DeclaredDatastore(Declared, Datastore):
    """A datastore whose constructor, properties and messages come from a table.

    ``fixed`` are options that say how the datastore is made and cannot be set afterwards; ``displayed`` are the
    properties that are printed.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    displayed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Datastore.__init__(self)
        Declared.__init__(self, *args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.fixed:
            raise OptionError(f"{self.where()}: {name} is read-only: give it when the datastore is made.")
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        methods = [name for name in vars(Datastore) if not name.startswith("_")]
        return sorted({*self.table.entries, *methods} - set(self.fixed))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle."""
        self.__dict__.update(state)

    def copy(self: D) -> D:
        """Return an independent datastore with the same values, to be read from the start."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._values = dict(self._values)
        twin._position = 0
        return twin

    def read_size(self) -> int:
        """Return how many observations `read` returns."""
        return self._values.get("ReadSize", 1)

    def title(self) -> str:
        """Return the name of the class as it is printed."""
        return type(self).__name__
