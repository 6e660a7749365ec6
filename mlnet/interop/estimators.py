"""Estimators of scikit-learn around networks; the one file that imports scikit-learn, and only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np

from mlnet.errors import DataError, MissingExtraError, OptionError, message
from mlnet.interop.estimator_layers import Form, completed, shaped
from mlnet.labels import categorical, categories
from mlnet.layers.output import ClassificationOutputLayer, RegressionOutputLayer
from mlnet.network.trained import TrainedNetwork, predict
from mlnet.options import describe
from mlnet.randomness import seeded
from mlnet.training.options import TrainingOptions, trainingOptions
from mlnet.training.train import trainNetwork

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise MissingExtraError(
        "NetworkClassifier and NetworkRegressor: need the package scikit-learn, 1.6 or newer. "
        "Use: pip install 'mlnet[sklearn]'"
    ) from error

_PREFIX = "options__"
_PREDICTED_AT_ONCE = 1024
E = TypeVar("E", bound="_NetworkEstimator")


class _NetworkEstimator(BaseEstimator):
    """What both estimators have: parameters, training and the network's output."""

    def __init__(self, layers: Any = None, options: Any = None, *, random_state: Any = None) -> None:
        self.layers = layers
        self.options = options
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with ``deep`` also each training option, as ``options__InitialLearnRate``."""
        found = dict(super().get_params(deep))
        if deep and isinstance(self.options, TrainingOptions):
            found.update({_PREFIX + name: value for name, value in _values(self.options).items()})
        return found

    def set_params(self: E, **params: Any) -> E:
        """Set parameters, and training options by names such as ``options__MaxEpochs``; return the estimator."""
        own = {name.removeprefix(_PREFIX): value for name, value in params.items() if name.startswith(_PREFIX)}
        super().set_params(**{name: value for name, value in params.items() if not name.startswith(_PREFIX)})
        if own:
            options = self._options()
            self.options = type(options).from_values({**_values(options), **own})
        return self

    def _options(self) -> TrainingOptions:
        if self.options is None:
            return trainingOptions("lbfgs", MaxIterations=300, Verbose=False)
        if not isinstance(self.options, TrainingOptions):
            raise OptionError(
                message(f"{type(self).__name__}: options", "a result of trainingOptions", describe(self.options))
            )
        return self.options

    def _train(self, X: np.ndarray, Y: Any, outputs: int, output_layer: type) -> None:
        where = type(self).__name__
        form = Form(X.shape[1], outputs, output_layer)
        layers, size = completed(self.layers, form, where)
        options = self._options()
        seed = None if self.random_state is None else check_random_state(self.random_state).randint(2**31)
        with nullcontext() if seed is None else seeded(seed):
            self.network_, self.info_ = trainNetwork(shaped(X, size), Y, layers, options, nargout=2)
        self._size = size

    def _output(self, X: Any) -> np.ndarray:
        """Return what the network puts out for the rows of ``X``, in double precision."""
        check_is_fitted(self)
        given = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        network: TrainedNetwork = self.network_
        return predict(network, shaped(given, self._size), MiniBatchSize=_PREDICTED_AT_ONCE).astype(np.float64)


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):
    """A network as a classifier of scikit-learn.

    It works in its pipelines, searches and cross-validation, and can be cloned and pickled.

    Parameters
    ----------
    layers : list of layers, LayerArray, LayerGraph or function, default None
        None is ``[fullyConnectedLayer(32), reluLayer]``. What a list lacks is put around it: before, without an input
        layer, ``featureInputLayer(n_features, Normalization='zscore')``; behind, without an output layer,
        ``fullyConnectedLayer(n_classes)`` (unless it is the last layer), ``softmaxLayer`` and ``classificationLayer``.
        A function gets the numbers of features and classes and returns the layers. With an imageInputLayer each row
        holds an image, the channels of a pixel next to one another and the pixels row by row, as
        ``images.reshape(len(images), -1)`` makes them of (n, height, width, channels).
    options : result of `trainingOptions`, default None
        None is ``trainingOptions('lbfgs', MaxIterations=300, Verbose=False)``. Single options are parameters too:
        ``set_params(options__L2Regularization=0.01)``, also in the grid of a search.
    random_state : int, RandomState or None, default None
        The seed of everything random; with None training goes on from that of `rng`.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
        The classes, sorted.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a table with names of columns.
    network_ : SeriesNetwork or DAGNetwork
        The trained network; its classes have the texts of ``classes_``.
    info_ : Structure
        The history of the training, see `trainNetwork`.

    Raises
    ------
    MissingExtraError
        On import, where scikit-learn is not installed.

    Notes
    -----
    ``fit`` has no ``sample_weight``, as `trainNetwork` weighs classes (ClassWeights of `classificationLayer`) and not
    observations; scikit-learn leaves out its checks of weights then, and runs all others.

    The layers and options are checked by ``fit``, as scikit-learn wants it. ``from mlnet import *`` leaves this name
    out, so that it does not load scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mlnet import NetworkClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NetworkClassifier(random_state=0).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.95)
    True
    >>> classifier.predict_proba(X[:2]).shape
    (2, 3)
    """

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Train the network and return the estimator.

        Parameters
        ----------
        X : array_like (n_samples, n_features)
        y : array_like (n_samples,)
            Classes: numbers, texts or bools.

        Raises
        ------
        DataError
            Where there is one class only, or the rows of ``X`` do not fit the input layer.
        NetworkError
            Where the layers do not make a network.
        """
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(message("NetworkClassifier: y", "at least 2 classes", f"1 class, {self.classes_[0]!r}"))
        names = _names(self.classes_)
        self._train(X, categorical.from_codes(codes, names), len(names), ClassificationOutputLayer)
        (output,) = (layer for layer in self.network_.Layers if isinstance(layer, ClassificationOutputLayer))
        order = list(output.class_names())
        unknown = sorted(set(names) - set(order))
        if unknown:
            raise DataError(message("NetworkClassifier: y", f"the classes {', '.join(order)}", ", ".join(unknown)))
        self._columns = [order.index(name) for name in names]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (n_samples, n_classes), in the order of ``classes_``."""
        scores = self._output(X)[:, self._columns]
        return scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row."""
        numbers = self.predict_proba(X).argmax(axis=1)
        return self.classes_[numbers]


class NetworkRegressor(RegressorMixin, _NetworkEstimator):
    """A network as a regressor of scikit-learn, of one response or several.

    Parameters
    ----------
    layers : list of layers, LayerArray, LayerGraph or function, default None
        As for `NetworkClassifier`; behind, without an output layer, come ``fullyConnectedLayer(n_outputs)`` (unless it
        is the last layer) and ``regressionLayer``. A function gets the numbers of features and responses.
    options : result of `trainingOptions`, default None
        As for `NetworkClassifier`.
    random_state : int, RandomState or None, default None
        As for `NetworkClassifier`.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a table with names of columns.
    network_ : SeriesNetwork or DAGNetwork
        The trained network.
    info_ : Structure
        The history of the training, see `trainNetwork`.

    Raises
    ------
    MissingExtraError
        On import, where scikit-learn is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from mlnet import NetworkRegressor, tanhLayer, trainingOptions
    >>> X, y = load_diabetes(return_X_y=True)
    >>> options = trainingOptions('lbfgs', MaxIterations=50, Verbose=False)
    >>> regressor = NetworkRegressor(lambda n, k: [tanhLayer], options, random_state=0).fit(X, y)
    >>> bool(regressor.score(X, y) > 0.4)
    True
    """

    def fit(self, X: Any, y: Any) -> NetworkRegressor:
        """Train the network and return the estimator.

        Parameters
        ----------
        X : array_like (n_samples, n_features)
        y : array_like (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        DataError
            Where the rows of ``X`` do not fit the input layer.
        NetworkError
            Where the layers do not make a network.
        """
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        self._is_column = y.ndim == 1
        responses = y.reshape(len(y), -1)
        self._train(X, responses, responses.shape[1], RegressionOutputLayer)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the responses of each row, in the shape of the responses of ``fit``."""
        found = self._output(X)
        return found[:, 0] if self._is_column else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _values(options: TrainingOptions) -> Mapping[str, Any]:
    return {name: getattr(options, name) for name in options.table.options}


def _names(classes: np.ndarray) -> list[str]:
    """Return a text for each class: its own, or a number where those are not all different."""
    names = categories(categorical(classes))
    return names if len(names) == len(classes) else [str(number) for number in range(len(classes))]
