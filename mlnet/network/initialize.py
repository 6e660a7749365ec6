"""First values of learnable parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Layer, Learnable, Size, dims, without_ones
from mlnet.options import describe
from mlnet.rules import array, is_empty, read_only


def initialize(layer: Layer, size: Size, generator: np.random.Generator) -> Layer:
    """Return a copy of ``layer`` whose learnables are set, as single precision arrays of the full shape.

    Given values are kept; missing ones come from the initializers.

    Raises
    ------
    OptionError
        Where an initializer function returns something else than a finite array of the size asked for, or where the
        layer cannot compute with what came out.
    """
    for learnable in layer.learnables:
        shape = layer.parameter_shape(learnable.name, size)
        given = getattr(layer, learnable.name)
        value = given.reshape(shape) if given.size else _draw(layer, learnable, size, generator)
        layer = layer.replaced(**{learnable.name: read_only(value, np.float32)})
    layer.check_initialized()
    return layer


def _draw(layer: Layer, learnable: Learnable, size: Size, generator: np.random.Generator) -> np.ndarray:
    shape = layer.parameter_shape(learnable.name, size)
    initializer = getattr(layer, learnable.initializer_option)
    if callable(initializer):
        return _from_function(initializer, shape, f"{layer.where()}: {learnable.initializer_option}")
    own = layer.draw(learnable.name, initializer, shape, generator)
    if own is not None:
        return np.asarray(own)
    count, fans = layer.separate_parts(learnable.name), layer.fans(learnable.name, size)
    part = (shape[0] // count, *shape[1:])
    return np.concatenate([draw(initializer, part, fans, generator) for _ in range(count)])


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
    try:
        returned = function(shape)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise OptionError(
            f"{where}: the function needs to take a size, here {shape}, and to return an array, but raised {what}."
        ) from error
    rule = array()
    if not rule.takes(returned) or is_empty(returned):
        raise OptionError(f"{where}: the function needs to return finite numbers, but returned {describe(returned)}.")
    value: np.ndarray = rule.convert(returned)
    if without_ones(value.shape) != without_ones(shape):
        raise OptionError(
            f"{where}: the function needs to return size {dims(shape)}, but returned size {dims(value.shape)}."
        )
    return value.reshape(shape)
