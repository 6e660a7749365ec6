"""Arithmetic with large arrays: the same as NumPy's, from several threads at once, and only where it is to be used."""

import threading

import numpy as np
import pytest

from mlnet.autodiff import rules_tanh
from mlnet.autodiff.rules_linear import plain_product
from mlnet.engines.select import engine_named
from mlnet.errors import MissingExtraError
from mlnet.parallel import kernels

SHAPE = (5000, 20)


def arrays(count, shape=SHAPE, dtype="single"):
    return [np.random.default_rng(number).normal(size=shape).astype(dtype) for number in range(count)]


@pytest.fixture
def offered(monkeypatch):
    try:
        engine = engine_named("onednn")
    except MissingExtraError as error:
        pytest.skip(str(error))
    calls = []

    class Counting:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(engine.kernels, name)

    monkeypatch.setattr(kernels, "_offered", Counting())
    return calls


def functions(a, b, c, d):
    """Return what the rules of large arrays make, with the plain formulas."""
    wanted = [True] * 3
    slope = 1 - b.astype(float) ** 2
    yield rules_tanh.plain_tanh(a), np.tanh(a.astype(float))
    yield rules_tanh.tanh_slope(a, b), a * slope
    yield rules_tanh._plain_curve(a, b, c), -2.0 * a * b * c
    by_g, by_y = rules_tanh._slope_gradients(wanted[:2], a, None, c, b)
    yield by_g, a * slope
    yield by_y, -2.0 * a * b * c
    for found, others in zip(
        rules_tanh._curve_gradients(wanted, a, None, b, c, d), ((c, d), (b, d), (b, c)), strict=True
    ):
        yield found, -2.0 * a * others[0] * others[1]
    for w in (d[:20], d[:20].T, d[:20, :3]):
        yield plain_product(a, w), a.astype(float) @ w.astype(float)
    yield plain_product(a.T, b), a.T.astype(float) @ b.astype(float)
    bias = d[0]
    yield kernels.product(a, c[:20], bias), a.astype(float) @ c[:20].astype(float) + bias


def check(*given):
    copies = [each.copy() for each in given]
    for found, expected in functions(*given):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for before, after in zip(copies, given, strict=True):
        np.testing.assert_array_equal(before, after)


def test_results_are_those_of_the_formulas(offered):
    check(*arrays(4))
    assert set(offered) == {"tanh", "tanh_slope", "curve", "product", "product_over_rows"}
    offered.clear()
    check(*arrays(4, (6000, 20)))
    assert len(offered) > 10


def test_sums_may_go_into_the_first_array(offered):
    a, b = arrays(2)
    expected = a + b
    engine_named("onednn").kernels.add(a, b, a)
    np.testing.assert_array_equal(a, expected)


def test_several_threads_at_once(offered):
    failures = []

    def work(seed):
        try:
            for _ in range(5):
                check(*[each + seed for each in arrays(4)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(np.float32(seed / 10),)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures


def test_small_double_and_scattered_arrays_are_numpys(offered):
    small, double = arrays(2, (50, 20)), arrays(2, dtype="double")
    scattered = [each[:, ::2] for each in arrays(2, (5000, 40))]
    for a, b in (small, double, scattered):
        rules_tanh.plain_tanh(a)
        np.testing.assert_allclose(rules_tanh.tanh_slope(a, b), a * (1 - b * b), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(plain_product(a, b[: a.shape[1]]), a @ b[: a.shape[1]], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(plain_product(a[:, :1], b[:1]), a[:, :1] @ b[:1], rtol=1e-5)
    assert not offered
