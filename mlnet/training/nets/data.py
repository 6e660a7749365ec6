"""Data of networks without output layers, as the training loop takes them."""

from __future__ import annotations

from typing import Any

from mlnet.autodiff.array import dlarray
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.columns import is_table
from mlnet.data.sources.reading import Rows
from mlnet.data.sources.tables import training_table
from mlnet.errors import DataError, OptionError, message
from mlnet.network.resolve import Resolved
from mlnet.network.run import predictors_for
from mlnet.options import describe
from mlnet.training.caller import caller
from mlnet.training.data_forms import DataForms
from mlnet.training.nets.losses import NetLoss
from mlnet.training.nets.targets import SeveralTargets, is_labels, output_targets
from mlnet.training.options import TrainingOptions
from mlnet.training.targets import rows_of
from mlnet.training.validation import DataSet


class NetForms(DataForms):
    """Puts data into the form that networks without output layers take; see `DataForms`.

    Raises
    ------
    OptionError
        Where InputDataFormats or TargetDataFormats are not one for each input and output.
    """

    def __init__(self, options: TrainingOptions, network: Resolved, loss: NetLoss) -> None:
        super().__init__(options, network)
        self._loss, self._outputs = loss, len(network.output_indices)
        self._takes_classes = loss.is_of_classes or (loss.function is not None and self._response_encoding != "integer")
        if self._targets == ["auto"]:
            self._targets *= self._outputs
        if len(self._targets) != self._outputs:
            needed = f"one format for each of the {self._outputs} outputs"
            raise OptionError(message(f"{caller()}: TargetDataFormats", needed, f"{len(self._targets)}"))

    def _input(self, number: int, x: Any, where: str) -> Any:
        kept = self._formats[number]
        x, self._formats[number] = _plain(x, kept)
        try:
            return super()._input(number, x, where)
        finally:
            self._formats[number] = kept

    def _response(self, y: Any, where: str) -> Any:
        if self._outputs == 1:
            return self._target_of(0, y, where)
        if not isinstance(y, (list, tuple)) or len(y) != self._outputs:
            came = f"{len(y)}" if isinstance(y, (list, tuple)) else describe(y)
            fix = f"Give ({', '.join(f'T{number}' for number in range(1, self._outputs + 1))})."
            raise DataError(message(where, f"targets for each of the {self._outputs} outputs", came, fix))
        return [self._target_of(number, each, f"{where}{number + 1}") for number, each in enumerate(y)]

    def _target_of(self, number: int, y: Any, where: str) -> Any:
        kept, loss, encoding = self._targets[number], self._loss, self._response_encoding
        y, self._targets[number] = _plain(y, kept)
        as_numbers = not loss.is_of_classes and (encoding == "integer" or (encoding != "auto" and not loss.function))
        takes_classes = (is_labels(y) and not as_numbers) or loss.name == "indexcrossentropy"
        try:
            return self._one_response(y, number, where, takes_classes=takes_classes)
        finally:
            self._targets[number] = kept


def _plain(data: Any, labels: str) -> tuple[Any, str]:
    """Return the numbers of a dlarray and its format, unless another one is given; other data as they are."""
    if not isinstance(data, dlarray):
        return data, labels
    return data.extractdata(), labels if labels != "auto" else data.dims() or labels


def net_data_set(
    network: Resolved,
    loss: NetLoss,
    X: Any,  # noqa: N803
    T: Any,  # noqa: N803
    classes: list[list[str]] | None,
    where: str,
    keep: str,
) -> DataSet:
    """Return inputs and targets as mini-batches.

    Parameters
    ----------
    network : Resolved
    loss : NetLoss
    X, T : data
        In the form of `NetForms`.
    classes : list of lists of texts, or None
        The classes of the training data for each output.
    where : text
        Beginning of messages.
    keep : text
        For sequences, see `mlnet.data.sources.sequences.Steps`.

    Raises
    ------
    DataError
        Where data do not fit the network or the loss, or are not finite.
    """
    if is_table(X):
        X, T, _ = training_table(X, T, [layer.size().format for layer in network.input_layers], f"{where}X")  # noqa: N806
    predictors = predictors_for(network, X, f"{where}X", keep)
    outputs, inputs = network.output_indices, len(network.input_layers)
    given = T
    if isinstance(X, Datastore) and T is None:
        given = rows_of(predictors) or Rows(X, 1, f"{where}X")
        given.columns = inputs + len(outputs)
    parts = []
    for number, index in enumerate(outputs):
        name = f"{where}T" if len(outputs) == 1 else f"{where}T{number + 1}"
        own = given if isinstance(given, Rows) or len(outputs) == 1 else given[number]
        column = -1 if len(outputs) == 1 else inputs + number
        names = classes[number] if classes else []
        parts.append(output_targets(loss, network.sizes[index][0], predictors, own, names, name, column))
    predictors.check_finite()
    return DataSet(predictors, parts[0] if len(parts) == 1 else SeveralTargets(parts))
