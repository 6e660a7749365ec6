"""ONNX's own tests of the operators that mlnet imports, and its light models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlnet import importNetworkFromONNX, predict
from mlnet.interop.onnx.file import runner

onnx = pytest.importorskip("onnx")

LEAST = 0.95


@pytest.mark.filterwarnings("ignore")
def test_of_onnx_own_tests_at_least_95_in_100_pass(capsys):
    from .node_cases import cases, outcome

    outcomes = [outcome(case) for case in cases()]
    failures = [each for each in outcomes if each.reason]
    right = len(outcomes) - len(failures)
    with capsys.disabled():
        print(f"\nONNX's tests of imported operators: {right} of {len(outcomes)} right ({right / len(outcomes):.1%})")
    listed = "\n".join(f"{each.name}: {each.reason}" for each in failures)
    assert len(outcomes) > 500 and right >= LEAST * len(outcomes), listed
    wrong = [each.name for each in failures if each.reason.startswith(("differs", "shape"))]
    assert not wrong  # what does not pass is refused


FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("light_*.onnx")), ids=lambda path: path.stem)
def test_light_models_compute_what_their_files_say(path):
    pytest.importorskip("onnxruntime")
    net = importNetworkFromONNX(path)
    (layer,) = net._network.input_layers
    size = layer.size()
    x = np.random.default_rng(0).uniform(size=(*size.dims, 1)).astype(np.float32)
    model = onnx.load(path)
    given = x.transpose(3, 2, 0, 1)
    feeds = {next(each.name for each in model.graph.input if not _is_constant(model, each.name)): given}
    expected = runner("test", path.read_bytes())(feeds)[0]
    np.testing.assert_allclose(np.ravel(predict(net, x)), expected.ravel(), rtol=1e-3, atol=1e-5)


def _is_constant(model, name):
    return any(each.name == name for each in model.graph.initializer)
