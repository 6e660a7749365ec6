"""The functions of datastores, as MATLAB spells them; each calls the method of the same name."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.data.datastores.augmented import AugmentedImageDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.image_datastore import ImageDatastore
from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.data.datastores.pixel_datastore import PixelLabelDatastore
from mlnet.errors import OptionError
from mlnet.labels import categorical
from mlnet.options import describe
from mlnet.table import DataTable


def read(datastore: Datastore, nargout: int = 1) -> Any:
    """Return the next observations of a datastore; with ``nargout=2`` also where they come from.

    Parameters
    ----------
    datastore : datastore
    nargout : 1 or 2, default 1

    Returns
    -------
    data
        What it is depends on the datastore: an image, a list, a table.
    Structure
        With ``nargout=2``: Filename, FileSize, Label where there are some.

    Raises
    ------
    DataError
        Where everything has been read, or a file cannot be read.

    Examples
    --------
    >>> from mlnet import arrayDatastore, hasdata, read
    >>> ds = arrayDatastore(['a', 'b'])
    >>> while hasdata(ds):
    ...     print(read(ds))
    ['a']
    ['b']
    """
    return _datastore("read", datastore).read(nargout)


def readall(datastore: Datastore, nargout: int = 1) -> Any:
    """Return all observations of a datastore at once; where `read` goes on does not change.

    Parameters
    ----------
    datastore : datastore
    nargout : 1 or 2, default 1

    Raises
    ------
    DataError
        Where the datastore is empty, or a file cannot be read.
    """
    return _datastore("readall", datastore).readall(nargout)


def preview(datastore: Datastore) -> Any:
    """Return the first observations of a datastore, as `read` does; where `read` goes on does not change.

    Raises
    ------
    DataError
        Where the datastore is empty, or a file cannot be read.
    """
    return _datastore("preview", datastore).preview()


def readimage(datastore: ImageDatastore | PixelLabelDatastore, number: int, nargout: int = 1) -> Any:
    """Return the image of a datastore with a number, counted from 1; with ``nargout=2`` also where it comes from.

    Raises
    ------
    OptionError
        Where the datastore has no files of images.
    IndexError
        Where there is no such number.
    """
    if not isinstance(datastore, (ImageDatastore, PixelLabelDatastore)):
        raise OptionError(f"readimage: needs an imageDatastore or pixelLabelDatastore, but got {describe(datastore)}.")
    return datastore.readimage(number, nargout)


def readByIndex(datastore: AugmentedImageDatastore, numbers: Any) -> DataTable:
    """Return the observations of an augmentedImageDatastore with numbers counted from 1, as a table.

    Raises
    ------
    OptionError
        Where it is another datastore.
    IndexError
        Where there are no such numbers.
    """
    if not isinstance(datastore, AugmentedImageDatastore):
        raise OptionError(f"readByIndex: needs an augmentedImageDatastore, but got {describe(datastore)}.")
    return datastore.readByIndex(numbers)


def hasdata(datastore: Datastore | MiniBatchQueue) -> bool:
    """Tell whether `read` has something left to return, or whether a `minibatchqueue` has another mini-batch."""
    return _source("hasdata", datastore).hasdata()


def reset(datastore: Datastore | MiniBatchQueue) -> Any:
    """Let `read` start again from the first observation, or a `minibatchqueue` from its first mini-batch; return it.

    Of a metric (see `update`), return it as it was before it took anything in.
    """
    if hasattr(type(datastore), "evaluate"):
        return datastore.reset()
    return _source("reset", datastore).reset()


def progress(datastore: Datastore) -> float:
    """Return how much of a datastore has been read, from 0 to 1."""
    return _datastore("progress", datastore).progress()


def shuffle(datastore: Datastore | MiniBatchQueue) -> Any:
    """Return a datastore with the observations in random order; `rng` makes it repeatable.

    A `minibatchqueue` is shuffled itself, starts again and is returned.

    Examples
    --------
    >>> from mlnet import arrayDatastore, rng, shuffle
    >>> rng(0)
    >>> shuffle(arrayDatastore(['a', 'b', 'c', 'd'])).readall() == ['a', 'b', 'c', 'd']
    False
    """
    return _source("shuffle", datastore).shuffle()


def subset(datastore: Datastore, numbers: Any) -> Any:
    """Return a datastore of some observations.

    Parameters
    ----------
    datastore : datastore
    numbers : integers from 1, or one logical value for each observation

    Raises
    ------
    IndexError
        Where there are no such numbers.

    Examples
    --------
    >>> from mlnet import arrayDatastore, subset
    >>> subset(arrayDatastore(['a', 'b', 'c']), [3, 1]).readall()
    ['c', 'a']
    """
    return _datastore("subset", datastore).subset(numbers)


def partition(datastore: Datastore, count: int, number: int) -> Any:
    """Return part ``number`` (from 1) of ``count`` parts of neighbouring observations.

    Examples
    --------
    >>> from mlnet import arrayDatastore, partition
    >>> partition(arrayDatastore(['a', 'b', 'c']), 3, 2).readall()
    ['b']
    """
    return _datastore("partition", datastore).partition(count, number)


def numpartitions(datastore: Datastore) -> int:
    """Return into how many parts a datastore can be parted at most: one for each observation."""
    return len(_datastore("numpartitions", datastore))


def numel(value: Any) -> int:
    """Return the number of elements of an array, dlarray, list, categorical array, text or table.

    Examples
    --------
    >>> from mlnet import numel
    >>> numel([1, 2, 3])
    3
    """
    if isinstance(value, DataTable):
        return int(np.prod(value.shape))
    if isinstance(value, (categorical, np.ndarray, dlarray)):
        return int(value.size)
    return len(value) if hasattr(value, "__len__") else 1


def _source(where: str, value: Any) -> Any:
    return value if isinstance(value, MiniBatchQueue) else _datastore(where, value)


def _datastore(where: str, value: Any) -> Datastore:
    if not isinstance(value, Datastore):
        raise OptionError(f"{where}: needs a datastore, but got {describe(value)}.")
    return value
