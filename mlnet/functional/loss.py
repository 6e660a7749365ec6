"""Losses: written with traced functions, so that they have derivatives of any order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.errors import DataError, message
from mlnet.functional.options import ARRAY, DATA_FORMAT, array_of, as_given, options_class, positional, with_format
from mlnet.functional.pairs import as_type, common_type
from mlnet.labels import categorical, categories
from mlnet.options import Declared, Option
from mlnet.rules import EMPTY, choice, number

MASK = Option("Mask", EMPTY, ARRAY, "1 where elements count, 0 elsewhere; expands to the size of Y.")
REDUCTION = Option("Reduction", "sum", choice("sum", "none"), "'none' returns the loss of each element.")


def factor(*more: str) -> Option:
    """Return the option NormalizationFactor."""
    names = ("batch-size", "all-elements", "mask-included", "none", *more)
    return Option("NormalizationFactor", "batch-size", choice(*names), "What the sum is divided by.")


_MseOptions = options_class("mse", DATA_FORMAT)
_L1Options = options_class("l1loss", MASK, REDUCTION, factor(), DATA_FORMAT)
_L2Options = options_class("l2loss", MASK, REDUCTION, factor(), DATA_FORMAT)
_HuberOptions = options_class(
    "huber",
    MASK,
    REDUCTION,
    factor(),
    Option("TransitionPoint", 1, number(0, above=True), "Where the parabola becomes a line."),
    DATA_FORMAT,
)
_CrossEntropyOptions = options_class(
    "crossentropy",
    MASK,
    REDUCTION,
    factor("target-included"),
    Option(
        "ClassificationMode", "single-label", choice("single-label", "multilabel"), "'multilabel' for several classes."
    ),
    Option(
        "TargetCategories", "exclusive", choice("exclusive", "independent"), "The older name of ClassificationMode."
    ),
    Option("WeightsFormat", "", DATA_FORMAT.rule, "Labels of the dimensions of weights; 'C' for a vector."),
    DATA_FORMAT,
)


def mse(Y: Any, targets: Any, *args: Any, **options: Any) -> dlarray:
    """Return half the mean squared error, ``sum((Y - targets)**2) / (2 N)`` with N the number of observations.

    Parameters
    ----------
    Y : dlarray
        Predictions, formatted or with DataFormat; N is the length of 'B', 1 without it.
    targets : array
        Of the size of Y, with the same dimensions where it is unformatted.
    DataFormat : text, optional
        Labels of the dimensions of unformatted predictions.

    Returns
    -------
    dlarray
        One number.

    Raises
    ------
    DataError
        Where Y is not formatted, or the targets have another size.

    Examples
    --------
    >>> from mlnet import dlarray, mse
    >>> mse(dlarray([[1, 2], [3, 4]], 'CB'), [[1, 2], [3, 8]]).item()
    4.0
    """
    chosen = _MseOptions(*args, **options)
    y, t = _pair(Y, targets, chosen.DataFormat, "mse")
    return np.sum(np.square(y - t)) / (2 * _observations(y))


def l1loss(Y: Any, targets: Any, *args: Any, **options: Any) -> dlarray:
    """Return the sum of ``|Y - targets|`` over the number of observations.

    Weights and options are those of `l2loss`.

    Examples
    --------
    >>> from mlnet import dlarray, l1loss
    >>> l1loss(dlarray([[1, 2], [3, 4]], 'CB'), [[1, 2], [3, 8]]).item()
    2.0
    """
    return _regression(Y, targets, args, options, _L1Options, lambda d, _: np.abs(d))


def l2loss(Y: Any, targets: Any, *args: Any, **options: Any) -> dlarray:
    """Return the sum of ``(Y - targets)**2`` over the number of observations.

    Parameters
    ----------
    Y : dlarray
        Predictions, formatted or with DataFormat.
    targets : array
        Of the size of Y, with the same dimensions where it is unformatted.
    weights : array, optional
        Factors of the losses of elements; expand to the size of Y.
    Mask : array, optional
        1 where elements count, 0 elsewhere; expands to the size of Y.
    Reduction : 'sum' or 'none', default 'sum'
        'none' returns the loss of each element, in the format of Y, not divided by anything.
    NormalizationFactor : 'batch-size', 'all-elements', 'mask-included' or 'none', default 'batch-size'
        What the sum is divided by.
    DataFormat : text, optional
        Labels of the dimensions of unformatted predictions.

    Raises
    ------
    DataError
        Where Y is not formatted, or the targets have another size.

    Examples
    --------
    >>> from mlnet import dlarray, l2loss
    >>> l2loss(dlarray([[1, 2], [3, 4]], 'CB'), [[1, 2], [3, 8]]).item()
    8.0
    """
    return _regression(Y, targets, args, options, _L2Options, lambda d, _: np.square(d))


def huber(Y: Any, targets: Any, *args: Any, **options: Any) -> dlarray:
    """Return the Huber loss: ``d**2 / 2`` for differences d up to the transition point, a line beyond it (Huber, 1964).

    Weights and options are those of `l2loss`, and TransitionPoint, a positive number, default 1.

    Examples
    --------
    >>> from mlnet import dlarray, huber
    >>> huber(dlarray([[1, 2], [3, 4]], 'CB'), [[1, 3], [3, 8]]).item()
    2.0
    """

    def loss(d: Any, chosen: Declared) -> Any:
        delta = chosen.TransitionPoint
        size = np.abs(d)
        return np.where(size <= delta, 0.5 * np.square(d), delta * size - 0.5 * delta**2)

    return _regression(Y, targets, args, options, _HuberOptions, loss)


def crossentropy(Y: Any, targets: Any, *args: Any, **options: Any) -> dlarray:
    """Return the cross-entropy between probabilities and targets, over the number of observations.

    ``-sum(weights * targets * log(Y)) / N``; with 'multilabel' also ``(1 - targets) * log(1 - Y)``. Probabilities below
    the smallest positive number count as that number.

    Parameters
    ----------
    Y : dlarray
        Probabilities with a dimension 'C', formatted or with DataFormat.
    targets : array or categorical
        Of the size of Y (one-hot or probabilities), with the same dimensions where it is unformatted; or N classes,
        whose categories are the channels.
    weights : array, optional
        One number for each class, or with WeightsFormat.
    ClassificationMode : 'single-label' or 'multilabel', default 'single-label'
        TargetCategories, 'exclusive' or 'independent', is its older name.
    Mask, Reduction, DataFormat
        As for `l2loss`.
    NormalizationFactor : 'batch-size', 'all-elements', 'mask-included', 'target-included' or 'none'
        What the sum is divided by, by default 'batch-size'.
    WeightsFormat : text, optional
        Labels of the dimensions of the weights.

    Raises
    ------
    DataError
        Where Y is not formatted, or targets or weights do not fit.

    Examples
    --------
    >>> from mlnet import crossentropy, dlarray
    >>> crossentropy(dlarray([[0.5, 1], [0.5, 0]], 'CB'), [[1, 1], [0, 0]]).item().__round__(4)
    0.3466
    """
    where = "crossentropy"
    arrays, pairs = positional(args)
    chosen = _CrossEntropyOptions(*pairs, **options)
    y, t = _pair(Y, targets, chosen.DataFormat, where)
    smallest = float(np.finfo(y.dtype).tiny)
    losses = -(t * np.log(np.maximum(y, smallest)))
    if chosen.ClassificationMode == "multilabel" or chosen.TargetCategories == "independent":
        losses = losses - (1 - t) * np.log(np.maximum(1 - y, smallest))
    weights = class_weights(arrays, y, chosen.WeightsFormat, where)
    return reduced(losses, weights, t, chosen, where)


def _regression(
    Y: Any,
    targets: Any,
    args: tuple[Any, ...],
    options: dict[str, Any],
    kind: type[Declared],
    loss: Callable[[Any, Declared], Any],
) -> dlarray:
    where = kind.constructor_name
    arrays, pairs = positional(args)
    chosen = kind(*pairs, **options)
    y, t = _pair(Y, targets, chosen.DataFormat, where)
    weights = _expanded(arrays[0], y, f"{where}: weights") if arrays else None
    return reduced(loss(y - t, chosen), weights, t, chosen, where)


def reduced(losses: dlarray, weights: Any, targets: dlarray, chosen: Declared, where: str) -> dlarray:
    """Return weighted and masked losses, summed and divided as the options say."""
    if weights is not None:
        losses = losses * weights
    mask = None
    if chosen.Mask is not EMPTY and chosen.Mask.size:
        mask = _expanded(chosen.Mask, losses, f"{where}: Mask").astype(losses.dtype)
        losses = losses * mask
    if chosen.Reduction == "none":
        return as_given(losses, chosen.DataFormat)
    divisors: dict[str, Callable[[], Any]] = {
        "batch-size": lambda: _observations(losses),
        "all-elements": lambda: losses.size,
        "mask-included": lambda: losses.size if mask is None else np.broadcast_to(mask._data, losses.shape).sum(),
        "target-included": lambda: (targets._data != 0).sum(),
        "none": lambda: 1,
    }
    return np.sum(losses) / float(divisors[chosen.NormalizationFactor]())


def _pair(Y: Any, targets: Any, fmt: str, where: str) -> tuple[dlarray, dlarray]:
    """Return predictions and targets as formatted arrays of one size."""
    y = with_format(Y, fmt, f"{where}: Y")
    if isinstance(targets, categorical):
        return y, _one_hot(targets, y, where)
    t = array_of(targets, f"{where}: targets")
    if not t.dims():
        labels = fmt or y.dims()
        if t.ndim > len(labels):
            raise DataError(message(f"{where}: targets", f"at most {len(labels)} dimensions", f"{t.ndim}"))
        t = dlarray(t, labels)
    sizes = [_lengths(each) for each in (y, t)]
    if sizes[0] != sizes[1]:
        fix = "Give targets for the same observations, one-hot for classes (onehotencode)."
        raise DataError(message(f"{where}: targets", f"the size of Y, {size_text(y)}", size_text(t), fix))
    dtype = common_type((y, t))
    return as_type(y, dtype), t.astype(dtype)


def _one_hot(labels: categorical, y: dlarray, where: str) -> dlarray:
    codes = np.asarray(labels.codes).ravel()
    count = len(categories(labels))
    expected = (y.shape[y.dims().index("C")] if "C" in y.dims() else 1, _observations(y))
    if (count, len(codes)) != expected or set(y.dims()) - set("CB"):
        needed = f"{expected[1]} labels of {expected[0]} classes for Y of {size_text(y)}"
        raise DataError(message(f"{where}: targets", needed, f"{len(codes)} labels of {count} classes"))
    return wrap((np.arange(count)[:, None] == codes).astype(y.dtype), None, "CB")


def _lengths(array: dlarray) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for label, length in zip(array.dims(), array.shape, strict=True):
        found.setdefault(label, []).append(length)
    return {label: lengths for label, lengths in sorted(found.items()) if math.prod(lengths) > 1}


def size_text(array: dlarray) -> str:
    """Return e.g. "3(C) x 4(B)"."""
    return " x ".join(f"{n}({label})" for n, label in zip(array.shape, array.dims(), strict=True))


def _observations(y: dlarray) -> int:
    return y.shape[y.dims().index("B")] if "B" in y.dims() else 1


def _expanded(value: Any, y: dlarray, where: str) -> dlarray:
    """Return an array with the labels of y, to whose size it expands."""
    array = array_of(value, where)
    if not array.dims():
        array = (
            array.reshape(*array.shape, *[1] * (y.ndim - array.ndim)) if array.size > 1 else array.reshape([1] * y.ndim)
        )
        array = wrap(array._data, array._node, y.dims()) if array.ndim == y.ndim else array
    fits = len(array.shape) == y.ndim and all(n in (1, m) for n, m in zip(array.shape, y.shape, strict=True))
    if array.dims() == y.dims() and not fits:
        raise DataError(message(where, f"a size that expands to {size_text(y)}", f"{array.shape}"))
    return array.astype(y.dtype)


def class_weights(arrays: tuple[Any, ...], y: dlarray, fmt: str, where: str) -> Any:
    """Return the weights of classes with labels, or None."""
    if not arrays:
        return None
    weights = array_of(arrays[0], f"{where}: weights")
    if fmt or weights.dims():
        return (weights if weights.dims() else dlarray(weights, fmt)).astype(y.dtype)
    classes = y.shape[y.dims().index("C")]
    if weights.size != classes:
        raise DataError(message(f"{where}: weights", f"one for each of {classes} classes", f"{weights.size}"))
    flat = weights.reshape(-1).astype(y.dtype)
    return wrap(flat._data, flat._node, "C")
