"""Products of matrices and other linear algebra."""

from __future__ import annotations

import functools
import string
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import FUNCTIONS, UFUNCS, apply
from mlnet.autodiff.rules_reduction import axes_of
from mlnet.autodiff.tape import Rule
from mlnet.errors import DataError, NotSupportedError, message
from mlnet.parallel import kernels
from mlnet.parallel.blas import single_threaded
from mlnet.parallel.blocks import run, split


def _t(x: Any) -> Any:
    """Return the transposed matrices."""
    return np.swapaxes(x, -1, -2)


def plain_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a @ b`` of arrays that are not traced.

    OpenBLAS's own threads take a hundred times as long for products of long narrow matrices while the cores have other
    work. Small products are left to the calling thread, and those of many rows are shared by the threads of `run`.
    """
    quick = kernels.product(a, b)
    if quick is not None:
        return quick
    if not a.ndim == b.ndim == 2 or a.size * b.shape[1] > _SMALL or a.dtype != b.dtype:
        return a @ b
    if len(a) < _ROWS or a.size * b.shape[1] < _TINY or a.dtype.kind != "f":
        with single_threaded():
            return a @ b
    out = np.empty((len(a), b.shape[1]), a.dtype)
    pieces = split(len(a), 1, _ROWS // 2)

    def multiply(part: int, slot: int) -> None:
        np.matmul(a[pieces[part]], b, out=out[pieces[part]])

    run(multiply, len(pieces))
    return out


def product(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of matrices, traced where one of them is."""
    plain = type(a) is np.ndarray and type(b) is np.ndarray
    return plain_product(a, b) if plain else np.matmul(a, b)


_SMALL = 2**25
"""Multiplications, below a millisecond of one core."""
_TINY = 2**19
"""Multiplications that take less time than waking another thread."""
_ROWS = 2**12
"""Rows from which on others help."""
_MATMUL = Rule(
    lambda a, b: plain_product(np.asarray(a), np.asarray(b)),
    (lambda g, y, a, b: product(g, _t(b)), lambda g, y, a, b: product(_t(a), g)),
    formats.product,
)
_INV = Rule(np.linalg.inv, (lambda g, y, x: -np.matmul(np.matmul(_t(y), g), _t(y)),), formats.drop)
_DET = Rule(
    np.linalg.det,
    (lambda g, y, x: np.reshape(g * y, (*y.shape, 1, 1)) * _t(np.linalg.inv(x)),),
    formats.drop,
)
_SOLVE = Rule(
    np.linalg.solve,
    (
        lambda g, y, a, b: -np.matmul(np.linalg.solve(_t(a), g), _t(y)),
        lambda g, y, a, b: np.linalg.solve(_t(a), g),
    ),
    formats.drop,
)


def _contract(*operands: Any, subscripts: str) -> Any:
    return np.einsum(subscripts, *operands, optimize=True)


def _einsum_gradient(position: int, g: Any, y: Any, *operands: Any, subscripts: str) -> Any:
    """Return the product of g and all other operands, summed over what this operand does not have.

    Indices that only this operand has were summed over by themselves: the gradient is the same along them.
    """
    inputs, output = subscripts.split("->")
    terms = inputs.split(",")
    own = terms.pop(position)
    others = [operand for number, operand in enumerate(operands) if number != position]
    alone = "".join(index for index in own if index not in output + "".join(terms))
    if alone:
        lengths = dict(zip(own, operands[position].shape, strict=True))
        terms.append(alone)
        others.append(np.ones([lengths[index] for index in alone], y.dtype))
    return np.einsum(f"{','.join([output, *terms])}->{own}", g, *others)


_EINSUM = Rule(_contract, _einsum_gradient, formats.drop)


def _matmul(a: Any, b: Any) -> Any:
    first, second = (each.ndim if hasattr(each, "ndim") else np.ndim(each) for each in (a, b))
    if first == 0 or second == 0:
        raise ValueError("matmul: a factor is a number; use * instead of @")
    a = np.reshape(a, (1, -1)) if first == 1 else a
    b = np.reshape(b, (-1, 1)) if second == 1 else b
    inner = [np.shape(a)[-1], np.shape(b)[-2]]
    if inner[0] != inner[1]:
        sizes = " and ".join("x".join(map(str, np.shape(each))) for each in (a, b))
        needed = "a matrix product of factors whose inner lengths are the same"
        raise DataError(message("dlarray", needed, f"sizes {sizes}", "Transpose one of them, or use * for elements."))
    product = apply(_MATMUL, (a, b))
    gone = [-2] * (first == 1) + [-1] * (second == 1)
    return np.squeeze(product, axis=tuple(gone)) if gone else product


def _dot(a: Any, b: Any) -> Any:
    if not np.ndim(a) or not np.ndim(b):
        return np.multiply(a, b)
    return _matmul(a, b) if np.ndim(b) <= 2 else _tensordot(a, b, (-1, -2))


def _inner(a: Any, b: Any) -> Any:
    return np.multiply(a, b) if not np.ndim(a) or not np.ndim(b) else _tensordot(a, b, (-1, -1))


def _outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, (int, np.integer)):
        axes = (range(np.ndim(a) - axes, np.ndim(a)), range(axes))
    summed = axes_of(a, axes[0]), axes_of(b, axes[1])
    free = [[axis for axis in range(np.ndim(x)) if axis not in own] for x, own in zip((a, b), summed, strict=True)]
    shape = [x.shape[axis] for x, own in zip((a, b), free, strict=True) for axis in own]
    count = int(np.prod([a.shape[axis] for axis in summed[0]]))
    left = np.reshape(np.transpose(a, (*free[0], *summed[0])), (-1, count))
    right = np.reshape(np.transpose(b, (*summed[1], *free[1])), (count, -1))
    return np.reshape(np.matmul(left, right), shape)


def _einsum(subscripts: str, *operands: Any, optimize: Any = True) -> Any:
    return apply(_EINSUM, operands, {"subscripts": _explicit(subscripts, [np.ndim(each) for each in operands])})


def _explicit(subscripts: str, ndims: list[int]) -> str:
    """Return subscripts with letters in the place of '...', and with the indices of the output."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    unused = [letter for letter in string.ascii_letters if letter not in subscripts]
    rest = [ndim - len(term.replace("...", "")) for term, ndim in zip(terms, ndims, strict=True)]
    letters = "".join(unused[: max([n for n, term in zip(rest, terms, strict=True) if "..." in term], default=0)])
    terms = [term.replace("...", letters[len(letters) - n :]) for term, n in zip(terms, rest, strict=True)]
    if not arrow:
        flat = "".join(inputs.replace("...", "").split(","))
        output = "..." + "".join(sorted(index for index in set(flat) if flat.count(index) == 1))
    if any(len(set(term)) < len(term) for term in terms):
        fix = "Take the diagonal with np.diagonal first."
        raise NotSupportedError(message("np.einsum", "different indices for each dlarray", f"'{subscripts}'", fix))
    return f"{','.join(terms)}->{output.replace('...', letters)}"


def _solve(a: Any, b: Any) -> Any:
    if np.ndim(b) == 1:
        return np.squeeze(apply(_SOLVE, (a, np.reshape(b, (-1, 1)))), axis=-1)
    return apply(_SOLVE, (a, b))


UFUNCS[np.matmul] = _matmul
FUNCTIONS.update(
    {
        np.dot: _dot,
        np.vdot: lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
        np.inner: _inner,
        np.outer: _outer,
        np.tensordot: _tensordot,
        np.einsum: _einsum,
        np.linalg.inv: lambda a: apply(_INV, (a,)),
        np.linalg.det: lambda a: apply(_DET, (a,)),
        np.linalg.solve: _solve,
        np.linalg.multi_dot: lambda arrays: functools.reduce(_matmul, arrays),
    }
)
