"""splitEachLabel and countEachLabel: how many observations have which label."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.image_datastore import ImageDatastore
from mlnet.data.datastores.pixel_datastore import PixelLabelDatastore, PixelLabelImageDatastore
from mlnet.errors import DataError, OptionError, UnknownNameError, nearest
from mlnet.labels import categorical, categories
from mlnet.options import describe
from mlnet.randomness import data_generator
from mlnet.rules import texts
from mlnet.table import DataTable

_WORDS = ("randomize", "randomized")
_NEARLY = 1e-9
"""How far proportions may be from a sum of 1, and counts from a half."""


def countEachLabel(datastore: Datastore) -> DataTable:
    """Return how often each label occurs.

    Parameters
    ----------
    datastore : datastore with labels, such as `imageDatastore`, or `pixelLabelDatastore`, `pixelLabelImageDatastore`

    Returns
    -------
    DataTable
        Columns Label (categorical) and Count. Of images of labels, which are all read: Name, PixelCount, and
        ImagePixelCount, the number of pixels of the images in which the class occurs.

    Raises
    ------
    DataError
        Where there are no labels.

    Examples
    --------
    >>> from mlnet import arrayDatastore, countEachLabel
    >>> countEachLabel(arrayDatastore(['cat', 'dog', 'cat'])).Count
    array([2, 1])
    """
    if isinstance(datastore, (PixelLabelDatastore, PixelLabelImageDatastore)):
        return _count_pixels(datastore)
    labels = _labels("countEachLabel", datastore)
    names = categories(labels)
    counts = np.bincount(labels.codes[labels.codes >= 0].ravel(), minlength=len(names))
    return DataTable(Label=categorical(names, names), Count=counts)


def _count_pixels(datastore: PixelLabelDatastore | PixelLabelImageDatastore) -> DataTable:
    source = datastore._values["pxds"] if isinstance(datastore, PixelLabelImageDatastore) else datastore
    names = source.classes()
    pixels, image_pixels = np.zeros((2, len(names)), np.int64)
    for number in range(len(source)):
        codes = source.rows([number])[0][0].codes
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        pixels += counts
        image_pixels += codes.size * (counts > 0)
    return DataTable(Name=names, PixelCount=pixels, ImagePixelCount=image_pixels)


def splitEachLabel(
    datastore: Datastore,
    *parts: Any,
    Include: Any = None,  # noqa: N803
    Exclude: Any = None,  # noqa: N803
    nargout: int | None = None,
) -> Any:
    """Split a datastore so that each part has the same proportion, or number, of each label.

    ``train, test = splitEachLabel(imds, 0.8, 'randomized')``; ``a, b, c = splitEachLabel(imds, 0.7, 0.2)``.

    Parameters
    ----------
    datastore : datastore with labels, such as `imageDatastore`
    *parts : numbers between 0 and 1, or whole numbers
        Proportions or numbers of observations of each label; then 'randomized' (or 'randomize') to take them at random,
        otherwise the first ones come first; then ``'Include', labels`` or ``'Exclude', labels`` as pairs.
    Include, Exclude : labels, optional
        Labels that are in the result, or are not. Other labels are no categories any more.
    nargout : int, optional
        How many datastores are returned; 1 returns the first one alone. By default all: one for each number, and one
        with the observations that are left, unless the proportions sum to 1.

    Returns
    -------
    tuple of datastores
        Within each, observations are in the order of ``datastore``.

    Raises
    ------
    OptionError
        Where numbers are neither proportions with a sum of at most 1 nor whole, or a label has fewer observations.
    UnknownNameError
        Where ``Include`` or ``Exclude`` names a label that does not occur.
    DataError
        Where there are no labels.

    Notes
    -----
    Of n observations, proportions p1, p2, ... cut at n p1, n (p1 + p2), ..., rounded; a half is rounded up.

    Examples
    --------
    >>> from mlnet import arrayDatastore, splitEachLabel
    >>> train, test = splitEachLabel(arrayDatastore(['a', 'b', 'a', 'b', 'a', 'a']), 0.5)
    >>> train.readall(), test.readall()
    (['a', 'b', 'a'], ['b', 'a', 'a'])
    """
    where = "splitEachLabel"
    labels = _labels(where, datastore)
    numbers, is_random, pairs = _sorted_arguments(list(parts))
    pairs = {"include": Include, "exclude": Exclude} | pairs
    if pairs["include"] is not None and pairs["exclude"] is not None:
        raise OptionError(f"{where}: takes Include or Exclude, but got both.")
    kept = _kept(categories(labels), **pairs)
    is_counts = all(number >= 1 and number == int(number) for number in numbers)
    if not is_counts and (not all(0 < number < 1 for number in numbers) or sum(numbers) > 1 + _NEARLY):
        raise OptionError(
            f"{where}: needs proportions between 0 and 1 with a sum of at most 1, or whole numbers, but got {numbers}."
        )
    parts_of: list[list[int]] = [[] for _ in range(len(numbers) + 1)]
    generator = data_generator() if is_random else None
    for code, name in enumerate(categories(labels)):
        if name not in kept:
            continue
        places = np.flatnonzero(labels.codes == code)
        if generator is not None:
            places = generator.permutation(places)
        edges = np.cumsum(numbers) if is_counts else np.cumsum(numbers) * len(places)
        if is_counts and edges[-1] > len(places):
            raise OptionError(
                f"{where}: needs {int(edges[-1])} observations of each label, but '{name}' has {len(places)}."
            )
        cuts = [min(math.floor(edge + 0.5 + _NEARLY), len(places)) for edge in edges]
        for part, chosen in zip(parts_of, np.split(places, cuts), strict=True):
            part += chosen.tolist()
    wanted = len(numbers) + (is_counts or abs(sum(numbers) - 1) > _NEARLY)
    if nargout is not None:
        if not 1 <= nargout <= len(parts_of):
            raise OptionError(f"{where}: nargout needs to be 1 to {len(parts_of)}, but is {nargout}.")
        wanted = nargout
    found = [_with_categories(datastore.selected(sorted(part)), kept) for part in parts_of[:wanted]]
    return found[0] if nargout == 1 else tuple(found)


def _sorted_arguments(given: list[Any]) -> tuple[list[float], bool, dict[str, Any]]:
    """Return the numbers, whether at random, and the pairs."""
    numbers: list[float] = []
    while given and not isinstance(given[0], str):
        value = given.pop(0)
        if isinstance(value, bool) or np.size(value) != 1 or np.asarray(value).dtype.kind not in "fiu":
            raise OptionError(f"splitEachLabel: needs proportions or whole numbers, but got {describe(value)}.")
        numbers.append(float(np.asarray(value).reshape(-1)[0]))
    if not numbers:
        raise OptionError("splitEachLabel: needs a proportion or a number of observations for each label.")
    is_random = bool(given) and given[0].lower() in _WORDS
    rest = given[1:] if is_random else given
    pairs: dict[str, Any] = {}
    while rest:
        name = rest.pop(0)
        if not isinstance(name, str) or name.lower() not in ("include", "exclude"):
            raise UnknownNameError(
                f"splitEachLabel: there is no option {describe(name)}.{nearest(name, ['Include', 'Exclude', *_WORDS])}"
            )
        if not rest:
            raise OptionError(f"splitEachLabel: the option '{name}' has no value. Give it as '{name}', labels.")
        pairs[name.lower()] = rest.pop(0)
    return numbers, is_random, pairs


def _kept(names: list[str], include: Any, exclude: Any) -> list[str]:
    given = include if include is not None else exclude
    if given is None:
        return names
    found = categorical(np.atleast_1d(np.asarray(given, dtype=object)) if not texts().takes(given) else
                        texts().convert(given)).names().tolist()  # fmt: skip
    for name in found:
        if name not in names:
            raise UnknownNameError(f"splitEachLabel: there is no label {name!r}.{nearest(str(name), names)}")
    return [name for name in names if (name in found) == (include is not None)]


def _with_categories(datastore: Datastore, names: list[str]) -> Datastore:
    """Let the labels of files have these categories only."""
    if isinstance(datastore, ImageDatastore) and isinstance(datastore._values["Labels"], categorical):
        datastore._values["Labels"] = categorical(datastore._values["Labels"], names)
    return datastore


def _labels(where: str, datastore: Any) -> categorical:
    if not isinstance(datastore, Datastore):
        raise OptionError(f"{where}: needs a datastore, but got {describe(datastore)}.")
    labels = datastore.labels()
    if labels is None:
        advice = f" {datastore.response_advice}" if datastore.response_advice else ""
        raise DataError(f"{where}: needs labels, but {describe(datastore)} has none.{advice}")
    return labels
