"""Damaged files: always a network or one MlnetError.

More of them: ``MLNET_FUZZ=20000 python -m pytest tests/storage/test_fuzz.py``.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from mlnet import (
    DataError,
    additionLayer,
    batchNormalizationLayer,
    categorical,
    connectLayers,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    networkLayer,
    predict,
    regressionLayer,
    reluLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.network.trained import DAGNetwork
from mlnet.storage import mat
from mlnet.storage.networks import decode, encode

resource = pytest.importorskip("resource")

COUNT = int(os.environ.get("MLNET_FUZZ", 500))
X = np.random.default_rng(0).normal(size=(8, 3))


def network():
    layers = [featureInputLayer(3, Name="in"), fullyConnectedLayer(4), batchNormalizationLayer()]
    layers += [networkLayer([fullyConnectedLayer(4), reluLayer()]), additionLayer(2, Name="add")]
    graph = layerGraph([*layers, fullyConnectedLayer(1), regressionLayer()])
    graph = connectLayers(graph, "batchnorm", "add/in2")
    return trainNetwork(X, X[:, :1], graph, trainingOptions("sgdm", MaxEpochs=1, Verbose=False))


def damaged(data, generator):
    """Return a file with a cut, flipped bits, changed bytes or numbers, or a part that comes twice or is left out."""
    data = bytearray(data)
    kind = generator.integers(6)
    first, second = sorted(generator.integers(0, len(data), 2).tolist())
    if kind == 0:
        return bytes(data[:first])
    if kind == 1:
        for place in generator.integers(0, len(data), generator.integers(1, 8)):
            data[place] ^= 1 << int(generator.integers(8))
    elif kind == 2:
        data[first] = int(generator.choice([0, 1, 2, 14, 15, 127, 128, 255]))
    elif kind == 3:
        place = first // 4 * 4
        number = int(generator.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1, len(data)]))
        data[place : place + 4] = number.to_bytes(4, "little")
    elif kind == 4:
        data[first:first] = data[first:second]
    else:
        del data[first : min(second, first + 64)]
    return bytes(data)


@pytest.mark.parametrize("form", ["with check sum", "without check sum", "compressed"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_files_are_networks_or_errors(form):
    generator = np.random.default_rng([COUNT, len(form)])
    plain = {"net": encode(network(), "save"), "labels": encode(categorical(["a", "b"]), "save")}
    data = b"".join(mat.to_bytes(plain, "save", is_compressed=form == "compressed"))
    if form != "with check sum":
        data = b"MATLAB 5.0 MAT-file, Platform: any".ljust(116) + data[116:]  # so that the damage comes to the reader
    before, loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for number in range(COUNT):
        broken = damaged(data, generator)
        start = time.process_time()
        try:
            found = decode(mat.from_bytes(broken, "load").get("net"), "load")
        except DataError as error:
            assert str(error).startswith("load")
            continue
        finally:
            assert time.process_time() - start < 5, number
        if isinstance(found, DAGNetwork):
            loaded += 1
            assert predict(found, X).shape[0] == len(X)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19, "kilobytes"
    limits = (COUNT // 10, COUNT) if form == "without check sum" else (0, COUNT // 10)  # some damage only the header
    assert limits[0] <= loaded <= limits[1]
