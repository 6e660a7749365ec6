"""Estimators of scikit-learn: its own checks, and what its users do with estimators."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlnet import (
    DataError,
    LayerArray,
    NetworkClassifier,
    NetworkError,
    NetworkRegressor,
    OptionError,
    UnknownNameError,
    classificationLayer,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    predict,
    regressionLayer,
    reluLayer,
    rng,
    sequenceInputLayer,
    softmaxLayer,
    tanhLayer,
    trainingOptions,
)

X, y = load_iris(return_X_y=True)
SHORT = trainingOptions("lbfgs", MaxIterations=40, Verbose=False)


@parametrize_with_checks([NetworkClassifier(), NetworkRegressor()])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_estimators_share_no_state_with_rng_and_repeat_themselves():
    rng(5)
    first = NetworkClassifier(options=SHORT, random_state=3).fit(X, y).predict_proba(X)
    rng(6)
    other = NetworkClassifier(options=SHORT, random_state=4).fit(X, y).predict_proba(X)
    again = NetworkClassifier(options=SHORT, random_state=3).fit(X, y).predict_proba(X)
    following = NetworkClassifier(options=SHORT).fit(X, y).predict_proba(X)
    rng(6)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(following, NetworkClassifier(options=SHORT).fit(X, y).predict_proba(X))


def test_a_random_state_goes_on():
    state = np.random.RandomState(0)
    found = [NetworkClassifier(options=SHORT, random_state=state).fit(X, y).predict_proba(X) for _ in range(2)]
    assert not np.array_equal(*found)


@pytest.mark.parametrize(
    "layers",
    [
        [fullyConnectedLayer(8), tanhLayer],
        [fullyConnectedLayer(8), tanhLayer, fullyConnectedLayer(3)],
        [fullyConnectedLayer(8), tanhLayer, fullyConnectedLayer(3), softmaxLayer],
        LayerArray([featureInputLayer(4), fullyConnectedLayer(3), softmaxLayer, classificationLayer]),
        layerGraph([featureInputLayer(4), fullyConnectedLayer(3), softmaxLayer, classificationLayer]),
        lambda features, classes: [fullyConnectedLayer(features * classes), tanhLayer],
        [],
    ],
)
def test_what_layers_lack_is_put_around_them(layers):
    classifier = NetworkClassifier(layers, SHORT, random_state=0).fit(X, y)
    names = [type(layer).__name__ for layer in classifier.network_.Layers]
    assert names[0] == "FeatureInputLayer" and names.count("SoftmaxLayer") == 1
    assert names[-3:] == ["FullyConnectedLayer", "SoftmaxLayer", "ClassificationOutputLayer"]
    assert classifier.network_.Layers[-3].OutputSize == 3
    assert names.count("FullyConnectedLayer") == (1 if len(names) == 4 else 2)
    assert classifier.score(X, y) > 0.9


def test_layers_and_options_given_are_not_changed():
    layers = LayerArray([fullyConnectedLayer(8), reluLayer])
    classifier = NetworkClassifier(layers, SHORT).fit(X, y)
    assert len(layers) == 2 and classifier.layers is layers and layers[0].Weights.size == 0
    twin = clone(classifier)
    assert twin.layers is not layers and twin.options.MaxIterations == 40 and not hasattr(twin, "network_")


def test_classes_of_any_kind_keep_their_order():
    names = np.array(["zebra", "ant", "<undefined>"], dtype=object)[y]
    classifier = NetworkClassifier(options=SHORT, random_state=0).fit(X, names)
    assert classifier.classes_.tolist() == ["<undefined>", "ant", "zebra"]
    assert np.mean(classifier.predict(X) == names) > 0.95
    flags = NetworkClassifier(options=SHORT, random_state=0).fit(X, y == 1)
    assert flags.predict(X).dtype == bool and flags.score(X, y == 1) > 0.9
    empty = NetworkClassifier(options=SHORT, random_state=0).fit(X, np.array(["", "a", "b"])[y])
    assert empty.predict(X[:1]).tolist() == [""]


def test_columns_follow_the_classes_where_the_output_layer_has_another_order():
    order = classificationLayer(Classes=["2", "0", "1"])
    classifier = NetworkClassifier([fullyConnectedLayer(3), softmaxLayer, order], SHORT, random_state=0).fit(X, y)
    assert classifier.network_.Layers[-1].class_names() == ["2", "0", "1"]
    scores = classifier.predict_proba(X)
    assert np.mean(scores.argmax(axis=1) == y) > 0.95 and np.allclose(scores.sum(axis=1), 1, atol=1e-12)


def test_names_of_features_are_checked():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    classifier = NetworkClassifier(options=SHORT, random_state=0).fit(table, y)
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(table.rename(columns={"a": "e"}))


def test_tables_texts_and_pipelines_of_columns():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"]).assign(kind=np.array(["u", "v", "w"])[y])
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["kind"]))
    names = pd.Series(np.array(["setosa", "versicolor", "virginica"])[y], name="species")
    model = make_pipeline(columns, NetworkClassifier(options=SHORT, random_state=0)).fit(table, names)
    assert model.score(table, names) > 0.95 and set(model.predict(table[:3])) <= set(names)
    two = NetworkClassifier(options=SHORT, random_state=0).fit(table[["a", "b"]], names == "setosa")
    assert (
        two.predict_proba(table[["a", "b"]]).shape == (150, 2)
        and two.score(table[["a", "b"]], names == "setosa") > 0.95
    )
    both = NetworkRegressor(options=SHORT, random_state=0).fit(table[["a", "b"]], table[["c", "d"]])
    assert both.predict(table[["a", "b"]]).shape == (150, 2)
    with pytest.raises(TypeError, match="sample_weight"):
        NetworkClassifier().fit(X, y, sample_weight=np.ones(150))


def test_rows_become_images():
    images, digits = load_digits(return_X_y=True)
    images, digits = images[:300], digits[:300]
    layers = [imageInputLayer([8, 8, 1]), convolution2dLayer(3, 4), reluLayer]
    options = trainingOptions("adam", MaxEpochs=8, MiniBatchSize=32, InitialLearnRate=0.01, Verbose=False)
    classifier = NetworkClassifier(layers, options, random_state=0).fit(images, digits)
    assert classifier.score(images, digits) > 0.9
    upright = images.reshape(-1, 8, 8).transpose(1, 2, 0)[:, :, None]
    assert np.allclose(predict(classifier.network_, upright), classifier.predict_proba(images), atol=1e-5)
    colours = NetworkRegressor(lambda n, k: [imageInputLayer([3, 2, 4]), fullyConnectedLayer(1)], SHORT, random_state=0)
    data = np.random.default_rng(0).normal(size=(40, 3, 2, 4))
    colours.fit(data.reshape(40, -1), data[:, 2, 1, 3])
    assert colours.score(data.reshape(40, -1), data[:, 2, 1, 3]) > 0.99


def test_pipelines_searches_and_other_processes():
    classifier = NetworkClassifier([fullyConnectedLayer(5), reluLayer], SHORT, random_state=0)
    pipeline = make_pipeline(StandardScaler(), classifier)
    try:
        assert np.mean(cross_val_score(pipeline, X, y, cv=3, n_jobs=2)) > 0.9
    finally:
        get_reusable_executor().shutdown(wait=True)
    grid = {"networkclassifier__options__L2Regularization": [1e-4, 10.0], "networkclassifier__random_state": [0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["networkclassifier__options__L2Regularization"] == 1e-4
    again = pickle.loads(pickle.dumps(search))
    assert np.array_equal(again.predict_proba(X), search.predict_proba(X))


def test_options_as_parameters():
    classifier = NetworkClassifier().set_params(options__MaxIterations=7, random_state=1)
    assert classifier.options.MaxIterations == 7 and classifier.get_params()["options__MaxIterations"] == 7
    assert set(classifier.get_params(deep=False)) == {"layers", "options", "random_state"}
    assert set(NetworkClassifier().get_params()) == {"layers", "options", "random_state"}
    given = classifier.options
    classifier.set_params(options__MaxIterations=8)
    assert given.MaxIterations == 7 and classifier.options.MaxIterations == 8
    with pytest.raises(UnknownNameError, match="MaxIteration"):
        classifier.set_params(options__MaxIteration=8)
    with pytest.raises(OptionError, match="MaxIterations"):
        classifier.set_params(options__MaxIterations=-1)


def test_several_responses():
    targets = np.stack([X.sum(axis=1), X[:, 0] * X[:, 1]], axis=1)
    regressor = NetworkRegressor(random_state=0).fit(X, targets)
    assert regressor.predict(X).shape == (150, 2) and regressor.score(X, targets) > 0.98
    assert NetworkRegressor(options=SHORT, random_state=0).fit(X, targets[:, 0]).predict(X).shape == (150,)


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: NetworkClassifier(options="adam").fit(X, y), OptionError, "trainingOptions"),
        (lambda: NetworkClassifier([featureInputLayer(3)]).fit(X, y), DataError, "3 features for the input layer"),
        (lambda: NetworkClassifier().fit(X, np.zeros(150)), DataError, "1 class"),
        (lambda: NetworkClassifier([regressionLayer]).fit(X, y), NetworkError, "a classificationLayer at the end"),
        (lambda: NetworkRegressor([softmaxLayer, classificationLayer]).fit(X, y), NetworkError, "regressionLayer"),
        (lambda: NetworkClassifier([sequenceInputLayer(4)]).fit(X, y), NetworkError, "of features or images"),
        (lambda: NetworkClassifier(layerGraph([reluLayer])).fit(X, y), NetworkError, "0 input and 0 output layers"),
        (
            lambda: NetworkClassifier(
                [fullyConnectedLayer(4), softmaxLayer, classificationLayer(Classes=["0", "1", "a", "b"])]
            ).fit(X, y),
            (DataError, NetworkError),
            "2",
        ),
    ],
)
def test_mistakes(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_the_star_import_does_not_load_scikit_learn():
    code = "import sys; from mlnet import *; print('sklearn' in sys.modules, 'NetworkClassifier' in globals())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_without_scikit_learn_the_message_says_how_to_get_it():
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['sklearn.base'] = None\n"
        "import mlnet; assert 'NetworkRegressor' in dir(mlnet)\n"
        "try:\n    from mlnet import NetworkRegressor\nexcept ImportError as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'mlnet[sklearn]'" in found.stdout
