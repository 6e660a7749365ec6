"""writeall: the observations of a datastore as files."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.images.files import write_image
from mlnet.errors import DataError, MlnetError, OptionError, message
from mlnet.labels import categorical
from mlnet.options import Declared, Option, Table, describe
from mlnet.randomness import data_generator
from mlnet.rules import EMPTY, choice, either, empty, function, text
from mlnet.structure import Structure

_FORMATS = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "npy")


class _Options(Declared):
    constructor_name = "writeall"
    table = Table(
        Option(
            "OutputFormat", EMPTY, either(empty(), choice(*_FORMATS)), "Format of the files; [] for that of the data."
        ),
        Option("FolderLayout", "duplicate", choice("duplicate", "flatten"), "Whether folders are made as they are."),
        Option("FilenamePrefix", "", text(), "Beginning of the names of files."),
        Option("FilenameSuffix", "", text(), "End of the names of files, before the extension."),
        Option(
            "WriteFcn", EMPTY, either(empty(), function()), "Takes data, information and format, and writes a file."
        ),
    )


def writeall(datastore: Datastore, outputLocation: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N803
    """Write each observation of a datastore into a file below a folder.

    Parameters
    ----------
    datastore : imageDatastore, or another datastore of images, such as one that `transform` made
        Random changes, of an augmentedImageDatastore, are drawn as `read` draws them.
    outputLocation : text
        A folder, which is made where it does not exist.
    OutputFormat : 'png', 'jpg', 'jpeg', 'tif', 'tiff', 'bmp', 'npy', or [], default []
        Format of the files; by default that of the file that an observation comes from, or 'png'.
    FolderLayout : 'duplicate' or 'flatten', default 'duplicate'
        'duplicate' makes the folders below the one that all files are in; 'flatten' puts all files into one folder.
    FilenamePrefix, FilenameSuffix : text, default ''
        Beginning and end of the names of the files, which are those of the data otherwise.
    WriteFcn : function or [], default []
        ``WriteFcn(data, writeInfo, outputFormat)`` writes an observation, data being what `read` returns. ``writeInfo``
        has SuggestedOutputName, the full name of the file, Location, and ReadInfo, the second output of `read`.

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt, two files would have the same name, or a file of the datastore
        would be replaced.
    DataError
        Where an observation is no image, a file cannot be written, or WriteFcn raises.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mlnet import arrayDatastore, writeall
    >>> folder = tempfile.TemporaryDirectory()
    >>> writeall(arrayDatastore(np.zeros((4, 5, 3)), IterationDimension=3), folder.name, OutputFormat='npy')
    >>> sorted(os.listdir(folder.name))
    ['observation_1.npy', 'observation_2.npy', 'observation_3.npy']
    >>> folder.cleanup()
    """
    options = _Options(*args, **kwargs)
    if not isinstance(datastore, Datastore):
        raise OptionError(message("writeall", "a datastore", describe(datastore)))
    if not isinstance(outputLocation, (str, os.PathLike)) or not str(outputLocation):
        raise OptionError(message("writeall: outputLocation", "the name of a folder", describe(outputLocation)))
    location = os.path.abspath(os.path.expanduser(os.fspath(outputLocation)))
    sources = [_file_of(datastore, number) for number in range(len(datastore))]
    targets = _targets(sources, location, options)
    generator = data_generator()
    try:
        os.makedirs(location, exist_ok=True)
        check_folder(location, "writeall: outputLocation")
        for number, target in enumerate(targets):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            where = f"writeall: {datastore.describe_row(number)}"
            if callable(options.WriteFcn):
                data, told = datastore.observed([number], generator, single=True, informed=True)
                information = Structure(ReadInfo=told, SuggestedOutputName=target, Location=location)
                _called(options.WriteFcn, data, information, os.path.splitext(target)[1][1:], where)
                continue
            image = datastore.read_rows([number], generator)[0][0]
            image = np.asarray(image) if not isinstance(image, categorical) else image
            if isinstance(image, categorical) or image.ndim not in (2, 3) or image.dtype.kind not in "fiub":
                raise DataError(message(where, "an image (H, W) or (H, W, C)", describe(image), "Give a WriteFcn."))
            write_image(target, image)
    except OSError as error:
        raise DataError(f"writeall: {error.filename!r} cannot be written ({error.strerror or error}).") from None


def _file_of(datastore: Datastore, number: int) -> str:
    """Return the file that an observation comes from, or a name for it."""
    told = datastore.information([number])
    while isinstance(told, (list, tuple)) and told:
        told = told[0]
    fields = told.fields() if isinstance(told, Structure) else {}
    name = fields.get("Filename", "")
    name = name[0] if isinstance(name, (list, tuple)) and name else name
    return name if isinstance(name, str) and name else f"observation_{number + 1}"


def _targets(sources: list[str], location: str, options: Declared) -> list[str]:
    """Return the name of the file for each observation."""
    folders = {os.path.dirname(name) for name in sources}
    root = os.path.commonpath(sorted(folders)) if folders and "" not in folders else ""
    given, found = {os.path.realpath(name) for name in sources}, dict[str, str]()
    for name in sources:
        stem, extension = os.path.splitext(os.path.basename(name))
        extension = f".{options.OutputFormat}" if isinstance(options.OutputFormat, str) else extension or ".png"
        below = os.path.relpath(os.path.dirname(name), root) if root and options.FolderLayout == "duplicate" else "."
        base = f"{options.FilenamePrefix}{stem}{options.FilenameSuffix}{extension}"
        target = os.path.normpath(os.path.join(location, below, base))
        if target in found:
            fix = "Keep FolderLayout='duplicate'."
            raise OptionError(f"writeall: {name!r} and {found[target]!r} would both be written into {target!r}. {fix}")
        if os.path.realpath(target) in given:
            raise OptionError(
                f"writeall: {target!r} is a file of the datastore. Give another folder, or a FilenamePrefix."
            )
        found[target] = name
    return list(found)


def _called(function: Any, data: Any, information: Structure, output_format: str, where: str) -> None:
    try:
        function(data, information, output_format)
    except MlnetError:
        raise
    except Exception as error:
        raise DataError(f"{where}: the WriteFcn raised {type(error).__name__}: {error}") from error


def check_folder(folder: str, where: str) -> None:
    """Raise `OptionError` where there is no such folder, or nothing can be written into it."""
    if not os.path.isdir(folder):
        raise OptionError(message(where, "a folder that exists", repr(folder), "Make it with mkdir."))
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".mlnet", suffix=".tmp"):
            pass
    except OSError as error:
        came = f"{folder!r} ({error.strerror or error})"
        raise OptionError(message(where, "a folder that can be written to", came)) from None
