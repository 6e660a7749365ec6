"""Arrays of a plan, in the layouts of the library and as NumPy arrays.

Everyone who reads a tensor says in which layout; a copy in that layout is made once per run of the plan, when it is
asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.engines.onednn.library import RefusedError
from mlnet.engines.onednn.objects import Context, Description, Memory
from mlnet.engines.onednn.rooms import address_of


def sizes_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return (N, C, ...) of an array (N, ..., C)."""
    return (shape[0], shape[-1], *shape[1:-1])


class Tensor(ABC):
    """One array of a plan: ``shape`` (N, ..., C) as NumPy sees it, ``sizes`` (N, C, ...) as the library does."""

    def __init__(self, context: Context, shape: tuple[int, ...]) -> None:
        self._context, self.shape = context, shape
        self._copies: list[Copy] = []
        self._views: list[Copy] = []
        self.readers = 0
        """How many are still to read it, on the way back."""
        self.is_parameter = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes (N, C, ...)."""
        return sizes_of(self.shape)

    @property
    @abstractmethod
    def memory(self) -> Memory:
        """The memory in its own layout."""

    @property
    def layout(self) -> Description:
        """Its own layout."""
        return self.memory.description

    @abstractmethod
    def array(self) -> np.ndarray:
        """Return the values (N, ..., C); they change with the next run."""

    def copy(self, layout: Description) -> Copy:
        """Return the tensor in another layout, or itself."""
        if layout == self.layout:
            return Copy(self._context, self.memory, None)
        for copy in [*self._copies, *self._views]:
            if copy.memory.description == layout:
                return copy
        if layout.is_same_memory(self.layout):
            self._views.append(Copy(self._context, self.memory.seen_as(layout), None))
            return self._views[-1]
        copy = Copy(self._context, self.memory, layout, self._context.memory if self.is_parameter else None)
        self._copies.append(copy)
        return copy

    def release(self) -> None:
        """Let others lie where the tensor and its copies are."""
        for memory in [self.memory, *[copy.memory for copy in self._copies]]:
            self._context.release(memory)

    def plain(self) -> Copy:
        """Return the tensor with channels last."""
        return self.copy(self._context.plain(self.sizes))

    @property
    def is_blocked(self) -> bool:
        """Whether NumPy cannot see it without a copy."""
        return False


class Produced(Tensor):
    """A tensor that the library computes, in a layout that it has chosen.

    ``memory`` is where it is to lie, by default memory of its own.
    """

    def __init__(
        self,
        context: Context,
        shape: tuple[int, ...],
        layout: Description | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(context, shape)
        plain = context.plain(self.sizes)
        self._memory = context.room(layout or plain) if memory is None else memory
        self._array = _view(self._memory, shape) if layout is None or layout.is_same_memory(plain) else None
        self._plain: Copy | None = None

    @property
    def memory(self) -> Memory:
        """The memory in its own layout."""
        return self._memory

    @property
    def is_blocked(self) -> bool:
        """Whether NumPy cannot see it without a copy."""
        return self._array is None

    def array(self) -> np.ndarray:
        """Return the values (N, ..., C); they change with the next run."""
        if self._array is not None:
            return self._array
        if self._plain is None:
            self._plain = self.plain()
        self._plain.update()
        return _view(self._plain.memory, self.shape)


def _view(memory: Memory, shape: tuple[int, ...]) -> np.ndarray:
    assert memory.array is not None
    return memory.array.view(np.float32).reshape(shape)


class Given(Tensor):
    """A tensor that is put in: data, parameters, and what NumPy computes.

    ``layout`` is how the array lies in memory, by default channels last.
    """

    def __init__(self, context: Context, shape: tuple[int, ...], layout: Description | None = None) -> None:
        super().__init__(context, shape)
        self._given_layout = layout
        self._memory: Memory | None = None
        self._source: Any = None
        self._array: Any = None
        context.forgetters.append(self.forget)

    def forget(self) -> None:
        """Let go of the array that was put in."""
        self._source = self._array = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes (N, C, ...), or those of the layout."""
        return super().sizes if self._given_layout is None else self._given_layout.dims

    @property
    def memory(self) -> Memory:
        """The memory of the array that was put in last."""
        if self._memory is None:
            self._memory = Memory(self._given_layout or self._context.plain(self.sizes))
            if self._source is not None:
                self._place()
        return self._memory

    def put(self, array: np.ndarray) -> None:
        """Let the tensor be ``array``, which is copied only where its elements are not in a row."""
        if array is self._source:
            if self._array is not None and self._array is not array:
                np.copyto(self._array, array)
            return
        if array.shape != self.shape:
            raise RefusedError(f"an array of {array.shape} where one of {self.shape} was before")
        self._source, self._array = array, None
        if self._memory is not None:
            self._place()

    def _place(self) -> None:
        if self._source.dtype != np.float32:
            raise RefusedError(f"an array of {self._source.dtype}")
        self._array = np.ascontiguousarray(self._source)
        assert self._memory is not None
        self._memory.point_to(address_of(self._array))

    def array(self) -> np.ndarray:
        """Return what was put in."""
        return self._source


class Binding:
    """A parameter of the network that a tensor follows: ``order`` brings its elements in order first.

    It is put in again where another array has come, or where the tensor holds a copy.
    """

    __slots__ = ("_given", "_order", "_source", "key")

    def __init__(self, context: Context, key: Any, given: Given, order: Callable[[Any], Any] | None) -> None:
        self.key, self._given, self._order = key, given, order
        self._source: Any = None
        self.update(context.parameters[key])
        context.bindings.append(self)
        context.forgetters.append(self._forget)

    def _forget(self) -> None:
        self._source = None

    def update(self, array: np.ndarray) -> None:
        """Let the tensor have the values of ``array``."""
        if array is self._source:
            return
        given = array if self._order is None else self._order(array)
        self._given.put(given)
        is_same = given.flags.c_contiguous and np.may_share_memory(given, array)
        self._source = array if is_same else None


class Copy:
    """A tensor in a layout that somebody asked for: ``memory``, right after `update`."""

    __slots__ = ("_call", "_context", "_step", "is_needed", "memory")

    def __init__(
        self,
        context: Context,
        source: Memory,
        layout: Description | None,
        room: Callable[[Description], Memory] | None = None,
    ) -> None:
        self._context, self._step = context, -1
        self.is_needed = layout is not None
        self.memory = source
        if layout is not None:
            self.memory = (room or context.room)(layout)
            self._call = context.reorder(source, self.memory)

    def update(self) -> None:
        """Copy, unless that has been done in this run."""
        if self.is_needed and self._step != self._context.step:
            self._call()
            self._step = self._context.step
