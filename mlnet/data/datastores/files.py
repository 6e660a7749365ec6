"""Finds the files of a datastore, and the datastores that read one observation from each."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import numpy as np

from mlnet.data.datastores.declared import DeclaredDatastore
from mlnet.errors import DataError, MlnetError
from mlnet.options import Argument, Option
from mlnet.rules import EMPTY, Refused, Rule, choice, either, empty, flag, texts
from mlnet.structure import Structure

F = TypeVar("F", bound="FilesDatastore")
_THREADS = 4


def _paths(value: Any) -> list[str]:
    if isinstance(value, (str, os.PathLike)):
        value = [value]
    if not isinstance(value, (Sequence, np.ndarray)) or not len(value):
        raise Refused
    if not all(isinstance(each, (str, os.PathLike)) for each in value):
        raise Refused
    return [os.fspath(each) for each in value]


def _dotted(value: Any) -> list[str]:
    found = texts().convert(value)
    if not found:
        raise Refused
    return [name if not name or name.startswith(".") else f".{name}" for name in (each.lower() for each in found)]


LOCATION = Option(
    "location",
    None,
    Rule("a folder, a file, a text with wildcards, or a list of them", _paths, (1, None, [1], [])),
    "Where the files are. The files of a folder are sorted by name; its subfolders come behind them.",
    argument=Argument.REQUIRED,
)
FILES = Option(
    "Files",
    [],
    Rule("a list of files", _paths, (1, None, [1], [])),
    "The files, one for each observation.",
    argument=Argument.NONE,
)
SUBFOLDERS = Option("IncludeSubfolders", False, flag(), "Whether files of subfolders count, at any depth.")
FILE_EXTENSIONS = Option(
    "FileExtensions",
    EMPTY,
    either(empty(), Rule("a list of extensions such as '.png'", _dotted, (1, [1], None))),
    "Files that count, in any letter case; [] for those of the kind that the datastore reads.",
)
UNREADABLE = Option(
    "UnreadableFiles",
    "error",
    choice("error", "skip"),
    "'skip' reads all files once, leaves out those that cannot be read, and warns with their number; MATLAB has no "
    "such option.",
)


def find_files(
    where: str, locations: Sequence[str], extensions: Sequence[str] | None, *, subfolders: bool, default: Sequence[str]
) -> list[str]:
    """Return absolute names of files; ``default`` are the extensions that count in folders where none are given.

    Names are sorted by character, as MATLAB does: 'a10' comes before 'a2'.

    Raises
    ------
    DataError
        Where a location does not exist, or there are no such files.
    """
    found: list[str] = []
    for location in locations:
        here = os.path.abspath(os.path.expanduser(location))
        if os.path.isdir(here):
            found += _in_folder(here, extensions or default, subfolders=subfolders)
        elif os.path.isfile(here):
            found += [here] if _counts(here, extensions) else []
        elif any(sign in location for sign in "*?["):
            matching = sorted(glob.glob(here))
            folders = [each for each in matching if os.path.isdir(each)]
            found += [each for each in matching if each not in folders and _counts(each, extensions)]
            for folder in folders:
                found += _in_folder(folder, extensions or default, subfolders=subfolders)
        else:
            raise DataError(f"{where}: there is no file or folder '{location}' (looked for {here}).")
    if not found:
        wanted = f" with {', '.join(extensions or default)}" if extensions or default else ""
        fix = "" if subfolders else " For files of its subfolders set IncludeSubfolders=True."
        raise DataError(f"{where}: there are no files{wanted} in {', '.join(locations[:3])}.{fix}")
    return found


def _in_folder(folder: str, extensions: Sequence[str], *, subfolders: bool) -> list[str]:
    with os.scandir(folder) as entries:
        items = [(entry.name, entry.is_dir()) for entry in entries]
    found = [os.path.join(folder, name) for name, is_dir in sorted(items) if not is_dir and _counts(name, extensions)]
    if subfolders:
        for name, is_dir in sorted(items):
            if is_dir:
                found += _in_folder(os.path.join(folder, name), extensions, subfolders=True)
    return found


def _counts(name: str, extensions: Sequence[str] | None) -> bool:
    return not extensions or os.path.splitext(name)[1].lower() in extensions


class FilesDatastore(DeclaredDatastore):
    """A datastore that makes one observation of each file; subclasses say by which function."""

    fixed: ClassVar[tuple[str, ...]] = ("location", "IncludeSubfolders", "FileExtensions", "UnreadableFiles")
    default_extensions: ClassVar[Sequence[str]] = ()
    _skipped: tuple[str, ...] = ()

    def find(self) -> None:
        """Find the files; called once by the constructor."""
        values = self._values
        extensions = values["FileExtensions"]
        values["Files"] = find_files(
            self.where(),
            values["location"],
            None if isinstance(extensions, np.ndarray) else extensions,
            subfolders=values["IncludeSubfolders"],
            default=self.default_extensions,
        )
        if values.get("UnreadableFiles") == "skip":
            self._skip_unreadable()

    def __len__(self) -> int:
        return len(self._values["Files"])

    def reader(self) -> Callable[[str], Any]:
        """Return the function that reads a file."""
        return self._values["ReadFcn"]

    def read_file(self, number: int) -> Any:
        """Return what the file of observation ``number`` (from 0) has.

        Raises
        ------
        DataError
            With the name of the file, where it cannot be read.
        """
        name = self._values["Files"][number]
        try:
            return self.reader()(name)
        except DataError as error:
            raise DataError(f"{self.where()}: {name}: {error}.{self._skip_advice()}") from error
        except MlnetError:
            raise
        except Exception as error:
            raise DataError(
                f"{self.where()}: {name}: the ReadFcn raised {type(error).__name__}: {error}.{self._skip_advice()}"
            ) from error

    def describe_row(self, number: int) -> str:
        """Return the name of the file."""
        return self._values["Files"][number]

    def information(self, numbers: Sequence[int]) -> Any:
        """Return names and sizes of the files."""
        names = [self._values["Files"][number] for number in numbers]
        sizes = [os.path.getsize(name) for name in names]
        single = self.read_size() == 1 and len(names) == 1
        return Structure(Filename=names[0] if single else names, FileSize=sizes[0] if single else sizes)

    def selected(self: F, numbers: Sequence[int]) -> F:
        """Return a datastore of some of the files."""
        twin = self.copy()
        twin._values["Files"] = [self._values["Files"][number] for number in numbers]
        return twin

    def _skip_advice(self) -> str:
        return " Repair or remove it, or set UnreadableFiles='skip'." if "UnreadableFiles" in self.table.options else ""

    def _skip_unreadable(self) -> None:
        files = self._values["Files"]
        with ThreadPoolExecutor(_THREADS, "mlnet-checking") as pool:
            readable = list(pool.map(self._is_readable, range(len(files))))
        self._skipped = tuple(name for name, fine in zip(files, readable, strict=True) if not fine)
        self._values["Files"] = [name for name, fine in zip(files, readable, strict=True) if fine]
        if not self._values["Files"]:
            raise DataError(f"{self.where()}: none of {len(files)} files can be read; the first is {files[0]}.")
        if self._skipped:
            warnings.warn(
                f"{self.where()}: left out {len(self._skipped)} of {len(files)} files, which cannot be read: "
                f"{_listed(self._skipped)}.",
                stacklevel=4,
            )

    def _is_readable(self, number: int) -> bool:
        try:
            self.read_file(number)
        except DataError:
            return False
        return True


def _listed(names: Iterable[str]) -> str:
    shown = [os.path.basename(name) for name in names]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} others" if len(shown) > 5 else "")
