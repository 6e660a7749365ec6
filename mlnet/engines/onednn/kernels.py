"""Arithmetic of oneDNN with arrays of NumPy, by primitives that are kept for each size."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn import teams
from mlnet.engines.onednn.library import Library, failure
from mlnet.engines.onednn.objects import Attributes, Call, Context, Memory
from mlnet.engines.onednn.rooms import address_of
from mlnet.parallel.kernels import Kernels

_MOST = 256
"""Primitives that a thread keeps."""


class _Primitive:
    """A call whose memories point to other arrays each time."""

    __slots__ = ("_handles", "_kept", "_run", "_set_handle")

    def __init__(self, call: Call, memories: tuple[Memory, ...]) -> None:
        self._kept = call, memories
        self._run, self._handles = call.run, [memory.handle for memory in memories]
        self._set_handle = memories[0].description.library.set_data_handle

    def __call__(self, *arrays: np.ndarray) -> None:
        set_handle = self._set_handle
        for handle, array in zip(self._handles, arrays, strict=True):
            set_handle(handle, address_of(array))
        status = self._run()
        if status:
            raise failure("primitive_execute", status)


class OneDnnKernels(Kernels):
    """See `mlnet.parallel.kernels`; every thread has primitives of its own, as they hold the addresses of arrays."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._own = threading.local()

    def curve(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, out: np.ndarray) -> None:
        """Write ``-2 a b c``."""
        self._primitive(("curve", a.size), lambda: self._curve(a.size))(a, b, c, out)

    def add(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        """Write ``a + b``."""
        self._primitive(("add", a.size), lambda: self._add(a.size))(a, b, out)

    def tanh(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write the hyperbolic tangent."""
        self._primitive(("tanh", x.size), lambda: self._tanh(x.size))(x, out)

    def tanh_slope(self, g: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        """Write ``g (1 - y^2)``."""
        self._primitive(("tanh slope", g.size), lambda: self._tanh_slope(g.size))(g, y, out)

    def product(self, a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, out: np.ndarray) -> None:
        """Write ``a b + bias``; the fast layout of the small matrix is by rows."""
        key = ("product", *a.shape, b.shape[1], bias is None)
        (rows, inputs), outputs, given = a.shape, b.shape[1], () if bias is None else (bias,)
        primitive = self._primitive(key, lambda: self._product(rows, inputs, outputs, bias is not None))
        primitive(a, np.ascontiguousarray(b), *given, out)

    def product_over_rows(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        """Write ``a' b``."""
        (rows, inputs), outputs = a.shape, b.shape[1]
        key = ("over rows", rows, inputs, outputs)
        self._primitive(key, lambda: self._over_rows(rows, inputs, outputs))(a, b, out)

    def _primitive(self, key: Any, make: Callable[[], _Primitive]) -> _Primitive:
        own = self._own
        if getattr(own, "generation", None) != teams.generation():  # the first call, or in a forked process
            teams.use(self._library)
            own.context, own.primitives, own.generation = Context(self._library), {}, teams.generation()
        else:
            teams.use(self._library)
        found = own.primitives.get(key)
        if found is None:
            if len(own.primitives) >= _MOST:
                own.primitives.clear()
            found = own.primitives[key] = make()
        return found

    def _add(self, size: int) -> _Primitive:
        context = self._own.context
        layout = context.strided((size,), (1,))
        description = context.describe("binary", c.BINARY_ADD, layout, layout, layout)
        memories = Memory(layout), Memory(layout), Memory(layout)
        places = (c.ARG_SRC, c.ARG_SECOND_SRC, c.ARG_DST)
        return _Primitive(context.call(description, dict(zip(places, memories, strict=True))), memories)

    def _curve(self, size: int) -> _Primitive:
        context = self._own.context
        layout = context.strided((size,), (1,))
        attributes = Attributes(self._library, [(c.BINARY_MULTIPLY, layout), (c.ELTWISE_LINEAR, -2.0, 0.0)])
        description = context.describe("binary", c.BINARY_MULTIPLY, layout, layout, layout, attributes=attributes)
        memories = Memory(layout), Memory(layout), Memory(layout), Memory(layout)
        places = (c.ARG_SRC, c.ARG_SECOND_SRC, c.ARG_FIRST_FOLLOWER | c.ARG_SECOND_SRC, c.ARG_DST)
        return _Primitive(context.call(description, dict(zip(places, memories, strict=True))), memories)

    def _tanh_forward(self, size: int) -> tuple[Any, Any]:
        context = self._own.context
        layout = context.strided((size,), (1,))
        kind, algorithm = c.FORWARD_TRAINING, c.ELTWISE_TANH_BY_OUTPUT
        return layout, context.describe("eltwise_forward", kind, algorithm, layout, layout, 0.0, 0.0)

    def _tanh(self, size: int) -> _Primitive:
        layout, description = self._tanh_forward(size)
        memories = Memory(layout), Memory(layout)
        call = self._own.context.call(description, dict(zip((c.ARG_SRC, c.ARG_DST), memories, strict=True)))
        return _Primitive(call, memories)

    def _tanh_slope(self, size: int) -> _Primitive:
        layout, forward = self._tanh_forward(size)
        context, algorithm = self._own.context, c.ELTWISE_TANH_BY_OUTPUT
        description = context.describe("eltwise_backward", algorithm, layout, layout, layout, 0.0, 0.0, forward)
        memories = Memory(layout), Memory(layout), Memory(layout)
        places = (c.ARG_DIFF_DST, c.ARG_DST, c.ARG_DIFF_SRC)
        return _Primitive(context.call(description, dict(zip(places, memories, strict=True))), memories)

    def _product(self, rows: int, inputs: int, outputs: int, with_bias: bool) -> _Primitive:
        context = self._own.context
        x, y = context.strided((rows, inputs), (inputs, 1)), context.strided((rows, outputs), (outputs, 1))
        weights, bias = context.strided((outputs, inputs), (1, outputs)), context.strided((outputs,), (1,))
        description = context.describe(
            "inner_product_forward", c.FORWARD_TRAINING, x, weights, bias if with_bias else None, y
        )
        layouts = (x, weights, bias, y) if with_bias else (x, weights, y)
        memories = tuple(map(Memory, layouts))
        places = (c.ARG_SRC, c.ARG_WEIGHTS, *((c.ARG_BIAS,) if with_bias else ()), c.ARG_DST)
        return _Primitive(context.call(description, dict(zip(places, memories, strict=True))), memories)

    def _over_rows(self, rows: int, inputs: int, outputs: int) -> _Primitive:
        context = self._own.context
        x, y = context.strided((rows, outputs), (outputs, 1)), context.strided((rows, inputs), (inputs, 1))
        weights = context.strided((inputs, outputs), (outputs, 1))
        forward = context.describe("inner_product_forward", c.FORWARD_TRAINING, x, weights, None, y)
        description = context.describe("inner_product_backward_weights", x, weights, None, y, forward)
        memories = Memory(y), Memory(x), Memory(weights)
        places = (c.ARG_DIFF_DST, c.ARG_SRC, c.ARG_DIFF_WEIGHTS)
        return _Primitive(context.call(description, dict(zip(places, memories, strict=True))), memories)
