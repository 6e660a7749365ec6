"""dlfeval, dlgradient and vjp: structures, options, orders, mistakes."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from mlnet import (
    DataError,
    MlnetError,
    NotSupportedError,
    OptionError,
    UnknownNameError,
    dlarray,
    dlfeval,
    dlgradient,
)
from mlnet.autodiff.differentiate import vjp
from mlnet.autodiff.tape import Node
from mlnet.structure import Structure
from mlnet.table import DataTable


def squares(x):
    return np.sum(x * x)


def test_structures_keep_their_form():
    def gradient(w):
        loss = squares(w["a"]) + squares(w["b"][0]) * 2 + squares(w["s"].field) + np.sum(w["t"].Value[1])
        return dlgradient(loss, w)

    table = DataTable(Layer=["fc", "fc"], Parameter=["Weights", "Bias"], Value=[dlarray([1.0]), dlarray([2.0, 3.0])])
    given = {"a": dlarray([1.0, 2.0]), "b": [dlarray(3.0), ()], "s": Structure(field=dlarray([4.0])), "t": table}
    found = dlfeval(gradient, given)
    assert found["a"].extractdata().tolist() == [2, 4]
    assert isinstance(found["b"], list) and found["b"][0].item() == 12 and found["b"][1] == ()
    assert found["s"].field.extractdata().tolist() == [8]
    assert found["t"].Parameter == ["Weights", "Bias"]
    assert [each.extractdata().tolist() for each in found["t"].Value] == [[0], [1, 1]]


def test_several_arrays_give_a_tuple_and_keep_formats():
    def gradients(x, y):
        return dlgradient(np.sum(x * y), x, y)

    x, y = dlarray(np.ones((2, 3), np.float32), "BC"), dlarray(np.arange(3.0, dtype=np.float32), "C")
    first, second = dlfeval(gradients, x, y)
    assert (first.dims(), first.shape, second.dims()) == ("CB", (3, 2), "C")
    assert second.extractdata().tolist() == [2, 2, 2] and first.dtype == second.dtype == np.float32


def test_what_y_does_not_depend_on_has_gradient_0():
    def jacobian(y, x):
        return [dlgradient(y[number], x) for number in range(2)]

    rows = dlfeval(jacobian, dlarray([1.0, 2.0]), dlarray([3.0]))
    assert [row.extractdata().tolist() for row in rows] == [[0], [0]]


def test_values_in_between_are_released_and_computed_again():
    def run(retain):
        def several(x):
            middle = np.exp(np.sin(x))
            y = np.sum(middle * middle)
            kept = []
            first = dlgradient(y, x, "RetainData", retain)
            node = y._node
            kept.append(node.value is not None)
            second = dlgradient(y, x)
            return first, second, kept

        return dlfeval(several, dlarray([0.5, 1.0]))

    for retain in (True, False):
        first, second, kept = run(retain)
        np.testing.assert_array_equal(first.extractdata(), second.extractdata())
        assert kept == [retain]


def test_derivatives_of_gradients_need_the_option():
    def second(x, higher):
        first = dlgradient(np.sum(x**3), x, EnableHigherDerivatives=higher)
        return dlgradient(np.sum(first), x)

    assert dlfeval(second, dlarray([2.0]), 1).item() == 12
    with pytest.raises(DataError, match="dlgradient: y: needs a traced dlarray"):
        dlfeval(second, dlarray([2.0]), 0)


def test_gradients_of_linear_functions_can_be_differentiated():
    def second(x):
        first = dlgradient(np.sum(3 * x), x, EnableHigherDerivatives=True)
        return dlgradient(np.sum(first), x)

    assert dlfeval(second, dlarray([1.0, 2.0])).extractdata().tolist() == [0, 0]


def test_a_burgers_equation_has_the_gradients_of_pytorch():
    """u_t + u u_x - nu u_xx of a small network, and the gradient of its mean square for the weights."""
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=size) for size in ((8, 2), (8, 1), (8, 8), (8, 1), (1, 8), (1, 1))]
    x, t = generator.uniform(-1, 1, (1, 6)), generator.uniform(0, 1, (1, 6))

    def network(w, x, t, joined, tanh):
        hidden = tanh(w[0] @ joined([x, t]) + w[1])
        return w[4] @ tanh(w[2] @ hidden + w[3]) + w[5]

    def ours(w, x, t):
        u = network(w, x, t, np.concatenate, np.tanh)
        u_x, u_t = dlgradient(np.sum(u), x, t, EnableHigherDerivatives=True)
        u_xx = dlgradient(np.sum(u_x), x, EnableHigherDerivatives=True)
        loss = np.mean((u_t + u * u_x - 0.01 / math.pi * u_xx) ** 2) + np.mean(u**2)
        return loss, dlgradient(loss, w)

    loss, found = dlfeval(ours, list(map(dlarray, weights)), dlarray(x), dlarray(t))
    w, x, t = [torch.tensor(each, requires_grad=True) for each in weights], torch.tensor(x), torch.tensor(t)
    x.requires_grad, t.requires_grad = True, True
    u = network(w, x, t, torch.cat, torch.tanh)
    u_x, u_t = torch.autograd.grad(u.sum(), [x, t], create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
    expected_loss = ((u_t + u * u_x - 0.01 / math.pi * u_xx) ** 2).mean() + (u**2).mean()
    expected = torch.autograd.grad(expected_loss, w)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-10)
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient.extractdata(), wanted.numpy(), rtol=1e-8, atol=1e-10)


def test_evaluations_can_be_nested():
    def inner(x, scale):
        return dlgradient(np.sum(scale * x**3), x, EnableHigherDerivatives=True)

    def outer(scale, x):
        total = np.sum(dlfeval(inner, x, scale))
        return dlgradient(total, scale), dlgradient(total, x)

    by_scale, by_x = dlfeval(outer, dlarray(2.0), dlarray([1.0, 3.0]))
    assert by_scale.item() == 30 and by_x.extractdata().tolist() == [12, 36]


def test_nothing_is_recorded_outside():
    kept = []
    dlfeval(kept.append, dlarray([1.0]))
    assert (kept[0] * 2)._node is None
    returned = dlfeval(lambda x: x * 2, dlarray([1.0]))
    assert returned._node is None


def test_an_error_in_the_function_ends_the_evaluation():
    kept = []

    def fails(x):
        kept.append(x)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dlfeval(fails, dlarray([1.0]))
    assert (kept[0] * 2)._node is None


def test_extracted_data_are_constants():
    def gradient(x):
        return dlgradient(np.sum(x * x.extractdata()), x)

    assert dlfeval(gradient, dlarray([3.0])).item() == 3


MISTAKES = [
    (lambda x: dlgradient(x * x, x), "dlgradient: y: needs a scalar, but got size 1x2. Differentiate e.g."),
    (lambda x: dlgradient(np.sum(x), dlarray([1.0])), "dlgradient: x: needs a traced dlarray"),
    (lambda x: dlgradient(np.sum(x), [x, dlarray(1.0)]), "dlgradient: x: needs a traced dlarray"),
    (lambda x: dlgradient(np.sum(x), 5), "dlgradient: x: needs dlarrays, but got 5"),
    (lambda x: dlgradient(np.sum(x)), "needs y and at least one array"),
    (lambda x: dlgradient(5.0, x), "dlgradient: y: needs a traced dlarray, but got 5.0"),
    (lambda x: dlgradient(dlarray(5.0), x), "Call dlgradient inside a function that dlfeval calls"),
    (lambda x: dlgradient(np.sum(x), x, "RetainDatta", 1), "Did you mean 'RetainData'"),
    (lambda x: dlgradient(np.sum(x), x, RetainData=2), "RetainData: needs true or false"),
    (lambda x: np.asarray(x), "needs to be traced on, not turned into an array"),
    (lambda x: np.array([x[0], x[1]]), "needs to be traced on, not turned into an array"),
    (lambda x: math.exp(x[0]), "not turned into a number"),
    (lambda x: int(x[0]), "not turned into a number"),
    (lambda x: np.fft.fft(x), "np.fft.fft: needs arrays, but got a dlarray, for which it has no rule"),
    (lambda x: np.spacing(x), "np.spacing: needs arrays"),
    (lambda x: np.add.reduce(x), "np.add.reduce: needs arrays"),
    (lambda x: np.add(x, x, out=np.zeros(2)), "np.add: needs to be called without options for a dlarray, but got out"),
    (lambda x: np.sum(x, dtype=int), "np.sum: needs the arguments (a, axis=None, *, keepdims=False)"),
    (lambda x: np.einsum("ii->i", x[:, None] * x), "np.einsum: needs different indices"),
    (lambda x: np.sum(x, axis=1), "dlarray: needs an axis of its 1 dimensions, counted from 0, but got axis 1"),
    (lambda x: np.linalg.norm(x[:, None] * x, 2), "np.linalg.norm: needs a norm of vectors, or 'fro'"),
]


@pytest.mark.parametrize("function, text", MISTAKES, ids=[text for _, text in MISTAKES])
def test_mistakes(function, text):
    with pytest.raises(MlnetError) as caught:
        dlfeval(function, dlarray([1.0, 2.0]))
    assert text in str(caught.value)


def test_dlgradient_needs_dlfeval():
    x = dlarray(1.0)
    with pytest.raises(DataError, match="inside a function that dlfeval calls"):
        dlgradient(x * x, x)
    with pytest.raises(DataError, match="dlfeval: needs a function as its first argument, but got 5"):
        dlfeval(5, x)


def test_errors_have_the_kinds_of_mlnet():
    with pytest.raises(NotSupportedError):
        np.fft.fft(dlarray([1.0]))
    with pytest.raises(UnknownNameError):
        dlgradient(dlarray(1.0), dlarray(1.0), Retian=True)
    with pytest.raises(OptionError):
        dlgradient(dlarray(1.0), dlarray(1.0), "RetainData")


def test_vjp_carries_gradients_back():
    x, y = dlarray(np.array([1.0, 2.0])), dlarray(np.array([3.0, 4.0]))
    outputs, pullback = vjp(lambda a, b: (a * b, np.sum(a), np.ones(3)), [x, y])
    assert [each.shape for each in outputs] == [(2,), (), (3,)]
    d_x, d_y = pullback(np.array([1.0, 10.0]), np.array(5.0), np.ones(3))
    assert d_x.tolist() == [8, 45] and d_y.tolist() == [1, 20]
    assert pullback(None, np.array(5.0), None)[1].tolist() == [0, 0]
    d_x, d_y = pullback(np.array([1.0, 10.0]), None, None, wanted=(False, True))
    assert d_x is None and d_y.tolist() == [1, 20]
    with pytest.raises(DataError, match="needs to return arrays"):
        vjp(lambda a: "text", [x])


def test_gradients_of_shared_values_are_added():
    def gradient(x):
        for _ in range(40):
            x = x + x  # 2 ** 40 ways: each node has to be visited once
        return x

    def run(x):
        return dlgradient(np.sum(gradient(x)), x)

    assert dlfeval(run, dlarray([1.0])).item() == 2.0**40


def test_a_long_chain_needs_no_recursion():
    def gradient(x):
        y = x
        for _ in range(20000):
            y = y + 1.0
        return dlgradient(np.sum(y), x)

    assert dlfeval(gradient, dlarray([1.0])).item() == 1


def test_only_what_leads_to_the_wanted_arrays_is_computed():
    calls = []

    def gradient(x, w):
        y = x * w
        rule = y._node.rule
        kept = rule._each
        rule._each = (kept[0], lambda *given: calls.append(1) or kept[1](*given))
        try:
            return dlgradient(np.sum(y), x)
        finally:
            rule._each = kept

    assert dlfeval(gradient, dlarray([2.0]), dlarray([5.0])).item() == 5
    assert not calls


def test_dlarrays_are_values():
    data = np.array([1.0, 2.0])
    x = dlarray(data)
    data[0] = 7
    x.extractdata()[1] = 7
    assert x.extractdata().tolist() == [1, 2]
    formatted = dlarray(np.ones((2, 3)), "BC")
    for twin in (copy.copy(formatted), copy.deepcopy(formatted), pickle.loads(pickle.dumps(formatted))):
        twin[0, 0] = 5
        assert twin.dims() == "CB" and formatted[0, 0].item() == 1
    assert isinstance(hash(Node), int)
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)


def test_copies_stay_traced():
    def gradient(x):
        return dlgradient(np.sum(copy.copy(x) * copy.deepcopy(x) * dlarray(x)), x)

    assert dlfeval(gradient, dlarray([2.0])).item() == 12


def test_types():
    assert dlarray(np.float32([1])).dtype == np.float32
    assert dlarray([1, 2]).dtype == dlarray(np.uint8([1])).dtype == np.float64
    assert dlarray([True]).dtype == np.bool_
    assert np.sum(dlarray([1.0, 2.0]) > 1).dtype == np.float64
    assert (dlarray(np.float32([1])) * 2.5).dtype == np.float32
    for bad in ("x", [1j], None, [[1], [1, 2]]):
        with pytest.raises((DataError, ValueError)):
            dlarray(bad)


@pytest.mark.parametrize("x", [np.arange(12.0).reshape(3, 4), np.arange(24.0).reshape(2, 3, 4), np.arange(3.0)])
def test_calls_count_from_one(x):
    array = dlarray(x)
    flat = x.ravel(order="F")
    assert array(1).item() == flat[0] and array(3).item() == flat[2]
    assert array([1, 3]).extractdata().tolist() == flat[[0, 2]].tolist()
    assert array(":").extractdata().tolist() == flat.tolist()
    if x.ndim == 2:
        assert array(2, 3).shape == (1, 1) and array(2, 3).item() == x[1, 2]
        np.testing.assert_array_equal(array([1, 3], ":").extractdata(), x[[0, 2]])
        np.testing.assert_array_equal(array(":", np.array([True, False, True, False])).extractdata(), x[:, [0, 2]])
    if x.ndim == 3:
        assert array(1, 2, 3).item() == x[0, 1, 2]
        assert array(2, 12).item() == x[1, 2, 3]
    for bad in (0, x.size + 1, 1.5):
        with pytest.raises(IndexError):
            array(bad)
