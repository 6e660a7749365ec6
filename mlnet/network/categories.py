"""Categories in the data of a trained network: the same numbers as in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlnet.data.category_encoding import Encoder
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.rearranged import RearrangedDatastore
from mlnet.data.sources.columns import columns_of, is_table
from mlnet.errors import DataError, nearest
from mlnet.labels import categorical
from mlnet.layers.base import Size
from mlnet.layers.input import InputLayer
from mlnet.options import describe
from mlnet.table import DataTable


def encoded(layers: Sequence[InputLayer], X: Any, where: str) -> Any:  # noqa: N803
    """Return data with numbers or indicators in place of the categories that input layers were trained with.

    Raises
    ------
    DataError
        Where there are other categories.
    """
    if not any(layer.CategoricalInputs for layer in layers):
        return X
    if is_table(X):
        return _table(layers[0], X, where) if len(layers) == 1 else X
    known = [{column: (Encoder.of(names), one_hot) for column, names, one_hot in each.CategoricalInputs}.get("")
             for each in layers]  # fmt: skip
    if isinstance(X, Datastore):
        first = X.rows([0])[0] if len(X) else ()
        functions: list[Callable[[Any], Any] | None] = []
        for layer, found, value in zip(layers, known, first, strict=False):
            is_coded = found is not None and isinstance(value, categorical)
            size = layer.size() if found is not None and found[1] else None
            functions.append(coder(found[0], None, size, where) if found is not None and is_coded else None)
        return RearrangedDatastore(X, functions, keeps_labels=True) if any(functions) else X
    if len(layers) == 1:
        return _array(layers[0], known[0], X, where)
    if isinstance(X, dict):
        return {name: _array(layer, known[number], X[name], where)
                for number, layer in enumerate(layers) if (name := layer.Name) in X}  # fmt: skip
    if isinstance(X, (list, tuple)) and len(X) == len(layers):
        return [_array(*each, where) for each in zip(layers, known, X, strict=True)]
    return X


def coder(
    encoder: Encoder, arrange: Callable[[Any], Any] | None, one_hot: Size | None, where: str
) -> Callable[[Any], Any]:
    """Return what turns categories of one observation into numbers, or indicators for an input of a size."""

    def encode(value: Any) -> Any:
        if not isinstance(value, categorical):
            raise DataError(
                f"{where}: needs categories in every observation, as the first one has them, but got {describe(value)}."
            )
        numbers = encoder.numbers(value, where)
        numbers = numbers if arrange is None else arrange(numbers)
        if one_hot is None:
            return numbers
        if one_hot.is_sequence:
            return encoder.one_hot(numbers, has_rows=False)
        spatial = len(one_hot.spatial)
        return encoder.indicators(numbers.reshape(*numbers.shape[:spatial], -1))

    return encode


def _array(layer: InputLayer, known: tuple[Encoder, bool] | None, x: Any, where: str) -> Any:
    parts = x if isinstance(x, (list, tuple)) else [x]
    if known is None or not parts or not all(isinstance(part, categorical) for part in parts):
        return x
    encoder, one_hot = known
    numbers = encoder.numbers(x, where)
    has_rows = not (layer.size().spatial or layer.size().is_sequence)
    return encoder.one_hot(numbers, has_rows=has_rows) if one_hot else numbers


def _table(layer: InputLayer, table: Any, where: str) -> Any:
    """Return the columns that the network was trained with, in their order."""
    columns = columns_of(table)
    wanted = [entry for entry in layer.CategoricalInputs if entry[0]]
    found = {}
    for name, names, one_hot in wanted:
        if name not in columns:
            fix = nearest(name, columns)
            raise DataError(f"{where}: needs the columns of the training data, but there is no '{name}'.{fix}")
        found[name] = columns[name]
        if names and isinstance(found[name], categorical):
            found[name] = Encoder.of(names).column(found[name], f"{where}: the column '{name}'", one_hot=one_hot)
    return DataTable(**found) if found else table
