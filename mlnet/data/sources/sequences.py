"""Sequences of different lengths as a source of mini-batches, packed: the time steps of all observations in a row."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.data.sources.arrays import Index, check_finite, numeric_array
from mlnet.errors import DataError
from mlnet.labels import as_labels, categorical, categories


class Steps:
    """Which time steps of the sequences count.

    Parameters
    ----------
    lengths : ndarray of int (N,)
    keep : 'all', 'first' or 'last'
        All steps, or in each mini-batch only as many as its shortest sequence has, from the beginning or from the end.
    """

    def __init__(self, lengths: np.ndarray, keep: str = "all") -> None:
        self.lengths, self._keep = lengths, keep

    def of(self, index: Index) -> np.ndarray:
        """Return the lengths of the observations ``index`` in a mini-batch."""
        chosen = self.lengths[index]
        return chosen if self._keep == "all" else np.full_like(chosen, chosen.min(initial=chosen.max(initial=0)))

    def slices(self, index: Index) -> list[slice]:
        """Return the time steps of each of the observations ``index``."""
        pairs = zip(self.lengths[index].tolist(), self.of(index).tolist(), strict=True)
        return [slice(full - kept, full) if self._keep == "last" else slice(0, kept) for full, kept in pairs]


class SequencePredictors:
    """What goes into a network of sequences: a list of arrays, fetched by number.

    Parameters
    ----------
    data : list of arrays, or one array
        (C, S) for vector sequences of S time steps, also (S,) where C is 1; (H, W, C, S) for image sequences.
    dims : tuple of int
        Size of one time step that the network's input layer expects, after complex data have been split.
    split_complex : bool
        Whether complex data become real channels followed by imaginary ones.
    function : callable, optional
        The user's normalization: takes a copy of one sequence and returns an array of that size.
    min_length : int
        Fewest time steps that a sequence may have.
    of : text
        " of 'the name of the layer that says so'".
    keep : 'all', 'first' or 'last'
        See `Steps`.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where sequences are not numeric, of another size, too short, or have features and time exchanged.
    """

    def __init__(
        self,
        data: Any,
        dims: tuple[int, ...],
        *,
        split_complex: bool = False,
        function: Callable[[np.ndarray], Any] | None = None,
        min_length: int = 1,
        of: str = "",
        keep: str = "all",
        where: str = "X",
    ) -> None:
        self.dims, self._where = dims, where
        self._function, self._split = function, split_complex
        data = _listed(data)
        self.is_single = not isinstance(data, (list, tuple)) and not _is_object_array(data)
        if self.is_single:
            data = [data]
        if not len(data):
            raise DataError(f"{where}: needs at least one sequence, but got none.")
        expected = (*dims[:-1], dims[-1] // 2) if split_complex else dims
        self._sequences = [self._checked(each, expected, number) for number, each in enumerate(data, start=1)]
        lengths = np.array([len(sequence) for sequence in self._sequences])
        if lengths.min() < min_length:
            raise DataError(
                f"{where}: needs sequences of at least {min_length} time steps (MinLength{of}), but the shortest, "
                f"sequence {int(lengths.argmin()) + 1}, has {lengths.min()}."
            )
        self._min_length, self._of = min_length, of
        self.steps = Steps(lengths, keep)

    def __len__(self) -> int:
        return len(self._sequences)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return the time steps (M, ..., C) of the observations ``index``, one observation after the other."""
        numbers = np.arange(len(self))[index].tolist()
        parts = [self._sequences[number][part] for number, part in zip(numbers, self.steps.slices(index), strict=True)]
        if self._split:
            parts = [np.concatenate([part.real, part.imag], axis=-1) for part in parts]
        if self._function is not None:
            parts = [self._apply(np.array(part, dtype)) for part in parts]
        return np.concatenate(parts).astype(dtype, copy=False)

    def lengths(self, index: Index) -> np.ndarray:
        """Return the numbers of time steps of the observations ``index``."""
        return self.steps.of(index)

    def split(self, length: int) -> SequencePredictors:
        """Return predictors whose sequences are the pieces of ``length`` time steps of these, in their order."""
        result = copy.copy(self)
        result._sequences = _pieces(self._sequences, length)
        for number, sequence in enumerate(self._sequences, start=1):
            last = (len(sequence) - 1) % length + 1
            if last < self._min_length:
                raise DataError(
                    f"{self._where}: needs pieces of at least {self._min_length} time steps (MinLength{self._of}), but "
                    f"of sequence {number}, which has {len(sequence)}, SequenceLength={length} leaves one of {last}."
                )
        result.steps = Steps(np.array([len(piece) for piece in result._sequences]))
        return result

    def check_finite(self) -> None:
        """Raise `DataError` with the number of the first sequence that has NaN or Inf."""
        for number, sequence in enumerate(self._sequences, start=1):
            check_finite(sequence, f"{self._where}: sequence {number}", "time step")

    def _checked(self, data: Any, expected: tuple[int, ...], number: int) -> np.ndarray:
        """Return one sequence with time first."""
        where = f"{self._where}: sequence {number}"
        array = numeric_array(data, where, "a numeric array", "fiubc")
        if array.ndim == 1 and expected == (1,):
            array = array[np.newaxis]
        elif array.shape == expected:  # one time step
            array = array[..., np.newaxis]
        if array.dtype.kind == "c" and not self._split:
            raise DataError(f"{where}: needs real numbers, but got complex ones. Set SplitComplexInputs=True.")
        if array.ndim != len(expected) + 1 or array.shape[:-1] != expected:
            size, came = "x".join(map(str, expected)), "x".join(map(str, array.shape))
            raise DataError(
                f"{where}: needs size {size} x time steps, but got {came}.{_fix(array.shape, expected, self.is_single)}"
            )
        return np.moveaxis(array, -1, 0)

    def _apply(self, sequence: np.ndarray) -> np.ndarray:
        assert self._function is not None
        given = np.moveaxis(sequence, 0, -1)
        result = numeric_array(
            self._function(given), f"{self._where}: the normalization function", "to return an array", "fiub"
        )
        if result.shape != given.shape:
            raise DataError(
                f"{self._where}: the normalization function needs to return shape {given.shape}, "
                f"but returned {result.shape}."
            )
        return np.moveaxis(result, -1, 0)


class SequenceClassTargets:
    """A class for each time step: a list of labels, one entry for each sequence.

    Parameters
    ----------
    labels : list of label arrays (1 x S or S), or one such array for one sequence
    classes : list of texts
        Order of the classes; empty: those that occur, sorted.
    steps : Steps
        The time steps of the predictors.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where labels are missing, of unknown classes, or not one for each time step.
    """

    def __init__(self, labels: Any, classes: list[str], steps: Steps, where: str) -> None:
        given = _as_list(labels, steps, where)
        found = [as_labels(each, f"{where}: sequence {number}") for number, each in enumerate(given, start=1)]
        _check_lengths([len(each) for each in found], steps, where)
        names = categories(found[0])
        if any(categories(each) != names for each in found):  # plain labels: each sequence has its own categories
            names = categories(categorical(np.concatenate([each.names() for each in found])))
        self.classes = classes or names
        self._codes = []
        for number, each in enumerate(found, start=1):
            codes = categorical(each, self.classes).codes
            if (codes < 0).any():
                unknown = each.names()[int(np.argmin(codes))]
                raise DataError(
                    f"{where}: sequence {number}: needs classes out of {self.classes}, but has '{unknown}'."
                )
            self._codes.append(codes)
        self._steps = steps

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return class numbers (M,), int64; ``dtype`` does not matter."""
        return _packed(self._codes, self._steps, index)

    def split(self, length: int, steps: Steps) -> SequenceClassTargets:
        """Return the targets of the pieces of ``length`` time steps; ``steps`` are those of the pieces."""
        result = copy.copy(self)
        result._codes, result._steps = _pieces(self._codes, length), steps
        return result

    def present(self) -> int:
        """Return the number of different classes that occur."""
        return len(np.unique(np.concatenate(self._codes)))


class SequenceResponseTargets:
    """Numeric responses for each time step: a list of (R, S) arrays, one for each sequence.

    Parameters
    ----------
    responses : list of arrays, or one array for one sequence
    dims : tuple of int
        Size that the network puts out for one time step.
    steps : Steps
        The time steps of the predictors.
    where : text
        Beginning of error messages.

    Raises
    ------
    DataError
        Where responses are not numeric or finite, or of another size or length.
    """

    def __init__(self, responses: Any, dims: tuple[int, ...], steps: Steps, where: str) -> None:
        given = _as_list(responses, steps, where)
        source = SequencePredictors(list(given), dims, where=where)
        source.check_finite()
        _check_lengths(source.steps.lengths.tolist(), steps, where)
        self._responses = [source.batch(np.array([number])) for number in range(len(source))]
        self._steps = steps

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return responses (M, ..., R)."""
        return _packed(self._responses, self._steps, index).astype(dtype, copy=False)

    def split(self, length: int, steps: Steps) -> SequenceResponseTargets:
        """Return the targets of the pieces of ``length`` time steps; ``steps`` are those of the pieces."""
        result = copy.copy(self)
        result._responses, result._steps = _pieces(self._responses, length), steps
        return result


def unpack(packed: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return packed time steps (M, ..., C) as a list of sequences in MATLAB's order, (..., C, S)."""
    return [np.moveaxis(part, 0, -1) for part in np.split(packed, np.cumsum(lengths)[:-1])]


def _pieces(arrays: Sequence[np.ndarray], length: int) -> list[np.ndarray]:
    """Return the pieces of ``length`` entries along the first axis of all arrays, as views."""
    return [array[start : start + length] for array in arrays for start in range(0, len(array), length)]


def _fix(shape: tuple[int, ...], expected: tuple[int, ...], is_single: bool) -> str:
    """Return, after a blank, what makes sequences of an array of another ``shape``; '' where nothing is likely."""
    if len(shape) == 2 and shape[1:] == expected:
        return " Features and time are exchanged: transpose it."
    if len(expected) > 1:
        return _image_fix(shape, expected)
    if len(shape) != 3 or len(expected) != 1 or not is_single:
        return ""
    forms = ("[X[:, :, n] for n in range(X.shape[2])]", "list(X)", "[each.T for each in X]")
    found = [form for form, length in zip(forms, shape, strict=True) if length == expected[0]]
    return f" Give a list with one array for each sequence: {' or '.join(found)}." if found else ""


def _image_fix(shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Return, after a blank, what makes image sequences of an array of another ``shape``."""
    for axis in range(len(shape) - 1):
        rest = (*shape[:axis], *shape[axis + 1 :])
        if rest == expected:
            return f" Time needs to be the last dimension: numpy.moveaxis(X, {axis}, -1)."
        if (*rest, 1) == expected:
            return f" Time needs to be the last dimension: numpy.moveaxis(X, {axis}, -1)[..., None, :]."
    if (*shape[:-1], 1) == expected:
        return " The dimension of the channels is missing: X[..., None, :]."
    return ""


def _packed(arrays: Sequence[np.ndarray], steps: Steps, index: Index) -> np.ndarray:
    numbers = np.arange(len(arrays))[index].tolist()
    return np.concatenate([arrays[number][part] for number, part in zip(numbers, steps.slices(index), strict=True)])


def _is_object_array(data: Any) -> bool:
    return isinstance(data, np.ndarray) and data.dtype == object


def _listed(data: Any) -> Any:
    """Return an array of arrays, such as scipy.io.loadmat makes of an N x 1 cell array, as a list."""
    if _is_object_array(data) and all(isinstance(each, np.ndarray) for each in data.flat):
        return list(data.flat)
    return data


def _as_list(given: Any, steps: Steps, where: str) -> Sequence[Any]:
    """Return targets as one entry for each sequence; a single sequence may come without a list around it."""
    given = _listed(given)
    count = len(steps.lengths)
    if count == 1 and not (isinstance(given, (list, tuple)) and len(given) == 1):
        return [given]
    if not isinstance(given, (list, tuple)) and not _is_object_array(given):
        fix = " For one target per sequence use OutputMode='last'." if np.shape(given)[:1] == (count,) else ""
        raise DataError(
            f"{where}: needs a list with an entry for each of the {count} sequences, but got an array.{fix}"
        )
    if len(given) != count:
        raise DataError(f"{where}: needs {count} entries, one for each sequence of X, but got {len(given)}.")
    return given


def _check_lengths(came: list[int], steps: Steps, where: str) -> None:
    for number, (length, needed) in enumerate(zip(came, steps.lengths.tolist(), strict=True), start=1):
        if length != needed:
            raise DataError(
                f"{where}: sequence {number}: needs {needed} time steps, as X has, but got {length}. "
                "For one target per sequence use OutputMode='last'."
            )
