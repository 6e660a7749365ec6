"""imageDatastore: image files, one observation each, with labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.declared import READ_SIZE
from mlnet.data.datastores.files import FILE_EXTENSIONS, FILES, LOCATION, SUBFOLDERS, UNREADABLE, FilesDatastore
from mlnet.data.images.files import EXTENSIONS, readDatastoreImage
from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical, categories
from mlnet.options import Derived, Option, Table, constructs, from_one
from mlnet.rules import EMPTY, Rule, choice, function, is_empty
from mlnet.structure import Structure


def _labels(value: Any) -> Any:
    if isinstance(value, categorical):
        return value
    if is_empty(value):
        return EMPTY
    array = np.asarray(value).ravel()
    if array.dtype.kind in "fiub":
        return array.copy()
    return categorical(array)


LABELS = Option(
    "Labels",
    EMPTY,
    Rule("one label for each file: categorical, texts, numbers or logical values", _labels, ([[1], [1, 2]], 1j)),
    "The label of each file; texts become categorical. [] for none.",
)


class ImageDatastore(FilesDatastore):
    """The datastore that `imageDatastore` makes."""

    default_extensions = EXTENSIONS
    fixed = (*FilesDatastore.fixed, "LabelSource")
    displayed = ("Files", "Folders", "Labels", "ReadSize", "ReadFcn")
    reads_response = False
    table = Table(
        LOCATION,
        FILES,
        LABELS,
        SUBFOLDERS,
        Option("LabelSource", "none", choice("none", "foldernames"), "'foldernames': folders are the labels."),
        FILE_EXTENSIONS,
        READ_SIZE,
        Option("ReadFcn", readDatastoreImage, function(), "Takes the name of a file and returns its image."),
        UNREADABLE,
        Derived(
            "Folders", lambda ds: sorted({os.path.dirname(f) for f in ds._values["Files"]}), "Folders of the files."
        ),
        Derived("SkippedFiles", lambda ds: list(ds._skipped), "Files that were left out, as they cannot be read."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels, from_folders = self._values["Labels"], self._values["LabelSource"] == "foldernames"
        if len(labels) and from_folders:
            raise OptionError("imageDatastore: takes Labels or LabelSource='foldernames', but got both.")
        found = self._values["UnreadableFiles"]
        if len(labels):
            self._values["UnreadableFiles"] = "error"
            self.find()
            self.check()  # labels are those of all the files, readable or not
            self._values["UnreadableFiles"] = found
            if found == "skip":
                names = self._values["Files"]
                self._skip_unreadable()
                left_out = set(self._skipped)
                self._values["Labels"] = labels[[n for n, name in enumerate(names) if name not in left_out]]
        else:
            self.find()
        if from_folders:
            self._values["Labels"] = _folder_labels(self._values["Files"])

    def check(self) -> None:
        """Raise where labels and files do not go together."""
        files, labels = self._values["Files"], self._values["Labels"]
        if files and len(labels) and len(labels) != len(files):
            raise OptionError(
                f"imageDatastore: Labels: needs {len(files)} labels, one for each file, but got {len(labels)}."
            )

    def _assign(self, given: dict[str, Any]) -> None:
        """Set properties; other files take their labels with them, or get those of their folders."""
        if "Files" not in given or not self._values["Files"] or not len(self._values["Labels"]):
            super()._assign(given)
            return
        files = self._converted("Files", given["Files"])
        numbers = {name: number for number, name in enumerate(self._values["Files"])}
        labels: Any
        if all(name in numbers for name in files):
            labels = self._values["Labels"][[numbers[name] for name in files]]
        elif self._values["LabelSource"] == "foldernames":
            labels = _folder_labels(files)
        else:
            raise OptionError(
                "imageDatastore: Files: the labels of new files are not known. Make a new imageDatastore with Labels."
            )
        self._values.update(Files=files, Labels=labels)

    @property
    def response_advice(self) -> str:  # type: ignore[override]
        """What messages propose where labels are missing."""
        return "Give imageDatastore Labels, or LabelSource='foldernames' where the folders are the classes."

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the images, with their labels where there are some."""
        labels = self._values["Labels"]
        if not len(labels):
            return self.read_rows(numbers)
        return [(self._image(number), labels[number]) for number in numbers]

    def read_rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the images."""
        return [(self._image(number),) for number in numbers]

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> Any:
        """Return an image, or a list of images."""
        return rows[0][0] if single else [row[0] for row in rows]

    def information(self, numbers: Sequence[int]) -> Any:
        """Return names, sizes and labels of the files."""
        fields = super().information(numbers).fields()
        labels = self._values["Labels"]
        if len(labels):
            is_one_number = isinstance(labels, np.ndarray) and not isinstance(fields["Filename"], list)
            fields["Label"] = labels[numbers[0]] if is_one_number else labels[list(numbers)]
        return Structure(**fields)

    def readimage(self, number: int, nargout: int = 1) -> Any:
        """Return the image with a number, counted from 1; with ``nargout=2`` also where it comes from."""
        (place,) = from_one("readimage", [number], len(self)).tolist()
        image = self._image(place)
        return image if nargout == 1 else (image, self.information([place]))

    def labels(self) -> categorical | None:
        """Return the labels as classes; None where there are none, or fractions."""
        labels = self._values["Labels"]
        if isinstance(labels, categorical) or not len(labels):
            return labels if isinstance(labels, categorical) else None
        is_whole = labels.dtype.kind != "f" or not (labels != np.floor(labels)).any()
        return categorical(labels) if is_whole else None

    def classes(self) -> list[str]:
        """Return the categories of the labels."""
        labels = self.labels()
        return [] if labels is None else categories(labels)

    def selected(self, numbers: Sequence[int]) -> ImageDatastore:
        """Return a datastore of some of the files with their labels."""
        twin = super().selected(numbers)
        if len(self._values["Labels"]):
            twin._values["Labels"] = self._values["Labels"][list(numbers)]
        return twin

    def _image(self, number: int) -> np.ndarray:
        image = np.asarray(self.read_file(number))
        if image.dtype.kind not in "fiubc" or image.ndim < 2:
            raise DataError(
                f"imageDatastore: {self.describe_row(number)}: the ReadFcn needs to return a numeric image, but "
                f"returned an array of shape {image.shape} and type {image.dtype}."
            )
        return image


def _folder_labels(files: Sequence[str]) -> categorical:
    return categorical([os.path.basename(os.path.dirname(name)) for name in files])


@constructs(ImageDatastore)
def imageDatastore() -> None:
    """Create a datastore of image files, which are read when they are needed.

    `read` returns an image, (H, W) or (H, W, C) in the type of the file, or a list of ReadSize of them. Networks take
    the image, and the label as its class.

    {parameters}

    Raises
    ------
    DataError
        Where there are no such files; when a file that cannot be read is needed, with its name.
    OptionError
        Where an option has a value that it cannot have, or Labels do not fit the files.
    MissingExtraError
        When an image file is read and Pillow is not installed: ``pip install pillow``. Files .npy and .mat do without.

    Notes
    -----
    Differs from MATLAB: UnreadableFiles; images with a palette are read as RGB.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mlnet import countEachLabel, imageDatastore
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ('cat', 'dog'):
    ...     os.mkdir(os.path.join(folder.name, name))
    ...     for number in range(3):
    ...         np.save(os.path.join(folder.name, name, f'{number}.npy'), np.zeros((4, 5), 'uint8'))
    >>> imds = imageDatastore(folder.name, IncludeSubfolders=True, LabelSource='foldernames')
    >>> imds.read().shape
    (4, 5)
    >>> countEachLabel(imds)
      2x2 table
    <BLANKLINE>
        Label    Count
        _____    _____
    <BLANKLINE>
        cat      3
        dog      3
    >>> folder.cleanup()
    """
