"""Reductions, shapes, selection and linear algebra against PyTorch: values, first and second derivatives."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mlnet.autodiff.rules_selection
from autodiff.derivatives import check
from mlnet import dlarray, dlfeval, dlgradient
from mlnet.autodiff.array import FUNCTIONS
from mlnet.errors import DataError

SQUARE, MATRIX, CUBE = (3, 3), (2, 3), (2, 3, 4)
CHOICE = np.array([[0, 2], [2, 1]])
MASK = np.array([[True, False, True], [False, False, True]])


def roots(x):
    return np.sqrt(x) if isinstance(x, dlarray) else torch.sqrt(x)


CASES = {
    "sum": (np.sum, torch.sum, [CUBE]),
    "sum axis": (lambda x: np.sum(x * x, 1), lambda x: (x * x).sum(1), [CUBE]),
    "sum axes": (lambda x: np.sum(x * x, axis=(0, -1), keepdims=True), lambda x: (x * x).sum((0, 2), True), [CUBE]),
    "method sum": (lambda x: (x * x).sum(axis=-1), lambda x: (x * x).sum(-1), [MATRIX]),
    "mean": (lambda x: np.mean(x * x, axis=0), lambda x: (x * x).mean(0), [CUBE]),
    "mean of all": (lambda x: (x * x).mean(), lambda x: (x * x).mean(), [CUBE]),
    "average": (np.average, torch.mean, [CUBE]),
    "average weights": (
        lambda x, w: np.average(x * x, axis=1, weights=w),
        lambda x, w: (x * x * w).sum(1) / w.sum(),
        [MATRIX, (3,)],
    ),
    "var": (lambda x: np.var(x, axis=1), lambda x: x.var(1, correction=0), [MATRIX]),
    "var ddof": (lambda x: x.var(ddof=1, keepdims=True), lambda x: x.var((0, 1), correction=1, keepdim=True), [MATRIX]),
    "std": (lambda x: np.std(x, axis=0, ddof=1), lambda x: x.std(0), [SQUARE]),
    "max": (np.max, torch.amax, [CUBE]),
    "max axis": (lambda x: (x * x).max(axis=1), lambda x: (x * x).amax(1), [CUBE]),
    "min axis": (lambda x: np.min(x * x, axis=(0, 2), keepdims=True), lambda x: (x * x).amin((0, 2), True), [CUBE]),
    "amax": (lambda x: np.amax(x, 0), lambda x: x.amax(0), [CUBE]),
    "amin": (lambda x: np.amin(x, 0), lambda x: x.amin(0), [CUBE]),
    "ptp": (lambda x: np.ptp(x * x, axis=1), lambda x: (x * x).amax(1) - (x * x).amin(1), [MATRIX]),
    "prod": (np.prod, torch.prod, [MATRIX]),
    "prod axis": (lambda x: np.prod(x, axis=1), lambda x: x.prod(1), [(2, 5)]),
    "prod kept": (lambda x: np.prod(x, axis=-1, keepdims=True), lambda x: x.prod(-1, True), [(2, 4)]),
    "prod one": (lambda x: np.prod(x, axis=0), lambda x: x.prod(0), [(1, 4)]),
    "cumsum": (lambda x: np.cumsum(x * x, axis=1), lambda x: (x * x).cumsum(1), [CUBE]),
    "cumsum flat": (lambda x: np.cumsum(x * x), lambda x: (x * x).ravel().cumsum(0), [MATRIX]),
    "norm": (np.linalg.norm, torch.linalg.norm, [MATRIX]),
    "norm axis": (lambda x: np.linalg.norm(x, axis=1), lambda x: torch.linalg.norm(x, dim=1), [MATRIX]),
    "norm fro": (lambda x: np.linalg.norm(x, "fro", (0, 2)), lambda x: torch.linalg.norm(x, "fro", (0, 2)), [CUBE]),
    "norm 1": (lambda x: np.linalg.norm(x, 1, 1), lambda x: torch.linalg.norm(x, 1, 1), [MATRIX]),
    "norm 3": (lambda x: np.linalg.norm(x, 3, 1, True), lambda x: torch.linalg.norm(x, 3, 1, True), [MATRIX]),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf, 0), lambda x: torch.linalg.norm(x, torch.inf, 0), [MATRIX]),
    "reshape": (lambda x: np.reshape(x * x, (4, -1)), lambda x: (x * x).reshape(4, -1), [CUBE]),
    "method reshape": (lambda x: (x * x).reshape(3, 2), lambda x: (x * x).reshape(3, 2), [MATRIX]),
    "reshape number": (lambda x: (x * x).reshape(-1), lambda x: (x * x).reshape(-1), [MATRIX]),
    "reshape columns": (lambda x: (x * x).reshape((3, 2), order="F"), lambda x: (x * x).T.reshape(2, 3).T, [MATRIX]),
    "transpose": (lambda x: np.transpose(x * x), lambda x: (x * x).permute(2, 1, 0), [CUBE]),
    "transpose axes": (lambda x: (x * x).transpose(1, -1, 0), lambda x: (x * x).permute(1, 2, 0), [CUBE]),
    "T": (lambda x: (x * x).T, lambda x: (x * x).T, [MATRIX]),
    "swapaxes": (lambda x: np.swapaxes(x * x, 0, -1), lambda x: (x * x).swapaxes(0, -1), [CUBE]),
    "moveaxis": (lambda x: np.moveaxis(x * x, 0, -1), lambda x: (x * x).moveaxis(0, -1), [CUBE]),
    "moveaxis several": (
        lambda x: np.moveaxis(x * x, (0, 1), (-1, 0)),
        lambda x: (x * x).moveaxis((0, 1), (-1, 0)),
        [CUBE],
    ),
    "broadcast_to": (lambda x: np.broadcast_to(x * x, (4, 2, 3)), lambda x: (x * x).broadcast_to(4, 2, 3), [(2, 1)]),
    "broadcast_arrays": (
        lambda x, y: operator.mul(*np.broadcast_arrays(x, y)),
        lambda x, y: operator.mul(*torch.broadcast_tensors(x, y)),
        [(2, 1), (3,)],
    ),
    "ravel": (lambda x: np.ravel(x * x), lambda x: (x * x).ravel(), [CUBE]),
    "flatten": (lambda x: (x * x).flatten(), lambda x: (x * x).ravel(), [MATRIX]),
    "expand_dims": (lambda x: np.expand_dims(x * x, (0, 2)), lambda x: (x * x)[None, :, None], [MATRIX]),
    "squeeze": (lambda x: np.squeeze(x * x), lambda x: (x * x).squeeze(), [(1, 3, 1)]),
    "squeeze axis": (lambda x: (x * x).squeeze(0), lambda x: (x * x).squeeze(0), [(1, 3, 1)]),
    "atleast": (lambda x: np.atleast_2d(x * x) + np.atleast_1d(x[0]), lambda x: (x * x)[None] + x[0], [(3,)]),
    "concatenate": (
        lambda x, y: np.concatenate([x * y[:, :3], y, x], axis=1),
        lambda x, y: torch.cat([x * y[:, :3], y, x], 1),
        [MATRIX, (2, 4)],
    ),
    "concatenate flat": (
        lambda x, y: np.concatenate((x * x, y), axis=None),
        lambda x, y: torch.cat([(x * x).ravel(), y]),
        [MATRIX, (2,)],
    ),
    "concatenate constant": (
        lambda x: np.concatenate([x * x, np.ones((1, 3))]),
        lambda x: torch.cat([x * x, torch.ones(1, 3)]),
        [MATRIX],
    ),
    "append": (lambda x, y: np.append(x * x, y, 0), lambda x, y: torch.cat([x * x, y]), [MATRIX, MATRIX]),
    "stack": (lambda x, y: np.stack([x * y, y], -1), lambda x, y: torch.stack([x * y, y], -1), [MATRIX, MATRIX]),
    "vstack": (lambda x, y: np.vstack([x * x, y]), lambda x, y: torch.vstack([x * x, y]), [(3,), MATRIX]),
    "hstack": (lambda x, y: np.hstack([x * x, y]), lambda x, y: torch.hstack([x * x, y]), [(3,), (2,)]),
    "hstack matrices": (lambda x: np.hstack([x * x, x]), lambda x: torch.hstack([x * x, x]), [MATRIX]),
    "column_stack": (lambda x: np.column_stack([x * x, x]), lambda x: torch.column_stack([x * x, x]), [(3,)]),
    "split": (
        lambda x: operator.mul(*np.split(x, 2, axis=1)),
        lambda x: operator.mul(*torch.tensor_split(x, 2, dim=1)),
        [(3, 4)],
    ),
    "split places": (lambda x: np.split(x * x, [1, 3])[1], lambda x: (x * x)[1:3], [(5, 2)]),
    "array_split": (lambda x: np.array_split(x * x, 2)[0], lambda x: (x * x)[:3], [(5, 2)]),
    "tile": (lambda x: np.tile(x * x, (2, 1, 3)), lambda x: (x * x).tile(2, 1, 3), [MATRIX]),
    "tile number": (lambda x: np.tile(x * x, 2), lambda x: (x * x).tile(2), [MATRIX]),
    "repeat": (lambda x: np.repeat(x * x, 2), lambda x: (x * x).ravel().repeat_interleave(2), [MATRIX]),
    "repeat counts": (
        lambda x: np.repeat(x * x, [2, 0, 1], axis=1),
        lambda x: (x * x).repeat_interleave(torch.tensor([2, 0, 1]), 1),
        [MATRIX],
    ),
    "permute_dims": (lambda x: np.permute_dims(x * x, (1, 0)), lambda x: (x * x).T, [MATRIX]),
    "matrix_transpose": (lambda x: np.matrix_transpose(x * x), lambda x: (x * x).mT, [CUBE]),
    "copy": (lambda x: np.copy(x) * x.copy(), lambda x: x * x, [MATRIX]),
    "astype": (lambda x: x.astype(np.float64) * x, lambda x: x * x, [MATRIX]),
    "zeros_like": (lambda x: x * x + np.zeros_like(x) + np.ones_like(x), lambda x: x * x + 1, [MATRIX]),
    "full_like": (lambda x: x * np.full_like(x, 3), lambda x: 3 * x, [MATRIX]),
    "round": (lambda x: np.round(x, 1) * x, lambda x: x.round(decimals=1) * x, [MATRIX]),
    "around": (lambda x: np.around(x) + x, lambda x: x.round() + x, [MATRIX]),
    "item": (lambda x: (x * x)[1, 2], lambda x: (x * x)[1, 2], [MATRIX]),
    "row": (lambda x: (x * x)[-1], lambda x: (x * x)[-1], [MATRIX]),
    "range": (lambda x: (x * x)[..., 1:, None], lambda x: (x * x)[..., 1:, None], [CUBE]),
    "steps": (lambda x: (x * x)[:, ::2], lambda x: (x * x)[:, ::2], [CUBE]),
    "list": (lambda x: (x * x)[[1, 0, 1]], lambda x: (x * x)[[1, 0, 1]], [MATRIX]),
    "numbers": (lambda x: (x * x)[:, CHOICE], lambda x: (x * x)[:, CHOICE], [MATRIX]),
    "pairs": (lambda x: (x * x)[[0, 1, 0], [1, 1, 1]], lambda x: (x * x)[[0, 1, 0], [1, 1, 1]], [MATRIX]),
    "logical": (lambda x: (x * x)[MASK], lambda x: (x * x)[torch.tensor(MASK)], [MATRIX]),
    "compared": (lambda x: (x * x)[x > 1], lambda x: (x * x)[x > 1], [MATRIX]),
    "rows": (lambda x: sum(row * row for row in x), lambda x: sum(row * row for row in x), [MATRIX]),
    "where": (lambda x, y: np.where(x > y, x * y, y), lambda x, y: torch.where(x > y, x * y, y), [MATRIX, (3,)]),
    "where number": (lambda x: np.where(x > 1, x * x, 0.5), lambda x: torch.where(x > 1, x * x, 0.5), [MATRIX]),
    "clip": (lambda x: np.clip(x * x, 0.8, 1.2), lambda x: (x * x).clip(0.8, 1.2), [MATRIX]),
    "clip below": (lambda x: x.clip(1) * x, lambda x: x.clip(1) * x, [MATRIX]),
    "clip names": (lambda x: np.clip(x * x, min=0.8, max=1.2), lambda x: (x * x).clip(0.8, 1.2), [MATRIX]),
    "clip arrays": (lambda x, y: np.clip(x * x, None, y), lambda x, y: torch.minimum(x * x, y), [MATRIX, (3,)]),
    "take": (lambda x: np.take(x * x, CHOICE), lambda x: (x * x).ravel()[CHOICE], [MATRIX]),
    "take axis": (lambda x: (x * x).take([2, 0, 2], axis=-1), lambda x: (x * x)[:, [2, 0, 2]], [MATRIX]),
    "take_along_axis": (
        lambda x: np.take_along_axis(x * x, np.argmax(x, axis=1)[:, None], 1),
        lambda x: (x * x).take_along_dim(x.argmax(1)[:, None], 1),
        [MATRIX],
    ),
    "sort": (lambda x: np.sort(x * x, axis=1), lambda x: (x * x).sort(1).values, [MATRIX]),
    "flip": (lambda x: np.flip(x * x), lambda x: (x * x).flip(0, 1), [MATRIX]),
    "flip axis": (lambda x: np.flip(x * x, 1), lambda x: (x * x).flip(1), [CUBE]),
    "fliplr": (lambda x: np.fliplr(x * x) * np.flipud(x), lambda x: (x * x).flip(1) * x.flip(0), [MATRIX]),
    "roll": (lambda x: np.roll(x * x, 4), lambda x: (x * x).roll(4), [MATRIX]),
    "roll axis": (lambda x: np.roll(x * x, (1, -1), (0, 1)), lambda x: (x * x).roll((1, -1), (0, 1)), [MATRIX]),
    "pad": (
        lambda x: np.pad(x * x, ((1, 0), (2, 3)), constant_values=2),
        lambda x: torch.nn.functional.pad(x * x, (2, 3, 1, 0), value=2),
        [MATRIX],
    ),
    "pad mode": (
        lambda x: np.pad(x * x, 1, "reflect"),
        lambda x: torch.nn.functional.pad((x * x)[None], (1, 1, 1, 1), "reflect")[0],
        [MATRIX],
    ),
    "diff": (lambda x: np.diff(x * x, 2), lambda x: (x * x).diff(2), [(2, 4)]),
    "diff axis": (lambda x: np.diff(x * x, axis=0), lambda x: (x * x).diff(dim=0), [MATRIX]),
    "diagonal": (lambda x: np.diagonal(x * x, 1), lambda x: (x * x).diagonal(1), [MATRIX]),
    "diag": (lambda x: np.diag(x * x, 1), lambda x: (x * x).diag(1), [(3,)]),
    "diag of matrix": (lambda x: np.diag(x * x), lambda x: (x * x).diag(), [SQUARE]),
    "trace": (lambda x: np.trace(x * x), lambda x: (x * x).trace(), [SQUARE]),
    "tril": (lambda x: np.tril(x * x, -1), lambda x: (x * x).tril(-1), [SQUARE]),
    "triu": (lambda x: np.triu(x * x), lambda x: (x * x).triu(), [CUBE]),
    "matmul": (operator.matmul, operator.matmul, [MATRIX, (3, 4)]),
    "matmul vectors": (np.matmul, torch.matmul, [(3,), (3,)]),
    "matmul vector": (operator.matmul, operator.matmul, [CUBE, (4,)]),
    "vector matmul": (operator.matmul, operator.matmul, [(3,), CUBE]),
    "matmul batches": (operator.matmul, operator.matmul, [(2, 1, 2, 3), (4, 3, 2)]),
    "matmul constant": (lambda x: np.ones((2, 3)) @ (x * x), lambda x: torch.ones(2, 3).double() @ (x * x), [(3, 4)]),
    "dot": (np.dot, torch.matmul, [MATRIX, (3, 4)]),
    "dot number": (np.dot, torch.mul, [MATRIX, ()]),
    "dot cube": (np.dot, lambda x, y: torch.einsum("ij,kjl->ikl", x, y), [MATRIX, (2, 3, 4)]),
    "vdot": (np.vdot, lambda x, y: (x * y).sum(), [MATRIX, MATRIX]),
    "inner": (np.inner, torch.inner, [MATRIX, (4, 3)]),
    "outer": (np.outer, torch.outer, [(3,), (2,)]),
    "tensordot": (np.tensordot, torch.tensordot, [(2, 3, 4), (3, 4, 5)]),
    "tensordot axes": (
        lambda x, y: np.tensordot(x, y, ([0, -1], [2, 0])),
        lambda x, y: torch.tensordot(x, y, ([0, 2], [2, 0])),
        [CUBE, (4, 5, 2)],
    ),
    "einsum": (
        lambda x, y: np.einsum("ij,jk->ik", x, y),
        lambda x, y: torch.einsum("ij,jk->ik", x, y),
        [MATRIX, (3, 4)],
    ),
    "einsum implied": (
        lambda x, y: np.einsum("ij, jk", x, y),
        lambda x, y: torch.einsum("ij,jk", x, y),
        [MATRIX, (3, 4)],
    ),
    "einsum alone": (
        lambda x, y: np.einsum("ijk,i->i", x, y),
        lambda x, y: torch.einsum("ijk,i->i", x, y),
        [CUBE, (2,)],
    ),
    "einsum dots": (
        lambda x, y: np.einsum("...ij,jk->...ik", x, y),
        lambda x, y: torch.einsum("...ij,jk->...ik", x, y),
        [CUBE, (4, 2)],
    ),
    "einsum three": (
        lambda x, y, z: np.einsum("i,ij,j->", x, y, z),
        lambda x, y, z: torch.einsum("i,ij,j->", x, y, z),
        [(2,), MATRIX, (3,)],
    ),
    "multi_dot": (lambda x, y: np.linalg.multi_dot([x, y, x]), lambda x, y: x @ y @ x, [MATRIX, (3, 2)]),
}
REGULAR = {
    "inv": (np.linalg.inv, torch.linalg.inv, [SQUARE]),
    "inv batch": (np.linalg.inv, torch.linalg.inv, [(2, 3, 3)]),
    "det": (np.linalg.det, torch.linalg.det, [(2, 3, 3)]),
    "solve": (np.linalg.solve, torch.linalg.solve, [SQUARE, (3, 2)]),
    "solve vector": (np.linalg.solve, torch.linalg.solve, [SQUARE, (3,)]),
}


def draw(shape, number):
    """Return numbers no two of which are equal, around 1."""
    generator = np.random.default_rng(number)
    return generator.permutation(np.linspace(0.4, 1.6, int(np.prod(shape)))).reshape(shape)


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    ours, theirs, shapes = CASES[name]
    check(ours, theirs, [draw(shape, number) for number, shape in enumerate(shapes)])


@pytest.mark.parametrize("name", REGULAR)
def test_derivatives_of_functions_of_regular_matrices(name):
    ours, theirs, shapes = REGULAR[name]
    arrays = [draw(shape, number) for number, shape in enumerate(shapes)]
    arrays[0] = arrays[0] + 2 * np.eye(3)
    check(ours, theirs, arrays)


def test_every_function_is_tested(monkeypatch):
    """Every function in the table is called by a case, or only asks and is compared below."""
    called = set(ASKED) | {operator.setitem}
    for function, replacement in FUNCTIONS.items():

        def spy(*args, function=function, replacement=replacement, **options):
            called.add(function)
            return replacement(*args, **options)

        monkeypatch.setitem(FUNCTIONS, function, spy)
    for ours, _, shapes in [*CASES.values(), *REGULAR.values()]:
        ours(*[dlarray(draw(shape, number)) for number, shape in enumerate(shapes)])
    assert set(FUNCTIONS) == called


ASKED = mlnet.autodiff.rules_selection._QUESTIONS
ARGUMENTS = {
    np.searchsorted: lambda x: (np.sort(x), 0.9),
    np.allclose: lambda x: (x, x + 1e-12),
    np.array_equal: lambda x: (x, x),
    np.isclose: lambda x: (x, 1.0),
    np.can_cast: lambda x: (np.float32, np.float64),
    np.may_share_memory: lambda x: (x, x),
    np.shares_memory: lambda x: (x, x),
}


@pytest.mark.parametrize("function", ASKED, ids=lambda function: function.__name__)
def test_questions_have_numpys_answers(function):
    x = draw((4,), 0)
    arguments = ARGUMENTS.get(function, lambda x: (x,))
    expected, found = function(*arguments(x)), function(*arguments(dlarray(x)))
    assert not isinstance(found, dlarray)
    np.testing.assert_equal(found, expected)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.data())
@settings(max_examples=25, deadline=None)
def test_sums_over_any_axes(shape, data):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    keep = data.draw(st.booleans())
    x = draw(shape, 0)
    check(
        lambda a: np.sum(a * a, axis=axes, keepdims=keep) + np.max(a, axis=axes, keepdims=keep),
        lambda a: (a * a).sum(axes, keep) + a.amax(axes, keep),
        [x],
    )


def test_equal_extremes_share_the_gradient():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    check(lambda a: np.max(a, axis=1), lambda a: a.amax(1), [x])


def test_products_with_zeros_have_derivatives():
    for zeros in ([0], [0, 2]):
        x = draw((5,), 0)
        x[zeros] = 0
        check(np.prod, torch.prod, [x], orders=2)


def test_the_norm_of_zeros_has_the_slope_0():
    check(np.linalg.norm, torch.linalg.norm, [np.zeros(3)], orders=1)


def test_elements_can_be_set():
    def ours(x, y):
        z = x * x
        z[1:, [0, 2]] = y * y
        z[0] = z[1] * x[0]
        z[0, 0] = 5
        return z * x

    def theirs(x, y):
        z = x * x
        z[1:, [0, 2]] = y * y
        z = z.clone()
        z[0] = z[1].clone() * x[0]
        z[0, 0] = 5
        return z * x

    check(ours, theirs, [draw((3, 3), 0), draw((2,), 1)])


def test_setting_elements_leaves_what_was_computed_before():
    check(
        lambda x: _set_after(x * 1.0),
        lambda x: x * x,
        [draw((3,), 0)],
    )


def _set_after(x):
    y = x * x
    x[0] = 7.0
    return y


def test_all_stands_for_all_dimensions():
    x = dlarray(draw((2, 3), 0), "CB")
    for function in (np.sum, np.mean, np.max, np.min, np.std, np.prod):
        assert float(function(x, "all")) == float(function(x))
    assert float(x.sum("all")) == float(x.sum())
    with pytest.raises(DataError, match="needs an axis, counted from 0, or 'all', but got axis 'B'"):
        x.sum("B")


def test_end_is_the_last_element_and_other_texts_are_refused():
    x = dlarray(np.arange(6.0).reshape(2, 3), "CB")
    assert x("end").item() == x("end", "end").item() == x(2, "end").item() == 5
    assert x("end", ":").shape == (1, 3)
    with pytest.raises(
        DataError, match="needs numbers from 1, ':' or 'end', but got '2:end'. Write a range of numbers"
    ):
        x(":", "2:end")


def test_scalars_are_formatted_also_where_they_are_traced():
    texts = []

    def loss(x):
        y = np.sum(x**2)
        texts.append(f"{y:.2f}")
        return dlgradient(y, x)

    assert dlfeval(loss, dlarray([1.0, 1.5])).extractdata().tolist() == [2, 3]
    assert texts == ["3.25"] and f"{dlarray([[2]]):5.1f}" == "  2.0"
    assert f"{dlarray([1, 2])}" == str(dlarray([1, 2]))
    with pytest.raises(DataError, match="needs a scalar for the format '.2f', but got size 2"):
        format(dlarray([1, 2]), ".2f")
