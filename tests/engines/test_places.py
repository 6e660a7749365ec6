"""Threads that work together run on cores of their own, and may run where they could before afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import mlnet
from mlnet.engines.onednn import plan
from mlnet.parallel import blas, cores, places

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores"
)


def test_a_thread_is_held_and_let_go():
    allowed = os.sched_getaffinity(0)
    with places.held():
        assert os.sched_getaffinity(0) == {places.core()}
        with places.held():  # once is enough
            assert os.sched_getaffinity(0) == {places.core()}
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == allowed


def test_a_thread_is_let_go_after_an_error():
    allowed = os.sched_getaffinity(0)
    with pytest.raises(KeyError), places.held():
        raise KeyError
    assert os.sched_getaffinity(0) == allowed


def test_another_thread_is_kept_away():
    allowed, stop = os.sched_getaffinity(0), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with places.held():
            core = places.core()
            assert places.keep_away(thread.native_id, core)
            assert os.sched_getaffinity(thread.native_id) == allowed - {core}
    finally:
        stop.set()
        thread.join()


def test_a_thread_that_is_gone_is_told(monkeypatch):
    def refuse(*_):
        raise ProcessLookupError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert not places.keep_away(threading.get_native_id(), places.core())


def test_where_it_is_forbidden_everything_stays(monkeypatch):
    def refuse(*_):
        raise PermissionError

    allowed = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with places.held():
        assert os.sched_getaffinity(0) == allowed
        assert places.keep_away(threading.get_native_id(), places.core())


def test_what_a_layer_of_the_user_starts_is_not_held(monkeypatch):
    monkeypatch.setattr(plan, "_SMALL", 0)  # several threads work
    allowed, found = os.sched_getaffinity(0), []

    def look(x):
        found.append(os.sched_getaffinity(0))
        return 2 * x

    layers = [mlnet.featureInputLayer(3), mlnet.fullyConnectedLayer(4), mlnet.functionLayer(look)]
    layers += [mlnet.fullyConnectedLayer(2), mlnet.regressionLayer()]
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    options = mlnet.trainingOptions("sgdm", MaxEpochs=2, MiniBatchSize=4, Verbose=False)
    cores.set_threads(2)
    try:
        mlnet.trainNetwork(x, x[:, :2], layers, options).predict(x)
    finally:
        cores.set_threads(None)
    assert len(found) > 4 and all(each == allowed for each in found)


_AFTER_A_FORK = """
import os
import numpy as np
from mlnet.parallel import places

if os.fork() == 0:
    os._exit(0)
os.wait()
allowed = os.sched_getaffinity(0)
x = np.ones((600, 600), np.float32)
with places.held():
    x @ x
assert len(os.listdir("/proc/self/task")) > 1, "no threads"
assert all(os.sched_getaffinity(int(each)) == allowed for each in os.listdir("/proc/self/task"))
"""


@pytest.mark.skipif(blas._thread_functions() is None, reason="NumPy has another library")
def test_threads_of_blas_that_start_again_after_a_fork_are_not_held():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", _AFTER_A_FORK], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
