"""Writes files over and over, until it is killed: ``python saving.py KIND FOLDER``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

import mlnet


def network(value: float) -> mlnet.SeriesNetwork:
    """Return a network whose numbers are all the same."""
    layers = [mlnet.featureInputLayer(60), mlnet.fullyConnectedLayer(400, Weights=np.full((400, 60), value))]
    layers[1].Bias = np.full((400, 1), value)
    return mlnet.assembleNetwork([*layers, mlnet.regressionLayer()])


def write(kind: str, folder: Path, value: float) -> None:
    """Write what holds one number everywhere."""
    array = np.full(20_000, value)
    if kind in ("-v6", "-v7", "-v7.3"):
        mlnet.save(folder / "x.mat", kind, array=array, again=array)
    elif kind == "npz":
        mlnet.save(folder / "x.npz", array=array, again=array)
    elif kind == "OpenVINO":
        mlnet.exportOpenVINO(network(value), folder / "x.xml")
    elif kind == "ONNX":
        mlnet.exportONNXNetwork(network(value), folder / "x.onnx")
    else:
        mlnet.exportNetworkToMATLAB(network(value), folder)


if __name__ == "__main__":
    sys.modules["openvino"] = None  # type: ignore[assignment] - what checks the files would take most of the time
    for number in itertools.count():
        write(sys.argv[1], Path(sys.argv[2]), float(number))
        print(number, flush=True)
