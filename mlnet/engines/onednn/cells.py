"""The recurrent primitives of the library for some observations, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.engines.onednn import constants as c
from mlnet.engines.onednn.library import Library
from mlnet.engines.onednn.objects import Context, Description, Memory, PrimitiveDescription
from mlnet.engines.onednn.rooms import address_of, zeros

GATES = {"lstm": 4, "gru": 3, "lbr_gru": 3}
"""The kinds of cells."""


class Cell:
    """One layer for ``steps`` steps of some observations, in one direction.

    All arrays are its own: ``x`` (steps, N, D), ``start`` h and perhaps c (N, H) before the first step and ``bias``
    (gates or more, H) are to be filled in before `forward`; ``y`` (steps, N, H) and ``end`` are what it gives. In the
    same way ``d_y`` and ``d_end`` belong to `backward`, which gives ``d_x``, ``d_start``, ``d_weights``, those of the
    input (gates, H, D) and the recurrent ones (gates, H, H), and ``d_bias``. Gates are in the library's order: i, f,
    g, o, or z, r, candidate.

    The library has only an implementation for all processors that it calls a reference one: matrix products by its
    fast ones, gates by compiled code. On several threads it gains little, as these wait for one another in each step.

    Raises
    ------
    RefusedError
        Where the library does not compute it.
    """

    def __init__(self, library: Library, kind: str, steps: int, observations: int, channels: int, units: int) -> None:
        self.kind, self._sizes = kind, (steps, observations, channels, units)
        self._context = Context(library, 1)
        gates = GATES[kind]
        more = 1 if kind == "lbr_gru" else 0
        states = 2 if kind == "lstm" else 1
        self._layouts = [
            self._dense(steps, observations, channels),
            *[self._dense(1, 1, observations, units)] * states,
            self._context.any((1, 1, channels, gates, units)),
            self._context.any((1, 1, units, gates, units)),
            *[0] * (2 if kind == "lstm" else 0),
            self._dense(1, 1, gates + more, units),
            self._dense(steps, observations, units),
            *[self._dense(1, 1, observations, units)] * states,
        ]
        self._forward = self._context.describe(
            f"{kind}_forward",
            c.FORWARD_TRAINING,
            c.LEFT_TO_RIGHT,
            *self._layouts,
            c.RNN_FLAGS_NONE,
            may_be_reference=True,
        )
        self._memories: dict[int, Memory] = {}
        self.x = self._array(c.ARG_SRC, steps, observations, channels)
        self.start = [self._array(c.ARG_SRC_ITER + k, observations, units) for k in range(states)]
        self.bias = self._array(c.ARG_BIAS, gates + more, units)
        self.y = self._array(c.ARG_DST, steps, observations, units)
        self.end = [self._array(c.ARG_DST_ITER + k, observations, units) for k in range(states)]
        self._weights = {
            number: Memory(self._turned(gates, units, size))
            for number, size in ((c.ARG_WEIGHTS, channels), (c.ARG_WEIGHTS_ITER, units))
        }
        self._held: tuple[np.ndarray, ...] = ()
        self.d_y_is_zero = True
        workspace = self._forward.description(c.QUERY_WORKSPACE)
        if workspace is not None:
            self._memories[c.ARG_WORKSPACE] = self._context.memory(workspace)
        self._steps = self._steps_of(self._forward, self._memories)
        self._steps_back: list[Callable[[], None]] = []

    def _dense(self, *sizes: int) -> Description:
        return self._context.strided(sizes, _strides(sizes))

    def put_weights(self, *weights: np.ndarray) -> None:
        """Let the weights be these, (gates H, D) and (gates H, H), contiguous; they are read where they are."""
        self._held = weights
        for memory, array in zip(self._weights.values(), weights, strict=True):
            assert array.flags.c_contiguous and array.dtype == np.float32
            memory.point_to(address_of(array))

    def _turned(self, gates: int, units: int, channels: int) -> Description:
        """Return the layout of weights (gates, H, C) as the library sees them: (1, 1, C, gates, H)."""
        whole = gates * units * channels
        return self._context.strided((1, 1, channels, gates, units), (whole, whole, 1, units * channels, channels))

    def _array(self, number: int, *shape: int) -> np.ndarray:
        """Return a new array that is an argument of the primitives."""
        sizes = shape
        if number in (c.ARG_SRC, c.ARG_DST, c.ARG_DIFF + c.ARG_SRC, c.ARG_DIFF + c.ARG_DST):
            layout = self._dense(*sizes)
        else:
            layout = self._dense(1, 1, *sizes)
        array = zeros(layout.size).view(np.float32).reshape(shape)
        self._memories[number] = Memory(layout, array)
        return array

    def _steps_of(self, description: PrimitiveDescription, memories: dict[int, Memory]) -> list[Callable[[], None]]:
        """Return the calls: weights into the layouts that the primitive wants, and the primitive."""
        steps: list[Callable[[], None]] = []
        found = dict(memories)
        for index, (number, plain) in enumerate(self._weights.items()):
            found[number] = self._context.memory(description.layout(c.QUERY_WEIGHTS, (), index))
            steps.append(self._context.reorder(plain, found[number]))
        return [*steps, self._context.call(description, found)]

    def forward(self) -> None:
        """Compute ``y`` and ``end``."""
        for step in self._steps:
            step()

    def prepare_backward(self) -> None:
        """Make what `backward` needs, once."""
        if self._steps_back:
            return
        context, (steps, observations, channels, units) = self._context, self._sizes
        description = context.describe(
            f"{self.kind}_backward",
            c.BACKWARD,
            c.LEFT_TO_RIGHT,
            *self._layouts,
            *self._layouts,
            c.RNN_FLAGS_NONE,
            self._forward,
            may_be_reference=True,
        )
        self.d_x = self._array(c.ARG_DIFF + c.ARG_SRC, steps, observations, channels)
        self.d_y = self._array(c.ARG_DIFF + c.ARG_DST, steps, observations, units)
        self.d_start = [
            self._array(c.ARG_DIFF + c.ARG_SRC_ITER + k, observations, units) for k in range(len(self.start))
        ]
        self.d_end = [self._array(c.ARG_DIFF + c.ARG_DST_ITER + k, observations, units) for k in range(len(self.start))]
        self.d_bias = self._array(c.ARG_DIFF + c.ARG_BIAS, *self.bias.shape)
        self.d_weights: list[np.ndarray] = []
        after: list[Callable[[], None]] = []
        self._summed: list[Any] = [self.d_bias]
        for index, (number, plain) in enumerate(self._weights.items()):
            array = np.zeros((GATES[self.kind], units, (channels, units)[index]), np.float32)
            self.d_weights.append(array)
            layout = description.layout(c.QUERY_DIFF_WEIGHTS, plain.description.dims, index)
            memory = self._memories[c.ARG_DIFF + number] = context.memory(layout)
            self._summed.append(memory.array)
            after.append(context.reorder(memory, Memory(plain.description, array)))
        self._steps_back = [*self._steps_of(description, self._memories), *after]

    def backward(self) -> None:
        """Compute the gradients of all that was put in."""
        for array in self._summed:  # the library adds to them
            array[...] = 0
        for step in self._steps_back:
            step()


def _strides(sizes: tuple[int, ...]) -> tuple[int, ...]:
    strides = [1]
    for length in sizes[:0:-1]:
        strides.append(strides[-1] * length)
    return tuple(strides[::-1])
