"""The solvers 'lbfgs' and 'lm': known optima, the conditions of the line searches, when they stop, what they print."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from mlnet import (
    NetworkError,
    NotSupportedError,
    OptionError,
    TrainingError,
    UnknownNameError,
    batchNormalizationLayer,
    classificationLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    lstmLayer,
    predict,
    regressionLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    tanhLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.training.full_batch import trainer as full_batch
from mlnet.training.full_batch.lbfgs import CURVATURE, LBFGS, SUFFICIENT, Point, line_search
from mlnet.training.full_batch.table import FullBatchTable
from mlnet.training.progress import Progress

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(1, 2, (90, 3))
Y = X @ np.array([[1.0, 0.3], [-2, 0], [0.5, 4]]) + 0.3 + 0.2 * GENERATOR.normal(size=(90, 2))
SOLVERS = ("lbfgs", "lm")
EXACT = {"Verbose": False, "GradientTolerance": 1e-12, "StepTolerance": 1e-12}


def linear(**more):
    return [featureInputLayer(3), fullyConnectedLayer(2, **more), regressionLayer()]


def wave(units=4):
    return [
        featureInputLayer(1),
        fullyConnectedLayer(units),
        tanhLayer(),
        fullyConnectedLayer(1),
        regressionLayer(),
    ]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("l2", [0, 0.1])
@pytest.mark.parametrize("piece", [7, 512])
def test_linear_least_squares(solver, l2, piece, monkeypatch):
    monkeypatch.setattr(full_batch, "PIECE", piece)
    net = trainNetwork(X, Y, linear(), trainingOptions(solver, L2Regularization=l2, **EXACT))
    a = np.c_[X, np.ones(len(X))]
    expected = np.linalg.solve(a.T @ a / len(a) + l2 * np.diag([1, 1, 1, 0]), a.T @ Y / len(a)).T
    found = np.c_[net.Layers[1].Weights, net.Layers[1].Bias]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_factors(solver):
    start = {"Weights": np.ones((2, 3)), "Bias": np.ones((2, 1))}
    frozen = linear(**start, WeightLearnRateFactor=0)
    net = trainNetwork(X, Y, frozen, trainingOptions(solver, L2Regularization=0, **EXACT))
    np.testing.assert_array_equal(net.Layers[1].Weights, np.ones((2, 3)))
    np.testing.assert_allclose(net.Layers[1].Bias.ravel(), (Y - X.sum(axis=1, keepdims=True)).mean(axis=0), rtol=1e-5)
    options = (
        trainingOptions(solver, L2Regularization=0, MaxIterations=1, Verbose=False, LineSearchMethod="backtracking")
        if (solver == "lbfgs")
        else trainingOptions(solver, L2Regularization=0, MaxIterations=1, Verbose=False, InitialDampingFactor=1e4)
    )
    if solver == "lbfgs":
        options.InitialInverseHessianFactor = 1e-4
    moves = {}
    for factor in (1, 4):
        net = trainNetwork(X, Y, linear(**start, WeightLearnRateFactor=factor), options)
        moves[factor] = net.Layers[1].Weights - 1, net.Layers[1].Bias - 1
    np.testing.assert_allclose(moves[4][0], 4 * moves[1][0], rtol=5e-3)
    np.testing.assert_allclose(moves[4][1], moves[1][1], rtol=5e-3)
    with pytest.raises(NetworkError, match="no parameters to train"):
        trainNetwork(X, Y, linear(WeightLearnRateFactor=0, BiasLearnRateFactor=0), trainingOptions(solver))


def test_lm_agrees_with_scipy():
    x = np.linspace(-2, 2, 40)[:, None]
    y = np.sin(2 * x) * np.exp(-x / 3) + 0.2 * np.random.default_rng(4).normal(size=x.shape)
    layers = wave(2)
    layers[1].Weights, layers[1].Bias = [[1.0], [2]], [[0.5], [-1]]
    layers[3].Weights, layers[3].Bias = [[1.0, -1]], [[0.0]]

    def residuals(p):
        return (np.tanh(x * p[:2] + p[2:4]) @ p[4:6] + p[6] - y[:, 0]) / np.sqrt(len(x))

    start = np.array([1, 2, 0.5, -1, 1, -1, 0])
    expected = least_squares(residuals, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, method="lm")
    layers[0].Normalization = "none"
    options = trainingOptions("lm", L2Regularization=0, MaxIterations=1000, **EXACT)
    net, info = trainNetwork(x, y, layers, options, nargout=2)
    assert info.TrainingLoss[-1] == pytest.approx(expected.cost, rel=1e-5)
    np.testing.assert_allclose(predict(net, x)[:, 0], residuals(expected.x) * np.sqrt(len(x)) + y[:, 0], atol=1e-4)


def test_jacobian_against_differences():
    trainer = small_trainer("lm")
    place = trainer.parameters.flat_values.copy() / trainer._factors
    found = trainer._products(place)

    def residuals(p):
        trainer._place(p)
        return np.concatenate([(s - t).ravel() for _, _, s, t, _ in trainer._passes()]) / np.sqrt(len(X))

    step = 1e-6
    j = np.stack(
        [(residuals(place + step * e) - residuals(place - step * e)) / (2 * step) for e in np.eye(len(place))], 1
    )
    np.testing.assert_allclose(found, j.T @ j + np.diag(trainer._l2 * trainer._factors**2), rtol=1e-6, atol=1e-8)
    gradient = trainer._evaluate(place).gradient
    loss = [
        trainer._evaluate(place + step * e).loss - trainer._evaluate(place - step * e).loss for e in np.eye(len(place))
    ]
    np.testing.assert_allclose(gradient, np.array(loss) / (2 * step), rtol=1e-6, atol=1e-8)


def small_trainer(solver, **more):
    from mlnet.engines.select import select_engine
    from mlnet.network.resolve import resolve
    from mlnet.randomness import spawn_generators
    from mlnet.training.prepare import initialized, training_data

    options = trainingOptions(solver, Verbose=False, L2Regularization=0.1, **more)
    middle = [
        fullyConnectedLayer(3, WeightLearnRateFactor=2),
        batchNormalizationLayer(),
        tanhLayer(),
        dropoutLayer(0.3),
    ]
    network = resolve([featureInputLayer(3), *middle, fullyConnectedLayer(2), regressionLayer()])
    data, network = training_data(network, X, Y, options)
    rng(0)
    generators = spawn_generators()
    network = initialized(network, data.predictors, options, generators.initialization)
    return full_batch.FullBatchTrainer(network, select_engine(), data, None, options, generators, lambda progress: "")


def rosenbrock(place):
    a, b = place
    loss = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    return Point(place, loss, np.array([2 * (a - 1) - 400 * a * (b - a * a), 200 * (b - a * a)]))


@pytest.mark.parametrize("method", ["weak-wolfe", "strong-wolfe", "backtracking"])
@pytest.mark.parametrize("history", [1, 10])
def test_lbfgs_on_the_function_of_rosenbrock(method, history):
    solver = LBFGS(trainingOptions("lbfgs", LineSearchMethod=method, HistorySize=history))
    point, count = rosenbrock(np.array([-1.2, 1.0])), 0
    while np.linalg.norm(point.gradient) > 1e-9 and count < 500:
        point, count = solver.step(point, rosenbrock), count + 1
    np.testing.assert_allclose(point.place, [1, 1], atol=1e-8)
    assert count < (60 if history == 10 and method != "backtracking" else 500)


@pytest.mark.parametrize("method", ["weak-wolfe", "strong-wolfe", "backtracking"])
@pytest.mark.parametrize("size", [1e-4, 1e-2, 1, 30])
def test_line_search_meets_its_conditions(method, size):
    def quartic(place):
        (t,) = place
        return Point(place, t**4 - 3 * t**3 + t, np.array([4 * t**3 - 9 * t**2 + 1]))

    start = quartic(np.array([1.0]))
    direction = size * -start.gradient
    slope = float(direction @ start.gradient)
    found = line_search(method, 60, start, direction, slope, quartic)
    step = ((found.place - start.place) / direction)[0]
    assert found.loss <= start.loss + SUFFICIENT * step * slope
    here = float(found.gradient @ direction)
    if method != "backtracking":
        assert here >= CURVATURE * slope
    if method == "strong-wolfe":
        assert abs(here) <= CURVATURE * abs(slope)
    assert (
        line_search(method, 3, start, direction, slope, lambda p: start._replace(place=p, loss=start.loss + 1)) is None
    )


def iterations(solver, **more):
    rng(0)
    x = np.linspace(-1, 1, 60)[:, None]
    options = trainingOptions(solver, **{"Verbose": False, "MaxIterations": 40, **more})
    return trainNetwork(x, np.sin(4 * x), wave(), options, nargout=2)[1]


@pytest.mark.parametrize(
    "solver, option",
    [
        ("lbfgs", {"HistorySize": 2}),
        ("lbfgs", {"InitialInverseHessianFactor": 0.01}),
        ("lbfgs", {"InitialStepSize": 0.01}),
        ("lbfgs", {"InitialStepSize": "auto"}),
        ("lbfgs", {"LineSearchMethod": "backtracking"}),
        ("lbfgs", {"LineSearchMethod": "strong-wolfe", "InitialInverseHessianFactor": 100}),
        ("lbfgs", {"MaxNumLineSearchIterations": 1}),
        ("lbfgs", {"L2Regularization": 0.1}),
        ("lm", {"InitialDampingFactor": 1}),
        ("lm", {"DampingIncreaseFactor": 3}),
        ("lm", {"DampingDecreaseFactor": 0.5}),
        ("lm", {"L2Regularization": 0.1}),
    ],
)
def test_option_changes_the_way(solver, option):
    base = {} if solver == "lbfgs" else {"MaxIterations": 15}
    if len(option) == 2:
        base["InitialInverseHessianFactor"] = option["InitialInverseHessianFactor"]
    plain, changed = iterations(solver, **base), iterations(solver, **{**base, **option})
    loss = plain.TrainingLoss, changed.TrainingLoss
    assert loss[0].shape != loss[1].shape or np.abs(loss[0] - loss[1]).max() > 1e-6


def test_first_step_has_the_size_asked_for():
    sizes = []
    for size in (0.01, "auto"):
        solver = LBFGS(trainingOptions("lbfgs", InitialStepSize=size))
        point = rosenbrock(np.array([-1.2, 1.0]))
        sizes.append(np.abs(solver._times_inverse_hessian(point)).max())
    assert sizes == pytest.approx([0.01, 0.7])


@pytest.mark.parametrize(
    "solver, options, reason",
    [
        ("lbfgs", {"MaxIterations": 2}, "Reached maximum iterations"),
        ("lm", {"MaxIterations": 2}, "Reached maximum iterations"),
        ("lbfgs", {"GradientTolerance": 0.5}, "Gradient tolerance reached"),
        ("lm", {"GradientTolerance": 0.5}, "Gradient tolerance reached"),
        ("lbfgs", {"StepTolerance": 10}, "Step tolerance reached"),
        ("lm", {"StepTolerance": 10}, "Step tolerance reached"),
        ("lm", {"MaxDampingFactor": 1e-9}, "Maximum damping factor reached"),
        ("lbfgs", {"OutputFcn": lambda info: info.Iteration == 3}, "Stopped by OutputFcn"),
        ("lbfgs", {"ValidationPatience": 1, "ValidationFrequency": 1}, "Met validation criterion"),
    ],
)
def test_why_training_stops(solver, options, reason, capsys):
    if "ValidationPatience" in options:
        options = options | {"ValidationData": (np.ones((2, 1)), [1e3, -1e3])}
    iterations(solver, Verbose=True, **options)
    assert capsys.readouterr().out.splitlines()[-1] == f"Training stopped: {reason}"


TABLE = """
    Iteration    TimeElapsed    TrainingLoss    GradientNorm    StepNorm
    _________    ___________    ____________    ____________    ________
            1       00:00:00         0.10012          1.5837    0.072727
           50       00:00:07        0.001433        0.024051     0.10165
          200       00:00:34      0.00058742      0.00016328  0.00036442
          250       00:01:12      0.00058725        0.000197   6.464e-05
Training stopped: Stopped manually
"""


def test_printed_table(capsys):
    table = FullBatchTable("", 50, with_validation=False)
    table.start()
    rows = [
        (1, 0.4, 0.10012, 1.5837, 0.072727),
        (2, 0.4, 1, 1, 1),
        (50, 7.5, 0.001433, 0.024051, 0.10165),
        (200, 34, 0.000587421, 0.00016328, 0.00036442),
        (250, 72, 0.000587251, 0.000197, 6.464e-05),
    ]
    for iteration, seconds, loss, gradient, step in rows:
        progress = Progress(iteration, iteration, seconds, np.nan, loss, 0)
        progress.gradient_norm, progress.step_norm = gradient, step
        table.update(progress)
    table.close("Stopped manually")
    assert capsys.readouterr().out == TABLE


def test_info_and_output_function():
    seen = []
    x = np.linspace(-1, 1, 60)[:, None]
    options = {"ValidationData": (x, np.sin(4 * x)), "ValidationFrequency": 5, "MaxIterations": 12}
    info = iterations("lbfgs", OutputFcn=lambda info: seen.append(info), **options)
    assert len(info.TrainingLoss) == len(info.GradientNorm) == 12 and "BaseLearnRate" not in info.fields()
    assert np.flatnonzero(~np.isnan(info.ValidationLoss)).tolist() == [0, 4, 9, 11]
    np.testing.assert_allclose(info.ValidationLoss[4], info.TrainingLoss[4], rtol=1e-6)
    assert [each.StepNorm for each in seen[1:-1]] == info.StepNorm.tolist()
    assert info.OutputNetworkIteration == 12
    worse = options | {
        "ValidationData": (x, -np.sin(4 * x)),
        "OutputNetwork": "best-validation",
        "ValidationFrequency": 1,
    }
    assert iterations("lbfgs", **worse).OutputNetworkIteration < 12


def test_batch_normalization_takes_all_data_at_once(monkeypatch):
    monkeypatch.setattr(full_batch, "PIECE", 10)
    trainer = small_trainer("lbfgs")
    assert trainer._piece == 90
    first, again = (trainer._evaluate(trainer.parameters.flat_values / trainer._factors).loss for _ in range(2))
    assert first == again  # dropout draws the same each time
    layers = [featureInputLayer(3), batchNormalizationLayer(), fullyConnectedLayer(2), regressionLayer()]
    net, info = trainNetwork(X, Y, layers, trainingOptions("lbfgs", L2Regularization=0, **EXACT), nargout=2)
    np.testing.assert_allclose(net.Layers[1].TrainedMean.ravel(), X.mean(axis=0), rtol=1e-5)
    rmse = np.sqrt(((predict(net, X) - Y) ** 2).sum(axis=1).mean())
    assert rmse == pytest.approx(info.TrainingRMSE[-1], rel=1e-4)  # what was trained is what predicts


@pytest.mark.parametrize("solver", SOLVERS)
def test_sequences(solver):
    x = [GENERATOR.normal(size=(2, length)) for length in (3, 7, 1, 5)]
    y = [each[:1] - each[1:] for each in x]
    layers = [sequenceInputLayer(2), lstmLayer(3), fullyConnectedLayer(1), regressionLayer()]
    _, info = trainNetwork(x, y, layers, trainingOptions(solver, Verbose=False, MaxIterations=40), nargout=2)
    assert info.TrainingLoss[-1] < 0.05 * info.TrainingLoss[0]


def test_lbfgs_classifies():
    y = (X[:, 0] > X[:, 1]).astype(int)
    layers = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    _, info = trainNetwork(X, y, layers, trainingOptions("lbfgs", Verbose=False, MaxIterations=50), nargout=2)
    assert info.TrainingAccuracy[-1] > 97


def test_what_the_solvers_refuse(monkeypatch):
    y = (X[:, 0] > X[:, 1]).astype(int)
    layers = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    with pytest.raises(NetworkError, match=r"'lm' needs a regressionLayer.*Use 'lbfgs'"):
        trainNetwork(X, y, layers, trainingOptions("lm", Verbose=False))
    monkeypatch.setattr(full_batch, "LARGEST", 7)
    with pytest.raises(NotSupportedError, match="up to 7 trained parameters, but this one has 8"):
        trainNetwork(X, Y, linear(), trainingOptions("lm", Verbose=False))
    with pytest.raises(UnknownNameError, match="no option 'MiniBatchSize'"):
        trainingOptions("lbfgs", MiniBatchSize=3)
    with pytest.raises(OptionError, match="DampingIncreaseFactor.*above 1"):
        trainingOptions("lm", DampingIncreaseFactor=1)
    with pytest.raises(TrainingError, match="loss is .* at the beginning"):
        trainNetwork(
            X, Y, linear(Weights=np.full((2, 3), 1e38)), trainingOptions("lbfgs", Verbose=False, L2Regularization=1e300)
        )


@pytest.mark.parametrize(
    "solver, more", [("lm", {"MaxDampingFactor": 1e-3, "InitialDampingFactor": 1e-3}), ("lbfgs", {})]
)
def test_where_no_step_is_found_the_network_is_that_of_the_last_one(solver, more, monkeypatch):
    trainer = small_trainer(solver, **more)
    step, left = trainer.solver.step, [2]

    def fail_at_last(point, evaluate):
        left[0] -= 1
        if left[0] >= 0:
            return step(point, evaluate)
        evaluate(point.place + 1)  # a trial that is of no use
        return None

    monkeypatch.setattr(trainer.solver, "step", fail_at_last)
    assert trainer.run() == trainer.solver.failure
    np.testing.assert_array_equal(trainer.parameters.flat_values, trainer.point.place * trainer._factors)
