"""Damaged files, for everything that reads files: what was in them, or one clear error, and nothing else happens.

Every night more of them: ``MLNET_FUZZ=20000 python -m pytest tests/test_damaged_files.py``. A case that fails is said
by its number; ``MLNET_FUZZ_FROM`` begins there.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from damage import Watch, damaged, misplaced
from interop.matlab_files import record_of, write
from interop.networks import random_network

import mlnet
from mlnet import (
    additionLayer,
    batchNormalizationLayer,
    categorical,
    connectLayers,
    convolution2dLayer,
    dlnetwork,
    exportONNXNetwork,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    importNetworkFromMATLAB,
    importNetworkFromONNX,
    layerGraph,
    load,
    lstmLayer,
    maxPooling2dLayer,
    networkLayer,
    predict,
    regressionLayer,
    reluLayer,
    save,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.interop.onnx.graph import OnnxNode
from mlnet.interop.onnx.reading.axes import Tensor
from mlnet.interop.onnx.reading.function import GraphFunction, OnnxOperatorLayer
from mlnet.layers.base import Size
from mlnet.storage import files, hdf_writer, mat
from mlnet.storage.networks import encode

COUNT = int(os.environ.get("MLNET_FUZZ", 500))
FIRST = int(os.environ.get("MLNET_FUZZ_FROM", 0))
SMALLEST, MULTIPLE = 2**26, 300
"""Bytes of memory that reading may take: for any file, or for each of its bytes."""
SECONDS = 10
X = np.random.default_rng(0).normal(size=(8, 3))
IMAGES = np.random.default_rng(0).normal(size=(6, 6, 2, 3))
NETWORKS = (mlnet.SeriesNetwork, mlnet.DAGNetwork)


class Loader(NamedTuple):
    """Makes a good file, reads one, and says what part of all cases it gets."""

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    share: float
    extra: str = "numpy"
    plain: Callable[[Path], dict[str, Any]] | None = None
    ending: str = ".mat"


def graph() -> Any:
    layers = [featureInputLayer(3, Name="in"), fullyConnectedLayer(4), batchNormalizationLayer()]
    layers += [networkLayer([fullyConnectedLayer(4), reluLayer()]), additionLayer(2, Name="add")]
    made = layerGraph([*layers, fullyConnectedLayer(1), regressionLayer()])
    return connectLayers(made, "batchnorm", "add/in2")


def values() -> dict[str, Any]:
    options = trainingOptions("adam", MaxEpochs=2, ValidationData=(X, X[:, :1]), Metrics="rmse")
    recurrent = random_network([sequenceInputLayer(2), lstmLayer(3), fullyConnectedLayer(1), regressionLayer()])
    loop = dlnetwork([featureInputLayer(3), fullyConnectedLayer(2)])
    plain = {"text": "äöü", "cells": [1, "a", [True, {"b": np.eye(3)}]], "sparse": np.arange(20, dtype=np.uint8)}
    given = {"net": random_network(graph()), "recurrent": recurrent, "dl": loop, "options": options}
    given["traced"] = mlnet.dlarray(X.T, "CB")
    return {**given, "labels": categorical(["a", "b", ""]), "plain": plain}


def operators(path: Path) -> dict[str, Any]:
    """Write a network with a layer of ONNX operators, and return it as plain values."""
    x = Tensor("x", Size("C", (3,)), (("N",), ("C",)))
    nodes = [OnnxNode("CumSum", ("x", "axis"), ("s",), {"reverse": 1}, "a"), OnnxNode("Sin", ("s",), ("t",), {}, "b")]
    nodes += [OnnxNode("Pad", ("t", "pads"), ("p",), {"mode": "edge"}), OnnxNode("Reshape", ("p", "shape"), ("y",), {})]
    constants = {"axis": np.array(1), "pads": np.array([0, 1, 0, 2]), "shape": np.array([-1, 6])}
    axes = (("N",), ("C",))
    function = GraphFunction(tuple(nodes), "y", 17, constants, {"x": x}, False, axes, Size("C", (6,)))
    layer = OnnxOperatorLayer(PredictFcn=function, NumInputs=1, Formattable=True, Description="CumSum")
    given = {"net": random_network([featureInputLayer(3), layer, fullyConnectedLayer(1), regressionLayer()])}
    save(path, **given)
    return {name: encode(value, "save") for name, value in given.items()}


def write_values(*version: str) -> Callable[[Path], Any]:
    return lambda path: save(path, *version, **values())


def without_check_sum(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file as others do, so that the damage comes to the reader."""
    write(path)
    data = path.read_bytes()
    if data[:6] == b"MATLAB":
        path.write_bytes(data[:19] + b", Platform: any".ljust(97) + data[116:])


def read_values(path: Path) -> Any:
    found = load(path)
    for net in vars(found).values():
        if isinstance(net, NETWORKS) and all(type(layer).__name__ != "LSTMLayer" for layer in net.Layers):
            predict(net, X)
    return found


def matlab(path: Path, version: str = "-v7") -> None:
    net = random_network(graph())
    write(path, record_of(net, inputs=[(X, "")], outputs=[(predict(net, X), "")]))
    if version != "-v7":
        hdf_writer.fill(path, files.read(path, "load"), "save")


def read_matlab(path: Path) -> Any:
    return importNetworkFromMATLAB(path, Tolerance=np.inf)


def plain_values(_: Path) -> dict[str, Any]:
    return {name: encode(value, "save") for name, value in values().items()}


def plain_matlab(path: Path) -> dict[str, Any]:
    matlab(path)
    return files.read(path, "load")


CONTINUED = trainingOptions("adam", MaxEpochs=2, MiniBatchSize=4, Verbose=False)


def checkpoint(path: Path) -> None:
    options = trainingOptions("adam", MaxEpochs=1, MiniBatchSize=4, Verbose=False, CheckpointPath=str(path.parent))
    before = set(path.parent.iterdir())
    trainNetwork(X, X[:, :1], graph(), options)
    (made,) = set(path.parent.iterdir()) - before
    made.rename(path)


def plain_checkpoint(path: Path) -> dict[str, Any]:
    checkpoint(path)
    return files.read(path, "load")


def read_checkpoint(path: Path) -> Any:
    return trainNetwork(X, X[:, :1], path, CONTINUED)


def arrays(path: Path) -> None:
    np.savez_compressed(path, a=np.arange(200.0), b=np.array(["text"]), c=np.ones((3, 4), np.uint8))


def onnx(path: Path) -> None:
    layers = [imageInputLayer([6, 6, 2], Normalization="none"), convolution2dLayer(3, 4, Padding="same")]
    layers += [batchNormalizationLayer(), reluLayer(), maxPooling2dLayer(2, Stride=2), fullyConnectedLayer(3)]
    exportONNXNetwork(random_network([*layers, softmaxLayer(), regressionLayer()]), path)


def read_onnx(path: Path) -> Any:
    net = importNetworkFromONNX(path)
    if isinstance(net, NETWORKS):
        predict(net, IMAGES)
    return net


def theirs(path: Path) -> None:
    from storage.test_hdf import matlab_file

    matlab_file(path)


def read_theirs(path: Path) -> Any:
    from storage.test_hdf import GOOD

    return load(path, *GOOD)


LOADERS = {
    "version 7": Loader(write_values(), read_values, 0.1),
    "version 6": Loader(write_values("-v6"), read_values, 0.4, plain=plain_values),
    "version 7.3": Loader(write_values("-v7.3"), read_values, 0.1, "h5py"),
    "version 7.3 of MATLAB": Loader(theirs, read_theirs, 0.4, "h5py"),
    "operators": Loader(operators, read_values, 0.3, plain=operators),
    "npz": Loader(arrays, load, 0.3, ending=".npz"),
    "exportToMlnet": Loader(matlab, read_matlab, 0.2, plain=plain_matlab),
    "exportToMlnet 7.3": Loader(lambda path: matlab(path, "-v7.3"), read_matlab, 0.05, "h5py"),
    "checkpoint": Loader(checkpoint, read_checkpoint, 0.1, plain=plain_checkpoint),
    "ONNX": Loader(onnx, read_onnx, 0.2, "onnx", ending=".onnx"),
}
ROWS = [(name, way) for name, loader in LOADERS.items() for way in ("bytes", "structures")[: 1 + bool(loader.plain)]]


def cases(loader: Loader, way: str, path: Path) -> Callable[[np.random.Generator], Any]:
    """Return a function that writes a damaged file."""
    if way == "bytes":
        without_check_sum(path, loader.make)
        loader.read(path)  # modules that reading brings are there from now on
        good = path.read_bytes()
        return lambda generator: path.write_bytes(damaged(good, generator))
    assert loader.plain
    plain = loader.plain(path)

    def write_plain(value: Any) -> None:
        if loader.extra == "h5py":
            hdf_writer.fill(path, value, "save")
        else:
            path.write_bytes(b"".join(mat.to_bytes(value, "save")))

    def write_other(generator: np.random.Generator) -> None:
        try:
            write_plain(misplaced(plain, generator))
        except (mlnet.OptionError, AttributeError, TypeError, IndexError):
            path.write_bytes(b"")  # what no file can hold

    write_plain(plain)
    loader.read(path)
    return write_other


@pytest.mark.parametrize("version", ["-v6", "-v7", "-v7.3"])
def test_the_check_sum_finds_all_damage(version, tmp_path):
    if version == "-v7.3":
        pytest.importorskip("h5py")
    path = tmp_path / "x.mat"
    save(path, version, **values())
    data, head = path.read_bytes(), 512 if version == "-v7.3" else 128
    for number in range(50):
        broken = damaged(data[head:], np.random.default_rng(number))
        path.write_bytes(data[:head] + broken)
        if broken != data[head:]:
            with pytest.raises(mlnet.DataError, match="check sum does not fit"):
                load(path)


@pytest.mark.parametrize("name", ["solver_iteration", "start", "piece", "waited", "loader_seed"])
def test_counts_of_a_checkpoint_below_zero(name, tmp_path):
    path = tmp_path / "x.mat"
    plain = plain_checkpoint(path)
    plain["training"][name] = -1
    path.write_bytes(b"".join(mat.to_bytes(plain, "save")))
    with pytest.raises(mlnet.DataError, match="checkpoint is damaged"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
def test_names_of_operators_with_a_null(tmp_path):
    model = pytest.importorskip("onnx")
    onnx(tmp_path / "x.onnx")
    made = model.load(tmp_path / "x.onnx")
    for node in made.graph.node:
        node.name = f"\0a\0{node.name}"
    model.save(made, tmp_path / "x.onnx")
    assert all("\0" not in layer.Name for layer in importNetworkFromONNX(tmp_path / "x.onnx").Layers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, way", ROWS)
def test_damaged_files_are_values_or_errors(name, way, tmp_path, capsys):
    loader = LOADERS[name]
    pytest.importorskip(loader.extra)
    path = tmp_path / f"x{loader.ending}"
    damage = cases(loader, way, path)
    watch, loaded = Watch(), 0
    count = max(10, int(COUNT * loader.share))
    for number in range(FIRST, FIRST + count):
        damage(np.random.default_rng([number, len(name)]))
        before = sorted(os.listdir(tmp_path))
        content = path.read_bytes()
        with watch.over(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                loader.read(path)
                loaded += 1
            except mlnet.MlnetError as error:
                assert str(error) and "Traceback" not in str(error), number
            except Exception as error:
                raise AssertionError(f"{name}, {way}: case {number}") from error
        assert not watch.events, (number, watch.events)
        assert watch.seconds < SECONDS, (number, watch.seconds)
        assert watch.memory <= SMALLEST + MULTIPLE * len(content), (number, watch.memory)
        assert path.read_bytes() == content and sorted(os.listdir(tmp_path)) == before, number
    assert loaded < count
