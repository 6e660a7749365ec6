"""A training that is killed at any moment goes on to the network of the unbroken one, bit for bit.

More of it: ``MLNET_KILLS=200 python -m pytest tests/training/test_killed.py``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mlnet
from mlnet.training.checkpoints import find_checkpoint

SCRIPT = Path(__file__).with_name("killed.py")
_spec = importlib.util.spec_from_file_location("killed", SCRIPT)
killed = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(killed)
KILLS = int(os.environ.get("MLNET_KILLS", 8))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.fixture
def server():
    environment = {**os.environ, "PYTHONPATH": str(Path(mlnet.__file__).parents[1])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, SCRIPT], env=environment, **pipes) as process:
        yield process
        process.stdin.close()


def iterations_in(folder):
    return sorted(int(path.name.split("__")[1]) for path in folder.glob("net_checkpoint__*.mat"))


def kill_one(server, folder, draw):
    """Let a training start in the folder, kill it some checkpoints later, and return whether it was in time."""
    wanted = len(iterations_in(folder)) + draw.randrange(20)
    print(folder, file=server.stdin)
    number = int(server.stdout.readline())
    deadline = time.monotonic() + 60
    while len(iterations_in(folder)) < min(wanted, killed.ITERATIONS) and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(draw.uniform(0, 0.012))  # an iteration and its checkpoint take some milliseconds
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)
    status = int(server.stdout.readline())
    assert status in (0, signal.SIGKILL), "it ended by itself with an error"
    return status == signal.SIGKILL


def test_killed_trainings_go_on(tmp_path, server):
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = killed.parameters(killed.train(whole))
    draw, kills, trainings, behind = random.Random(0), 0, 0, []
    while kills < KILLS:
        trainings += 1
        folder = tmp_path / f"training{trainings}"
        folder.mkdir()
        for _ in range(4):  # the same training is killed again and again
            kills += kill_one(server, folder, draw)
            written = iterations_in(folder)
            if written:
                found = find_checkpoint(folder)
                assert f"__{written[-1]}__" in found.path.name, "the newest file can be loaded"
                assert len(found.training["history"]) == written[-1]
                behind.append(written[-1])
        again = killed.parameters(killed.train(folder, folder if iterations_in(folder) else None))
        assert again.keys() == expected.keys()
        for key, value in expected.items():
            assert np.array_equal(again[key], value), (trainings, key)
    print(f"{kills} kills in {trainings} trainings; newest checkpoints behind: {sorted(set(behind))}")
    assert len(set(behind)) > 2, "they were killed at different moments"
