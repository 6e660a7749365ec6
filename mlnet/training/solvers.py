"""The solvers: how gradients change the parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from mlnet.training.options import (
    TrainingOptions,
    TrainingOptionsADAM,
    TrainingOptionsRMSProp,
    TrainingOptionsSGDM,
)
from mlnet.training.parameters import Parameters

_PIECE = 1 << 15
"""Parameters that are changed at once: few enough for everything about them to stay in the cache."""


class Solver(ABC):
    """Changes the parameters by one step for each mini-batch; its memory are vectors as long as the parameters."""

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.iteration = 0
        self.memory = {slot: np.zeros_like(parameters.flat_values) for slot in self.slots}
        every = (parameters.flat_values, parameters.flat_gradients, *self.memory.values())
        buffers = [np.empty(_PIECE, parameters.flat_values.dtype) for _ in range(2)]
        self._pieces: list[tuple[tuple[np.ndarray, ...], float, float]] = []
        for where, factor, l2_factor in parameters.segments:
            for start in range(where.start, where.stop, _PIECE):
                part = slice(start, min(start + _PIECE, where.stop))
                views = [*(flat[part] for flat in every), *(buffer[: part.stop - start] for buffer in buffers)]
                self._pieces.append((tuple(views), factor, l2_factor))

    def step(self, learn_rate: float, l2_regularization: float = 0.0) -> None:
        """Change the parameters by their gradients; each segment has the rate ``learn_rate * LearnRateFactor``.

        The gradients of the L2 penalty, ``l2_regularization * L2Factor * value``, are added first.
        """
        self.iteration += 1
        for views, factor, l2_factor in self._pieces:
            penalty = l2_regularization * l2_factor
            if penalty:
                values, gradients, *_, buffer = views
                np.multiply(values, self._typed(penalty), out=buffer)
                np.add(gradients, buffer, out=gradients)
            self._update(self._typed(learn_rate * factor), *views)

    @abstractmethod
    def _update(self, learn_rate: np.floating, *views: np.ndarray) -> None:
        """Change a segment; ``views`` are its values, gradients, memory slots, and two buffers."""

    def _typed(self, number: float) -> np.floating:
        return self.parameters.flat_values.dtype.type(number)


class SGDM(Solver):
    """Stochastic gradient descent with momentum: ``v = momentum * v - rate * g``, ``value += v``."""

    slots = ("velocity",)

    def __init__(self, parameters: Parameters, momentum: float) -> None:
        super().__init__(parameters)
        self._momentum = self._typed(momentum)

    def _update(self, learn_rate: np.floating, *views: np.ndarray) -> None:
        value, gradient, velocity, *_ = views
        velocity *= self._momentum
        gradient *= learn_rate  # not needed any more: the next mini-batch brings a new one
        velocity -= gradient
        value += velocity


class RMSProp(Solver):
    """RMSProp: ``s = decay * s + (1 - decay) * g**2``, ``value -= rate * g / (sqrt(s) + epsilon)``."""

    slots = ("squared_gradient",)

    def __init__(self, parameters: Parameters, decay: float, epsilon: float) -> None:
        super().__init__(parameters)
        self._decay, self._epsilon = decay, self._typed(epsilon)

    def _update(self, learn_rate: np.floating, *views: np.ndarray) -> None:
        value, gradient, squared, buffer, step = views
        _average_squares(squared, gradient, self._typed(self._decay), self._typed(1 - self._decay), buffer)
        np.sqrt(squared, out=buffer)
        buffer += self._epsilon
        np.multiply(gradient, learn_rate, out=step)
        step /= buffer
        value -= step


class Adam(Solver):
    """Adam with bias correction (Kingma and Ba, 2015).

    ``m = b1 * m + (1 - b1) * g``, ``s = b2 * s + (1 - b2) * g**2``,
    ``value -= rate * sqrt(1 - b2**t) / (1 - b1**t) * m / (sqrt(s) + epsilon)`` with t counted from 1.
    """

    slots = ("gradient", "squared_gradient")

    def __init__(self, parameters: Parameters, decay: float, squared_decay: float, epsilon: float) -> None:
        super().__init__(parameters)
        self._decay, self._squared_decay, self._epsilon = decay, squared_decay, self._typed(epsilon)

    def _update(self, learn_rate: np.floating, *views: np.ndarray) -> None:
        value, gradient, mean, squared, buffer, step = views
        mean *= self._typed(self._decay)
        mean += np.multiply(gradient, self._typed(1 - self._decay), out=buffer)
        b2 = self._squared_decay
        _average_squares(squared, gradient, self._typed(b2), self._typed(1 - b2), buffer)
        correction = math.sqrt(1 - b2**self.iteration) / (1 - self._decay**self.iteration)
        np.sqrt(squared, out=buffer)
        buffer += self._epsilon
        np.multiply(mean, self._typed(float(learn_rate) * correction), out=step)
        step /= buffer
        value -= step


def _average_squares(
    squared: np.ndarray, gradient: np.ndarray, decay: np.floating, rest: np.floating, buffer: np.ndarray
) -> None:
    squared *= decay
    np.multiply(gradient, gradient, out=buffer)
    buffer *= rest
    squared += buffer


def make_solver(options: TrainingOptions, parameters: Parameters) -> Solver:
    """Return the solver that the class of ``options`` stands for."""
    if isinstance(options, TrainingOptionsSGDM):
        return SGDM(parameters, options.Momentum)
    if isinstance(options, TrainingOptionsADAM):
        return Adam(parameters, options.GradientDecayFactor, options.SquaredGradientDecayFactor, options.Epsilon)
    assert isinstance(options, TrainingOptionsRMSProp)
    return RMSProp(parameters, options.SquaredGradientDecayFactor, options.Epsilon)
