"""Files stay whole where the process that writes them is killed at any moment.

More of it: ``MLNET_KILLS=200 python -m pytest tests/storage/test_killed_saving.py``.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import mlnet

SCRIPT = Path(__file__).with_name("saving.py")
ROOT = SCRIPT.parents[2]
KILLS = int(os.environ.get("MLNET_KILLS", 3))
EXTRAS = {"-v7.3": "h5py", "ONNX": "onnx"}

TOGETHER = {"OpenVINO": "x.xml", "MATLAB": "trainedNetwork.m"}


def numbers_in(kind, folder):
    """Return the numbers that a file holds."""
    if kind in ("-v6", "-v7", "-v7.3", "npz"):
        found = mlnet.load(folder / ("x.npz" if kind == "npz" else "x.mat"))
        return np.unique([found.array, found.again])
    if kind == "ONNX":
        net = mlnet.importNetworkFromONNX(folder / "x.onnx")
        return np.unique(np.concatenate([net.Layers[1].Weights.ravel(), net.Layers[1].Bias.ravel()]))
    if kind == "OpenVINO":
        content, found = (folder / "x.bin").read_bytes(), []
        for data in ElementTree.parse(folder / "x.xml").getroot().iter("data"):
            if data.get("offset") and data.get("element_type") == "f32":
                start, size = int(data.get("offset")), int(data.get("size"))
                found.append(np.frombuffer(content[start : start + size], "<f4"))
        return np.unique(np.concatenate(found))
    assert (folder / "trainedNetwork.m").read_text().rstrip().endswith("end")
    return np.unique(next(iter(vars(mlnet.load(folder / "trainedNetwork.mat")).values())).Weights)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("kind", ["-v6", "-v7", "-v7.3", "npz", "ONNX", "OpenVINO", "MATLAB"])
def test_a_killed_process_leaves_a_whole_file(kind, tmp_path):
    if kind in EXTRAS:
        pytest.importorskip(EXTRAS[kind])
    generator = random.Random(kind)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(KILLS):
        command = [sys.executable, str(SCRIPT), kind, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            assert process.stdout.readline() == "0\n"
            time.sleep(generator.uniform(0, 0.1))
            process.kill()
            said = ["0", *process.stdout.read().split()]
        written = len(said)
        if kind in TOGETHER and not (tmp_path / TOGETHER[kind]).exists():
            continue  # between the names of two files: the one that refers to the other is not there
        found = numbers_in(kind, tmp_path).tolist()
        assert len(found) == 1 and found[0] in (written - 1, written), (found, said)
