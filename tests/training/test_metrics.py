"""Metrics against scikit-learn and plain formulas; in mini-batches as over all data; in tables, info and decisions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from mlnet import (
    DataError,
    OptionError,
    accuracyMetric,
    aucMetric,
    classificationLayer,
    convolution2dLayer,
    cosineLearnRate,
    featureInputLayer,
    fScoreMetric,
    fullyConnectedLayer,
    imageInputLayer,
    lstmLayer,
    mapeMetric,
    pixelClassificationLayer,
    precisionMetric,
    predict,
    recallMetric,
    regressionLayer,
    rmseMetric,
    rng,
    rSquaredMetric,
    sequenceInputLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.rules import EMPTY
from mlnet.training.counting import new_count
from mlnet.training.metering import Meters, Result
from mlnet.training.progress import Progress
from mlnet.training.watching import TrainingWatch, schedule_text

G = np.random.default_rng(0)
TRUE = G.integers(0, 4, 200)
SCORES = G.random((200, 4)) + 0.3 * np.eye(4)[TRUE]
SCORES /= SCORES.sum(axis=1, keepdims=True)
PREDICTED = SCORES.argmax(axis=1)
RARE_TRUE, RARE_SCORES = np.array([0, 0, 2, 2, 2]), np.eye(4)[[0, 2, 2, 2, 0]] * 0.9  # class 3 is nowhere


def value(metric, y, t, parts=(0,)):
    """Return the metric of data that come in parts."""
    count = new_count(metric, "name")
    for start, stop in zip(parts, [*parts[1:], len(y)], strict=True):
        count.add(y[start:stop], t[start:stop])
    return count.value()


@pytest.mark.parametrize("parts", [(0,), (0, 1, 7, 150)])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_metrics_of_classes_against_scikit_learn(average, parts):
    def check(metric, expected):
        assert value(metric(AverageType=average), SCORES, TRUE, parts) == pytest.approx(expected, rel=1e-12)

    more = {"average": average, "zero_division": 0}
    check(precisionMetric, reference.precision_score(TRUE, PREDICTED, **more))
    check(recallMetric, reference.recall_score(TRUE, PREDICTED, **more))
    check(fScoreMetric, reference.f1_score(TRUE, PREDICTED, **more))
    f2 = fScoreMetric(AverageType=average, Beta=2)
    expected = reference.fbeta_score(TRUE, PREDICTED, beta=2, **more)
    assert value(f2, SCORES, TRUE, parts) == pytest.approx(expected, rel=1e-12)
    check(aucMetric, reference.roc_auc_score(TRUE, SCORES, multi_class="ovr", average=average))
    balanced = reference.balanced_accuracy_score(TRUE, PREDICTED)
    check(accuracyMetric, 100 * (balanced if average == "macro" else reference.accuracy_score(TRUE, PREDICTED)))


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_classes_that_do_not_occur_are_left_out(average):
    predicted = RARE_SCORES.argmax(axis=1)
    more = {"average": average, "zero_division": 0}
    for metric, function in (
        (precisionMetric, reference.precision_score),
        (recallMetric, reference.recall_score),
        (fScoreMetric, reference.f1_score),
    ):
        found = value(metric(AverageType=average), RARE_SCORES, RARE_TRUE)
        assert found == pytest.approx(function(RARE_TRUE, predicted, **more))
    assert value(accuracyMetric(AverageType="macro"), RARE_SCORES, RARE_TRUE) == pytest.approx(
        100 * (1 / 2 + 2 / 3) / 2
    )


def test_area_with_equal_scores_and_with_one_class():
    scores = np.round(SCORES, 1)
    t = (TRUE > 1).astype(int)
    two = np.stack([1 - scores[:, 3], scores[:, 3]], axis=1)
    assert value(aucMetric(), two, t) == pytest.approx(reference.roc_auc_score(t, scores[:, 3]))
    assert np.isnan(value(aucMetric(), two, np.zeros(200, int)))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(k):
    expected = 100 * reference.top_k_accuracy_score(TRUE, SCORES, k=k)
    assert value(accuracyMetric(NumTopKClasses=k), SCORES, TRUE, (0, 60)) == pytest.approx(expected)
    same = np.full((3, 4), 0.25)
    assert value(accuracyMetric(NumTopKClasses=k), same, np.array([0, 1, 2])) == pytest.approx(100 * k / 3)


@pytest.mark.parametrize("parts", [(0,), (0, 1, 7, 150)])
@pytest.mark.parametrize("offset", [0, 1000])
def test_metrics_of_responses_against_scikit_learn(parts, offset):
    t = G.normal(offset, 1, (200, 3)) + [1, 2, 3]
    y = t + G.normal(0, 0.5, t.shape)
    assert value(rmseMetric(), y, t, parts) == pytest.approx(np.sqrt(reference.mean_squared_error(t, y)))
    assert value(mapeMetric(), y, t, parts) == pytest.approx(100 * reference.mean_absolute_percentage_error(t, y))
    assert value(rSquaredMetric(), y, t, parts) == pytest.approx(reference.r2_score(t, y))
    assert np.isnan(value(rSquaredMetric(), y, np.ones_like(t)))
    assert value(mapeMetric(), np.ones((2, 1)), np.array([[0.0], [1]])) == np.inf


X = G.normal(size=(60, 3))
CLASSES = np.digitize(X[:, 0] + 0.5 * G.normal(size=60), [-0.5, 0.5])
CLASSIFIER = [featureInputLayer(3), fullyConnectedLayer(3), softmaxLayer(), classificationLayer(Name="out")]
REGRESSOR = [featureInputLayer(3), fullyConnectedLayer(2), regressionLayer()]
RESPONSES = X[:, :2] + 3


def train(x, y, layers, **more):
    rng(0)
    options = {"MaxEpochs": 3, "MiniBatchSize": 25, "Verbose": False, "InitialLearnRate": 0.05}
    return trainNetwork(x, y, layers, trainingOptions("sgdm", **{**options, **more}), nargout=2)


def test_validation_metrics_are_those_of_the_whole_set():
    metrics = ["fscore", "auc", precisionMetric(Name="P"), recallMetric, accuracyMetric(NumTopKClasses=2, Name="Top2")]
    net, info = train(X, CLASSES, CLASSIFIER, Metrics=metrics, ValidationData=(X, CLASSES), MiniBatchSize=7)
    scores = predict(net, X)
    predicted = scores.argmax(axis=1)
    assert info.FinalValidationFScore == pytest.approx(reference.f1_score(CLASSES, predicted, average="macro"))
    assert info.FinalValidationAUC == pytest.approx(
        reference.roc_auc_score(CLASSES, scores / scores.sum(1, keepdims=True), multi_class="ovr")
    )
    assert info.FinalValidationP == pytest.approx(reference.precision_score(CLASSES, predicted, average="macro"))
    assert info.FinalValidationRecall == pytest.approx(reference.recall_score(CLASSES, predicted, average="macro"))
    assert info.FinalValidationTop2 == pytest.approx(100 * reference.top_k_accuracy_score(CLASSES, scores, k=2))
    assert info.ValidationFScore[-1] == info.FinalValidationFScore
    assert np.flatnonzero(~np.isnan(info.ValidationP)).tolist() == [0, 23]
    assert info.TrainingP.shape == info.TrainingTop2.shape == (24,) and not np.isnan(info.TrainingP).any()
    net, info = train(
        X, RESPONSES, REGRESSOR, Metrics=["rmse", "mape", "rsquared"], ValidationData=(X, RESPONSES), MiniBatchSize=7
    )
    y = predict(net, X)
    assert info.FinalValidationRMSE == pytest.approx(np.sqrt(reference.mean_squared_error(RESPONSES, y)))
    assert info.FinalValidationMAPE == pytest.approx(
        100 * reference.mean_absolute_percentage_error(RESPONSES, y), rel=1e-5
    )
    assert info.FinalValidationRSquared == pytest.approx(reference.r2_score(RESPONSES, y), rel=1e-4)


def test_training_metrics_are_those_of_the_mini_batch():
    _, info = train(X[:25], CLASSES[:25], CLASSIFIER, Metrics=["accuracy", "recall"], InitialLearnRate=1e-9)
    net, _ = train(X[:25], CLASSES[:25], CLASSIFIER, InitialLearnRate=1e-9)
    expected = reference.recall_score(CLASSES[:25], predict(net, X[:25]).argmax(axis=1), average="macro")
    np.testing.assert_allclose(info.TrainingRecall, [expected] * 3)
    assert list(info.fields()).count("TrainingAccuracy") == 1


def test_functions_get_all_predictions_and_targets():
    seen = []

    def largest_error(y, t):
        seen.append((y.dims(), y.shape, t.shape))
        return abs(y - t).extractdata().max()

    metrics = [largest_error, lambda y, t: np.mean((y - t) ** 2)]
    net, info = train(X, RESPONSES, REGRESSOR, Metrics=metrics, ValidationData=(X, RESPONSES))
    y = predict(net, X)
    assert info.FinalValidationlargest_error == pytest.approx(np.abs(y - RESPONSES).max(), rel=1e-5)
    assert info.FinalValidationMetric2 == pytest.approx(np.mean((y - RESPONSES) ** 2), rel=1e-5)
    assert set(seen) == {("CB", (2, 25), (2, 25)), ("CB", (2, 60), (2, 60))}
    one_hot = []
    train(X, CLASSES, CLASSIFIER, Metrics=lambda y, t: one_hot.append(t.extractdata()) or 0.0, MaxEpochs=1)
    assert one_hot[0].shape == (3, 25) and (one_hot[0].sum(axis=0) == 1).all()
    with pytest.raises(DataError, match="Metrics: the function 'Metric1' raised TypeError: .*takes 1 positional"):
        train(X, CLASSES, CLASSIFIER, Metrics=lambda y: 0.0, MaxEpochs=1)
    with pytest.raises(DataError, match="Metrics: the function '.*' needs to return a number, but returned 'x'"):
        train(X, CLASSES, CLASSIFIER, Metrics=lambda y, t: "x")


def test_sequences_and_pixels():
    x = [G.normal(size=(2, length)) for length in (3, 7, 2, 5)]
    steps = [(each[0] > 0).astype(int) for each in x]
    layers = [sequenceInputLayer(2), lstmLayer(3), fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    net, info = train(x, steps, layers, Metrics="fscore", ValidationData=(x, steps), MiniBatchSize=2)
    predicted = np.concatenate([each.argmax(axis=0) for each in predict(net, x)])
    expected = reference.f1_score(np.concatenate(steps), predicted, average="macro", zero_division=0)
    assert info.FinalValidationFScore == pytest.approx(expected)
    images = G.normal(size=(4, 5, 1, 6))
    pixels = (images[:, :, 0] > 0).astype(int)
    layers = [imageInputLayer([4, 5, 1]), convolution2dLayer(1, 2), softmaxLayer(), pixelClassificationLayer()]
    net, info = train(images, pixels, layers, Metrics="auc", ValidationData=(images, pixels), MiniBatchSize=4)
    expected = reference.roc_auc_score(pixels.ravel(), predict(net, images)[:, :, 1].ravel())
    assert info.FinalValidationAUC == pytest.approx(expected)


def test_pixels_without_a_label_do_not_count():
    meters = Meters("accuracy", classificationLayer())
    counts = meters.counts()
    counts.add(np.array([[[0.9, 0.1], [0.2, 0.8]]]), np.array([[-1, 1]]))
    counts.add(np.array([[[0.9, 0.1], [0.2, 0.8]]]), np.array([[-1, -1]]))
    assert counts.result(Result(0, 0)).metric == 100


HEAD = [
    "|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Validation  |  Mini-batch  |  Validation  |"
    "  Mini-batch  |  Validation  |  Base Learning  |",
    "|         |             |   (hh:mm:ss)   |   Accuracy   |   Accuracy   |    FScore    |    FScore    |"
    "     Loss     |     Loss     |      Rate       |",
]


def test_table_and_output_function(capsys):
    seen = []
    train(
        X,
        CLASSES,
        CLASSIFIER,
        Metrics="fscore",
        ValidationData=(X, CLASSES),
        Verbose=True,
        OutputFcn=lambda info: seen.append(info),
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == HEAD
    cells = [cell.strip() for cell in lines[5].split("|")]
    assert cells[6:8] == [f"{seen[1].TrainingFScore:.4f}", f"{seen[1].ValidationFScore:.4f}"]
    assert seen[0].TrainingFScore is EMPTY and seen[2].ValidationFScore is EMPTY and seen[2].TrainingFScore > 0


def test_panels_of_the_picture_and_of_the_history():
    options = trainingOptions("lbfgs", Metrics="fscore", LineSearchMethod="backtracking")
    watch = TrainingWatch(options, "Accuracy", with_validation=True, more=["FScore"])
    assert [panel.label for panel in watch.board.panels] == ["Accuracy (%)", "FScore", "Loss"]
    assert watch.board.end == 1000
    progress = Progress(1, 1, 0.0, np.nan, 2.0, 50.0, training_more=(0.5,))
    watch.update(progress)
    progress.add_validation(Result(1.0, 60.0, (0.25,)))
    watch.update(progress)
    assert [curve.y for curve in watch.board.panels[1].curves] == [[0.5, 0.5], [0.25]]
    assert watch.board.sections["Results"]["Validation FScore"] == "0.2500"
    names = schedule_text("none"), schedule_text(["warmup", cosineLearnRate()]), schedule_text(lambda base, epoch: base)
    assert names == ("Constant", "Warmup, Cosine", "Function")


def scripted(values, **more):
    """Train with a metric that takes given values at the validations; return info."""
    left = iter(values)

    def score(y, t):
        return next(left) if y.shape[1] == 60 else 0.0

    return train(
        X,
        CLASSES,
        CLASSIFIER,
        Metrics=[score, *more.pop("others", [])],
        ValidationData=(X, CLASSES),
        ValidationFrequency=1,
        MaxEpochs=4,
        ObjectiveMetricName="score",
        **more,
    )[1]


def test_objective_decides_patience_and_the_best_network():
    values = [5, 3, 4, 2, 6, 6, 6, 6, 6]
    info = scripted(values, OutputNetwork="best-validation")
    assert info.OutputNetworkIteration == 4
    assert scripted(values, OutputNetwork="auto").OutputNetworkIteration == 4
    assert scripted(values, OutputNetwork="last-iteration").OutputNetworkIteration == 8
    assert len(scripted(values, ValidationPatience=2).TrainingLoss) == 6


@pytest.mark.parametrize("name, higher", [("fscore", True), ("FScore", True), ("Accuracy", True), ("loss", False)])
def test_higher_or_lower_is_better(name, higher):
    meters = Meters("fscore", classificationLayer())
    found, is_higher = meters.objective(name)
    assert (found, is_higher) == ({"fscore": "FScore"}.get(name, name), higher)
    assert meters.value(found, Result(1, 2, (3,))) == {"loss": 1, "Accuracy": 2, "FScore": 3}[found]
    assert Meters(["mape", "rsquared"], regressionLayer()).objective("mape") == ("MAPE", False)
    assert Meters(["mape", "rsquared"], regressionLayer()).objective("RSquared") == ("RSquared", True)
    assert Meters([], regressionLayer()).objective("rmse") == ("RMSE", False)


def test_best_network_by_accuracy():
    more = {
        "ValidationData": (X, CLASSES),
        "ValidationFrequency": 1,
        "OutputNetwork": "best-validation",
        "Metrics": "accuracy",
    }
    _, info = train(X, CLASSES, CLASSIFIER, ObjectiveMetricName="accuracy", MaxEpochs=9, InitialLearnRate=1.0, **more)
    assert info.OutputNetworkIteration == 1 + np.argmax(info.ValidationAccuracy)
    assert info.OutputNetworkIteration != 1 + np.argmin(info.ValidationLoss)


@pytest.mark.parametrize(
    "layers, options, text",
    [
        (
            CLASSIFIER,
            {"Metrics": "rmse"},
            "RMSEMetric 'RMSE': is for regression, but this is a network for classification",
        ),
        (REGRESSOR, {"Metrics": ["mape", "auc"]}, "AUCMetric 'AUC': is for classification.* Use rmse, mape, rsquared"),
        (CLASSIFIER, {"Metrics": ["auc", aucMetric()]}, "two metrics are named 'AUC'"),
        (CLASSIFIER, {"Metrics": aucMetric(Name="a b")}, "Name is a name of a field, but got 'a b'"),
        (
            CLASSIFIER,
            {"Metrics": aucMetric(NetworkOutput="in")},
            "needs the name of an output layer, 'out', but is 'in'",
        ),
        (CLASSIFIER, {"ObjectiveMetricName": "fscor", "Metrics": "fscore"}, "got 'fscor'. Did you mean 'FScore'"),
        (CLASSIFIER, {"OutputNetwork": "best-validation"}, "OutputNetwork='best-validation' needs ValidationData"),
        (
            CLASSIFIER,
            {
                "OutputNetwork": "best-validation-loss",
                "ObjectiveMetricName": "accuracy",
                "ValidationData": (X, CLASSES),
            },
            "is for the loss, but ObjectiveMetricName is 'Accuracy'. Use 'best-validation'",
        ),
    ],
)
def test_what_does_not_fit_is_an_error_before_the_first_iteration(layers, options, text):
    seen = []
    with pytest.raises(OptionError, match=text):
        train(X, CLASSES if layers is CLASSIFIER else RESPONSES, layers, OutputFcn=seen.append, **options)
    assert not seen


@pytest.mark.parametrize("bad", ["no such metric", 1, ["auc", 2], {"a": 1}])
def test_metrics_that_are_none(bad):
    with pytest.raises(OptionError, match="Metrics: needs"):
        trainingOptions("sgdm", Metrics=bad)
    assert train(X, CLASSES, CLASSIFIER, Metrics=aucMetric(NetworkOutput="out"), MaxEpochs=1)[1].TrainingAUC.shape == (
        2,
    )


def score_of_mine(y, t):
    return 0.0


@pytest.mark.parametrize(
    "options, text",
    [
        ({"ObjectiveMetricName": "los"}, "needs one of 'loss', 'Accuracy', 'RMSE', but got 'los'. Did you mean 'loss'"),
        ({"ObjectiveMetricName": "fscore"}, "needs one of .*, but got 'fscore'. Add 'fscore' to Metrics"),
        (
            {"ObjectiveMetricName": "Top3", "Metrics": [accuracyMetric(Name="Top5"), score_of_mine, lambda y, t: 0]},
            "needs one of 'loss', 'Accuracy', 'RMSE', 'Top5', 'score_of_mine', 'Metric3', but got 'Top3'.*'Top5'",
        ),
        ({"Metrics": ["auc", aucMetric()]}, "trainingOptions: Metrics: two metrics are named 'AUC'"),
        ({"Metrics": aucMetric(Name="a b")}, "trainingOptions: Metrics: needs metrics whose Name"),
    ],
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_names_of_metrics_are_checked_when_options_are_made(solver, options, text):
    with pytest.raises(OptionError, match=text):
        trainingOptions(solver, **options)
    made = trainingOptions(solver, Metrics=[score_of_mine, "auc"], ObjectiveMetricName="Score_of_mine")
    with pytest.raises(OptionError, match="but got 'mape'"):
        made.ObjectiveMetricName = "mape"
    made.ObjectiveMetricName = "auc"
    assert made.ObjectiveMetricName == "auc"
