"""Which classes with option tables a file may name."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import mlnet.layers
from mlnet.options import Declared


class Kept(Protocol):
    """What the value of an option is that says itself how it is kept in files, as plain values."""

    def to_plain(self) -> dict[str, Any]:
        """Return plain values; raise TypeError where that cannot be."""

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> Any:
        """Return what the plain values stand for, after checks; raise ValueError or TypeError where they do not."""


class Kinds:
    """The closed table of classes that are made from files, by their names there: all public layers, and `declared`.

    ``loader`` brings the modules that call `register`, when a file is read or written for the first time.
    """

    loader: ClassVar[Callable[[], object] | None] = None
    _declared: ClassVar[dict[str, type[Declared]]] = {}
    _values: ClassVar[dict[str, type[Kept]]] = {}

    @classmethod
    def register(cls, kind: type[Declared]) -> None:
        """Let files name a class that is no layer."""
        cls._declared[kind.__name__] = kind

    @classmethod
    def register_value(cls, kind: type[Kept]) -> None:
        """Let files hold values of a class."""
        cls._values[kind.__name__] = kind

    @classmethod
    def values(cls) -> dict[str, type[Kept]]:
        """Return the classes of values by their names in files."""
        if cls.loader is not None:
            cls.loader()
        return dict(cls._values)

    @classmethod
    def table(cls) -> dict[str, type[Declared]]:
        """Return all classes by their names in files: for layers the names of their constructors."""
        if cls.loader is not None:
            cls.loader()
        return {**_layers(), **cls._declared}


@functools.cache
def _layers() -> dict[str, type[Declared]]:
    names = [f"mlnet.layers.{module.name}" for module in pkgutil.iter_modules(mlnet.layers.__path__)]
    found = {}
    for name in [*names, "mlnet.network.nested"]:
        for value in vars(importlib.import_module(name)).values():
            if callable(value) and hasattr(value, "constructs"):
                found[value.__name__] = value.constructs
    return found
