"""The cross-entropy of numbers of classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.errors import DataError, message
from mlnet.functional.loss import MASK, REDUCTION, class_weights, factor, reduced, size_text
from mlnet.functional.options import DATA_FORMAT, array_of, options_class, positional, with_format
from mlnet.labels import categorical
from mlnet.options import Option
from mlnet.rules import EMPTY, either, empty, number

_Options = options_class(
    "indexcrossentropy",
    MASK,
    Option("MaskIndex", EMPTY, either(empty(), number()), "The number that stands for no class."),
    REDUCTION,
    factor("target-included"),
    Option("WeightsFormat", "", DATA_FORMAT.rule, "Labels of the dimensions of weights; 'C' for a vector."),
    DATA_FORMAT,
)


def indexcrossentropy(Y: Any, targets: Any, *args: Any, **options: Any) -> dlarray:
    """Return the cross-entropy between probabilities and numbers of classes, over the number of observations.

    ``-sum(weights * log(Y)) / N`` with the probability of the class of each observation, pixel or time step.

    Parameters
    ----------
    Y : dlarray
        Probabilities with a dimension 'C', formatted or with DataFormat.
    targets : array or categorical
        Numbers of classes from 1: formatted, or with the dimensions of Y, 'C' of length 1 or left out.
    weights : array, optional
        One number for each class, or with WeightsFormat.
    Mask : array, optional
        1 where targets count, 0 elsewhere; expands to the size of the targets.
    MaskIndex : number, optional
        The number of targets that do not count, such as 0.
    Reduction : 'sum' or 'none', default 'sum'
        'none' returns the loss of each target.
    NormalizationFactor : 'batch-size', 'all-elements', 'mask-included', 'target-included' or 'none'
        What the sum is divided by, by default 'batch-size'.
    WeightsFormat, DataFormat : text, optional
        Labels of the dimensions of the weights, and of unformatted predictions.

    Raises
    ------
    DataError
        Where Y is not formatted, or targets or weights do not fit.

    Examples
    --------
    >>> from mlnet import dlarray, indexcrossentropy
    >>> indexcrossentropy(dlarray([[0.5, 1], [0.5, 0]], 'CB'), [2, 1]).item().__round__(4)
    0.3466
    """
    where = "indexcrossentropy"
    arrays, pairs = positional(args)
    chosen = _Options(*pairs, **options)
    y = with_format(Y, chosen.DataFormat, f"{where}: Y")
    if "C" not in y.dims():
        raise DataError(message(f"{where}: Y", "a dimension 'C' of classes", f"the format '{y.dims()}'"))
    axis = y.dims().index("C")
    numbers = class_numbers(targets, y, chosen.DataFormat, where)
    counted = np.ones(numbers.shape, bool) if chosen.MaskIndex is EMPTY else numbers != chosen.MaskIndex
    classes = y.shape[axis]
    wrong = counted & ~((numbers >= 1) & (numbers <= classes) & (numbers == np.floor(numbers)))
    if wrong.any():
        fix = "Give MaskIndex for targets that do not count."
        raise DataError(message(f"{where}: targets", f"integers from 1 to {classes}", f"{numbers[wrong][0]:g}", fix))
    along = [1] * y.ndim
    along[axis] = classes
    hot = wrap(((np.arange(1, classes + 1).reshape(along) == numbers) & counted).astype(y.dtype), None, y.dims())
    losses = -(hot * np.log(np.maximum(y, float(np.finfo(y.dtype).tiny))))
    weights = class_weights(arrays, y, chosen.WeightsFormat, where)
    if weights is not None:
        losses = losses * weights
    losses = wrap_as(np.sum(losses, axis=axis, keepdims=True), y.dims())
    if chosen.MaskIndex is not EMPTY:
        given = np.asarray(chosen.Mask._data) if chosen.Mask is not EMPTY and chosen.Mask.size else 1
        chosen = chosen.replaced(Mask=np.broadcast_to(counted * given, counted.shape).astype(np.float64))
    return reduced(losses, None, hot, chosen, where)


def wrap_as(array: dlarray, labels: str) -> dlarray:
    """Return an array with labels."""
    return wrap(array._data, array._node, labels)


def class_numbers(targets: Any, y: dlarray, fmt: str, where: str) -> np.ndarray:
    """Return numbers of classes in the order of the dimensions of Y, with 'C' of length 1.

    Raises
    ------
    DataError
        Where they have another size.
    """
    if isinstance(targets, categorical):
        targets = np.asarray(targets.codes).ravel() + 1
    t = array_of(targets, f"{where}: targets")
    labels = fmt.upper() or y.dims()
    if not t.dims():
        rest = labels.replace("C", "")
        if t.ndim == len(labels):
            t = dlarray(t._data, labels)
        elif t.ndim == len(rest):
            t = dlarray(t._data, rest)
        else:
            came = f"{t.ndim} dimensions"
            raise DataError(message(f"{where}: targets", f"dimensions '{rest}' or '{labels}'", came))
    axis = y.dims().index("C")
    if "C" not in t.dims():
        spatial, rest = t.dims().count("S"), t.dims().lstrip("S")
        t = wrap(np.expand_dims(t._data, spatial), None, "S" * spatial + "C" + rest)
    needed = tuple(1 if number == axis else length for number, length in enumerate(y.shape))
    if t.dims() != y.dims() or t.shape != needed:
        fix = "Give one number of a class for each observation, pixel or time step."
        raise DataError(message(f"{where}: targets", f"numbers for Y of {size_text(y)}", size_text(t), fix))
    return t._data
