"""Datastores as a source of mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.arrays import Index, Predictors
from mlnet.data.sources.pixel_targets import PixelTargets
from mlnet.data.sources.targets import ResponseTargets
from mlnet.errors import DataError


class Rows:
    """Rows of a datastore with at least ``columns`` entries, read once for all columns of a mini-batch."""

    def __init__(self, datastore: Datastore, columns: int, where: str) -> None:
        self.datastore, self.columns, self.where = datastore, columns, where
        self.generator: np.random.Generator | None = None
        self._numbers: list[int] = []
        self._drawn_with: np.random.Generator | None = None
        self._found: list[tuple[Any, ...]] = []
        if not len(datastore):
            raise DataError(f"{where}: needs at least one observation, but the datastore is empty.")

    def __len__(self) -> int:
        return len(self.datastore)

    def column(self, number: int, index: Index) -> tuple[list[Any], list[int]]:
        """Return one column of the observations ``index``, and their numbers."""
        numbers = np.arange(len(self))[index].tolist()
        if numbers != self._numbers or self.generator is not self._drawn_with:
            self._found = self.datastore.rows(numbers, self.generator)
            self._numbers, self._drawn_with = numbers, self.generator
            for place, row in zip(numbers, self._found, strict=True):
                if len(row) < self.columns:
                    advice = f" {self.datastore.response_advice}" if self.datastore.response_advice else ""
                    raise DataError(
                        f"{self.where}: needs {self.columns} columns (inputs and response), but "
                        f"{self.datastore.describe_row(place)} has {len(row)}.{advice}"
                    )
        return [row[number] for row in self._found], numbers

    def name(self, number: int) -> str:
        """Return how messages name an observation."""
        return f"{self.where}: {self.datastore.describe_row(number)}"


class DatastorePredictors:
    """One column of a datastore as what goes into a network; see `mlnet.data.sources.arrays.Predictors`.

    Every observation is checked when it is read.
    """

    is_single = False
    steps = None

    def __init__(
        self,
        rows: Rows,
        column: int,
        format: str,
        dims: tuple[int, ...],
        *,
        split_complex: bool = False,
        function: Callable[[np.ndarray], Any] | None = None,
        augmentation: Collection[str] = (),
    ) -> None:
        self.generator: np.random.Generator | None = None
        self.rows, self._column, self._format, self.dims = rows, column, format, dims
        self.augmentation = augmentation
        self._options: dict[str, Any] = {
            "split_complex": split_complex,
            "function": function,
            "augmentation": augmentation,
        }

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return the observations ``index`` in the engines' order."""
        values, numbers = self.rows.column(self._column, index)
        arrays = [np.asarray(value) for value in values]
        if len({array.shape for array in arrays}) == 1 and len(arrays) > 1:
            try:
                return self._checked(self._joined(arrays), "").batch(slice(None), dtype)
            except DataError:
                pass  # one by one, for the name of the observation
        pairs = zip(arrays, numbers, strict=True)
        return np.concatenate(
            [self._checked(self._joined([a]), self.rows.name(n)).batch(slice(None), dtype) for a, n in pairs]
        )

    def _joined(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        if "S" not in self._format:
            return np.stack([array.ravel() for array in arrays])
        full = [array[..., np.newaxis] if array.ndim < len(self.dims) else array for array in arrays]
        return np.stack(full, axis=-1)

    def _checked(self, array: np.ndarray, where: str) -> Predictors:
        predictors = Predictors(array, self._format, self.dims, where=where, **self._options)
        predictors.check_finite()
        predictors.generator = self.generator
        return predictors

    def lengths(self, index: Index) -> None:
        """Return None: these are no sequences."""

    def check_finite(self) -> None:
        """Check the first observation, for what can be known before training; others are checked when they are read."""
        self.batch(slice(0, 1))


class DatastoreResponses:
    """A column (the last one) of a datastore as numeric responses, or images of them, read with the mini-batch."""

    def __init__(self, rows: Rows, dims: tuple[int, ...], column: int = -1) -> None:
        self._rows, self._dims, self._column = rows, dims, column

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return responses in the engines' order, in the shape that the network puts out."""
        values, numbers = self._rows.column(self._column, index)
        is_image = any(n != 1 for n in self._dims[:-1])
        found = []
        for value, number in zip(values, numbers, strict=True):
            array = np.asarray(value)
            if is_image:
                array = array.reshape(*array.shape, *[1] * (len(self._dims) - array.ndim), 1)
            else:
                array = array.reshape(1, -1)
            found.append(ResponseTargets(array, self._dims, 1, self._rows.name(number)).batch(slice(None), dtype))
        return np.concatenate(found)


class DatastorePixelTargets:
    """The last column of a datastore as images of labels, read with the mini-batch; see `PixelTargets`."""

    def __init__(self, rows: Rows, classes: list[str], dims: tuple[int, ...]) -> None:
        self._rows, self._dims = rows, dims
        self.classes = classes or rows.datastore.classes()
        if not self.classes:
            raise DataError(
                f"{rows.where}: needs the names of the classes, but the datastore does not know them. "
                "Give Classes of the output layer."
            )
        unknown = [name for name in rows.datastore.classes() if name not in self.classes]
        if unknown:
            raise DataError(
                f"{rows.where}: needs classes out of {', '.join(self.classes)}, but the datastore has also "
                f"'{unknown[0]}'."
            )

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, index: Index, dtype: type = np.float32) -> np.ndarray:
        """Return class numbers (N, H, W) or (N, H, W, D), int64; ``dtype`` does not matter."""
        pairs = zip(*self._rows.column(-1, index), strict=True)
        return np.concatenate(
            [
                PixelTargets(value, self.classes, self._dims, 1, self._rows.name(number), empty=True).batch(slice(None))
                for value, number in pairs
            ]
        )

    def present(self) -> int:
        """Return the number of classes: which of them occur is not known before all are read."""
        return len(self.classes)


def response_column(rows: Rows) -> Any:
    """Return the responses of all observations: the labels that the datastore knows, otherwise what it reads."""
    labels = rows.datastore.labels()
    if labels is not None:
        return labels
    return [value for start in range(0, len(rows), 128) for value in rows.column(-1, slice(start, start + 128))[0]]
