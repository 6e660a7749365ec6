"""Mini-batches that come one after the other, from any Python iterable, as inputs of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.columns import is_table
from mlnet.errors import DataError, message
from mlnet.options import describe


def is_stream(X: Any) -> bool:  # noqa: N803
    """Tell whether ``X`` gives mini-batches: an iterable that is no data itself.

    Arrays, lists, tuples, mappings, tables and datastores are data.
    """
    is_data = isinstance(X, (str, bytes, list, tuple, Mapping, Datastore, dlarray)) or hasattr(X, "__array__")
    return hasattr(X, "__iter__") and not is_data and not is_table(X)


def inputs_of_batches(batches: Any, count: int, where: str, *, of_sequences: bool = False) -> Iterator[tuple[Any, str]]:
    """Yield what each mini-batch has for the inputs of a network, and how messages name it.

    A mini-batch is the data of the only input, or a tuple or list of the data of ``count`` inputs; what is behind them,
    such as responses, does not matter. For a network ``of_sequences`` with one input a list has sequences. dlarrays are
    put into the order that networks take.
    """
    number = 0
    for number, batch in enumerate(batches, start=1):
        name = f"{where}: mini-batch {number}"
        is_row = isinstance(batch, tuple) or (isinstance(batch, list) and not (of_sequences and count == 1))
        columns = list(batch) if is_row else [batch]
        if len(columns) < count:
            raise DataError(message(name, f"{count} entries, one for each input", describe(batch)))
        found = [_arranged(each, name) for each in columns[:count]]
        yield (found[0] if count == 1 else found), name
    if not number:
        raise DataError(message(where, "at least one mini-batch", "an empty iterable"))


def _arranged(values: Any, where: str) -> Any:
    """Return a formatted dlarray as (S..., C, N), (N, C), or a list of (S..., C, S); other data as they are."""
    if not isinstance(values, dlarray):
        return values
    labels, array = values.dims(), values.extractdata()
    if "U" in labels:
        raise DataError(message(where, "a format of the labels S, C, B and T", f"'{labels}'"))
    if not labels:
        return array
    for label in "CB":
        if label not in labels:
            place = labels.count("S") + (label == "B")
            array, labels = np.expand_dims(array, place), labels[:place] + label + labels[place:]
    if "T" in labels:
        return list(np.moveaxis(array, labels.index("B"), 0))
    return array if "S" in labels else array.T
