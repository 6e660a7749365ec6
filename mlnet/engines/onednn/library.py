"""The oneDNN library: its functions with their types, and what their statuses mean.

Nothing is loaded before `mlnet.engines.onednn.finding.load` is called, at the first training or prediction.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from ctypes import POINTER, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from typing import Any

from mlnet.engines.onednn import constants as c
from mlnet.errors import MlnetError


class UnusableError(MlnetError, ImportError):
    """A library that is not there, or that cannot be used; the message says why."""


class RefusedError(MlnetError, NotImplementedError):
    """Something that the library does not compute, or not for these sizes: NumPy takes over."""


class LibraryError(MlnetError, RuntimeError):
    """A call of the library that failed."""


class OutOfMemoryError(MlnetError, MemoryError):
    """The library found no memory."""


class _Version(ctypes.Structure):
    """``dnnl_version_t`` of dnnl_common_types.h."""

    _fields_ = (
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    )


class Argument(ctypes.Structure):
    """``dnnl_exec_arg_t`` of dnnl_types.h."""

    _fields_ = (("number", c_int), ("memory", c_void_p))


_TYPES: dict[str, Any] = {"o": POINTER(c_void_p), "p": c_void_p, "i": c_int, "u": c_uint, "f": c_float, "n": c_size_t}
_TYPES["d"] = POINTER(c_int64)
_TYPES["s"] = POINTER(c_float)

_PROTOTYPES = {
    "engine_create": "oin",
    "engine_destroy": "p",
    "stream_create": "opu",
    "stream_destroy": "p",
    "memory_desc_create_with_strides": "oidid",
    "memory_desc_create_with_tag": "oidii",
    "memory_desc_create_submemory": "opdd",
    "memory_desc_clone": "op",
    "memory_desc_destroy": "p",
    "memory_create": "oppp",
    "memory_set_data_handle": "pp",
    "memory_destroy": "p",
    "post_ops_create": "o",
    "post_ops_append_eltwise": "piff",
    "post_ops_append_sum": "pfii",
    "post_ops_append_binary": "pip",
    "post_ops_destroy": "p",
    "primitive_attr_create": "o",
    "primitive_attr_set_scratchpad_mode": "pi",
    "primitive_attr_set_post_ops": "pp",
    "primitive_attr_destroy": "p",
    "primitive_desc_query": "piip",
    "primitive_desc_next_impl": "p",
    "primitive_desc_destroy": "p",
    "primitive_create": "op",
    "primitive_execute": "ppip",
    "primitive_destroy": "p",
    "reorder_primitive_desc_create": "oppppp",
    "sum_primitive_desc_create": "oppispp",
    "concat_primitive_desc_create": "oppiipp",
    "eltwise_forward_primitive_desc_create": "opiippffp",
    "eltwise_backward_primitive_desc_create": "opipppffpp",
    "batch_normalization_forward_primitive_desc_create": "opippfup",
    "batch_normalization_backward_primitive_desc_create": "opipppfupp",
    "layer_normalization_forward_primitive_desc_create": "opipppfup",
    "layer_normalization_backward_primitive_desc_create": "opippppfupp",
    "softmax_forward_primitive_desc_create": "opiippip",
    "softmax_backward_primitive_desc_create": "opipppipp",
    "lrn_forward_primitive_desc_create": "opiippnfffp",
    "lrn_backward_primitive_desc_create": "opipppnfffpp",
    "binary_primitive_desc_create": "opipppp",
    "pooling_forward_primitive_desc_create": "opiippdddddp",
    "pooling_backward_primitive_desc_create": "opippdddddpp",
    "inner_product_forward_primitive_desc_create": "opippppp",
    "inner_product_backward_data_primitive_desc_create": "opppppp",
    "inner_product_backward_weights_primitive_desc_create": "oppppppp",
}
for _kind, _states in (("lstm", 2), ("gru", 1), ("lbr_gru", 1)):
    _weights = 4 if _kind == "lstm" else 2  # an LSTM may have peepholes and projections
    _arrays = "p" * (1 + _states + _weights + 1 + 1 + _states)
    _PROTOTYPES[f"{_kind}_forward_primitive_desc_create"] = f"opii{_arrays}up"
    _PROTOTYPES[f"{_kind}_backward_primitive_desc_create"] = f"opii{_arrays}{_arrays}upp"
for _kind in ("convolution", "deconvolution"):
    _PROTOTYPES[f"{_kind}_forward_primitive_desc_create"] = "opiippppddddp"
    _PROTOTYPES[f"{_kind}_backward_data_primitive_desc_create"] = "opipppddddpp"
    _PROTOTYPES[f"{_kind}_backward_weights_primitive_desc_create"] = "opippppddddpp"
"""Parameters of the functions ``dnnl_...`` of dnnl.h and dnnl_common.h that return a status.

o: where a handle is put; p: a pointer or handle; i, u: an int; n: a size_t; f: a float; d: dims; s: floats.
"""


_SPINNING = {"GOMP_SPINCOUNT": "1000"}
"""What GNU OpenMP reads when it is loaded: rounds of busy waiting, these take some ten microseconds."""


@contextlib.contextmanager
def _threads_that_sleep() -> Iterator[None]:
    """Let OpenMP, if it is loaded in here, soon fall asleep while it waits at the ends of loops.

    Threads that wait busily take the cores from NumPy's threads and from other programs, and where there are more
    threads than cores they wait for one another for whole time slices. The user's own setting counts.
    """
    chosen = {} if "OMP_WAIT_POLICY" in os.environ else {k: v for k, v in _SPINNING.items() if k not in os.environ}
    os.environ.update(chosen)
    try:
        yield
    finally:
        for name in chosen:
            os.environ.pop(name, None)


class Library:
    """A loaded oneDNN 3.x.

    Parameters
    ----------
    path : str
        The file, or the name that the system's loader knows.

    Raises
    ------
    UnusableError
        Where it cannot be loaded, is another version, lacks a function, or works for another kind of machine.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with _threads_that_sleep():
                self._handle = ctypes.CDLL(path)
        except OSError as error:
            raise UnusableError(f"{path} cannot be loaded: {error}") from None
        version = self._version()
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        if version.major != 3:
            raise UnusableError(f"{path} is oneDNN {self.version}, but 3.x is needed")
        if version.cpu_runtime not in (c.RUNTIME_SEQUENTIAL, c.RUNTIME_OPENMP, c.RUNTIME_TBB):
            raise UnusableError(f"{path} has no threads of its own (runtime {version.cpu_runtime})")
        self.has_openmp = version.cpu_runtime == c.RUNTIME_OPENMP
        self._functions = {name: self._function(name, codes) for name, codes in _PROTOTYPES.items()}
        self._equal = self._plain("memory_desc_equal", c_int, "pp")
        self._size = self._plain("memory_desc_get_size", c_size_t, "p")
        self._query = self._plain("primitive_desc_query_md", c_void_p, "pii")
        isa = int(self._plain("get_effective_cpu_isa", c_int, "")())
        if isa & c.ISA_AVX2 != c.ISA_AVX2:
            raise UnusableError(f"this processor has no AVX2 (oneDNN {self.version} reports instructions {isa:#x})")
        self.has_bfloat16 = isa & c.ISA_AVX512_BFLOAT16 == c.ISA_AVX512_BFLOAT16
        self.execute = self._functions["primitive_execute"]
        self.set_data_handle = self._functions["memory_set_data_handle"]
        try:
            self.engine = self.new("engine_create", c.ENGINE_CPU, 0)
        except MlnetError as error:
            raise UnusableError(f"{path}: no engine for the processor: {error}") from None

    def _version(self) -> _Version:
        try:
            function = self._handle.dnnl_version
        except AttributeError:
            raise UnusableError(f"{self.path} is not oneDNN: it has no function dnnl_version") from None
        function.argtypes, function.restype = [], POINTER(_Version)
        return function().contents

    def _plain(self, name: str, result: Any, codes: str) -> Callable[..., Any]:
        try:
            function = getattr(self._handle, f"dnnl_{name}")
        except AttributeError:
            raise UnusableError(f"{self.path} (oneDNN {self.version}) has no function dnnl_{name}") from None
        function.argtypes, function.restype = [_TYPES[code] for code in codes], result
        return function

    def _function(self, name: str, codes: str) -> Callable[..., int]:
        return self._plain(name, c_int, codes)

    def call(self, name: str, *arguments: Any) -> None:
        """Call ``dnnl_name`` and raise what its status says."""
        status = self._functions[name](*arguments)
        if status:
            raise failure(name, status)

    def new(self, name: str, *arguments: Any) -> int:
        """Call a function that creates something, and return its handle."""
        handle = c_void_p()
        self.call(name, ctypes.byref(handle), *arguments)
        if not handle.value:
            raise LibraryError(f"oneDNN: dnnl_{name} gave nothing.")
        return handle.value

    def release(self, name: str) -> Callable[..., int]:
        """Return the function ``dnnl_name`` that releases a handle."""
        return self._functions[name]

    def optional(self, name: str) -> Callable[..., Any] | None:
        """Return a function that the library or what it is linked to may have."""
        return getattr(self._handle, name, None)

    def are_equal(self, one: int, other: int) -> bool:
        """Tell whether two memory descriptors are the same."""
        return bool(self._equal(one, other))

    def size_of(self, description: int) -> int:
        """Return the bytes that a memory descriptor needs."""
        return int(self._size(description))

    def description_of(self, primitive_description: int, what: int, index: int = 0) -> int:
        """Return a memory descriptor that belongs to a primitive descriptor, 0 where there is none."""
        return self._query(primitive_description, what, index) or 0

    def implementation(self, primitive_description: int) -> str:
        """Return the name of the implementation that was chosen."""
        text = c_char_p()
        self.call("primitive_desc_query", primitive_description, c.QUERY_IMPLEMENTATION, 0, ctypes.byref(text))
        return (text.value or b"").decode(errors="replace")


def failure(name: str, status: int) -> MlnetError:
    """Return the error for a status that is not success."""
    what = c.STATUS.get(status, f"status {status}")
    text = f"oneDNN: dnnl_{name}: {what}."
    if status == c.OUT_OF_MEMORY:
        return OutOfMemoryError(f"{text} Use a smaller MiniBatchSize.")
    if status in (c.INVALID_ARGUMENTS, c.UNIMPLEMENTED, c.LAST_IMPLEMENTATION):
        return RefusedError(text)
    return LibraryError(text)


def dims(values: Any) -> Any:
    """Return ``dnnl_dims_t``: sizes, strides or borders."""
    values = tuple(values)
    return (c_int64 * max(1, len(values)))(*values)
