"""codeFor: the code is run, and what it makes is compared."""

from __future__ import annotations

import shutil
import subprocess
import types

import numpy as np
import pytest
from layers import catalogue

import mlnet
from mlnet import NotSupportedError, OptionError, codeFor

from .matlab_code import Reader


def made_again(layers, name="layers"):
    namespace = {}
    exec(codeFor(layers), namespace)
    return namespace[name]


@pytest.mark.parametrize("name, option", catalogue.CASES, ids=catalogue.IDS)
def test_every_option_of_every_layer_is_written(name, option):
    for given, _ in catalogue.good(name, option):
        try:
            layer = catalogue.make(name, **{option.name: given})
        except mlnet.MlnetError:
            continue  # it needs another option
        left_out = {*(each.name for each in layer.learnables), *layer.states}
        if option.name in left_out:
            assert f"{option.name} of size" in codeFor([layer]) or not np.size(getattr(layer, option.name))
            continue
        if isinstance(getattr(layer, option.name), (types.FunctionType, types.BuiltinFunctionType)):
            with pytest.raises(NotSupportedError, match=option.name):
                codeFor([layer])
            continue
        (again,) = made_again([layer])
        assert catalogue.same(again, layer)


def test_a_graph_is_made_again():
    graph = mlnet.resnet18(Weights="none")
    again = made_again(graph, "lgraph")
    assert again.wires == graph.wires or set(again.wires) == set(graph.wires)
    assert all(catalogue.same(a, b) for a, b in zip(again.Layers, graph.Layers, strict=True))


def test_matlab():
    layers = [
        mlnet.imageInputLayer([4, 4, 2], Normalization="zerocenter", Mean=np.arange(32).reshape(4, 4, 2)),
        mlnet.convolution2dLayer(3, 2, Name="it's", Padding=[1, 0, 2, 1], WeightL2Factor=0.5),
        mlnet.reshapeLayer([2, [], 2]),
        mlnet.classificationLayer(Classes=["a", "b"]),
    ]
    text = codeFor(layers, "matlab")
    numbers = " ".join(map(str, np.arange(32).reshape(4, 4, 2).ravel(order="F")))
    assert f"'Mean', reshape([{numbers}], [4 4 2])" in text
    assert "convolution2dLayer([3 3], 2, 'Name', 'it''s', 'Padding', [1 0 2 1], 'WeightL2Factor', 0.5)" in text
    assert "reshapeLayer([2 NaN 2])" in text and "categorical({'a', 'b'}, {'a', 'b'})" in text
    graph = mlnet.layerGraph([mlnet.imageInputLayer([4, 4, 2], Name="in"), mlnet.additionLayer(2, Name="plus")])
    assert codeFor(mlnet.connectLayers(graph, "in", "plus/in2"), "matlab").endswith(
        "lgraph = connectLayers(lgraph, 'in', 'plus/in2');"
    )


def made_by_matlab(code, tmp_path):
    """Run the code of MATLAB with constructors of mlnet."""
    lines = [line for line in code.splitlines() if not line.startswith("%")]
    reader = Reader("\n".join(lines) + "\n", tmp_path)
    reader.run()
    return reader.variables


@pytest.mark.parametrize("name", catalogue.REQUIRED)
def test_every_option_of_every_layer_is_written_for_matlab(name, tmp_path):
    written = []
    for option in catalogue.table(name).options.values():
        for given, _ in catalogue.good(name, option):
            try:
                layer = catalogue.make(name, **{option.name: given})
                code = codeFor([layer], "matlab")
            except mlnet.MlnetError:
                continue  # it needs another option, or holds a function
            if option.name in {*(each.name for each in layer.learnables), *layer.states}:
                continue
            (again,) = made_by_matlab(code, tmp_path)["layers"]
            assert catalogue.same(again, layer), code
            written.append(code)
    assert written or name == "functionLayer"
    CODES.extend(written)


CODES: list[str] = []


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="needs Octave")
def test_octave_can_read_all_of_it(tmp_path):
    assert CODES, "run the tests before"
    for number, code in enumerate(dict.fromkeys(CODES)):
        (tmp_path / f"code{number}.m").write_text(f"function layers = code{number}()\n{code}\nend\n")
    (tmp_path / "code_bad.m").write_text("function layers = code_bad()\nlayers = [1 2;;\nend\n")
    check = "for f = dir('code*.m')', try, __parse_file__(f.name); catch e, disp([f.name ': ' e.message]); end, end"
    done = subprocess.run(["octave-cli", "--quiet", "--eval", check], cwd=tmp_path, capture_output=True, text=True)
    assert [line.split(":")[0] for line in done.stdout.splitlines() if ".m:" in line] == ["code_bad.m"], done


def test_learned_values_are_named():
    layer = mlnet.fullyConnectedLayer(2, Weights=np.ones((2, 3)), Name="fc")
    assert codeFor([layer]).endswith("# without values: Layer 1 'fc' (Fully Connected), Weights of size 2x3")


def test_arguments():
    with pytest.raises(OptionError, match="language"):
        codeFor([mlnet.reluLayer()], "fortran")
    with pytest.raises(NotSupportedError, match="PredictFcn"):
        codeFor([mlnet.functionLayer(lambda x: x)])


def test_a_dlnetwork():
    net = mlnet.dlnetwork([mlnet.featureInputLayer(3, Name="in"), mlnet.fullyConnectedLayer(2, Name="fc")])
    graph = made_again(net, "lgraph")
    assert [layer.Name for layer in graph.Layers] == ["in", "fc"] and len(graph.Connections) == 1
