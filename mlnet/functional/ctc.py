"""The loss of sequences whose targets are not aligned with them (Graves, Fernández, Gomez and Schmidhuber, 2006)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted
from mlnet.errors import DataError, OptionError, message
from mlnet.functional.loss import size_text
from mlnet.functional.options import DATA_FORMAT, array_of, options_class, with_format
from mlnet.options import Option
from mlnet.rules import choice, either, integer

_Options = options_class(
    "ctc",
    Option(
        "BlankIndex", "first", either(choice("first", "last"), integer(1)), "The channel of the blank: a number from 1."
    ),
    DATA_FORMAT,
)
_NEVER = -1e30
"""The logarithm of an impossible probability: finite, so that differences of two are."""


def ctc(Y: Any, targets: Any, YMask: Any, targetsMask: Any, *args: Any, **options: Any) -> dlarray:
    """Return the connectionist temporal classification loss, the mean over observations.

    The loss of an observation is ``-log`` of the probability that the sequence, with repetitions merged and blanks
    removed, is the target: the sum over all paths, by the forward recursion of Graves et al. (2006).

    Parameters
    ----------
    Y : dlarray
        Probabilities of the classes with the blank, 'CBT' or 'CT', as behind a softmax; formatted or with DataFormat.
    targets : array
        Numbers of classes from 1, without the blank: 'BT' or 'CBT' with 'C' of length 1, formatted or in that order.
    YMask, targetsMask : array
        1 for time steps that count, 0 for padding: of the size of Y and targets, or with 'C' of length 1. Empty
        ones count all.
    BlankIndex : 'first', 'last' or a number from 1, default 'first'
        The channel of the blank.
    DataFormat : text, optional
        Labels of the dimensions of unformatted predictions.

    Returns
    -------
    dlarray
        One number.

    Raises
    ------
    DataError
        Where Y is not formatted, targets or masks do not fit, or a target needs more time steps than Y has.
    OptionError
        Where an option is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import ctc, dlarray
    >>> ctc(dlarray(np.full((2, 1, 2), 0.5), 'CBT'), [[2]], [], []).item().__round__(4)
    0.2877
    """
    chosen = _Options(*args, **options)
    y = with_format(Y, chosen.DataFormat, "ctc: Y")
    if y.dims() not in ("CBT", "CT"):
        raise DataError(message("ctc: Y", "the format 'CBT' or 'CT'", f"'{y.dims()}'"))
    classes, time = y.shape[0], y.shape[-1]
    counts = y.shape[1] if y.ndim == 3 else 1
    blank = {"first": 1, "last": classes}.get(chosen.BlankIndex, chosen.BlankIndex)
    if blank > classes:
        raise OptionError(message("ctc: BlankIndex", f"at most the {classes} channels of Y", f"{blank}"))
    fmt = chosen.DataFormat.upper()
    numbers = _rows(targets, fmt, counts, "ctc: targets")
    steps = _mask(YMask, fmt, (counts, time), "ctc: YMask")
    kept = _mask(targetsMask, fmt, numbers.shape, "ctc: targetsMask")
    wrong = kept & ~((numbers >= 1) & (numbers <= classes) & (numbers != blank) & (numbers == np.floor(numbers)))
    if wrong.any():
        needed = f"integers from 1 to {classes}, except the blank, {blank}"
        raise DataError(message("ctc: targets", needed, f"{numbers[wrong][0]:g}", "Mask padding with targetsMask."))
    rows = [row[use].astype(int) - 1 for row, use in zip(numbers, kept, strict=True)]
    return np.mean(-_log_probability(y, rows, steps, blank - 1))


def _log_probability(y: dlarray, targets: list[np.ndarray], steps: np.ndarray, blank: int) -> Any:
    """Return the logarithms of the probabilities of the targets, (observations,)."""
    longest = max(len(each) for each in targets)
    labels = np.full((len(targets), 2 * longest + 1), blank)
    for number, (row, mask) in enumerate(zip(targets, steps, strict=True)):
        labels[number, 1 : 2 * len(row) : 2] = row
        least = max(1, len(row) + np.count_nonzero(row[1:] == row[:-1]))
        if mask.sum() < least:
            needed = f"at least {least} time steps for the target of observation {number + 1}"
            raise DataError(message("ctc: Y", needed, f"{mask.sum()}"))
    logs = np.log(np.maximum(unformatted(y), float(np.finfo(y.dtype).tiny)))
    logs = logs.reshape(y.shape[0], len(targets), -1)
    everyone = np.arange(len(targets))
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    never = np.full(labels.shape, _NEVER, y.dtype)
    before = never.copy()
    before[:, 0] = 0  # as if a blank stood in front of the sequence
    alpha: Any = before
    for t in range(steps.shape[1]):
        emitted = logs[labels, everyone[:, None], t]
        one = np.concatenate([never[:, :1], alpha[:, :-1]], axis=1)
        new = np.logaddexp(alpha, one)
        if labels.shape[1] > 2:
            two = np.concatenate([never[:, :2], alpha[:, :-2]], axis=1)
            new = np.logaddexp(new, np.where(skips, two, never))
        alpha = np.where(steps[:, t : t + 1], new + emitted, alpha)
    lengths = np.array([2 * len(each) for each in targets])
    last = alpha[everyone, lengths]
    other = np.where(lengths > 0, alpha[everyone, np.maximum(lengths - 1, 0)], _NEVER)
    return np.logaddexp(last, other)


def _rows(value: Any, fmt: str, count: int, where: str) -> np.ndarray:
    """Return numbers as (observations, time steps)."""
    array = array_of(value, where)
    labels = array.dims()
    if not labels:
        labels = fmt if len(fmt) == array.ndim else {1: "T", 2: "BT", 3: "CBT"}.get(array.ndim, "")
        if not labels:
            raise DataError(message(where, "the format 'BT' or 'CBT'", f"{array.ndim} dimensions"))
        array = dlarray(array._data, labels)
    data, labels = array._data, array.dims()
    if "T" not in labels:
        data, labels = data[..., None], labels + "T"
    if "C" in labels:
        data, labels = data.any(axis=0) if data.dtype == bool else data.max(axis=0), labels.replace("C", "")
    if "B" not in labels:
        data, labels = data[None], "B" + labels
    if labels != "BT" or len(data) != count:
        raise DataError(message(where, f"(1, {count}, time steps), 'CBT', or 'BT'", size_text(array)))
    return data


def _mask(value: Any, fmt: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    if np.size(value) == 0:
        return np.ones(shape, bool)
    rows = _rows(value, fmt, shape[0], where) != 0
    if rows.shape != shape:
        raise DataError(message(where, f"{shape[0]} sequences of {shape[1]} steps", f"of {rows.shape[1]} steps"))
    return rows
