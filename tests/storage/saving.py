"""Writes files over and over, until it is killed: ``python saving.py KIND FOLDER``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

import mlnet


def network(value: float, *, is_random: bool) -> mlnet.SeriesNetwork:
    """Return a network whose numbers are all the same."""
    layers = [mlnet.featureInputLayer(60), mlnet.fullyConnectedLayer(400, Weights=np.full((400, 60), value))]
    if is_random:
        layers[1].Weights = np.random.default_rng(0).normal(size=(400, 60))
    layers[1].Bias = np.full((400, 1), value)
    return mlnet.assembleNetwork([*layers, mlnet.regressionLayer()])


def write(kind: str, folder: Path, value: float, *, is_random: bool = False) -> None:
    """Write what holds one number everywhere, or what cannot be packed."""
    array = np.random.default_rng(0).normal(size=20_000) if is_random else np.full(20_000, value)
    if kind in ("-v6", "-v7", "-v7.3"):
        mlnet.save(folder / "x.mat", kind, array=array, again=array)
    elif kind == "npz":
        mlnet.save(folder / "x.npz", array=array, again=array)
    elif kind == "OpenVINO":
        mlnet.exportOpenVINO(network(value, is_random=is_random), folder / "x.xml")
    elif kind == "ONNX":
        mlnet.exportONNXNetwork(network(value, is_random=is_random), folder / "x.onnx")
    else:
        mlnet.exportNetworkToMATLAB(network(value, is_random=is_random), folder)


if __name__ == "__main__":
    sys.modules["openvino"] = None  # type: ignore[assignment] - what checks the files would take most of the time
    for number in itertools.count():
        write(sys.argv[1], Path(sys.argv[2]), float(number))
        print(number, flush=True)
