"""Metrics in loops of one's own, and metrics of observations with several labels."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from sklearn import metrics as sklearn

import mlnet
from mlnet import (
    DataError,
    OptionError,
    accuracyMetric,
    arrayDatastore,
    aucMetric,
    categorical,
    classificationLayer,
    combine,
    dlarray,
    evaluate,
    featureInputLayer,
    fScoreMetric,
    fullyConnectedLayer,
    mapeMetric,
    precisionMetric,
    predict,
    recallMetric,
    regressionLayer,
    reset,
    rmseMetric,
    rng,
    rSquaredMetric,
    sigmoidLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    update,
)

G = np.random.default_rng(0)
SCORES = G.random((60, 4))
LABELS = (SCORES + G.normal(0, 0.3, SCORES.shape) > [0.3, 0.5, 0.6, 0.8]).astype(float)
CLASSES = SCORES.argmax(axis=1)
CLASSES[::3] = G.integers(0, 4, 20)
NAMES = list("abcd")
MAKE = {
    "accuracy": accuracyMetric,
    "precision": precisionMetric,
    "recall": recallMetric,
    "f1": fScoreMetric,
    "auc": aucMetric,
}
AVERAGES = ["micro", "macro", "weighted"]


def expected_of_labels(name, average):
    predicted = SCORES > 0.5
    if name == "accuracy":
        right = (predicted == LABELS).mean(axis=0)
        weights = LABELS.sum(axis=0) if average == "weighted" else None
        return 100 * np.average(right, weights=weights)
    if name == "auc":
        return sklearn.roc_auc_score(LABELS, SCORES, average=average)
    return getattr(sklearn, f"{name}_score")(LABELS, predicted, average=average)


def parts_of(*arrays):
    edges = (0, 1, 20, 20, 60)
    return [[array[start:stop] for array in arrays] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", MAKE)
def test_several_labels_against_scikit_learn(name, average):
    metric = MAKE[name](ClassificationMode="multilabel", AverageType=average)
    for y, t in parts_of(SCORES, LABELS):
        metric = update(metric, y, t)
    assert evaluate(metric) == pytest.approx(expected_of_labels(name, average), rel=1e-12)
    formatted = update(reset(metric), dlarray(SCORES.T, "CB"), dlarray(LABELS.T, "CB"))
    assert evaluate(formatted) == pytest.approx(evaluate(metric), rel=1e-12)
    folded = [each.reshape(10, 6, 4).transpose(1, 2, 0) for each in (SCORES, LABELS)]  # time x channels x observations
    formatted = metric.reset().update(*(dlarray(each, "TCB") for each in folded))
    assert formatted.evaluate() == pytest.approx(evaluate(metric), rel=1e-12)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", MAKE)
def test_one_class_in_any_form(name, average):
    names = categorical.from_codes(CLASSES, NAMES)
    one_hot = np.eye(4)[CLASSES]
    values = []
    for targets in (names, one_hot, one_hot.astype(bool)):
        metric = MAKE[name](AverageType=average)
        for y, t in parts_of(SCORES, targets):
            metric = metric.update(y, t)
        values.append(metric.evaluate())
    values.append(update(MAKE[name](AverageType=average), dlarray(SCORES.T, "CB"), dlarray(one_hot.T, "CB")).evaluate())
    predicted = SCORES.argmax(axis=1)
    if name == "auc":
        expected = sklearn.roc_auc_score(one_hot, SCORES, average=average)
    elif name == "accuracy":
        recalls = sklearn.recall_score(CLASSES, predicted, average="macro")
        expected = 100 * (recalls if average == "macro" else sklearn.accuracy_score(CLASSES, predicted))
    else:
        expected = getattr(sklearn, f"{name}_score")(CLASSES, predicted, average=average)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_responses():
    y, t = G.normal(size=(9, 2)), G.normal(3, 1, (9, 2))
    for metric, value in (
        (rmseMetric(), np.sqrt(np.mean((y - t) ** 2))),
        (mapeMetric(), 100 * np.mean(np.abs((t - y) / t))),
        (rSquaredMetric(), sklearn.r2_score(t, y)),
    ):
        first = update(metric, y[:2], t[:2])
        assert evaluate(update(first, y[2:], t[2:])) == pytest.approx(value, rel=1e-12)
        assert evaluate(update(reset(first), y[2:, 0], t[2:, 0])) == pytest.approx(
            evaluate(update(metric, dlarray(y[2:, 0], "B"), dlarray(t[2:, 0], "B")))
        )


def test_metrics_are_values():
    for make in (*MAKE.values(), rmseMetric, rSquaredMetric):
        empty = make()
        one = empty.update(SCORES[:9], np.eye(4)[CLASSES[:9]])
        value = one.evaluate()
        two = one.update(SCORES[9:], np.eye(4)[CLASSES[9:]])
        assert np.isnan(evaluate(empty)) and evaluate(one) == value != evaluate(two)
        assert np.isnan(evaluate(reset(two))) and evaluate(two) == evaluate(two)
        assert repr(two) == repr(empty) and pickle.loads(pickle.dumps(two)).Name == two.Name
    undefined = categorical.from_codes(np.array([-1, 0]), ["a", "b"])
    assert evaluate(update(accuracyMetric(), np.array([[1, 0], [1, 0]]), undefined)) == 100


@pytest.mark.parametrize(
    "metric, y, t, text",
    [
        (
            accuracyMetric(),
            SCORES,
            np.eye(4)[CLASSES[:9]],
            "needs 60 targets with 4 numbers, as Y has, but got 9 with 4",
        ),
        (accuracyMetric(), SCORES, categorical(["a", "b"]), "needs labels with 4 categories.*got 2"),
        (accuracyMetric(), SCORES[:3], categorical.from_codes([1], NAMES), "needs 3 labels.*got 1"),
        (accuracyMetric(), SCORES[:2], np.ones((2, 4)), "one class for each observation.*multilabel"),
        (accuracyMetric(), SCORES[:2], np.full((2, 4), 0.5), "targets of 0 and 1.*got 0.5"),
        (aucMetric(ClassificationMode="multilabel"), SCORES[:2], np.full((2, 4), 2), "targets of 0 and 1.*got 2"),
        (aucMetric(ClassificationMode="multilabel"), SCORES[:1], categorical.from_codes([1], NAMES), "needs numbers"),
        (rmseMetric(), ["x"], ["y"], "Y: needs numbers"),
        (rmseMetric(), np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), "a dlarray with labels such as 'CB'"),
    ],
)
def test_what_does_not_fit(metric, y, t, text):
    with pytest.raises(DataError, match=text):
        update(metric, y, t)


def test_what_is_no_metric():
    for function in (lambda: update(1, SCORES, LABELS), lambda: evaluate("auc")):
        with pytest.raises(OptionError, match="needs a metric, such as accuracyMetric"):
            function()
    with pytest.raises(
        OptionError, match="NumTopKClasses: needs to be 1 for ClassificationMode='multilabel', but is 2"
    ):
        accuracyMetric(NumTopKClasses=2, ClassificationMode="multilabel")
    metric = accuracyMetric(NumTopKClasses=2)
    with pytest.raises(OptionError, match="NumTopKClasses"):
        metric.ClassificationMode = "multilabel"
    assert metric.ClassificationMode == "single-label"
    with pytest.raises(OptionError, match="reset: needs a datastore"):
        mlnet.reset(1)


X = G.normal(size=(40, 3))
T = (X @ G.normal(size=(3, 2)) > 0).astype(float)
NETWORK = [featureInputLayer(3), fullyConnectedLayer(2), sigmoidLayer(), regressionLayer()]


def train(data, layers=NETWORK, **more):
    rng(0)
    given = {"MaxEpochs": 9, "MiniBatchSize": 40, "Verbose": False, "InitialLearnRate": 0.1, "Shuffle": "never"}
    return trainNetwork(*data, layers, trainingOptions("adam", **{**given, **more}), nargout=2)


def test_training_of_several_labels():
    metrics = [make(ClassificationMode="multilabel") for make in MAKE.values()]
    more = {"Metrics": metrics, "ValidationData": (X[:21], T[:21]), "ObjectiveMetricName": "accuracy"}
    net, info = train((X, T), OutputNetwork="best-validation", ValidationFrequency=1, **more)
    for metric in metrics:
        value = update(metric, predict(net, X[:21]), T[:21]).evaluate()
        assert getattr(info, f"FinalValidation{metric.Name}") == pytest.approx(value)
    assert info.OutputNetworkIteration == 1 + np.argmax(info.ValidationAccuracy)
    assert info.TrainingAccuracy[-1] > info.TrainingAccuracy[0]
    store = combine(arrayDatastore(X), arrayDatastore(T))
    assert train((store,), Metrics=metrics)[1].TrainingAUC[-1] == pytest.approx(info.TrainingAUC[-1])


def test_several_labels_that_do_not_fit_are_refused_before_the_first_iteration():
    seen = []
    metric = aucMetric(ClassificationMode="multilabel")
    with pytest.raises(DataError, match="needs targets of 0 and 1.*but got 0.5"):
        train((X, np.where(T > 0, T, 0.5)), Metrics=metric, OutputFcn=seen.append)
    with pytest.raises(DataError, match="needs targets of 0 and 1.*but got -2"):
        train((X, T), ValidationData=(X[:2], -2 * np.ones((2, 2))), Metrics=metric, OutputFcn=seen.append)
    layers = [featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer(Name="out")]
    with pytest.raises(OptionError, match="'multilabel' is for a network that puts out a number for each label.*'out'"):
        train((X, T[:, 0]), layers, Metrics=metric, OutputFcn=seen.append)
    with pytest.raises(OptionError, match="is for classification, but this is a network for regression"):
        train((X, T), Metrics=aucMetric(), OutputFcn=seen.append)
    assert not seen
