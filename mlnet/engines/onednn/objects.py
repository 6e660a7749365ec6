"""Objects of the library, each released with the Python object that holds it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn import teams
from mlnet.engines.onednn.library import Argument, Library, RefusedError, dims, failure
from mlnet.engines.onednn.rooms import Rooms, address_of, zeros
from mlnet.engines.onednn.teams import creating

_SHIFT = 16
"""Bytes."""

_AXES = 4
"""Of images: observations, channels, height, width."""

_SMALL = 1 << 17
"""Bytes up to which a copy is not shared among threads."""


class Handle:
    """A handle of the library and the function that releases it."""

    __slots__ = ("_release", "handle")

    def __init__(self, library: Library, handle: int, release: str) -> None:
        self.handle = handle
        self._release = library.release(release)

    def __del__(self) -> None:
        release = getattr(self, "_release", None)
        if release is not None:
            release(self.handle)


class Description:
    """A memory descriptor: sizes (N, C, ...) and the layout in memory, or any layout."""

    __slots__ = ("_owner", "dims", "handle", "library")

    def __init__(self, library: Library, handle: int, sizes: tuple[int, ...], owner: object = None) -> None:
        self.library, self.handle, self.dims = library, handle, sizes
        self._owner = Handle(library, handle, "memory_desc_destroy") if owner is None else owner

    @classmethod
    def strided(cls, library: Library, sizes: Sequence[int], strides: Sequence[int]) -> Description:
        """Return a layout by its strides, counted in elements."""
        name = "memory_desc_create_with_strides"
        return cls(library, library.new(name, len(sizes), dims(sizes), c.FLOAT32, dims(strides)), tuple(sizes))

    @classmethod
    def plain(cls, library: Library, sizes: Sequence[int]) -> Description:
        """Return the layout (N, ..., C), channels last, of sizes (N, C, ...)."""
        channels, *spatial = sizes[1:]
        strides = [1] * len(spatial)
        step = channels
        for axis in range(len(spatial) - 1, -1, -1):
            strides[axis] = step
            step *= spatial[axis]
        return cls.strided(library, sizes, (step, 1, *strides))

    @classmethod
    def any(cls, library: Library, sizes: Sequence[int], kind: int = c.FLOAT32) -> Description:
        """Return sizes whose layout the library is to choose."""
        name = "memory_desc_create_with_tag"
        return cls(library, library.new(name, len(sizes), dims(sizes), kind, c.TAG_ANY), tuple(sizes))

    def in_blocks(self) -> Description:
        """Return channels last as one block of channels, which is the same memory, or the layout as it is.

        The library's normalization and pooling are faster where they find blocks, its convolutions of few channels
        where they find channels last.
        """
        tag = c.TAG_BLOCKS.get(self.dims[1]) if len(self.dims) == _AXES else None
        if tag is None or self != Description.plain(self.library, self.dims):
            return self
        handle = self.library.new("memory_desc_create_with_tag", _AXES, dims(self.dims), c.FLOAT32, tag)
        return Description(self.library, handle, self.dims)

    def is_same_memory(self, other: Description) -> bool:
        """Tell whether all elements lie at the same places in another layout of the same sizes."""
        return self == other or self.in_blocks() == other.in_blocks()

    def part(self, sizes: Sequence[int], offsets: Sequence[int]) -> Description:
        """Return the description of a part of this memory."""
        name = "memory_desc_create_submemory"
        return Description(self.library, self.library.new(name, self.handle, dims(sizes), dims(offsets)), tuple(sizes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Description) and self.library.are_equal(self.handle, other.handle)

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.library.size_of(self.handle)


class Memory:
    """Memory of the library with its description; its own, or somewhere else by `point_to`."""

    __slots__ = ("_handle", "address", "array", "description", "followers")

    def __init__(self, description: Description, array: np.ndarray | None = None, address: int = 0) -> None:
        library = description.library
        self.description, self.array, self.address = description, array, address
        if array is not None:
            self.address = address_of(array)
        self._handle = Handle(
            library,
            library.new("memory_create", description.handle, library.engine, self.address or None),
            "memory_destroy",
        )
        self.followers: list[Memory] = []

    @property
    def handle(self) -> int:
        """The library's handle."""
        return self._handle.handle

    def point_to(self, address: int) -> None:
        """Let the memory lie at another address, and so all views of it."""
        if address == self.address:
            return
        library = self.description.library
        status = library.set_data_handle(self.handle, address)
        if status:
            raise failure("memory_set_data_handle", status)
        self.address = address
        for follower in self.followers:
            follower.point_to(address)

    def seen_as(self, description: Description) -> Memory:
        """Return the same memory with another description, wherever it lies."""
        view = Memory(description, None, self.address)
        view.array = self.array
        self.followers.append(view)
        return view


class PrimitiveDescription:
    """A primitive descriptor: which computation, for which layouts.

    ``create`` is the name of the function after ``dnnl_`` and before ``_primitive_desc_create``. ``prefer`` is how the
    name of the implementation begins that is taken if there is one, instead of the library's first choice. Those called
    "ref" are refused unless ``may_be_reference``: only the recurrent ones of them are fast.
    """

    __slots__ = ("_handle", "implementation", "library")

    def __init__(
        self, library: Library, create: str, *arguments: Any, prefer: str = "", may_be_reference: bool = False
    ) -> None:
        self.library = library
        self._handle, self.implementation = self._created(create, arguments)
        if prefer and not self.implementation.startswith(prefer):
            self._look_for(prefer, create, arguments)
        if self.implementation.startswith("ref") and not may_be_reference:
            raise RefusedError(f"oneDNN: only a slow reference implementation of {create} for these sizes.")

    def _created(self, create: str, arguments: tuple[Any, ...]) -> tuple[Handle, str]:
        library = self.library
        with creating():
            handle = library.new(f"{create}_primitive_desc_create", *arguments)
        return Handle(library, handle, "primitive_desc_destroy"), library.implementation(handle)

    def _look_for(self, prefer: str, create: str, arguments: tuple[Any, ...]) -> None:
        """Take the implementation whose name begins with ``prefer`` if there is one."""
        handle, implementation = self._created(create, arguments)
        try:
            while not implementation.startswith(prefer):
                self.library.call("primitive_desc_next_impl", handle.handle)
                implementation = self.library.implementation(handle.handle)
        except RefusedError:
            return
        self._handle, self.implementation = handle, implementation

    @property
    def handle(self) -> int:
        """The library's handle."""
        return self._handle.handle

    def description(self, what: int, sizes: tuple[int, ...] = (), index: int = 0) -> Description | None:
        """Return one of the layouts that were chosen, None where there is none."""
        found = self.library.description_of(self.handle, what, index)
        if not found or not self.library.size_of(found):
            return None
        return Description(self.library, found, sizes, self)

    def layout(self, what: int, sizes: tuple[int, ...], index: int = 0) -> Description:
        """Return one of the layouts that were chosen; arguments of one kind are told apart by ``index``."""
        found = self.description(what, sizes, index)
        assert found is not None
        return found


class Attributes:
    """Attributes of a primitive: the scratchpad is given, and ``followers`` are computed on the result.

    They are algorithms of eltwise primitives with two constants, ADDED for a sum with what was in its place, and
    algorithms of binary primitives with the description of the other factor or term.
    """

    __slots__ = ("_handle", "_operations")

    ADDED = (0, 0.0, 0.0)
    RECTIFIED = (c.ELTWISE_RELU, 0.0, 0.0)

    def __init__(self, library: Library, followers: Sequence[tuple[Any, ...]] = ()) -> None:
        self._handle = Handle(library, library.new("primitive_attr_create"), "primitive_attr_destroy")
        library.call("primitive_attr_set_scratchpad_mode", self.handle, c.SCRATCHPAD_USER)
        if followers:
            operations = Handle(library, library.new("post_ops_create"), "post_ops_destroy")
            for follower in followers:
                if follower == self.ADDED:
                    library.call("post_ops_append_sum", operations.handle, 1.0, 0, c.UNDEFINED)
                elif len(follower) == 2:
                    library.call("post_ops_append_binary", operations.handle, follower[0], follower[1].handle)
                else:
                    library.call("post_ops_append_eltwise", operations.handle, *follower)
            library.call("primitive_attr_set_post_ops", self.handle, operations.handle)

    @property
    def handle(self) -> int:
        """The library's handle."""
        return self._handle.handle


class Context:
    """What the primitives of one plan share: a stream, the scratchpad, and counts.

    ``step`` numbers the runs of the plan; conversions know by it what is up to date. ``threads`` is how many the plan
    uses, None for all. With ``is_final``, parameters stay as they are from run to run, unless other arrays come, and
    only the outputs are looked at: copies of parameters are ``preparations``, and memory is used again. With
    ``is_mixed``, convolutions and products take numbers in bfloat16.
    """

    def __init__(
        self, library: Library, threads: int | None = None, *, is_final: bool = False, is_mixed: bool = False
    ) -> None:
        self.library, self.threads, self.is_final, self.is_mixed = library, threads, is_final, is_mixed
        self.preparations: list[Callable[[], None]] = []
        self._stream = Handle(
            library, library.new("stream_create", library.engine, c.STREAM_IN_ORDER), "stream_destroy"
        )
        self.stream = self._stream.handle
        self.step = 0
        self.attributes = Attributes(library)
        self.parameters: Mapping[Any, np.ndarray] = {}
        self.allocated = 0
        self.moments: Any = None
        self.bindings: list[Any] = []
        self.generator: np.random.Generator | None = None
        self.forgetters: list[Callable[[], None]] = []
        self.gradient_room: Mapping[Any, np.ndarray] = {}
        self._rooms = Rooms()
        self._scratch = zeros(0)
        self._scratchpads: list[Memory] = []
        self._spare: list[np.ndarray] = []

    def forget(self) -> None:
        """Let go of all arrays that were put in."""
        self.parameters = {}
        self.gradient_room = {}
        for forget in self.forgetters:
            forget()

    def memory(self, layout: Description, shift: int = 0) -> Memory:
        """Return new memory, all zeros, that is counted in ``allocated``, ``shift`` bytes behind an even address."""
        self.allocated += layout.size
        return Memory(layout, self._rooms.zeros(layout.size + shift)[shift:])

    def room(self, layout: Description) -> Memory:
        """Return memory for a value, which may have been another one's where only the outputs are looked at."""
        return self.reused(layout) if self.is_final else self.memory(layout)

    def reused(self, layout: Description) -> Memory:
        """Return memory that may have been another tensor's, see `release`; what is in it is of no use.

        On the way back it does not lie at even addresses: there the library's normalization would write past the
        caches what it has just read and what is read next.
        """
        fitting = [room for room in self._spare if layout.size <= room.size <= 2 * layout.size]
        if not fitting:
            return self.memory(layout, 0 if self.is_final else _SHIFT)
        room = fitting[-1]  # the last one that was used is most likely in the cache
        self._spare = [other for other in self._spare if other is not room]
        return Memory(layout, room[: layout.size] if layout.size < room.size else room)

    def release(self, memory: Memory) -> None:
        """Let later `reused` memory lie where this one does."""
        if memory.array is not None:
            self._spare.append(memory.array)

    def gradient(self, key: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return where the gradient of a parameter is to be put."""
        room = self.gradient_room.get(key)
        fits = room is not None and room.shape == shape and room.dtype == np.float32 and room.flags.c_contiguous
        return room if room is not None and fits else np.zeros(shape, np.float32)

    def any(self, sizes: Sequence[int]) -> Description:
        """Return sizes whose layout the library is to choose."""
        return Description.any(self.library, sizes)

    def rounded(self, sizes: Sequence[int]) -> Description:
        """Return sizes of numbers in bfloat16 whose layout the library is to choose."""
        return Description.any(self.library, sizes, c.BFLOAT16)

    def plain(self, sizes: Sequence[int]) -> Description:
        """Return the layout channels last."""
        return Description.plain(self.library, sizes)

    def strided(self, sizes: Sequence[int], strides: Sequence[int]) -> Description:
        """Return a layout by its strides."""
        return Description.strided(self.library, sizes, strides)

    def describe(
        self, create: str, *arguments: Any, attributes: Attributes | None = None, **options: Any
    ) -> PrimitiveDescription:
        """Return the primitive descriptor of a computation; engine and attributes are put in."""
        given = [argument.handle if hasattr(argument, "handle") else argument for argument in arguments]
        engine = self.library.engine
        handle = (attributes or self.attributes).handle
        return PrimitiveDescription(self.library, create, engine, *given, handle, **options)

    def reorder(self, source: Memory, target: Memory) -> Callable[[], None]:
        """Return the computation that copies from one memory to another, which may have another layout.

        Small copies, of parameters mostly, stay on the calling thread: waking another one takes longer.
        """
        engine, handles = self.library.engine, [memory.description.handle for memory in (source, target)]
        is_small = target.description.size <= _SMALL
        teams.use(self.library, 1 if is_small else self.threads)
        description = PrimitiveDescription(
            self.library, "reorder", handles[0], engine, handles[1], engine, self.attributes.handle
        )
        call = self.call(description, {c.ARG_SRC: source, c.ARG_DST: target})
        teams.use(self.library, self.threads)
        if not is_small:
            return call

        def run_alone() -> None:
            teams.use(self.library, 1)
            call()
            teams.use(self.library, self.threads)

        return call if self.threads == 1 else run_alone

    def call(self, description: PrimitiveDescription, memories: Mapping[int, Memory]) -> Call:
        """Return the computation on these memories, by the numbers of the arguments."""
        scratch = description.description(c.QUERY_SCRATCHPAD)
        if scratch is not None:
            memories = {**memories, c.ARG_SCRATCHPAD: self._scratchpad(scratch)}
        return Call(self, description, memories)

    def _scratchpad(self, description: Description) -> Memory:
        if description.size > self._scratch.size:
            self._scratch = self._rooms.zeros(description.size)
            for memory in self._scratchpads:
                memory.point_to(address_of(self._scratch))
        memory = Memory(description, self._scratch)
        self._scratchpads.append(memory)
        return memory


class Call:
    """A primitive with its arguments, ready to be run again and again."""

    __slots__ = ("_keep", "_primitive", "run")

    def __init__(self, context: Context, description: PrimitiveDescription, memories: Mapping[int, Memory]) -> None:
        library = context.library
        with creating():
            primitive = library.new("primitive_create", description.handle)
        self._primitive = Handle(library, primitive, "primitive_destroy")
        arguments = (Argument * len(memories))(
            *[Argument(number, memory.handle) for number, memory in memories.items()]
        )
        self._keep = (description, tuple(memories.values()), context)
        handles = ctypes.c_void_p(primitive), ctypes.c_void_p(context.stream)
        self.run: Callable[[], int] = partial(library.execute, *handles, len(memories), arguments)
        """Computes, and returns the status."""

    def __call__(self) -> None:
        """Compute."""
        status = self.run()
        if status:
            raise failure("primitive_execute", status)
