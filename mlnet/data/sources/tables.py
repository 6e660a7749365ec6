"""Tables as data of a network: columns of numbers, or a column of images, sequences or files; and responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.data.datastores.array_datastore import ArrayDatastore
from mlnet.data.datastores.combined import CombinedDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.image_datastore import ImageDatastore
from mlnet.data.sources.columns import columns_of
from mlnet.errors import DataError, OptionError, UnknownNameError, message, nearest
from mlnet.labels import categorical
from mlnet.options import describe
from mlnet.rules import is_empty, texts

Columns = dict[str, Any]


class TableData(NamedTuple):
    """Predictors and responses of a table, as `trainNetwork` takes them without one."""

    predictors: Any
    responses: Any
    response_names: list[str]


def training_table(table: Any, responses: Any, formats: Sequence[str], where: str) -> TableData:
    """Return the data of a table for a network.

    Parameters
    ----------
    table : DataTable or DataFrame
    responses : text, list of texts, or None
        Names of the columns with the responses. None: of features the last column, of images and sequences all columns
        behind the first.
    formats : sequence of text
        Formats of the inputs of the network, such as 'C' or 'SSC'.
    where : text
        Beginning of error messages.

    Raises
    ------
    OptionError, UnknownNameError
        Where ``responses`` do not name columns.
    DataError
        Where the columns do not fit the network.
    """
    if len(formats) != 1:
        fix = "For several inputs give arrays or a datastore."
        raise DataError(message(where, "a network of one input for a table", f"one of {len(formats)}", fix))
    columns = columns_of(table)
    is_features = formats[0] == "C"
    names = _named(columns, responses, where) or (list(columns)[-1:] if is_features else list(columns)[1:])
    predictors = {name: column for name, column in columns.items() if name not in names}
    if not predictors or not names or not len(table):
        came = f"{len(table)} rows with the columns {', '.join(columns)}"
        raise DataError(message(where, "a table with rows, columns of predictors and of responses", came))
    if is_features:
        return TableData(_features(predictors, None, where), _responses(columns, names, where), names)
    return TableData(_observations(columns, predictors, names, where), None, names)


def prediction_table(table: Any, format: str, channels: int, where: str) -> Any:
    """Return the predictors of a table, which are its first columns; what is behind them does not matter."""
    columns = columns_of(table)
    if format == "C":
        return _features(columns, channels, where)
    return _observations(columns, columns, [], where)


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
    names = _named(columns, None if is_empty(responses) else responses, where) or list(columns)[1:]
    return _observations(columns, columns, names, where)


def _observations(columns: Columns, predictors: Columns, names: list[str], where: str) -> Datastore:
    """Return a datastore of the first of the predictors, arrays or names of files, and of the responses."""
    first, values = next(iter(predictors.items()))
    if isinstance(values, categorical):  # texts
        source: Datastore = ImageDatastore(values.names().tolist())
    elif isinstance(values, list):
        source = ArrayDatastore(values)
    else:
        raise DataError(f"{where}: needs files or images in the first column of the table, '{first}'.")
    return CombinedDatastore([source, ArrayDatastore(_responses(columns, names, where))]) if names else source


def _named(columns: Columns, responses: Any, where: str) -> list[str]:
    if responses is None:
        return []
    if not texts().takes(responses) or not len(responses):
        raise OptionError(message(where, "the name of a response column, or a list of names", describe(responses)))
    wanted = list(dict.fromkeys(texts().convert(responses)))
    for name in wanted:
        if name not in columns:
            raise UnknownNameError(f"{where}: the table has no column '{name}'.{nearest(name, columns)}")
    return wanted


def _responses(columns: Columns, names: list[str], where: str) -> Any:
    """Return labels as categorical, one number in each row as (N,), several columns of them as (N, R)."""
    if len(names) == 1:
        return columns[names[0]]
    for name in names:
        if not isinstance(columns[name], np.ndarray):
            came = f"'{name}' with {_kind(columns[name])}"
            raise DataError(message(where, "numbers in several columns of responses", came))
    return np.stack([columns[name] for name in names], axis=1)


def _features(columns: Columns, count: int | None, where: str) -> np.ndarray:
    """Return numeric columns side by side, (N, C): all of them, or the first that have ``count`` numbers a row."""
    parts: list[np.ndarray] = []
    for name, column in columns.items():
        if count is not None and sum(part.shape[1] for part in parts) >= count:
            break
        if isinstance(column, categorical):
            raise DataError(
                f"{where}: needs numbers, but the column '{name}' has {_kind(column)}. For training make a column of "
                "texts categorical (see CategoricalInputEncoding); or encode it, "
                f"onehotencode(tbl['{name}'], 2), and give the columns of the result in its place; or name it as the "
                "response."
            )
        try:
            parts.append(np.asarray(column, np.float64 if isinstance(column, list) else None).reshape(len(column), -1))
        except (ValueError, TypeError):
            needed = "a number, or as many numbers, in each row"
            raise DataError(message(where, needed, f"'{name}' with {_kind(column)}")) from None
    return np.concatenate(parts, axis=1)


def _kind(column: Any) -> str:
    if isinstance(column, categorical):
        return f"labels such as {describe(column.names().ravel()[0])}"
    return f"elements such as {describe(column[0])}"
