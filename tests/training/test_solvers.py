"""The solvers, segment by segment, against their formulas written for one number."""

import math

import numpy as np
import pytest

from mlnet import (
    batchNormalizationLayer,
    featureInputLayer,
    fullyConnectedLayer,
    regressionLayer,
    trainingOptions,
)
from mlnet.network.initialize import initialize
from mlnet.network.resolve import resolve
from mlnet.training.parameters import Parameters
from mlnet.training.solvers import make_solver


def parameters(dtype=np.float64):
    generator = np.random.default_rng(3)
    network = resolve(
        [
            featureInputLayer(3),
            fullyConnectedLayer(4, WeightLearnRateFactor=2, BiasL2Factor=0.5),
            batchNormalizationLayer(ScaleLearnRateFactor=0, OffsetL2Factor=3),
            fullyConnectedLayer(2, BiasLearnRateFactor=10),
            regressionLayer(),
        ]
    )
    layers = [
        initialize(layer, network.input_size(index), generator) if index else layer
        for index, layer in enumerate(network.layers)
    ]
    return Parameters(layers, dtype)


FACTORS = {  # learning rate, L2
    ("fc_1", "Weights"): (2, 1),
    ("fc_1", "Bias"): (1, 0.5),
    ("batchnorm", "Offset"): (1, 3),
    ("fc_2", "Weights"): (1, 1),
    ("fc_2", "Bias"): (10, 0),
}


def test_values_and_gradients_are_views_of_the_flat_vectors():
    p = parameters()
    assert set(p.gradients) == set(FACTORS)
    assert set(p.values) == {*FACTORS, ("batchnorm", "Scale")}
    for key in FACTORS:
        assert np.shares_memory(p.values[key], p.flat_values)
        assert np.shares_memory(p.gradients[key], p.flat_gradients)
    assert p.flat_values.size == sum(p.values[key].size for key in FACTORS)
    assert not np.shares_memory(p.values["batchnorm", "Scale"], p.flat_values)


def test_segments_cover_everything_once_and_join_equal_factors():
    p = parameters()
    assert [s.where.start for s in p.segments] == [0, *(s.where.stop for s in p.segments[:-1])]
    assert p.segments[-1].where.stop == p.flat_values.size
    assert len(p.segments) == len(set(FACTORS.values()))
    for key, factors in FACTORS.items():
        (segment,) = [s for s in p.segments if s.where.start <= p.slices[key].start < s.where.stop]
        assert (segment.learn_rate_factor, segment.l2_factor) == factors


def sgdm(options, state, g, value, rate, t):
    v = options.Momentum * state.get("v", 0.0) - rate * g
    state["v"] = v
    return value + v


def rmsprop(options, state, g, value, rate, t):
    b = options.SquaredGradientDecayFactor
    s = state["s"] = b * state.get("s", 0.0) + (1 - b) * g * g
    return value - rate * g / (math.sqrt(s) + options.Epsilon)


def adam(options, state, g, value, rate, t):
    b1, b2 = options.GradientDecayFactor, options.SquaredGradientDecayFactor
    m = state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
    s = state["s"] = b2 * state.get("s", 0.0) + (1 - b2) * g * g
    return value - rate * math.sqrt(1 - b2**t) / (1 - b1**t) * m / (math.sqrt(s) + options.Epsilon)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (sgdm, trainingOptions("sgdm", Momentum=0.7)),
        (rmsprop, trainingOptions("rmsprop", SquaredGradientDecayFactor=0.8, Epsilon=1e-3)),
        (adam, trainingOptions("adam", GradientDecayFactor=0.8, SquaredGradientDecayFactor=0.95, Epsilon=1e-3)),
    ],
)
@pytest.mark.parametrize("piece", [None, 5])
def test_solver_follows_its_formula(formula, options, piece, monkeypatch):
    if piece:
        monkeypatch.setattr("mlnet.training.solvers._PIECE", piece)
    generator = np.random.default_rng(0)
    p = parameters()
    solver = make_solver(options, p)
    expected = {key: p.values[key].ravel().copy() for key in FACTORS}
    states = {key: [{} for _ in values] for key, values in expected.items()}
    fixed = p.values["batchnorm", "Scale"].copy()
    l2 = 0.1
    for t, rate in enumerate((0.1, 0.1, 0.03, 0.2), start=1):
        gradients = {key: generator.normal(size=p.values[key].shape) for key in FACTORS}
        p.set_gradients(gradients)
        if piece:
            solver.step(rate, l2)
        else:
            p.add_l2(l2)
            solver.step(rate)
        for key, values in expected.items():
            rate_factor, l2_factor = FACTORS[key]
            for i, value in enumerate(values):
                g = gradients[key].ravel()[i] + l2 * l2_factor * value
                values[i] = formula(options, states[key][i], g, value, rate * rate_factor, t)
    for key, values in expected.items():
        np.testing.assert_allclose(p.values[key].ravel(), values, rtol=1e-12)
    np.testing.assert_array_equal(p.values["batchnorm", "Scale"], fixed)


@pytest.mark.parametrize("method", ["l2norm", "global-l2norm", "absolute-value"])
def test_gradient_threshold(method):
    generator = np.random.default_rng(1)
    p = parameters()
    gradients = {key: generator.normal(size=p.values[key].shape) * (5 if key[0] == "fc_1" else 0.1) for key in FACTORS}
    p.set_gradients(gradients)
    threshold = 1.5
    p.clip(threshold, method)
    total = math.sqrt(sum((g**2).sum() for g in gradients.values()))
    clipped = 0
    for key, g in gradients.items():
        norm = np.linalg.norm(g)
        expected = {
            "l2norm": g * min(1, threshold / norm),
            "global-l2norm": g * min(1, threshold / total),
            "absolute-value": np.clip(g, -threshold, threshold),
        }[method]
        np.testing.assert_allclose(p.gradients[key], expected, rtol=1e-12)
        clipped += not np.array_equal(expected, g)
    assert clipped == {"l2norm": 2, "global-l2norm": 5, "absolute-value": 2}[method]


def test_infinite_threshold_changes_nothing():
    p = parameters()
    p.flat_gradients[:] = 1e30
    p.clip(math.inf, "l2norm")
    assert (p.flat_gradients == 1e30).all()
