"""Datastores made of datastores: some observations, columns side by side, or what a function makes of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.columns import is_table
from mlnet.errors import DataError, MlnetError, OptionError
from mlnet.labels import categorical
from mlnet.options import describe
from mlnet.rules import flag


class SubsetDatastore(Datastore):
    """Some observations of a datastore, in an order of their own."""

    def __init__(self, source: Datastore, numbers: Sequence[int]) -> None:
        super().__init__()
        self._source, self._numbers = source, np.asarray(numbers, np.int64)
        self.reads_response = source.reads_response  # type: ignore[misc]
        self.response_advice = source.response_advice
        self.in_background, self.forkable = source.in_background, source.forkable

    def __len__(self) -> int:
        return len(self._numbers)

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return rows of the source."""
        return self._source.rows(self._of(numbers), generator)

    def read_rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return what the source reads."""
        return self._source.read_rows(self._of(numbers), generator)

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> Any:
        """Return rows as the source does."""
        return self._source.gathered(rows, single=single)

    def information(self, numbers: Sequence[int]) -> Any:
        """Return what the source tells."""
        return self._source.information(self._of(numbers))

    def read_size(self) -> int:
        """Return how many observations the source reads."""
        return self._source.read_size()

    def labels(self) -> categorical | None:
        """Return those of the labels of the source."""
        labels = self._source.labels()
        return None if labels is None else labels[self._numbers]

    def classes(self) -> list[str]:
        """Return the classes of the source."""
        return self._source.classes()

    def describe_row(self, number: int) -> str:
        """Return how the source names the observation."""
        return self._source.describe_row(int(self._numbers[number]))

    def selected(self, numbers: Sequence[int]) -> SubsetDatastore:
        """Return some of these observations."""
        return SubsetDatastore(self._source, self._of(numbers))

    def _of(self, numbers: Sequence[int]) -> list[int]:
        return self._numbers[list(numbers)].tolist()


class CombinedDatastore(Datastore):
    """The datastore that `combine` makes."""

    def __init__(self, sources: Sequence[Datastore]) -> None:
        super().__init__()
        self.UnderlyingDatastores = list(sources)
        last = sources[-1]
        self._last = last if last.reads_response else None
        self.in_background = any(source.in_background for source in sources)
        self.forkable = all(source.forkable for source in sources)

    def __len__(self) -> int:
        return len(self.UnderlyingDatastores[0])

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the columns of all datastores, as each reads them."""
        parts = [source.read_rows(numbers, generator) for source in self.UnderlyingDatastores]
        return [tuple(value for row in rows for value in row) for rows in zip(*parts, strict=True)]

    def information(self, numbers: Sequence[int]) -> Any:
        """Return a list of what each datastore tells."""
        return [source.information(numbers) for source in self.UnderlyingDatastores]

    def read_size(self) -> int:
        """Return how many observations each datastore reads; raise `OptionError` where they differ."""
        sizes = [source.read_size() for source in self.UnderlyingDatastores]
        if len(set(sizes)) > 1:
            raise OptionError(f"combine: needs datastores that read the same number of observations, but got {sizes}.")
        return sizes[0]

    def labels(self) -> categorical | None:
        """Return the labels of the last datastore."""
        return self._last.labels() if self._last is not None else None

    def classes(self) -> list[str]:
        """Return the classes of the last datastore."""
        return self._last.classes() if self._last is not None else []

    def describe_row(self, number: int) -> str:
        """Return how the first datastore names the observation."""
        return self.UnderlyingDatastores[0].describe_row(number)

    def selected(self, numbers: Sequence[int]) -> CombinedDatastore:
        """Return some of the observations of each datastore."""
        return CombinedDatastore([source.selected(numbers) for source in self.UnderlyingDatastores])


class TransformedDatastore(Datastore):
    """The datastore that `transform` makes."""

    def __init__(self, sources: Sequence[Datastore], function: Callable[..., Any], include_info: bool) -> None:
        super().__init__()
        self.UnderlyingDatastores, self.Transforms = list(sources), [function]
        self.IncludeInfo = include_info
        self.in_background = any(source.in_background for source in sources)
        self.forkable = all(source.forkable for source in sources)

    def __len__(self) -> int:
        return len(self.UnderlyingDatastores[0])

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the columns that the function makes of each observation."""
        single = self.read_size() == 1
        return [
            self._columns(self._called([number], generator, single=single, informed=False)[0], number)
            for number in numbers
        ]

    def read_size(self) -> int:
        """Return how many observations go into the function at once."""
        return self.UnderlyingDatastores[0].read_size()

    def observed(
        self, numbers: Sequence[int], generator: np.random.Generator | None, *, single: bool, informed: bool
    ) -> tuple[Any, Any]:
        """Return what the function makes of the data that the datastores read."""
        if single or self.read_size() > 1:
            return self._called(numbers, generator, single=single, informed=informed)
        each = [self._called([number], generator, single=True, informed=informed) for number in numbers]
        return [data for data, _ in each], [information for _, information in each]

    def information(self, numbers: Sequence[int]) -> Any:
        """Return what the datastores tell; a list where there are several."""
        found = [source.information(numbers) for source in self.UnderlyingDatastores]
        return found[0] if len(found) == 1 else found

    def describe_row(self, number: int) -> str:
        """Return how the first datastore names the observation."""
        return self.UnderlyingDatastores[0].describe_row(number)

    def selected(self, numbers: Sequence[int]) -> TransformedDatastore:
        """Return some of the observations."""
        sources = [source.selected(numbers) for source in self.UnderlyingDatastores]
        return TransformedDatastore(sources, self.Transforms[0], self.IncludeInfo)

    def _called(
        self, numbers: Sequence[int], generator: np.random.Generator | None, *, single: bool, informed: bool
    ) -> tuple[Any, Any]:
        """Return data and information behind the function."""
        informed = informed or self.IncludeInfo
        each = [
            source.observed(numbers, generator, single=single, informed=informed)
            for source in self.UnderlyingDatastores
        ]
        values, told = [data for data, _ in each], [information for _, information in each]
        information = told[0] if len(told) == 1 else told
        name = f"transform: {describe(self.Transforms[0])} for {self.describe_row(numbers[0])}"
        try:
            found = self.Transforms[0](*values, *([information] if self.IncludeInfo else []))
        except MlnetError:
            raise
        except Exception as error:
            raise DataError(f"{name} raised {type(error).__name__}: {error}") from error
        if not self.IncludeInfo:
            return found, information
        if not isinstance(found, (list, tuple)) or len(found) != 2:
            raise DataError(
                f"{name}: needs to return data and information (IncludeInfo=True), but got {describe(found)}."
            )
        return found[0], found[1]

    def _columns(self, found: Any, number: int) -> tuple[Any, ...]:
        """Return what the function returned for one observation as columns."""
        if is_table(found):
            names = list(found.columns)
            columns = [list(found[name]) for name in names]
            if columns and all(len(column) == 1 for column in columns):
                return tuple(column[0] for column in columns)
        elif not isinstance(found, (list, tuple)):
            return (found,)
        elif len(found) == 1 and isinstance(found[0], (list, tuple)):
            return tuple(found[0])  # a list of one row
        elif found:
            return tuple(found)
        raise DataError(
            f"transform: {describe(self.Transforms[0])} for {self.describe_row(number)}: needs to return the columns "
            f"of one observation, but got {describe(found)}."
        )


def combine(*datastores: Datastore) -> CombinedDatastore:
    """Return a datastore whose observations have the columns of several datastores side by side.

    Parameters
    ----------
    *datastores : datastores of the same number of observations

    Returns
    -------
    CombinedDatastore
        `read` returns a list of the columns, such as ``[image, label]``; where the datastores read several observations
        at once (ReadSize), a list of such rows. Networks take the last column as the response. Of an `imageDatastore`
        the images count, and not the labels, as in MATLAB.

    Raises
    ------
    OptionError
        Where something is no datastore, or the numbers of observations differ.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import arrayDatastore, combine
    >>> ds = combine(arrayDatastore([[1.0, 2.0], [3.0, 4.0]]), arrayDatastore(['a', 'b']))
    >>> ds.readall()
    [[[1.0, 2.0], 'a'], [[3.0, 4.0], 'b']]
    """
    _check("combine", datastores)
    return CombinedDatastore(datastores)


def transform(datastore: Datastore, *arguments: Any, IncludeInfo: bool = False) -> TransformedDatastore:  # noqa: N803
    """Return a datastore that reads what a function makes of the data of a datastore.

    ``transform(datastore, function)``, or of several, ``transform(datastore1, datastore2, function)``.

    Parameters
    ----------
    datastore : datastore
    function : function
        Takes what `read` of each datastore returns, and returns the new data. For networks it is called with one
        observation at a time and returns its columns: an array, or a list or tuple such as ``(image, label)``.
    IncludeInfo : bool, default False
        Whether the function also takes the second output of `read`, with file name and label, and returns
        ``(data, info)``.

    Raises
    ------
    OptionError
        Where something is no datastore or no function, or the numbers of observations differ.
    DataError
        When data are read, with the name of the observation, where the function raises or returns no columns.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import arrayDatastore, transform
    >>> ds = transform(arrayDatastore(np.arange(3), OutputType='same'), lambda x: x * 10)
    >>> [int(x[0]) for x in ds.readall()]
    [0, 10, 20]
    """
    given = list(arguments)
    if len(given) >= 2 and isinstance(given[-2], str) and given[-2].lower() == "includeinfo":
        IncludeInfo = given.pop()  # noqa: N806
        given.pop()
    if not given or not callable(given[-1]) or isinstance(given[-1], Datastore):
        came = describe(given[-1]) if given else "none"
        raise OptionError(f"transform: needs a function behind the datastores, but got {came}.")
    if not flag().takes(IncludeInfo):
        raise OptionError(f"transform: IncludeInfo: needs {flag().needed}, but got {describe(IncludeInfo)}.")
    sources = (datastore, *given[:-1])
    _check("transform", sources)
    return TransformedDatastore(sources, given[-1], bool(IncludeInfo))


def _check(where: str, datastores: Sequence[Any]) -> None:
    if not datastores:
        raise OptionError(f"{where}: needs at least one datastore.")
    for each in datastores:
        if not isinstance(each, Datastore):
            raise OptionError(f"{where}: needs datastores, but got {describe(each)}.")
    counts = [len(each) for each in datastores]
    if len(set(counts)) > 1:
        raise OptionError(f"{where}: needs datastores of the same number of observations, but got {counts}.")
