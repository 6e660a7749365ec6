"""Tables as data of a network: columns of files, images or numbers, and columns of responses."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.data.array_datastore import ArrayDatastore
from mlnet.data.columns import columns_of
from mlnet.data.combined import CombinedDatastore
from mlnet.data.datastore import Datastore
from mlnet.data.image_datastore import ImageDatastore
from mlnet.errors import DataError, UnknownNameError, nearest
from mlnet.labels import categorical
from mlnet.rules import is_empty


def data_from_table(table: Any, responses: Any, where: str) -> tuple[Any, Any]:
    """Return predictors and responses of a table; images as a datastore, with None for the responses.

    Images, or files of them, are the first column; ``responses`` are names of columns, by default all others. Of
    numbers each column is a feature; by default the last column is the response.

    Raises
    ------
    DataError
        Where columns are neither.
    UnknownNameError
        Where there is no such column.
    """
    columns = columns_of(table)
    if not isinstance(next(iter(columns.values()), None), np.ndarray):
        return images_from_table(table, responses, where), None
    names = _named(columns, responses, where) or list(columns)[-1:]
    features = [name for name in columns if name not in names]
    for name in features:
        if not isinstance(columns[name], np.ndarray):
            raise DataError(
                f"{where}: needs numbers in the columns of predictors, but '{name}' has none. Turn categories into "
                "numbers first, or name it as the response."
            )
    if not features:
        raise DataError(f"{where}: needs a column of predictors besides the responses.")
    return np.column_stack([columns[name] for name in features]), _responses(columns, names, where)


def images_from_table(table: Any, responses: Any, where: str) -> Datastore:
    """Return a datastore of the images, or files, in the first column of a table, and of responses.

    Raises
    ------
    DataError
        Where the first column has neither files nor images, or several columns of responses are not numbers.
    UnknownNameError
        Where there is no such column.
    """
    columns = columns_of(table)
    first, *others = columns
    names = _named(columns, responses, where) or others
    images = columns[first]
    if isinstance(images, categorical):  # texts
        source: Datastore = ImageDatastore(images.names().tolist())
    elif isinstance(images, list):
        source = ArrayDatastore(images)
    else:
        raise DataError(f"{where}: needs files or images in the first column of the table, '{first}'.")
    if not names:
        return source
    return CombinedDatastore([source, ArrayDatastore(_responses(columns, names, where))])


def _named(columns: dict[str, Any], wanted: Any, where: str) -> list[str]:
    names = [] if is_empty(wanted) else [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in columns:
            raise UnknownNameError(f"{where}: the table has no column '{name}'.{nearest(str(name), columns)}")
    return names


def _responses(columns: dict[str, Any], names: list[str], where: str) -> Any:
    if len(names) == 1:
        return columns[names[0]]
    if not all(isinstance(columns[name], np.ndarray) for name in names):
        raise DataError(f"{where}: needs numbers in several columns of responses, or one column.")
    return np.column_stack([columns[name] for name in names])
