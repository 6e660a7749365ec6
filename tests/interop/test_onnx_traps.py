"""ONNX files that nobody should trust: memory, other files, wrong versions, cycles."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import mlnet
from mlnet import DataError, NotSupportedError, importNetworkFromONNX

onnx = pytest.importorskip("onnx")

node, helper = onnx.helper.make_node, onnx.helper


def model(nodes, constants=(), shape=("N", 4), opset=17, outputs=("y",)):
    kind = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, ["a", "b"]) for name in outputs]
    values = [onnx.numpy_helper.from_array(value, name) for name, value in dict(constants).items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], ends, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


HUGE = np.array([2**17, 2**17])
LARGE = np.array([2**14, 2**14])
ONE = onnx.numpy_helper.from_array(np.ones(1, np.float32))


def doubled(count):
    """A constant that is joined with itself again and again."""
    names = ["c", *(f"c{number}" for number in range(count))]
    return [node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)], names[-1]


def traps():
    """Return models that are a few hundred bytes long."""
    made = {
        "ConstantOfShape": model(
            [node("ConstantOfShape", ["s"], ["c"], value=ONE), node("Add", ["x", "c"], ["y"])], {"s": HUGE}
        ),
        "large constant, sum": model(
            [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])], {"s": LARGE}
        ),
        "large constant, function": model(
            [node("ConstantOfShape", ["s"], ["c"]), node("Exp", ["c"], ["d"]), node("Add", ["x", "d"], ["y"])],
            {"s": LARGE},
        ),
        "Expand": model([node("Expand", ["x", "s"], ["y"])], {"s": np.array([2**15, 1, 2**15, 1, 4])}),
        "Tile": model([node("Tile", ["x", "s"], ["y"])], {"s": np.array([1, 2**30])}),
        "Range": model(
            [node("Range", ["a", "b", "d"], ["c"]), node("Add", ["x", "c"], ["y"])],
            {"a": np.float32(0), "b": np.float32(2**34), "d": np.float32(1)},
        ),
        "outer product": model(
            [node("ConstantOfShape", ["s"], ["c"]), node("MatMul", ["c", "t"], ["d"]), node("Add", ["x", "d"], ["y"])],
            {"s": np.array([2**16, 1]), "t": np.ones((1, 2**16), np.float32)},
        ),
        "OneHot": model(
            [node("Cast", ["x"], ["i"], to=7), node("OneHot", ["i", "d", "v"], ["y"])],
            {"d": np.array(2**34), "v": np.array([0, 1], np.float32)},
        ),
        "Pad": model([node("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 2**33, 0, 0])}),
        "Resize": model(
            [node("Resize", ["x", "", "f"], ["y"])], {"f": np.array([1, 1, 2**16, 2**16], np.float32)}, ("N", 1, 2, 2)
        ),
    }
    nodes, last = doubled(34)
    made["Concat"] = model([*nodes, node("Add", ["x", last], ["y"])], {"c": np.ones(4, np.float32)})
    return made  # fmt: skip


MEASURE = """
import resource, sys
import numpy as np
import onnx, onnx.reference, onnxruntime
import mlnet
from mlnet import importNetworkFromONNX
mlnet.reluLayer()
importNetworkFromONNX(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    try:
        importNetworkFromONNX(path)
    except mlnet.MlnetError as error:
        print(type(error).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def measured(tmp_path, models):
    """Return what is printed, and the megabytes by which memory has grown at most."""
    paths = []
    for number, each in enumerate(models):
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(each.SerializeToString())
    small = tmp_path / "small.onnx"
    small.write_bytes(model([node("Relu", ["x"], ["y"])]).SerializeToString())
    script = [sys.executable, "-W", "ignore", "-c", MEASURE, small, *paths]
    done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=300)
    *names, memory = done.stdout.split()
    return names, float(memory)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the memory of a process is measured on Unix")
def test_small_files_take_little_memory(tmp_path):
    models = traps()
    names, memory = measured(tmp_path, models.values())
    assert names == ["NotSupportedError"] * (len(models) - 1)  # Resize is a layer, whose output is large
    assert memory < 400


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the memory of a process is measured on Unix")
def test_a_large_file_takes_a_multiple_of_its_size(tmp_path):
    values = {f"w{number}": np.ones((1500, 1500), np.float32) for number in range(6)}
    names = ["x", *(f"h{number}" for number in range(5)), "y"]
    nodes = [node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(6)]
    _, memory = measured(tmp_path, [model(nodes, values, ("N", 1500))])
    assert memory < 8 * 6 * 1500 * 1500 * 4 / 2**20


def external(tmp_path, location, **more):
    """Write a model whose matrix is in another file."""
    made = model([node("MatMul", ["x", "w"], ["y"])], {"w": np.zeros((4, 3), np.float32)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    path = tmp_path / "inside" / "net.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(made.SerializeToString())
    return path


def test_values_in_a_file_beside_the_model_are_read(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    path = external(tmp_path, "weights.bin", offset=8, length=48)
    (path.parent / "weights.bin").write_bytes(b"12345678" + values.tobytes())
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(importNetworkFromONNX(path).predict(x), x @ values, rtol=1e-5)


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "/etc/hostname", "a/../../secret.bin", "link.bin", "", "folder", "missing", "..\\secret.bin"],
)
def test_nothing_outside_the_folder_is_read(tmp_path, location):
    path = external(tmp_path, location)
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    (path.parent / "folder").mkdir()
    (path.parent / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(DataError, match="in the folder of the model"):
        importNetworkFromONNX(path)


@pytest.mark.parametrize(
    "more, match",
    [({"offset": 8}, "ends before"), ({"length": 2**40}, "do not fit"), ({"offset": -8}, "ends before")],
)
def test_places_outside_a_file_are_refused(tmp_path, more, match):
    path = external(tmp_path, "weights.bin", **more)
    (path.parent / "weights.bin").write_bytes(bytes(48))
    with pytest.raises(DataError, match=match):
        importNetworkFromONNX(path)


def test_bytes_that_are_many_values_are_refused(tmp_path):
    path = external(tmp_path, "weights.bin")
    made = onnx.load_model_from_string(path.read_bytes())
    for number in range(3):
        tensor = made.graph.initializer.add()
        tensor.CopyFrom(made.graph.initializer[0])
        tensor.name = f"w{number}"
    path.write_bytes(made.SerializeToString())
    (path.parent / "weights.bin").write_bytes(bytes(48))
    with pytest.raises(DataError, match="the same bytes"):
        importNetworkFromONNX(path)


def broken():
    """Return models that are not correct, with what the message says."""
    cycle = model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])])
    shapes = model([node("MatMul", ["x", "w"], ["y"])], {"w": np.zeros((4, 3), np.float32)})
    shapes.graph.initializer[0].dims[0] = 2**40
    many = model([node("Relu", ["x"], ["y"])] * 20_001)
    return {
        "old": (model([node("Relu", ["x"], ["y"])], opset=6), "version 6 of the operators; those from 7 to"),
        "new": (model([node("Relu", ["x"], ["y"])], opset=999), "install a newer onnx"),
        "cycle": (cycle, "sorted"),
        "shape": (shapes, "fewer values than its shape says"),
        "many": (many, "20001 operators"),
    }


@pytest.mark.parametrize("name", broken())
def test_what_is_not_correct_is_told(tmp_path, name):
    made, match = broken()[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(DataError, match=match):
        importNetworkFromONNX(path)


def test_operators_of_other_domains_are_placeholders(tmp_path):
    made = model([node("Relu", ["x"], ["r"]), node("Mine", ["r"], ["y"], domain="my.own")])
    made.opset_import.append(helper.make_opsetid("my.own", 1))
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(NotSupportedError, match=r"my\.own\.Mine"):
        importNetworkFromONNX(path)
    with pytest.warns(UserWarning, match="placeholder"):
        assert len(mlnet.findPlaceholderLayers(mlnet.importONNXLayers(path))) == 1
