"""Data in the order of dimensions and with the encoding of categories that options ask for.

InputDataFormats and TargetDataFormats label the dimensions of what the user gives; here they are put into the order
that networks take: (S..., C, N) with spatial dimensions, (N, C) without, lists of (S..., C, T) for sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlnet.data.category_encoding import Encoder
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.rearranged import RearrangedDatastore
from mlnet.data.sources.columns import categorical_names, columns_of, is_table
from mlnet.errors import DataError, OptionError
from mlnet.labels import categorical, categories
from mlnet.layers import general_input
from mlnet.layers.base import Size
from mlnet.layers.input import InputLayer
from mlnet.layers.output import ClassesOutputLayer
from mlnet.network.categories import coder
from mlnet.network.resolve import Resolved
from mlnet.table import DataTable
from mlnet.training.caller import caller
from mlnet.training.options import TrainingOptions


class DataForms:
    """Puts training and validation data into the form that networks take.

    Classes of categorical inputs and of categorical responses are those of the training data, which come first.

    Parameters
    ----------
    options : TrainingOptions
    network : Resolved

    Raises
    ------
    OptionError
        Where InputDataFormats are not one for each input.
    """

    def __init__(self, options: TrainingOptions, network: Resolved) -> None:
        self._layers = network.input_layers
        given = options.InputDataFormats
        self._formats = [given] * len(self._layers) if given == "auto" else [given] if isinstance(given, str) else given
        if len(self._formats) != len(self._layers):
            names = ", ".join(f"'{layer.Name}'" for layer in self._layers)
            raise OptionError(
                f"{caller()}: InputDataFormats: needs one format for each of the {len(self._layers)} inputs {names}, "
                f"but got {len(self._formats)}."
            )
        target = options.TargetDataFormats
        self._targets: list[str] = [target] if isinstance(target, str) else list(target)
        self._one_hot = options.CategoricalInputEncoding == "one-hot"
        self._response_encoding = options.CategoricalTargetEncoding
        self._takes_classes = isinstance(network.output_layer, ClassesOutputLayer)
        self._encoders: dict[int, Encoder] = {}
        self._predictors: dict[int, str] = {}

    def __call__(self, x: Any, y: Any, where: str) -> tuple[Any, Any]:
        """Return inputs and responses (None for a datastore) in the form that networks take."""
        given = self.inputs(x, where)
        if is_table(x) or isinstance(x, Datastore):
            return (self._table(x, y, where) if is_table(x) and self._layers[0].size().format == "C" else given), y
        return given, self._response(y, f"{where}Y")

    def inputs(self, x: Any, where: str) -> Any:
        """Return inputs in the form that networks take."""
        if is_table(x):
            if any(labels != "auto" for labels in self._targets) or any(labels != "auto" for labels in self._formats):
                raise OptionError(f"{where}InputDataFormats and TargetDataFormats are for arrays, but X is a table.")
            return x
        if isinstance(x, Datastore):
            return self._datastore(x, where)
        if len(self._layers) == 1:
            return self._input(0, x, f"{where}X")
        names = [layer.Name for layer in self._layers]
        if isinstance(x, Mapping):
            x = [x[name] for name in names] if set(x) == set(names) else x
        if isinstance(x, (list, tuple)) and len(x) == len(names):
            x = [self._input(number, each, f"{where}X for '{names[number]}'") for number, each in enumerate(x)]
        return x

    def remembered(self, network: Resolved) -> Resolved:
        """Return the network with the categories of its inputs in the input layers, for predictions."""
        kept = {number: [("", encoder.names, self._one_hot)] for number, encoder in self._encoders.items()}
        if any(key in self._encoders for key in self._predictors):
            kept[0] = [
                (name, self._encoders[key].names if key in self._encoders else (), self._one_hot)
                for key, name in self._predictors.items()
            ]
        numbers = {layer.Name: number for number, layer in enumerate(network.input_layers)}
        return network.with_layers(
            [
                layer.replaced(CategoricalInputs=tuple(kept.get(numbers[layer.Name], ())))
                if isinstance(layer, InputLayer)
                else layer
                for layer in network.layers
            ]
        )

    def _table(self, table: Any, responses: Any, where: str) -> Any:
        """Return a table of features with numbers in place of the categories of its predictors and responses."""
        columns, names = columns_of(table), categorical_names(table)
        wanted = [responses] if isinstance(responses, str) else responses
        given = [each for each in columns if each in wanted] if isinstance(wanted, (list, tuple)) else [*columns][-1:]
        encoded = {}
        for place, name in enumerate(columns):
            is_response = name in given
            if not is_response:
                self._predictors.setdefault(_COLUMNS + place, name)
            if name not in names or (is_response and (self._takes_classes or self._response_encoding == "auto")):
                continue
            one_hot = self._response_encoding == "one-hot" if is_response else self._one_hot
            encoder = self._encoder(_COLUMNS + place, columns[name])
            encoded[name] = encoder.column(columns[name], f"{where}X: the column '{name}'", one_hot=one_hot)
        return DataTable(**{**columns, **encoded}) if encoded else table

    def _datastore(self, datastore: Datastore, where: str) -> Datastore:
        """Return a datastore with its columns arranged, and with numbers in place of categories."""
        first = datastore.rows([0])[0] if len(datastore) else ()
        functions: list[Callable[[Any], Any] | None] = []
        for number, (labels, layer) in enumerate(zip(self._formats, self._layers, strict=True)):
            at = f"{where}X" if len(self._layers) == 1 else f"{where}X for '{layer.Name}'"
            order = layer.InputFormat if isinstance(layer, general_input.InputLayer) else ""
            arrange = None if labels == "auto" else _arranger(labels, order, at)
            if number < len(first) and isinstance(first[number], categorical):
                encoder = self._encoder(number, first[number])
                functions.append(coder(encoder, arrange, layer.size() if self._one_hot else None, at))
            else:
                functions.append(arrange)
        encodes = False
        for number, labels in enumerate(self._targets):
            value = first[len(self._layers) + number :][:1]
            arrange = None if labels == "auto" else _arranger(labels, "", f"{where}Y")
            encodes = not self._takes_classes and self._response_encoding != "auto"
            encodes = encodes and bool(value) and isinstance(value[0], categorical)
            if encodes:
                one_hot = Size("C", (1,)) if self._response_encoding == "one-hot" else None
                functions.append(coder(self._encoder(-1 - number, value[0]), arrange, one_hot, f"{where}Y"))
            else:
                functions.append(arrange)
        return RearrangedDatastore(datastore, functions, keeps_labels=not encodes) if any(functions) else datastore

    def _input(self, number: int, x: Any, where: str) -> Any:
        labels, layer = self._formats[number], self._layers[number]
        is_categorical = _is_categorical(x)
        if is_categorical:
            x = self._encoder(number, x).numbers(x, where)
        if labels != "auto":
            order = layer.InputFormat if isinstance(layer, general_input.InputLayer) else ""
            x = _arranged(x, labels, order, where)
        if is_categorical and self._one_hot:
            x = self._encoders[number].one_hot(x, has_rows=not (layer.size().spatial or layer.size().is_sequence))
        return x

    def _response(self, y: Any, where: str) -> Any:
        return self._one_response(y, 0, where, takes_classes=self._takes_classes)

    def _one_response(self, y: Any, number: int, where: str, *, takes_classes: bool) -> Any:
        """Return the responses of one output, counted from 0."""
        labels = self._targets[number]
        is_categorical = _is_categorical(y)
        encodes = is_categorical and not takes_classes and self._response_encoding != "auto"
        if encodes:
            y = self._encoder(-1 - number, y).numbers(y, where)
        if labels != "auto":
            y = _arranged_labels(y, labels, where) if takes_classes else _arranged(y, labels, "", where)
        if encodes:
            is_list = isinstance(y, (list, tuple))
            if not is_list and y.ndim == 1:
                y = y[:, np.newaxis]
            if self._response_encoding == "one-hot":
                y = self._encoders[-1 - number].one_hot(y, has_rows=not is_list and y.ndim == 2)
        return y

    def _encoder(self, number: int, data: Any) -> Encoder:
        return self._encoders.setdefault(number, Encoder(data))


_COLUMNS = 1000
"""Where the numbers of the encoders of columns of tables begin; those of inputs count from 0."""


def _is_categorical(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return bool(data) and all(isinstance(each, categorical) for each in data)
    return isinstance(data, categorical)


def _arranger(labels: str, order: str, where: str) -> Callable[[Any], Any]:
    """Return a function that arranges one observation, without the dimension B."""
    own, wanted = labels.replace("B", ""), order.replace("B", "") or "SCT"

    def arrange(value: Any) -> Any:
        return value if np.ndim(value) == 0 else _permuted(value, own, wanted, where)

    return arrange


def _arranged(data: Any, labels: str, order: str, where: str) -> Any:
    """Return data whose dimensions have ``labels`` in the order that networks take, or in that of ``order``."""
    if order and sorted(order) != sorted(labels):
        raise DataError(f"{where}: the format '{labels}' does not fit the InputFormat '{order}' of the input layer.")
    if "C" not in labels:
        labels += "C"  # of length 1
    if isinstance(data, (list, tuple)) and "T" in labels:
        own = labels.replace("B", "")
        return [_permuted(each, own, order.replace("B", "") or "SCT", where) for each in data]
    if order:
        return _permuted(data, labels, order, where)
    if "T" in labels:
        found = _permuted(data, labels, "SCTB", where)
        return list(np.moveaxis(found, -1, 0)) if "B" in labels else found
    return _permuted(data, labels, "SCB" if "S" in labels else "BC", where)


def _permuted(data: Any, labels: str, order: str, where: str) -> np.ndarray:
    """Return an array with its dimensions sorted by ``order``; it may lack dimensions of length 1 at the end."""
    array = np.asarray(data)
    if array.ndim > len(labels):
        raise DataError(
            f"{where}: needs {len(labels)} dimensions for the format '{labels}', but has shape {array.shape}."
        )
    array = array.reshape(*array.shape, *[1] * (len(labels) - array.ndim))
    return np.transpose(array, sorted(range(len(labels)), key=lambda axis: order.index(labels[axis])))


def _arranged_labels(data: Any, labels: str, where: str) -> Any:
    """Return class labels without the dimension C, of length 1: (N,), (H, W, N), or a list of (T,)."""
    if isinstance(data, (list, tuple)) and "T" in labels:
        return [_arranged_labels(each, labels.replace("B", ""), where) for each in data]
    array = data.codes if isinstance(data, categorical) else np.asarray(data)
    order = "SCTB"
    array = _permuted(array, labels, order, where)
    if "C" in labels:
        axis = labels.count("S")
        if array.shape[axis] != 1:
            raise DataError(
                f"{where}: needs one label for each observation, but the dimension C of '{labels}' has length "
                f"{array.shape[axis]}. Give labels instead of numbers for each class."
            )
        array = array.squeeze(axis)
    found = categorical.from_codes(array, categories(data)) if isinstance(data, categorical) else array
    if "T" not in labels or "B" not in labels:
        return found
    return [
        categorical.from_codes(each, categories(data)) if isinstance(data, categorical) else each
        for each in np.moveaxis(array, -1, 0)
    ]
