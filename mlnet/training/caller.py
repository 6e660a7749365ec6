"""Which function trains, for the beginning of messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_NAME = ContextVar("name", default="trainNetwork")


def caller() -> str:
    """Return the name of the function that trains."""
    return _NAME.get()


@contextmanager
def called(name: str) -> Iterator[None]:
    """Return a context in which messages begin with ``name``."""
    token = _NAME.set(name)
    try:
        yield
    finally:
        _NAME.reset(token)
