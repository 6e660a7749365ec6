"""Operations of the engine written with traced functions, so that they have derivatives of any order.

They are those of which physics-informed networks consist, and those that cost next to nothing. Layout and attributes
are the engine's; a test compares each with its pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply, dlarray, wrap
from mlnet.autodiff.labelled import stripdims
from mlnet.autodiff.rules_linear import plain_product, product
from mlnet.autodiff.tape import Rule
from mlnet.errors import DataError, message
from mlnet.parallel import kernels
from mlnet.parallel.blocks import filled


def _plain_linear(x: Any, weights: Any, bias: Any) -> Any:
    quick = kernels.product(x, weights.T, np.ascontiguousarray(bias).reshape(-1))
    if quick is not None:
        return quick
    y = plain_product(x, weights.T)
    y += bias.reshape(-1)
    return y


_LINEAR = Rule(
    _plain_linear,
    (
        lambda g, y, x, weights, bias: product(g, weights),
        lambda g, y, x, weights, bias: product(np.swapaxes(g, 0, 1), x),
        lambda g, y, x, weights, bias: np.reshape(product(np.ones((1, len(g)), g.dtype), g), bias.shape),
    ),
    formats.drop,
)


def _plain_relu(x: np.ndarray) -> np.ndarray:
    if type(x) is not np.ndarray or x.dtype.kind != "f":
        return np.maximum(x, 0)
    return filled(lambda out, x: np.maximum(x, 0, out=out), 1, x)[0]


def _relu_gradient(g: Any, y: Any, x: Any) -> Any:
    if isinstance(g, dlarray) or isinstance(y, dlarray):
        return g * (y > 0)
    return filled(lambda out, g, y: np.multiply(g, y > 0, out=out), 1, g, y)[0]


_RELU = Rule(_plain_relu, (_relu_gradient,), formats.keep)
_LEAKY = Rule(
    lambda x, scale: x * np.where(x > 0, x.dtype.type(1), x.dtype.type(scale)),
    (lambda g, y, x, scale: g * np.where(x > 0, 1.0, scale).astype(x.dtype),),
    formats.keep,
)


def _plain_softmax(x: Any, axis: int) -> Any:
    y = np.exp(x - x.max(axis=axis, keepdims=True))
    return y / y.sum(axis=axis, keepdims=True)


def _softmax_gradient(g: Any, y: Any, x: Any, axis: int) -> Any:
    product = g * y
    return product - y * np.sum(product, axis=axis, keepdims=True)


_SOFTMAX = Rule(_plain_softmax, (_softmax_gradient,), formats.keep)


def linear(x: dlarray, weights: dlarray, bias: dlarray) -> dlarray:
    """Return ``x weights' + bias``, (N, out), of features (N, in), weights (out, in) and out numbers."""
    return apply(_LINEAR, (x, weights, bias))


def fully_connected(x: dlarray, weights: dlarray, bias: dlarray) -> dlarray:
    """Return ``x weights' + bias``; the elements of images are in MATLAB's order."""
    y = linear(x if x.ndim == 2 else flatten(x), weights, bias)
    return y if x.ndim == 2 else y.reshape(len(x), *[1] * (x.ndim - 2), -1)


def relu(x: dlarray) -> dlarray:
    """Return ``max(x, 0)``."""
    return apply(_RELU, (x,))


def leaky_relu(x: dlarray, scale: float) -> dlarray:
    """Return x where it is positive, ``scale x`` elsewhere."""
    return apply(_LEAKY, (x,), {"scale": scale})


def softmax(x: dlarray, axis: int = -1) -> dlarray:
    """Return ``exp(x) / sum of exp(x)`` over an axis."""
    return apply(_SOFTMAX, (x,), {"axis": axis})


def sigmoid(x: dlarray) -> dlarray:
    """Return ``1 / (1 + exp(-x))``."""
    from scipy.special import expit  # in the functions, so that importing mlnet stays light

    return expit(x)


def tanh(x: dlarray) -> dlarray:
    """Return the hyperbolic tangent."""
    return np.tanh(x)


def softplus(x: dlarray) -> dlarray:
    """Return ``log(1 + exp(x))``."""
    return np.logaddexp(x, 0)


def swish(x: dlarray) -> dlarray:
    """Return ``x / (1 + exp(-x))``."""
    return x * sigmoid(x)


def gelu(x: dlarray, approximation: str = "none") -> dlarray:
    """Return x times the normal distribution of x, or its approximation by tanh."""
    if approximation == "none":
        from scipy.special import ndtr

        return x * ndtr(x)
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def elu(x: dlarray, alpha: float) -> dlarray:
    """Return x where it is positive, ``alpha (exp(x) - 1)`` elsewhere."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def clipped_relu(x: dlarray, ceiling: float) -> dlarray:
    """Return ``min(max(x, 0), ceiling)``."""
    inside = ((x > 0) & (x < ceiling)).astype(x.dtype)
    return x * inside + ceiling * (x >= ceiling).astype(x.dtype)


def addition(*inputs: dlarray) -> dlarray:
    """Return the sum of the inputs."""
    return reduce(np.add, inputs)


def multiplication(*inputs: dlarray) -> dlarray:
    """Return the product of the inputs."""
    return reduce(np.multiply, inputs)


def concatenation(*inputs: dlarray, axis: int) -> dlarray:
    """Return the inputs joined along an axis."""
    return np.concatenate(inputs, axis=axis)


def scaling(x: dlarray, scale: Any, bias: Any) -> dlarray:
    """Return ``scale x + bias``."""
    return x * np.asarray(scale, x.dtype) + np.asarray(bias, x.dtype)


def normalize_input(x: dlarray, shift: Any, scale: Any) -> dlarray:
    """Return ``(x - shift) / scale``; None leaves a step out."""
    x = x if shift is None else x - np.asarray(shift, x.dtype)
    return x if scale is None else x / np.asarray(scale, x.dtype)


def flatten(x: dlarray) -> dlarray:
    """Return the elements of each observation in MATLAB's order."""
    if all(length == 1 for length in x.shape[1:-1]):
        return x.reshape(len(x), -1)
    return x.transpose(0, *range(x.ndim - 1, 0, -1)).reshape(len(x), -1)


def user_function(
    *inputs: dlarray,
    function: Callable[..., Any],
    formats: tuple[str, ...],
    outputs: tuple[tuple[str, tuple[int, ...]], ...],
    formatted: bool,
    apart: bool = False,
    traced: bool = True,
    lengths: np.ndarray | None = None,
    more_lengths: Sequence[np.ndarray | None] = (),
) -> dlarray | tuple[dlarray, ...]:
    """Return what a function of the user makes of the inputs."""
    if apart and lengths is not None and np.any(lengths != inputs[0].shape[1]):
        needed, came = "sequences of one length for this function", f"lengths {np.unique(lengths).tolist()}"
        raise DataError(message("functionLayer", needed, came))
    given = [to_labelled(x, each) for x, each in zip(inputs, formats, strict=True)]
    found = function(*(given if formatted else map(stripdims, given)))
    several = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    results = []
    for array, (each, dims) in zip(several, outputs, strict=True):
        y = stripdims(array if isinstance(array, dlarray) else wrap(np.asarray(array)))
        labels = labels_of(each)
        y = y.transpose([axis for axis, _ in _engine_axes(labels)])
        expected = (len(inputs[0]), *inputs[0].shape[1:2] * each.endswith("T"), *dims)
        if y.shape != expected:
            raise DataError(message("functionLayer", f"an output of {expected} (observations first)", f"{y.shape}"))
        results.append(y.astype(inputs[0].dtype))
    return results[0] if len(results) == 1 else tuple(results)


def custom_layer(
    *arrays: dlarray,
    call: Any,
    formats: tuple[str, ...],
    outputs: tuple[tuple[str, tuple[int, ...]], ...],
    states: dict[str, np.ndarray] | None = None,
    generator: np.random.Generator | None = None,
    lengths: np.ndarray | None = None,
    more_lengths: Sequence[np.ndarray | None] = (),
) -> dlarray | tuple[dlarray, ...]:
    """Return what the method of a custom layer makes of inputs and parameters; ``states`` takes the new states."""
    inputs = [to_labelled(x, each) for x, each in zip(arrays, formats, strict=False)]
    given = [each if call.formatted else wrap(each._data, each._node) for each in inputs]
    with call.seeded(generator):
        found, new, _ = call.call(given, [wrap(each._data, each._node) for each in arrays[len(formats) :]])
    if states is not None:
        states.update(new)
    results = []
    for array, (each, dims) in zip(found, outputs, strict=True):
        y = stripdims(array).transpose([axis for axis, _ in _engine_axes(labels_of(each))])
        expected = (len(arrays[0]), *arrays[0].shape[1:2] * each.endswith("T"), *dims)
        if y.shape != expected:
            raise DataError(message(call.where, f"an output of {expected} (observations first)", f"{y.shape}"))
        results.append(y.astype(arrays[0].dtype))
    return results[0] if len(results) == 1 else tuple(results)


def labels_of(format: str) -> str:
    """Return the labels of a mini-batch: 'SSCB' for the format 'SSC' of an observation, 'CBT' for 'CT'."""
    return format.replace("C", "CB")


def _engine_axes(labels: str) -> list[tuple[int, str]]:
    """Return the axes of an array with ``labels`` in the order of engines: B, T, S, C."""
    return sorted(enumerate(labels), key=lambda pair: "BTSC".index(pair[1]))


def to_labelled(x: dlarray, format: str) -> dlarray:
    """Return an array in the layout of engines as a formatted one; ``format`` is that of one observation."""
    labels = labels_of(format)
    axes = [axis for axis, _ in _engine_axes(labels)]
    moved = x.transpose(np.argsort(axes).tolist())
    return wrap(moved._data, moved._node, labels)


def to_engine(x: dlarray) -> dlarray:
    """Return a formatted array in the layout of engines: observations first, then time, channels last."""
    plain = stripdims(x)
    axes = [axis for axis, _ in _engine_axes(x.dims())]
    return plain if axes == sorted(axes) else plain.transpose(axes)


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        fully_connected, relu, leaky_relu, softmax, sigmoid, tanh, softplus, swish, gelu, elu, clipped_relu,
        addition, multiplication, concatenation, scaling, normalize_input, flatten, user_function,
        custom_layer,
    )
}  # fmt: skip
"""The operations that are written here, by their names."""
