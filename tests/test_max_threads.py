"""maxNumCompThreads: the number of threads, of both engines."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from engines.onednn.support import needs_onednn

from mlnet import maxNumCompThreads
from mlnet.errors import OptionError
from mlnet.parallel import blocks, cores


@pytest.fixture(autouse=True)
def _default_afterwards():
    yield
    maxNumCompThreads("automatic")


def test_the_number_before_is_returned():
    default = maxNumCompThreads()
    assert default >= 1
    assert maxNumCompThreads(3) == default
    assert maxNumCompThreads(np.int64(2)) == 3
    assert maxNumCompThreads("automatic") == 2
    assert maxNumCompThreads() == default


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "two", [2], np.nan])
def test_wrong_numbers_change_nothing(number):
    maxNumCompThreads(3)
    with pytest.raises(OptionError, match="maxNumCompThreads: N needs to be a positive integer or 'automatic'"):
        maxNumCompThreads(number)
    assert maxNumCompThreads() == 3


@pytest.mark.parametrize("number", [1, 3])
def test_so_many_threads_work_in_blocks(number):
    maxNumCompThreads(number)
    slots, meeting = set(), threading.Barrier(number)

    def task(part, slot):
        slots.add(slot)
        meeting.wait(10)

    blocks.run(task, number)
    assert slots == set(range(number))


@needs_onednn
def test_the_library_uses_as_many_and_compiles_anew():
    from mlnet.engines.onednn import teams
    from mlnet.engines.select import engine_named

    library = engine_named("onednn").library
    count = library.optional("omp_get_max_threads")
    if count is None:
        pytest.skip("the library has no OpenMP threads")
    generation = teams.generation()
    maxNumCompThreads(3)
    teams.use(library)
    assert count() == 3 and teams.generation() != generation


def test_the_environment_sets_the_default():
    script = "from mlnet import maxNumCompThreads; print(maxNumCompThreads())"
    environment = {"OMP_NUM_THREADS": "5,2", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"


def test_without_the_environment_it_is_the_number_of_physical_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores._default.cache_clear()
    assert maxNumCompThreads("automatic") and maxNumCompThreads() == cores.physical_cores()
    cores._default.cache_clear()
