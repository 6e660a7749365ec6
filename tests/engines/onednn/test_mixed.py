"""Mixed precision: what is rounded to bfloat16 and what is not, refusals, and trainings compared with single ones."""

from __future__ import annotations

import numpy as np
import pytest

from engines.onednn.support import LIBRARY, conv, engine, numbers
from mlnet import (
    batchNormalizationLayer,
    classificationLayer,
    classify,
    convolution2dLayer,
    engineInfo,
    fullyConnectedLayer,
    imageInputLayer,
    lstmLayer,
    maxPooling2dLayer,
    predict,
    regressionLayer,
    reluLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.onednn.engine import OneDnnEngine
from mlnet.engines.program import Node, Program, StepPlan
from mlnet.errors import NotSupportedError, OptionError

needs_bfloat16 = pytest.mark.skipif(
    LIBRARY is None or not LIBRARY.has_bfloat16, reason="the processor or oneDNN has no bfloat16"
)
EPSILON = 2.0**-8  # half the distance of two numbers in bfloat16 near 1
GENERATOR = np.random.default_rng(0)

TRANSPOSED = Node(
    "main", "transposed_convolution2d", (-1,), ("Weights", "Bias"), {"stride": (2, 2), "cropping": (0, 0, 0, 0)}
)
FULLY = Node("main", "fully_connected", (-1,), ("Weights", "Bias"))
CASES = {
    "convolution": (conv("main", -1, 3), (4, 9, 8, 16), (3, 3, 16, 32), (1, 1, 32)),
    "odd convolution": (conv("main", -1, 3, 2), (3, 9, 8, 3), (3, 3, 3, 5), (1, 1, 5)),
    "transposed": (TRANSPOSED, (2, 5, 4, 16), (2, 2, 32, 16), (1, 1, 32)),
    "features": (FULLY, (128, 512), (160, 512), (160, 1)),
    "images": (FULLY, (64, 8, 8, 32), (96, 2048), (96, 1)),
}


def both(case, make):
    """Return outputs and gradients in mixed precision and of NumPy, for numbers that ``make`` makes."""
    node, x_shape, weights, bias = CASES[case]
    program = Program((node,))
    x, values = make(x_shape), {("main", "Weights"): make(weights), ("main", "Bias"): make(bias)}
    plan = engine().in_precision("mixed").plan(program)
    theirs = StepPlan(NumpyEngine(), program)
    found, d_y = [], None
    for each in (plan, theirs):
        y = each.forward(x, values)
        d_y = make(y.shape) if d_y is None else d_y
        gradients, d_x = each.backward(d_y, values, True)
        found.append([y.copy(), d_x.copy(), *(gradients[key].copy() for key in sorted(values))])
    (report,) = plan.report()
    assert report.is_rounded and report.engine == "onednn", report
    return found


@needs_bfloat16
@pytest.mark.parametrize("case", CASES)
def test_products_are_of_rounded_factors(case):
    ours, theirs = both(case, lambda shape: numbers(GENERATOR, shape))
    for mine, exact in zip(ours, theirs, strict=True):
        assert mine.dtype == np.float32
        assert np.abs(mine - exact).max() <= 2 * EPSILON * np.abs(exact).max()
    assert np.abs(ours[0] - theirs[0]).max() > 1e-5 * np.abs(theirs[0]).max()


@needs_bfloat16
@pytest.mark.parametrize("case", CASES)
def test_sums_are_in_single_precision(case):
    """Small whole numbers are exact in bfloat16; their sums have more digits than it has."""
    ours, theirs = both(case, lambda shape: GENERATOR.integers(-9, 10, shape).astype(np.float32))
    for mine, exact in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, exact)
    assert max(np.abs(exact).max() for exact in theirs) > 2**9


@needs_bfloat16
def test_all_but_products_is_single():
    nodes = (
        Node("bn", "batch_normalization", (-1,), ("Offset", "Scale"), {"epsilon": 1e-5}),
        Node("relu", "relu", (0,)),
        Node("pool", "average_pooling2d", (1,), (), {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}),
        Node("softmax", "softmax", (2,)),
    )
    program, x = Program(nodes), numbers(GENERATOR, (4, 6, 6, 16))
    values = {("bn", name): numbers(GENERATOR, (1, 1, 16)) for name in ("Offset", "Scale")}
    mixed, single = engine().in_precision("mixed").plan(program), engine().plan(program)
    np.testing.assert_array_equal(mixed.forward(x, values), single.forward(x, values))
    d_y = numbers(GENERATOR, (4, 3, 3, 16))
    for mine, other in zip(*(plan.backward(d_y, values, True)[0].values() for plan in (mixed, single)), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert not any(report.is_rounded for report in mixed.report())


def digits(count):
    """Return images of bars at one of four places, with noise."""
    generator = np.random.default_rng(1)
    classes = generator.integers(0, 4, count)
    x = generator.standard_normal((12, 12, 1, count)) * 0.7
    for number, place in enumerate(classes):
        x[3 * place : 3 * place + 3, :, 0, number] += 1
    return x.astype(np.float32), classes


def layers():
    found = [imageInputLayer([12, 12, 1]), convolution2dLayer(3, 16, Padding="same"), batchNormalizationLayer]
    found += [reluLayer, maxPooling2dLayer(2, Stride=2), convolution2dLayer(3, 32, Padding="same")]
    return [*found, batchNormalizationLayer, reluLayer, fullyConnectedLayer(4), softmaxLayer, classificationLayer]


@needs_bfloat16
def test_training_ends_where_a_single_one_does():
    x, y = digits(512)
    losses, nets = {}, {}
    for precision in ("single", "mixed"):
        rng(0)
        options = trainingOptions(
            "sgdm", MaxEpochs=4, MiniBatchSize=64, Verbose=False, Precision=precision, InitialLearnRate=0.01
        )
        nets[precision], info = trainNetwork(x, y, layers(), options, nargout=2)
        losses[precision] = np.asarray(info.TrainingLoss)
        assert np.mean(classify(nets[precision], x) == y.astype(str)) > 0.98
    assert not np.array_equal(losses["single"], losses["mixed"])
    np.testing.assert_allclose(losses["mixed"], losses["single"], rtol=0.1, atol=0.02)
    np.testing.assert_allclose(predict(nets["mixed"], x), predict(nets["single"], x), atol=0.1)
    weights = nets["mixed"].Layers[1].Weights
    kept = weights.view(np.uint32) & np.uint32(0xFFFF)
    assert weights.dtype == np.float32 and (kept != 0).any(), "parameters are not rounded"


@needs_bfloat16
def test_the_table_of_engines_tells():
    info = engineInfo(layers(), Training=True, Precision="mixed")
    assert info.Engine[0].endswith("(bfloat16)") and not info.Engine[1].endswith("(bfloat16)")
    assert not any("bfloat16" in name for name in engineInfo(layers(), Training=True).Engine)
    assert not any("bfloat16" in name for name in engineInfo(layers(), Precision="mixed").Engine)
    with pytest.raises(OptionError, match="Precision"):
        engineInfo(layers(), Precision="double")


def test_refused_where_it_is_not_there(monkeypatch):
    x, y = digits(8)
    with pytest.raises(NotSupportedError, match="NumPy.*single precision only.*mlnet\\[fast\\]"):
        trainNetwork(x, y, layers(), trainingOptions("sgdm", Precision="mixed", Acceleration="none"))
    with pytest.raises(NotSupportedError, match="Precision='mixed'"):
        trainNetwork(x, y, layers(), trainingOptions("lbfgs", Precision="mixed"))
    with pytest.raises(OptionError, match="Precision"):
        trainingOptions("sgdm", Precision="half")
    assert trainingOptions("adam").Precision == "single"
    if LIBRARY is not None:
        monkeypatch.setattr(LIBRARY, "has_bfloat16", False)
        with pytest.raises(NotSupportedError, match="bfloat16"):
            OneDnnEngine(LIBRARY, NumpyEngine()).in_precision("mixed")


@needs_bfloat16
def test_recurrent_layers_stay_single():
    generator = np.random.default_rng(0)
    x, y = [generator.standard_normal((3, 5)).astype(np.float32) for _ in range(8)], generator.standard_normal((8, 1))
    net = [sequenceInputLayer(3), lstmLayer(4, OutputMode="last"), fullyConnectedLayer(1), regressionLayer]
    losses = []
    for precision in ("single", "mixed"):
        rng(0)
        options = trainingOptions("sgdm", MaxEpochs=2, Verbose=False, Precision=precision)
        losses.append(trainNetwork(x, y, net, options, nargout=2)[1].TrainingLoss)
    np.testing.assert_array_equal(*losses)
