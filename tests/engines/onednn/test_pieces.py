"""Predictions in pieces of a mini-batch, on several threads: the same as NumPy's, whatever the lengths and threads."""

from __future__ import annotations

import gc
import itertools
import os
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, assert_near, conv, engine, needs_onednn, numbers
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn import pieces, teams
from mlnet.engines.onednn.compiled import Compiled
from mlnet.engines.onednn.plan import KEPT
from mlnet.engines.onednn.tensors import Binding
from mlnet.engines.program import Node, Program, StepPlan
from mlnet.parallel import cores, places

pytestmark = needs_onednn

SIZE = (9, 8, 3)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Let pieces be of few observations, and the threads be three."""
    monkeypatch.setattr(pieces, "_WORK", 1 << 16)
    cores.set_threads(3)
    yield
    cores.set_threads(None)


def network(**attributes):
    """Return a program of two outputs, and its parameters; one observation takes about 13,000 multiplications."""
    pooling = {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}
    nodes = (
        conv("a", -1, 3, **attributes),
        Node("relu", "relu", (0,)),
        Node("pool", "max_pooling2d", (1,), (), pooling),
        Node("fc", "fully_connected", (2,), ("Weights", "Bias")),
        Node("softmax", "softmax", (3,)),
    )
    generator = np.random.default_rng(0)
    values = {
        ("a", "Weights"): numbers(generator, (3, 3, 3, 6)),
        ("a", "Bias"): numbers(generator, (1, 1, 6)),
        ("fc", "Weights"): numbers(generator, (5, 4 * 4 * 6)),
        ("fc", "Bias"): numbers(generator, (5, 1)),
    }
    return Program(nodes, (4, 2)), values


def data(count, seed=1):
    return numbers(np.random.default_rng(seed), (count, *SIZE))


def check(plan, x, values, program, own_values):
    """Compare both outputs with NumPy's."""
    theirs = StepPlan(NumpyEngine(), program)
    theirs.forward(x, own_values)
    before = x.copy()
    first = plan.forward(x, values)
    for number in range(2):
        assert_near(plan.output(x, number), theirs.output(x, number))
        assert plan.output_lengths(number) is None
    assert_near(first, theirs.output(x, 0))
    np.testing.assert_array_equal(x, before)


def test_mini_batches_of_all_lengths_share_what_is_compiled():
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    for count in (64, 1, 9, 10, 33, 64, 100, 17):
        check(plan, data(count, count), table, program, values)
        assert plan.whole_reason == "" and plan.saved == []
    assert len({key for key, _ in plan._compiled}) <= KEPT
    assert {key[0][0] for key, _ in plan._compiled} >= {4, 8}
    assert [each.engine for each in plan.report()] == ["onednn"] * len(plan.program.nodes)


@pytest.mark.parametrize("order", ["MATLAB", "every second", "reversed"])
def test_data_in_any_order(order):
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    x = {
        "MATLAB": np.moveaxis(np.ascontiguousarray(np.moveaxis(data(40), 0, -1)), -1, 0),
        "every second": data(80)[::2],
        "reversed": data(40)[::-1],
    }[order]
    for _ in range(2):
        check(plan, x, table, program, values)
    assert_near(plan.again(x, table), StepPlan(NumpyEngine(), program).forward(x, values))


def test_the_same_bits_whatever_the_number_of_threads():
    program, values = network()
    x, found = data(50), []
    for threads in (1, 2, 3, 3):
        cores.set_threads(threads)
        plan, table, _ = engine().predictor(program, values)
        plan.forward(x, table)
        found.append(plan.again(x, table).copy())
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_not_finite_shows_and_leaves_nothing_behind(bad):
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    for count in (30, 1):
        good, x = data(count), data(count)
        x[-1, 0, 0, 0] = bad
        for _ in range(2):
            with np.errstate(all="ignore"):
                expected = StepPlan(NumpyEngine(), program).forward(x, values).copy()
                assert plan.again(x, table) is None
                np.testing.assert_allclose(plan.forward(x, table), expected, rtol=1e-5)
            assert "not finite" in plan.whole_reason
            check(plan, good, table, program, values)


def test_what_numpy_computes_stays_whole():
    program, values = network(padding_value="replicate")
    plan, table, _ = engine().predictor(program, values)
    for count in (40, 3):
        check(plan, data(count), table, program, values)
        assert plan.again(data(count), table) is None
        assert plan.report()[0].reason == "the border is not zero"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("count", [40, 3])
def test_data_far_from_zero_behind_others_are_normalized_by_numpy(count, again):
    normalize = Node("norm", "layer_normalization", (-1,), ("Offset", "Scale"), {"axes": (-1,), "epsilon": 1e-5})
    inner, values = network()
    nodes = (normalize, *(replace(node, inputs=tuple(n + 1 for n in node.inputs)) for node in inner.nodes))
    program = Program(nodes, (5, 3))
    values |= {("norm", "Offset"): np.zeros((1, 1, 3), np.float32), ("norm", "Scale"): np.ones((1, 1, 3), np.float32)}
    plan, table, _ = engine().predictor(program, values)
    near = data(count) / 9 + np.float32([-2, 0, 2])
    far = near + np.float32(200)
    check(plan, near, table, program, values)
    assert plan.again(near, table) is not None
    if again:
        assert plan.again(far, table) is None
    check(plan, far, table, program, values)
    assert "deviations from zero" in plan.report()[0].reason and plan.whole_reason == ""
    check(plan, near, table, program, values)


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("place", ["_built", "_note_places", "_lengths_after"])
def test_an_interrupted_prediction_leaves_nothing_half_done(monkeypatch, place, is_kept):
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    method, calls = getattr(Compiled, place), itertools.count()

    def interrupted(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return method(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Compiled, place, interrupted)
        plan.forward(data(3), table)
    if not is_kept:  # what is left is not for the next plan either
        del plan
        plan, table, _ = engine().predictor(program, values)
    for _ in range(2):
        check(plan, data(3), table, program, values)
        assert plan.whole_reason == ""


def test_other_parameters_come_although_those_before_were_interrupted(monkeypatch):
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    check(plan, data(3), table, program, values)
    new_values = {key: array + 1 for key, array in values.items()}
    _, new_table, _ = engine().predictor(program, new_values)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Binding, "update", _raise_interrupt)
        plan.forward(data(3), new_table)
    check(plan, data(3), new_table, program, new_values)


def _raise_interrupt(*_):
    raise KeyboardInterrupt


def test_other_parameters_and_types_have_no_short_way():
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    x = data(20)
    check(plan, x, table, program, values)
    assert plan.again(x, dict(table)) is None and plan.again(x.astype(float), table) is None
    others = {key: value * np.float32(0.5) for key, value in values.items()}
    check(plan, x, others, program, others)
    assert plan.again(x, table) is None
    check(plan, x, table, program, values)


def test_large_data_are_let_go_of():
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    plan.forward(data(60), table)
    x = data(60)
    assert plan.again(x, table) is not None
    there = weakref.ref(x)
    del x
    gc.collect()
    for _ in range(100):  # a thread that came too late to help lets go when it wakes up
        if there() is None:
            break
        time.sleep(0.02)
    assert there() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_goes_on():
    program, values = network()
    plan, table, _ = engine().predictor(program, values)
    x = data(40)
    expected = plan.forward(x, table).copy()
    child = os.fork()
    if child == 0:
        is_same = plan.again(x, table) is None and np.array_equal(plan.forward(x, table), expected)
        os._exit(0 if is_same and np.array_equal(plan.again(x, table), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(plan.again(x, table), expected)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinities of threads")
def test_threads_of_the_library_stay_off_the_core_of_the_caller():
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2 or not LIBRARY.has_openmp:
        pytest.skip("needs two cores and OpenMP")
    for _ in range(2):
        with teams.together(LIBRARY, 2):
            (core,) = os.sched_getaffinity(0)
            others = teams._state.team[2]
            assert len(others) == 1
            assert os.sched_getaffinity(others[0]) == allowed - {core}
        assert os.sched_getaffinity(0) == allowed
    with teams.together(LIBRARY, 1):
        assert os.sched_getaffinity(0) == allowed
    with teams.together(LIBRARY, 2, may_hold=False):
        assert os.sched_getaffinity(0) == allowed


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinities of threads")
def test_threads_that_come_while_the_caller_is_held_are_let_go():
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2 or not LIBRARY.has_openmp:
        pytest.skip("needs two cores and OpenMP")
    with teams.together(LIBRARY, 3):
        (core,) = os.sched_getaffinity(0)
        before = teams._others(LIBRARY, 3)
        assert all(core not in os.sched_getaffinity(each) for each in before)
        teams._others(LIBRARY, 2)  # one is not needed and ends
        end = time.monotonic() + 10
        while all(map(places.is_there, before)) and time.monotonic() < end:
            time.sleep(0.001)
        new = set(teams._others(LIBRARY, 3)) - set(before)
        assert new and all(os.sched_getaffinity(each) == {core} for each in new)
    for _ in range(2):
        others = teams._others(LIBRARY, 3)
        assert all(os.sched_getaffinity(each) == allowed for each in (0, *others))
        with teams.together(LIBRARY, 3):
            assert os.sched_getaffinity(0) == allowed
