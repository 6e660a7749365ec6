"""From what the user gives to what the training loop takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.columns import is_table
from mlnet.data.sources.inputs import Inputs, Source
from mlnet.data.sources.pixel_targets import PixelTargets
from mlnet.data.sources.reading import DatastorePixelTargets, Rows
from mlnet.data.sources.tables import training_table
from mlnet.errors import DataError, NetworkError
from mlnet.labels import categorical
from mlnet.layers.base import Layer
from mlnet.layers.input import InputLayer
from mlnet.layers.output import ClassesOutputLayer, OutputLayer, RegressionOutputLayer, change_channels
from mlnet.layers.per_channel import PopulationLayer
from mlnet.network.initialize import initialize
from mlnet.network.resolve import Resolved
from mlnet.network.run import kept_steps, predictors_for
from mlnet.training.caller import caller
from mlnet.training.options import TrainingOptions
from mlnet.training.statistics import missing_statistics, with_input_statistics
from mlnet.training.targets import ClassesTargets, Targets, class_targets, response_targets, rows_of
from mlnet.training.validation import DataSet


def training_data(network: Resolved, X: Any, Y: Any, options: TrainingOptions) -> tuple[DataSet, Resolved]:  # noqa: N803
    """Return the training set, and the network that knows its classes or responses."""
    data, network = data_set(network, X, Y, f"{caller()}: ", kept_steps(options))
    targets = data.targets
    if isinstance(targets, ClassesTargets) and targets.present() < 2:
        what = "pixels" if isinstance(targets, PixelTargets) else "observations"
        raise DataError(f"{caller()}: Y: needs {what} of at least 2 classes, but all have the same one.")
    if (
        len(data.predictors) < 2
        and not network.output_size.is_sequence
        and not isinstance(targets, (PixelTargets, DatastorePixelTargets))
    ):
        raise DataError(f"{caller()}: X: needs at least 2 observations, but got 1.")
    return data, network


def data_set(
    network: Resolved,
    X: Any,  # noqa: N803
    Y: Any,  # noqa: N803
    where: str,
    keep: str = "all",
) -> tuple[DataSet, Resolved]:
    """Return the data as mini-batches, and the network with classes or response names in its output layer.

    For a table, ``Y`` are the names of the response columns. ``keep`` is for sequences, see
    `mlnet.data.sources.sequences.Steps`.
    """
    names: list[str] = []
    if is_table(X):
        formats = [layer.size().format for layer in network.input_layers]
        X, Y, names = training_table(X, Y, formats, f"{where}X")  # noqa: N806
    predictors = predictors_for(network, X, f"{where}X", keep)
    size, output = network.output_size, network.output_layer
    responses: Any = Y
    if isinstance(X, Datastore) and Y is None:
        responses = rows_of(predictors) or Rows(X, 1, f"{where}X")
        responses.columns = 1 + len(network.input_layers)
    if predictors.steps is not None and not size.is_sequence:
        _check_one_target_each(Y, predictors.steps.lengths.tolist(), size.count, f"{where}Y")
    targets: Targets
    if isinstance(output, ClassesOutputLayer):
        targets = class_targets(output, size, predictors, responses, f"{where}Y")
        found = len(targets.classes)
        if found < 2:
            raise DataError(f"{where}Y: needs at least 2 classes, but there is only '{targets.classes[0]}'.")
        if found != size.channels:
            raise DataError(
                f"{where}Y: needs as many classes as the network puts out ({size}), but there are {found}. "
                f"{change_channels(output.is_pixelwise(size), found)}."
            )
        named: OutputLayer = output.replaced(Classes=categorical.from_codes(np.arange(found), targets.classes))
    else:
        assert isinstance(output, RegressionOutputLayer)
        targets = response_targets(size, predictors, responses, f"{where}Y")
        named = output.replaced(ResponseNames=_response_names(output, size.channels, names))
    predictors.check_finite()
    return DataSet(predictors, targets), network.with_output_layer(named)


def _check_one_target_each(Y: Any, lengths: list[int], count: int, where: str) -> None:  # noqa: N803
    """Refuse a list of targets for each time step where the network puts out ``count`` numbers for each sequence."""
    if not isinstance(Y, (list, tuple)) or len(Y) != len(lengths):
        return
    try:
        shapes = [() if isinstance(each, str) else np.shape(each) for each in Y]
    except ValueError:  # uneven lists
        return
    has_steps = all(length in shape for shape, length in zip(shapes, lengths, strict=True))
    if has_steps and {math.prod(shape) for shape in shapes} != {count}:
        raise DataError(
            f"{where}: needs one target for each sequence, as the network puts out, but has one for each time step. "
            "Give the last recurrent layer OutputMode='sequence', or one target for each sequence."
        )


def initialized(
    network: Resolved,
    predictors: Source,
    options: TrainingOptions,
    generator: np.random.Generator,
) -> Resolved:
    """Return the network with the statistics of its input layer and all learnables set."""
    reset = options.ResetInputNormalization
    parts = iter(predictors.parts if isinstance(predictors, Inputs) else [predictors])
    layers: list[Layer] = []
    for index, layer in enumerate(network.layers):
        if isinstance(layer, InputLayer):
            if options.Verbose and missing_statistics(layer, reset=reset):
                print("Initializing input data normalization.", flush=True)
            layers.append(with_input_statistics(layer, next(parts), reset=reset))
        else:
            layers.append(initialize(layer, network.input_size(index), generator))
    return network.with_layers(layers)


def _response_names(layer: RegressionOutputLayer, count: int, columns: list[str]) -> list[str]:
    """Return the names of responses: given ones, those of the columns of a table, or 'Response1' and so on."""
    if layer.ResponseNames:
        return list(layer.ResponseNames)
    if len(columns) == count:
        return columns
    return ["Response"] if count == 1 else [f"Response{number}" for number in range(1, count + 1)]


def check_mini_batch(network: Resolved, size: int) -> None:
    """Refuse to normalize by a mini-batch of a single value, which would put out nothing but the offset."""
    for index, layer in enumerate(network.layers):
        positions = network.input_size(index).count // network.input_size(index).channels
        if isinstance(layer, PopulationLayer) and size * positions == 1:
            raise NetworkError(
                f"Layer {index + 1} '{layer.Name}' ({layer.type_name}): needs more than one value per channel in a "
                "mini-batch, but got 1. Raise MiniBatchSize, or remove the layer."
            )
