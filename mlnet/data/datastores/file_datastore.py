"""fileDatastore and signalDatastore: one observation from each file, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.declared import READ_SIZE
from mlnet.data.datastores.files import FILE_EXTENSIONS, FILES, LOCATION, SUBFOLDERS, UNREADABLE, FilesDatastore
from mlnet.data.images.files import only_variable, variables
from mlnet.errors import DataError
from mlnet.options import Derived, Option, Table, constructs
from mlnet.rules import EMPTY, either, empty, flag, function, texts

_SKIPPED = Derived("SkippedFiles", lambda ds: list(ds._skipped), "Files that were left out, as they cannot be read.")


class FileDatastore(FilesDatastore):
    """The datastore that `fileDatastore` makes."""

    displayed = ("Files", "UniformRead", "ReadFcn")
    table = Table(
        LOCATION,
        FILES,
        Option("ReadFcn", None, function(), "Takes the name of a file and returns its data; needed."),
        Option("UniformRead", False, flag(), "Whether `readall` puts the data of all files into one array."),
        SUBFOLDERS,
        FILE_EXTENSIONS,
        UNREADABLE,
        _SKIPPED,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._values["ReadFcn"] is None:
            raise DataError("fileDatastore: needs a ReadFcn, a function that takes the name of a file.")
        self.find()

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return what the files have: elements of a list or tuple are columns."""
        found = [self.read_file(number) for number in numbers]
        return [tuple(data) if isinstance(data, (list, tuple)) else (data,) for data in found]

    def read_rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return what the files have, as one column."""
        return [(self.read_file(number),) for number in numbers]

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> Any:
        """Return what a file has, or a list; with UniformRead one array."""
        data = [row[0] for row in rows]
        if single:
            return data[0]
        return np.concatenate([np.atleast_1d(each) for each in data]) if self._values["UniformRead"] else data


class SignalDatastore(FilesDatastore):
    """The datastore that `signalDatastore` makes."""

    default_extensions = (".csv", ".mat", ".npy")
    displayed = ("Files", "SignalVariableNames", "ReadSize")
    table = Table(
        LOCATION,
        FILES,
        Option(
            "SignalVariableNames",
            EMPTY,
            either(empty(), texts()),
            "Variables of .mat files or columns of .csv files that are read; [] for the only variable, or all columns.",
        ),
        Option("ReadFcn", EMPTY, either(empty(), function()), "Takes the name of a file and returns its signal."),
        READ_SIZE,
        SUBFOLDERS,
        FILE_EXTENSIONS,
        UNREADABLE,
        _SKIPPED,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.find()

    def reader(self) -> Any:
        """Return the function that reads a file."""
        given = self._values["ReadFcn"]
        return given if callable(given) else self._signals

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the signals: one column, or one for each of several variables."""
        found = [self.read_file(number) for number in numbers]
        return [tuple(data) if isinstance(data, list) else (data,) for data in found]

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> Any:
        """Return a signal, a list of several variables, or a list of those of several files."""
        each = [row[0] if len(row) == 1 else list(row) for row in rows]
        return each[0] if single else each

    def _signals(self, filename: str) -> Any:
        names = self._values["SignalVariableNames"]
        wanted = list(names) if isinstance(names, list) else []
        if filename.lower().endswith(".mat"):
            if not wanted:
                return only_variable(filename)
            found = [variables(filename, wanted)[name] for name in wanted]
        elif filename.lower().endswith(".npy"):
            array = np.load(filename, allow_pickle=False)
            if wanted:
                raise DataError("a .npy file has no variables; leave out SignalVariableNames")
            return array
        else:
            table, header = _table(filename)
            if not wanted:
                return table
            missing = [name for name in wanted if name not in header]
            if missing:
                raise DataError(f"there is no column '{missing[0]}'; the columns are {', '.join(header) or 'unnamed'}")
            found = [table[:, header.index(name)] for name in wanted]
        return found if len(found) > 1 else found[0]


def _table(filename: str) -> tuple[np.ndarray, list[str]]:
    """Return the numbers (T, C) of a .csv file, and the names of its columns where its first line has them."""
    with open(filename, encoding="utf-8-sig") as file:
        lines = [line for line in file.read().splitlines() if line.strip()]
    if not lines:
        raise DataError("the file is empty")
    first = [part.strip().strip('"') for part in lines[0].split(",")]
    header = [] if all(_is_number(part) for part in first) else first
    rows = []
    for number, line in enumerate(lines[bool(header) :], 1 + bool(header)):
        parts = line.split(",")
        if len(parts) != len(first) or not all(_is_number(part) for part in parts):
            raise DataError(f"line {number} needs {len(first)} numbers, but is '{line[:60]}'")
        rows.append([float(part) if part.strip() else np.nan for part in parts])
    return np.array(rows, float).reshape(-1, len(first)), header


def _is_number(text: str) -> bool:
    try:
        float(text.strip() or "nan")
    except ValueError:
        return False
    return True


@constructs(FileDatastore)
def fileDatastore() -> None:
    """Create a datastore that reads each file with a function of yours.

    Networks take what the function returns; the elements of a list or tuple, such as ``(X, Y)``, are columns.

    {parameters}

    Raises
    ------
    DataError
        Where ReadFcn is missing or there are no such files; when a file cannot be read, with its name.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mlnet import fileDatastore
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.savetxt(os.path.join(folder.name, 'a.txt'), [1, 2])
    >>> fds = fileDatastore(folder.name, ReadFcn=np.loadtxt, FileExtensions='.txt')
    >>> fds.read()
    array([1., 2.])
    >>> folder.cleanup()
    """


@constructs(SignalDatastore)
def signalDatastore() -> None:
    r"""Create a datastore of signals in .mat, .csv and .npy files.

    `read` returns an array as it is in the file, of .csv files (T, C) in double precision, of several
    SignalVariableNames a list of arrays. Networks for sequences need (C, T): use `transform`.

    {parameters}

    Raises
    ------
    DataError
        Where there are no such files; when a file or variable cannot be read, with its name.

    Notes
    -----
    Differs from MATLAB: signals in memory go into an `arrayDatastore`, and there are no sample rates.

    Examples
    --------
    >>> import os, tempfile
    >>> from mlnet import signalDatastore
    >>> folder = tempfile.TemporaryDirectory()
    >>> with open(os.path.join(folder.name, 'a.csv'), 'w') as file:
    ...     _ = file.write('time,x\n0,1.5\n1,2.5\n')
    >>> signalDatastore(folder.name, SignalVariableNames='x').read()
    array([1.5, 2.5])
    >>> folder.cleanup()
    """
