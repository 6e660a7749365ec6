"""Operations of the engine that are linear in their data, or in data and weights: derivatives of any order.

The gradient of a product of data and weights by one of them is a product of the other two, so that three rules, for the
product itself and for its two gradients, are one another's derivatives. All of them are the pair of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply, call, dlarray, wrap
from mlnet.autodiff.tape import JointRule, Rule
from mlnet.engines.base import Workspace
from mlnet.engines.select import select_engine

Attributes = Mapping[str, Any]


def _forward(name: str, arrays: Sequence[np.ndarray], attributes: Attributes) -> tuple[np.ndarray, Any]:
    engine = select_engine()
    with engine.running():
        found, saved = engine.operation(name).forward(*arrays, workspace=Workspace(), **attributes)
    return found[0] if isinstance(found, tuple) else found, saved


def _backward(
    name: str, arrays: Sequence[np.ndarray], attributes: Attributes, g: np.ndarray, wanted: Sequence[bool]
) -> Sequence[Any]:
    engine = select_engine()
    with engine.running():
        operation = engine.operation(name)
        _, saved = operation.forward(*arrays, workspace=Workspace(), **attributes)
        given = np.ascontiguousarray(g)
        return operation.backward(saved, given, wanted=tuple(wanted), workspace=Workspace())


def _product(x: np.ndarray, w: np.ndarray, name: str, attributes: Attributes, bias: tuple[int, ...]) -> np.ndarray:
    return _forward(name, (x, w, np.zeros(bias, x.dtype)), attributes)[0]


def _to_data(
    g: np.ndarray, w: np.ndarray, shape: tuple[int, ...], name: str, attributes: Attributes, bias: tuple[int, ...]
) -> np.ndarray:
    arrays = (np.zeros(shape, g.dtype), w, np.zeros(bias, g.dtype))
    return _backward(name, arrays, attributes, g, (True, False, False))[0]


def _to_weights(
    x: np.ndarray, g: np.ndarray, shape: tuple[int, ...], name: str, attributes: Attributes, bias: tuple[int, ...]
) -> np.ndarray:
    arrays = (x, np.zeros(shape, g.dtype), np.zeros(bias, g.dtype))
    return _backward(name, arrays, attributes, g, (False, True, False))[1]


def _product_gradients(wanted: Sequence[bool], g: Any, y: Any, x: Any, w: Any, **options: Any) -> Sequence[Any]:
    if all(type(each) is np.ndarray for each in (g, x, w)):
        arrays = (x, w, np.zeros(options["bias"], x.dtype))
        return _backward(options["name"], arrays, options["attributes"], g, (*wanted, False))[:2]
    return (
        call(_TO_DATA, g, w, shape=x.shape, **options) if wanted[0] else None,
        call(_TO_WEIGHTS, x, g, shape=w.shape, **options) if wanted[1] else None,
    )


_PRODUCT = JointRule(_product, _product_gradients, formats.drop)
_TO_DATA: Rule = Rule(
    _to_data,
    (
        lambda h, y, g, w, shape, **options: call(_PRODUCT, h, w, **options),
        lambda h, y, g, w, shape, **options: call(_TO_WEIGHTS, h, g, shape=w.shape, **options),
    ),
    formats.drop,
)
_TO_WEIGHTS: Rule = Rule(
    _to_weights,
    (
        lambda h, y, x, g, shape, **options: call(_TO_DATA, g, h, shape=x.shape, **options),
        lambda h, y, x, g, shape, **options: call(_PRODUCT, x, h, **options),
    ),
    formats.drop,
)


def filtered(name: str, x: dlarray, weights: dlarray, bias: dlarray, attributes: Attributes) -> dlarray:
    """Return what an operation of data, weights and bias makes: a convolution, or a transposed one.

    A border of a number p is one of zeros around ``x - p``, and p times the sum of each filter.
    """
    border = attributes.get("padding_value", 0.0)
    shift = 0.0 if isinstance(border, str) else float(border)
    if shift:
        attributes = {**attributes, "padding_value": 0.0}
    options = {"name": name, "attributes": attributes, "bias": bias.shape}
    y = apply(_PRODUCT, (x - shift if shift else x, weights), options) + bias.reshape(-1, order="F")
    if shift:
        sums = np.sum(weights, axis=tuple(range(weights.ndim - len(_filters(bias)))))
        y = y + shift * sums.reshape(-1, order="F")
    return y


def _filters(bias: dlarray) -> tuple[int, ...]:
    """Return the last lengths of the weights of a convolution: filters, or filters and groups."""
    return bias.shape[2:] if bias.ndim == 4 and bias.shape[:2] == (1, 1) else bias.shape[-1:]


def _linear(x: np.ndarray, name: str, attributes: Attributes, place: int, others: Sequence[np.ndarray]) -> np.ndarray:
    return _forward(name, (*others[:place], x, *others[place:]), attributes)[0]


def _adjoint(
    g: np.ndarray,
    shape: tuple[int, ...],
    name: str,
    attributes: Attributes,
    place: int,
    others: Sequence[np.ndarray],
) -> np.ndarray:
    arrays = (*others[:place], np.zeros(shape, g.dtype), *others[place:])
    wanted = [number == place for number in range(len(arrays))]
    return _backward(name, arrays, attributes, g, wanted)[place]


_LINEAR: Rule = Rule(_linear, (lambda g, y, x, **options: call(_ADJOINT, g, shape=x.shape, **options),), formats.drop)
_ADJOINT: Rule = Rule(_adjoint, (lambda h, y, g, shape, **options: call(_LINEAR, h, **options),), formats.drop)


def linear_in(name: str, place: int, arrays: Sequence[dlarray], attributes: Attributes) -> dlarray:
    """Return what an operation makes that is linear in the array at ``place`` and has no gradient for the others."""
    others = tuple(each._data for number, each in enumerate(arrays) if number != place)
    options = {"name": name, "attributes": attributes, "place": place, "others": others}
    return apply(_LINEAR, (arrays[place],), options)


def constant(name: str, arrays: Sequence[dlarray], attributes: Attributes) -> dlarray:
    """Return what an operation makes whose gradients are all zero."""
    return wrap(_forward(name, [each._data for each in arrays], attributes)[0])
