"""pixelLabelDatastore and pixelLabelImageDatastore: images of labels, alone and with their images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.declared import READ_SIZE
from mlnet.data.datastores.files import FILE_EXTENSIONS, FILES, LOCATION, SUBFOLDERS, FilesDatastore
from mlnet.data.datastores.image_datastore import ImageDatastore
from mlnet.data.datastores.preparation import OPTIONS, PreparingDatastore
from mlnet.data.images.files import EXTENSIONS, read_indices
from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical
from mlnet.options import Argument, Derived, Option, Table, constructs, from_one
from mlnet.rules import EMPTY, Refused, Rule, either, empty, function, integer, row, texts
from mlnet.table import DataTable


def _names(value: Any) -> list[str]:
    found = texts().convert(value.names().tolist() if isinstance(value, categorical) else value)
    if not found or len(set(found)) != len(found):
        raise Refused
    return found


def _ids(value: Any) -> list[np.ndarray]:
    """Return for each class its values, (M,) numbers or (M, 3) colours."""
    if isinstance(value, np.ndarray) or all(np.ndim(each) == 0 for each in value):
        array = np.asarray(value)
        if array.ndim == 2 and array.shape[1] != 3:
            array = array.ravel()
        each = [array[number : number + 1] for number in range(len(array))]
    else:
        rows = [np.asarray(entry) for entry in value]
        is_colours = all(entry.ndim == 1 and entry.size == 3 for entry in rows)
        each = [entry[np.newaxis] if is_colours or entry.ndim == 0 else entry for entry in rows]
    for entry in each:
        if entry.dtype.kind not in "fiub" or not entry.size or (entry != np.floor(entry)).any():
            raise Refused
        if entry.ndim > 2 or (entry.ndim == 2 and entry.shape[1] != 3):
            raise Refused
    return [entry.astype(np.int64) for entry in each]


class PixelLabelDatastore(FilesDatastore):
    """The datastore that `pixelLabelDatastore` makes."""

    default_extensions = EXTENSIONS
    fixed = (*FilesDatastore.fixed, "ClassNames", "PixelLabelID")
    displayed = ("Files", "ClassNames", "ReadSize", "ReadFcn")
    table = Table(
        LOCATION,
        Option(
            "ClassNames",
            [],
            Rule("a list of different names", _names, (1, None, ["a", "a"], [])),
            "Names of the classes.",
            argument=Argument.REQUIRED,
        ),
        Option(
            "PixelLabelID",
            [],
            Rule(
                "one number or colour [r g b] for each class, or a list of several of them",
                _ids,
                ("x", [0.5], [["a"]], None),
            ),
            "What stands for each class in the files: a number, a row of an (K, 3) array of colours, or an array of "
            "several numbers (M,) or colours (M, 3).",
            argument=Argument.REQUIRED,
        ),
        FILES,
        SUBFOLDERS,
        FILE_EXTENSIONS,
        READ_SIZE,
        Option(
            "ReadFcn", read_indices, function(), "Takes the name of a file; returns numbers, colours, or categorical."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names, ids = self._values["ClassNames"], self._values["PixelLabelID"]
        if len(names) != len(ids):
            raise OptionError(
                f"pixelLabelDatastore: needs one PixelLabelID for each of {len(names)} classes, not {len(ids)}."
            )
        if len({entry.ndim for entry in ids}) > 1:
            raise OptionError("pixelLabelDatastore: PixelLabelID: needs numbers or colours, but got both.")
        self._keys = np.concatenate([_keys(entry, entry.ndim == 2) for entry in ids])
        self._codes = np.repeat(np.arange(len(ids)), [len(entry) for entry in ids])
        order = np.argsort(self._keys, kind="stable")
        self._keys, self._codes = self._keys[order], self._codes[order]
        if (self._keys[1:] == self._keys[:-1]).any():
            raise OptionError("pixelLabelDatastore: PixelLabelID: needs different values for the classes.")
        self.find()

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return images of labels."""
        return [(self._labels(number),) for number in numbers]

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> list[categorical]:
        """Return a list of images of labels, also where it is one."""
        return [row[0] for row in rows]

    def classes(self) -> list[str]:
        """Return the names of the classes."""
        return list(self._values["ClassNames"])

    def readimage(self, number: int, nargout: int = 1) -> Any:
        """Return the image of labels with a number, counted from 1."""
        (place,) = from_one("readimage", [number], len(self)).tolist()
        return self._labels(place) if nargout == 1 else (self._labels(place), self.information([place]))

    def _labels(self, number: int) -> categorical:
        found = self.read_file(number)
        names = self._values["ClassNames"]
        if isinstance(found, categorical):
            return categorical(found, names)
        image = np.asarray(found)
        is_colours = self._values["PixelLabelID"][0].ndim == 2
        if image.ndim == 3 and not is_colours and image.shape[2] in (1, 3) and (image == image[..., :1]).all():
            image = image[..., 0]  # grey that was saved as RGB
        if image.ndim != (3 if is_colours else 2) or image.dtype.kind not in "fiub":
            needed = "colours (H, W, 3)" if is_colours else "numbers (H, W)"
            raise DataError(
                f"pixelLabelDatastore: {self.describe_row(number)}: needs an image of {needed}, as the PixelLabelID "
                f"are, but got shape {image.shape} of type {image.dtype}."
            )
        keys = _keys(image.astype(np.int64), is_colours)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return categorical.from_codes(np.where(self._keys[places] == keys, self._codes[places], -1), names)


def _keys(values: np.ndarray, is_colours: bool) -> np.ndarray:
    """Return one number for each value: colours (..., 3) as 65536 r + 256 g + b."""
    return values @ np.array([65536, 256, 1]) if is_colours else values


class PixelLabelImageDatastore(PreparingDatastore):
    """The datastore that `pixelLabelImageDatastore` makes."""

    fixed = ("imds", "pxds")
    displayed = (
        "Images",
        "PixelLabelData",
        "ClassNames",
        "DataAugmentation",
        "ColorPreprocessing",
        "OutputSize",
        "OutputSizeMode",
        "MiniBatchSize",
        "NumObservations",
        "DispatchInBackground",
    )
    table = Table(
        Option(
            "imds",
            None,
            Rule("an imageDatastore", lambda value: _an(ImageDatastore, value), (1, None)),
            "The images.",
            argument=Argument.REQUIRED,
        ),
        Option(
            "pxds",
            None,
            Rule("a pixelLabelDatastore", lambda value: _an(PixelLabelDatastore, value), (1, None)),
            "Their labels, in the same order.",
            argument=Argument.REQUIRED,
        ),
        Option(
            "OutputSize",
            EMPTY,
            either(empty(), row(integer(), 2, expand=False)),
            "Height and width of what is read; [] for those of the files.",
        ),
        *OPTIONS,
        Derived("Images", lambda ds: list(ds._values["imds"]._values["Files"]), "Files of the images."),
        Derived("PixelLabelData", lambda ds: list(ds._values["pxds"]._values["Files"]), "Files of the labels."),
        Derived("ClassNames", lambda ds: ds.classes(), "Names of the classes."),
        Derived("NumObservations", lambda ds: len(ds), "Number of images."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        counts = [len(self._values[name]) for name in ("imds", "pxds")]
        if counts[0] != counts[1]:
            raise OptionError(
                f"pixelLabelImageDatastore: needs as many images of labels as images, but got "
                f"{counts[1]} and {counts[0]}."
            )

    def __len__(self) -> int:
        return len(self._values["imds"])

    def output_size(self) -> tuple[int, int] | None:
        """Return height and width of what is read; None for those of the files."""
        size = self._values["OutputSize"].tolist()
        return (size[0], size[1]) if size else None

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return images with their labels, changed in the same way."""
        images, labels = (self._values[name].read_rows(numbers) for name in ("imds", "pxds"))
        found = []
        for number, image, label, prepare in zip(
            numbers, images, labels, self.preparations(numbers, generator), strict=True
        ):
            name = f"pixelLabelImageDatastore: {self.describe_row(number)}"
            if image[0].shape[:2] != label[0].shape[:2]:
                raise DataError(
                    f"{name}: needs labels of the size of the image, {image[0].shape[0]}x{image[0].shape[1]}, but "
                    f"{self._values['pxds'].describe_row(number)} has {label[0].shape[0]}x{label[0].shape[1]}."
                )
            found.append((prepare(image[0], name), prepare(label[0], name)))
        return found

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> DataTable:
        """Return a table with the columns inputImage and pixelLabelImage."""
        return DataTable(inputImage=[row[0] for row in rows], pixelLabelImage=[row[1] for row in rows])

    def information(self, numbers: Sequence[int]) -> Any:
        """Return what the imageDatastore tells."""
        return self._values["imds"].information(numbers)

    def classes(self) -> list[str]:
        """Return the names of the classes."""
        return self._values["pxds"].classes()

    def describe_row(self, number: int) -> str:
        """Return the file of the image."""
        return self._values["imds"].describe_row(number)

    def selected(self, numbers: Sequence[int]) -> PixelLabelImageDatastore:
        """Return some of the observations."""
        twin = self.copy()
        for name in ("imds", "pxds"):
            twin._values[name] = self._values[name].selected(numbers)
        return twin

    def title(self) -> str:
        """Return the name of the class as MATLAB prints it."""
        return "pixelLabelImageDatastore"


def _an(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise Refused
    return value


@constructs(PixelLabelDatastore)
def pixelLabelDatastore() -> None:
    """Create a datastore of images whose pixels are labels.

    `read` returns a list with a categorical array (H, W), or with ReadSize of them. Pixels of other values than those
    of PixelLabelID are undefined, and do not count in training.

    {parameters}

    Raises
    ------
    OptionError
        Where names and values do not go together.
    DataError
        Where there are no such files; when a file is read that is no such image, with its name.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mlnet import pixelLabelDatastore
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(os.path.join(folder.name, 'labels.npy'), np.array([[0, 255]], 'uint8'))
    >>> pixelLabelDatastore(folder.name, ['sky', 'road'], [0, 255]).read()[0]
      1x2 categorical array
    <BLANKLINE>
         sky      road
    >>> folder.cleanup()
    """


@constructs(PixelLabelImageDatastore)
def pixelLabelImageDatastore() -> None:
    """Create a datastore of images with the labels of their pixels, for semantic segmentation.

    `read` returns a table with the columns inputImage and pixelLabelImage. Random changes and sizes are the same for
    an image and its labels; labels are not mixed, and undefined where nothing is.

    {parameters}

    Raises
    ------
    OptionError
        Where the numbers of images and of images of labels differ.
    DataError
        When files are read whose sizes differ.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mlnet import imageDatastore, pixelLabelDatastore, pixelLabelImageDatastore
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(os.path.join(folder.name, 'a.npy'), np.array([[0, 255]], 'uint8'))
    >>> images, labels = imageDatastore(folder.name), pixelLabelDatastore(folder.name, ['sky', 'road'], [0, 255])
    >>> pixelLabelImageDatastore(images, labels, OutputSize=[4, 4]).read().inputImage[0].shape
    (4, 4)
    >>> folder.cleanup()
    """
