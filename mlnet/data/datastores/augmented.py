"""augmentedImageDatastore: images of one size, changed at random, with their responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.array_datastore import ArrayDatastore
from mlnet.data.datastores.combined import CombinedDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.image_datastore import ImageDatastore
from mlnet.data.datastores.preparation import OPTIONS, PreparingDatastore
from mlnet.data.sources.collate import column as joined_column
from mlnet.data.sources.columns import is_table
from mlnet.data.sources.tables import images_from_table
from mlnet.errors import DataError, OptionError, UnknownNameError, nearest
from mlnet.labels import categorical
from mlnet.options import Argument, Derived, Option, Table, constructs, describe, from_one
from mlnet.rules import EMPTY, Refused, Rule, integer, is_empty, read_only
from mlnet.table import DataTable


def _size(value: Any) -> np.ndarray:
    given = np.asarray(value, dtype=object).ravel().tolist()
    if len(given) not in (2, 3):
        raise Refused
    return read_only([integer().convert(each) for each in given])


def _source(value: Any) -> Any:
    if isinstance(value, Datastore) or is_table(value):
        return value
    if not isinstance(value, np.ndarray) or value.ndim != 4 or value.dtype.kind not in "fiub":
        raise Refused
    return value


class AugmentedImageDatastore(PreparingDatastore):
    """The datastore that `augmentedImageDatastore` makes."""

    fixed = ("source", "responses")
    displayed = (
        "NumObservations",
        "MiniBatchSize",
        "DataAugmentation",
        "ColorPreprocessing",
        "OutputSize",
        "OutputSizeMode",
        "DispatchInBackground",
    )
    table = Table(
        Option(
            "OutputSize",
            None,
            Rule("height and width [h w], or [h w c]", _size, ("x", 5, [1], [1, 2, 3, 4], [0, 1], None)),
            "Size of the images that are read. Channels, where given, are checked and not changed.",
            argument=Argument.REQUIRED,
        ),
        Option(
            "source",
            None,
            Rule("a datastore of images, an array (H, W, C, N) or a table", _source, (1, "x", np.zeros((2, 2)), None)),
            "The images. The first column of a table has files or images.",
            argument=Argument.REQUIRED,
        ),
        Option(
            "responses",
            EMPTY,
            Rule("responses", lambda value: value),
            "Of an array: labels (N,), numbers (N, R) or images (H, W, C, N). Of a table: names of columns, by default "
            "all but the first.",
            argument=Argument.OPTIONAL,
        ),
        *OPTIONS,
        Derived("NumObservations", lambda ds: len(ds), "Number of images."),
        Derived("Files", lambda ds: ds._files(), "Files of the images; [] for images in memory."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = args[2] if len(args) > 2 and len(args) % 2 == 0 else None
        if isinstance(name, str) and name.lower() not in {option.lower() for option in self.table.arguments}:
            options = [option.name for option in OPTIONS]
            raise UnknownNameError(f"augmentedImageDatastore: there is no option '{name}'.{nearest(name, options)}")
        super().__init__(*args, **kwargs)
        source, responses = self._values["source"], self._values["responses"]
        if isinstance(source, np.ndarray):
            source = _from_arrays(source, responses)
        elif is_table(source):
            source = images_from_table(source, responses, "augmentedImageDatastore")
        elif not is_empty(responses):
            raise OptionError(
                f"augmentedImageDatastore: takes responses with an array or a table only, but got "
                f"{describe(responses)} behind a datastore. Is the name of an option misspelt?"
            )
        self._source: Datastore = source
        self._values.update(source=None, responses=EMPTY)

    def __len__(self) -> int:
        return len(self._source)

    @property
    def response_advice(self) -> str:  # type: ignore[override]
        """What messages propose where responses are missing."""
        return self._source.response_advice

    @property
    def forkable(self) -> bool:  # type: ignore[override]
        """Whether a copy of this process can read the source."""
        return self._source.forkable

    def output_size(self) -> tuple[int, int]:
        """Return height and width of what is read."""
        height, width = self._values["OutputSize"].tolist()[:2]
        return height, width

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the prepared images with their responses."""
        found = self._source.rows(numbers, generator)
        channels = self._values["OutputSize"].tolist()[2:]
        result = []
        for number, row, prepare in zip(numbers, found, self.preparations(numbers, generator), strict=True):
            image = prepare(row[0], f"augmentedImageDatastore: {self.describe_row(number)}")
            came = image.shape[2] if image.ndim == 3 else 1
            if channels and came != channels[0]:
                how = "gray2rgb" if came == 1 else "rgb2gray"
                raise DataError(
                    f"augmentedImageDatastore: {self.describe_row(number)}: needs an image of {channels[0]} channels, "
                    f"but got {came}. Set ColorPreprocessing='{how}'."
                )
            result.append((image, *row[1:]))
        return result

    def gathered(self, rows: list[tuple[Any, ...]], *, single: bool) -> DataTable:
        """Return a table with the columns input and, where there are any, response (response1, ...)."""
        columns = list(zip(*rows, strict=True))
        names = ["input"] + (["response"] if len(columns) == 2 else [f"response{n}" for n in range(1, len(columns))])
        named: dict[str, Any] = {name: list(column) for name, column in zip(names, columns, strict=True)}
        labels = self.labels()
        if labels is not None:
            named[names[-1]] = joined_column(named[names[-1]], labels, [])
        return DataTable(**named)

    def information(self, numbers: Sequence[int]) -> Any:
        """Return what the source tells."""
        return self._source.information(numbers)

    def readByIndex(self, numbers: Any) -> DataTable:
        """Return the observations with the numbers, counted from 1, as `read` returns them."""
        places = from_one("readByIndex", numbers, len(self)).ravel().tolist()
        return self._read(places, single=False, nargout=1)

    def labels(self) -> categorical | None:
        """Return the labels of the source."""
        return self._source.labels()

    def classes(self) -> list[str]:
        """Return the classes of the source."""
        return self._source.classes()

    def describe_row(self, number: int) -> str:
        """Return how the source names the observation."""
        return self._source.describe_row(number)

    def selected(self, numbers: Sequence[int]) -> AugmentedImageDatastore:
        """Return some of the observations."""
        twin = self.copy()
        twin._source = self._source.selected(numbers)
        return twin

    def title(self) -> str:
        """Return the name of the class as MATLAB prints it."""
        return "augmentedImageDatastore"

    def _files(self) -> list[str]:
        source = self._source
        first = source.UnderlyingDatastores[0] if isinstance(source, CombinedDatastore) else source
        return list(first._values["Files"]) if isinstance(first, ImageDatastore) else []


def _from_arrays(images: np.ndarray, responses: Any) -> Datastore:
    count = images.shape[3]
    source = ArrayDatastore(images, IterationDimension=4)
    if is_empty(responses):
        return source
    given = responses if isinstance(responses, categorical) else np.asarray(responses)
    if isinstance(given, np.ndarray) and given.dtype.kind not in "fiub":
        given = categorical(given)
    is_row = len(given.shape) == 2 and given.shape[0] == 1 and given.shape[1] == count > 1
    if is_row:
        given = given[0]
    if isinstance(given, categorical) and len(given.shape) == 2 and given.shape[1] == 1:
        given = given[:, 0]
    dimension = 4 if len(given.shape) == 4 else 1
    if len(given.shape) == 0 or given.shape[dimension - 1] != count:
        raise OptionError(
            f"augmentedImageDatastore: responses: needs one for each of {count} images, but got shape {given.shape}."
        )
    return CombinedDatastore([source, ArrayDatastore(given, IterationDimension=dimension)])


@constructs(AugmentedImageDatastore)
def augmentedImageDatastore() -> None:
    """Create a datastore of images of one size, which are changed at random each time they are read.

    ``augmentedImageDatastore(outputSize, imds)``, ``(outputSize, X)``, ``(outputSize, X, Y)``, ``(outputSize, table)``
    or ``(outputSize, table, responseNames)``; each image gets its colours, then its random changes, then its size.
    `read` returns a table with the columns input and response. Without a generator of a training, as for validation and
    prediction, each observation is always changed in the same way.

    {parameters}

    Raises
    ------
    OptionError
        Where an option has a value that it cannot have, or responses do not fit the images.
    DataError
        When images are read, with their name, where they are too small to be cut or have other channels.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import augmentedImageDatastore, imageDataAugmenter
    >>> X, Y = np.zeros((28, 28, 1, 10), 'uint8'), np.arange(10) % 2
    >>> auimds = augmentedImageDatastore([32, 32], X, Y, DataAugmentation=imageDataAugmenter(RandRotation=[-20, 20]))
    >>> auimds
      augmentedImageDatastore with properties:
    <BLANKLINE>
             NumObservations: 10
               MiniBatchSize: 128
            DataAugmentation: [1x1 imageDataAugmenter]
          ColorPreprocessing: 'none'
                  OutputSize: [32 32]
              OutputSizeMode: 'resize'
        DispatchInBackground: 0
    >>> auimds.read().input[0].shape
    (32, 32, 1)
    """
