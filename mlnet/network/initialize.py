"""First values of learnable parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Layer, Learnable, Size, dims
from mlnet.options import describe


def initialize(layer: Layer, size: Size, generator: np.random.Generator) -> Layer:
    """Return a copy of ``layer`` whose learnables are set, as single precision arrays of the full shape.

    Given values are kept; missing ones come from the initializers.

    Raises
    ------
    OptionError
        Where an initializer function returns something else than a finite array of the size asked for.
    """
    values = {}
    for learnable in layer.learnables:
        shape = layer.parameter_shape(learnable.name, size)
        given = getattr(layer, learnable.name)
        values[learnable.name] = _frozen(given.reshape(shape) if given.size else _draw(layer, learnable, size, generator))
    return layer.replaced(**values)


def _frozen(value: np.ndarray) -> np.ndarray:
    single = np.array(value, np.float32)
    single.flags.writeable = False
    return single


def _draw(layer: Layer, learnable: Learnable, size: Size, generator: np.random.Generator) -> np.ndarray:
    shape = layer.parameter_shape(learnable.name, size)
    initializer = getattr(layer, learnable.initializer_option)
    if callable(initializer):
        return _from_function(initializer, shape, f"{layer.where()}: {learnable.initializer_option}")
    return draw(initializer, shape, layer.fans(learnable.name, size), generator)


def draw(name: str, shape: tuple[int, ...], fans: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return an array of ``shape`` by the initializer ``name``; ``fans`` are numbers of inputs and outputs.

    'glorot': uniform with variance ``2 / (inputs + outputs)`` (Glorot and Bengio, 2010). 'he': normal with variance
    ``2 / inputs`` (He et al., 2015). 'orthogonal': Q of the QR decomposition of a standard normal matrix, its signs
    made unique (Saxe et al., 2014). 'narrow-normal': normal with standard deviation 0.01.
    """
    inputs, outputs = fans
    if name == "zeros":
        return np.zeros(shape)
    if name == "ones":
        return np.ones(shape)
    if name == "narrow-normal":
        return generator.normal(0, 0.01, shape)
    if name == "glorot":
        bound = math.sqrt(6 / (inputs + outputs))
        return generator.uniform(-bound, bound, shape)
    if name == "he":
        return generator.normal(0, math.sqrt(2 / inputs), shape)
    assert name == "orthogonal", name
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1, 1)
    return (q if rows >= columns else q.T).reshape(shape)


def _from_function(function: Callable[..., Any], shape: tuple[int, ...], where: str) -> np.ndarray:
    value = np.asarray(function(shape))
    if value.dtype.kind not in "fiub" or not np.isfinite(value).all():
        raise OptionError(f"{where}: the function needs to return finite numbers, but returned {describe(value)}.")
    if value.shape != shape:
        raise OptionError(
            f"{where}: the function needs to return size {dims(shape)}, but returned size {dims(value.shape)}."
        )
    return value
