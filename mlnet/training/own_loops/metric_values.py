"""Values of metrics in training loops of one's own: update and evaluate."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, OptionError, message
from mlnet.labels import categorical, categories
from mlnet.options import describe
from mlnet.training.counting import Count, check_labels, new_count
from mlnet.training.metrics import Metric

M = TypeVar("M", bound=Metric)


def update(metric: M, Y: Any, T: Any) -> M:
    """Return a metric that has taken in a mini-batch; the given one does not change.

    Parameters
    ----------
    metric : result of `accuracyMetric`, `fScoreMetric`, `rmseMetric`, ...
    Y : dlarray or array
        Scores of K classes, or predictions of R responses: a dlarray with labels, such as 'CB'; or an array (N, K).
        Time steps and pixels count as observations.
    T : dlarray, array, or categorical
        The targets in the same form: one-hot for classes, 0 and 1 for ``ClassificationMode='multilabel'``; or N labels
        whose categories are the K classes.

    Raises
    ------
    OptionError
        Where ``metric`` is no metric.
    DataError
        Where predictions and targets do not fit each other or the metric.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import accuracyMetric, categorical, evaluate, reset, update
    >>> metric = accuracyMetric()
    >>> metric = update(metric, np.array([[0.9, 0.1], [0.4, 0.6]]), categorical(['a', 'a'], ['a', 'b']))
    >>> evaluate(metric)
    50.0
    >>> evaluate(reset(metric))
    nan
    """
    where = f"update: {_metric('update', metric).Name}"
    y = _rows(Y, f"{where}: Y")
    if isinstance(T, categorical):
        t = _class_numbers(T, y.shape[1], f"{where}: T") if metric.of_classes and not metric.is_multilabel else None
        if t is None:
            raise DataError(message(f"{where}: T", "numbers", describe(T)))
    else:
        t = _rows(T, f"{where}: T")
        if t.shape != y.shape:
            came = f"{t.shape[0]} with {t.shape[1]}"
            raise DataError(message(f"{where}: T", f"{y.shape[0]} targets with {y.shape[1]} numbers, as Y has", came))
        if metric.of_classes:
            check_labels(t, f"{where}: T")
        if metric.of_classes and not metric.is_multilabel:
            if not (t.sum(axis=1) == 1).all():
                fix = "Use ClassificationMode='multilabel' for several labels."
                raise DataError(message(f"{where}: T", "one class for each observation", "none or several", fix))
            t = t.argmax(axis=1)
    if len(t) != len(y):
        raise DataError(message(f"{where}: T", f"{len(y)} labels, one for each observation of Y", f"{len(t)}"))
    defined = t >= 0 if t.ndim == 1 else slice(None)
    before = _count(metric)
    count = new_count(metric, metric.Name) if before is None else before.copied()
    if len(y[defined]):
        count.add(y[defined], t[defined])
    twin = metric.copy()
    object.__setattr__(twin, "_count", count)
    return twin


def evaluate(metric: Metric) -> float:
    """Return the value of a metric of all mini-batches that `update` gave it; NaN where there are none.

    Raises
    ------
    OptionError
        Where it is no metric.
    """
    count = _count(_metric("evaluate", metric))
    return float("nan") if count is None else count.value()


def _count(metric: Metric) -> Count | None:
    return metric.__dict__.get("_count")


def _metric(function: str, metric: Any) -> Metric:
    if not isinstance(metric, Metric):
        needed = "a metric, such as accuracyMetric()"
        raise OptionError(message(function, needed, describe(metric)))
    return metric


def _rows(values: Any, where: str) -> np.ndarray:
    """Return values as (N, K), an observation, pixel or time step in each row."""
    array = np.asarray(values.extractdata() if isinstance(values, dlarray) else values)
    if array.dtype.kind not in "fiub":
        raise DataError(message(where, "numbers", describe(values)))
    labels = values.dims() if isinstance(values, dlarray) else ""
    if labels:
        axis = labels.find("C")
        array = np.moveaxis(array, axis, -1) if axis >= 0 else array[..., np.newaxis]
        return array.reshape(-1, array.shape[-1])
    if array.ndim > 2 or isinstance(values, dlarray):
        raise DataError(
            message(where, "an array (N, K), or a dlarray with labels such as 'CB'", f"shape {array.shape}")
        )
    return array if array.ndim == 2 else array.reshape(-1, 1)


def _class_numbers(labels: categorical, count: int, where: str) -> np.ndarray:
    names = categories(labels)
    if len(names) != count:
        raise DataError(message(where, f"labels with {count} categories, one for each class of Y", f"{len(names)}"))
    return labels.codes.ravel()
