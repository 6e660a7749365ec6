"""Threads: the same bits whatever their number, from several threads at once, and after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from mlnet.engines.base import Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import Node, Program, StepPlan
from mlnet.parallel import blas, blocks, cores

CONVOLUTION = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1), "padding_value": 0.0}
PROGRAM = Program(
    (
        Node("conv", "convolution2d", (-1,), ("Weights", "Bias"), CONVOLUTION),
        Node("bn", "batch_normalization", (0,), ("Offset", "Scale"), {"epsilon": 1e-5}),
        Node("relu", "relu", (1,)),
        Node("pool", "max_pooling2d", (2,), (), {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}),
        Node("fc", "fully_connected", (3,), ("Weights", "Bias")),
    )
)


def values():
    generator = np.random.default_rng(0)
    shapes = {
        ("conv", "Weights"): (3, 3, 8, 16),
        ("conv", "Bias"): (1, 1, 16),
        ("bn", "Offset"): (1, 1, 16),
        ("bn", "Scale"): (1, 1, 16),
        ("fc", "Weights"): (10, 12 * 12 * 16),
        ("fc", "Bias"): (10, 1),
    }
    return {key: generator.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}


def step():
    """Return the bytes of the output and of all gradients."""
    table = values()
    x = np.random.default_rng(1).standard_normal((64, 24, 24, 8)).astype(np.float32)
    plan = StepPlan(NumpyEngine(), PROGRAM)
    output = plan.forward(x, table)
    d_output = np.random.default_rng(2).standard_normal(output.shape).astype(np.float32)
    gradients, d_x = plan.backward(d_output, table.keys(), want_input=True)
    return b"".join([output.tobytes(), d_x.tobytes(), *[gradients[key].tobytes() for key in sorted(gradients)]])


@pytest.fixture
def threads():
    yield cores.set_threads
    cores.set_threads(None)


def test_the_number_of_threads_changes_no_bit(threads):
    results = set()
    for number in (1, 2, 3, 5):
        threads(number)
        results.update(step() for _ in range(3))
    assert len(results) == 1


def test_used_from_several_threads_at_once(threads):
    threads(2)
    expected = step()
    results = []
    callers = [threading.Thread(target=lambda: results.extend(step() for _ in range(4))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 12
    assert set(results) == {expected}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_works_after_a_fork(threads):
    threads(2)
    expected = step()
    child = os.fork()
    if child == 0:
        os._exit(0 if step() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_interpreter_ends_while_helpers_wait():
    script = (
        "from mlnet.parallel import blocks, cores; cores.set_threads(3); blocks.run(lambda part, slot: None, 9); "
        "import threading; assert any('mlnet' in t.name for t in threading.enumerate()); print('done')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_every_part_is_done_once(threads):
    for number in (1, 2, 4):
        threads(number)
        for parts in (0, 1, 2, 7, 100):
            counts = [0] * parts

            def task(part, slot, counts=counts):
                counts[part] += 1

            blocks.run(task, parts)
            assert counts == [1] * parts


@pytest.mark.parametrize("number", [1, 3])
def test_an_error_reaches_the_caller(threads, number):
    threads(number)

    def task(part, slot):
        if part == 5:
            raise ValueError("part 5")

    with pytest.raises(ValueError, match="part 5"):
        blocks.run(task, 20)
    blocks.run(lambda part, slot: None, 20)


def test_slots_are_never_shared(threads):
    threads(4)
    busy = [False] * 4

    def task(part, slot):
        assert not busy[slot]
        busy[slot] = True
        np.dot(np.ones((50, 50)), np.ones((50, 50)))
        busy[slot] = False

    for _ in range(20):
        blocks.run(task, 40)


def test_blas_gets_its_threads_back():
    functions = blas._thread_functions()
    if functions is None:
        pytest.skip("the BLAS library is not OpenBLAS")
    get_threads, _ = functions
    before = get_threads()
    with pytest.raises(ZeroDivisionError), blas.single_threaded():
        with blas.single_threaded():
            assert get_threads() == 1
        assert get_threads() == 1
        raise ZeroDivisionError
    assert get_threads() == before


def test_works_without_the_blas_functions(monkeypatch):
    monkeypatch.setattr(blas, "_thread_functions", lambda: None)
    assert len(step()) > 0


@pytest.mark.parametrize("count", [0, 1, 2, 5, 128, 1000])
@pytest.mark.parametrize("bytes_each", [0, 1, 1000, 1 << 17, 1 << 22])
def test_split_covers_everything_in_order(count, bytes_each):
    pieces = blocks.split(count, bytes_each)
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(count))
    assert all(piece.stop > piece.start for piece in pieces)
    lengths = {piece.stop - piece.start for piece in pieces}
    assert not lengths or max(lengths) - min(lengths) <= 1


def test_workspaces_do_not_share_what_they_keep():
    shared: dict = {}
    one, two = Workspace(shared), Workspace(shared)
    assert not np.shares_memory(one.empty("a", (3,), np.float32), two.empty("a", (3,), np.float32))
    assert np.shares_memory(one.scratch("a", (3,), np.float32), two.scratch("a", (3,), np.float32))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_filled_arrays_lie_in_memory_as_the_first_one(axes):
    a, b = (np.random.default_rng(seed).normal(size=(40, 60, 50)).transpose(axes) for seed in (1, 2))
    outputs = blocks.filled(lambda x, y, a, b: (np.add(a, b, out=x), np.multiply(a, b, out=y)), 2, a, b)
    for found, expected in zip(outputs, (a + b, a * b), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.strides == a.strides
    other = np.ascontiguousarray(b)
    np.testing.assert_array_equal(blocks.filled(lambda x, a, b: np.add(a, b, out=x), 1, a, other)[0], a + b)


def test_an_interrupted_caller_waits_for_those_who_help(monkeypatch, threads):
    threads(2)
    has_begun, may_end, ended = threading.Event(), threading.Event(), []

    def task(part, slot):
        if slot == 0:
            has_begun.wait(10)
        else:
            has_begun.set()
            may_end.wait(10)
            ended.append(part)

    wait = threading.Event.wait

    def interrupted(event, *arguments):
        if event not in (has_begun, may_end) and not may_end.is_set() and threading.current_thread() is caller:
            may_end.set()
            raise KeyboardInterrupt
        return wait(event, *arguments)

    caller = threading.current_thread()
    blocks.run(lambda part, slot: None, 2)  # the helper is there
    monkeypatch.setattr(threading.Event, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        blocks.run(task, 2)
    assert len(ended) == 1
