"""What a network should put out, in the form that its output layer needs."""

from __future__ import annotations

from typing import Any, Protocol

from mlnet.data.sources.inputs import Inputs, Source
from mlnet.data.sources.pixel_targets import PixelTargets
from mlnet.data.sources.reading import (
    DatastorePixelTargets,
    DatastorePredictors,
    DatastoreResponses,
    Rows,
    response_column,
)
from mlnet.data.sources.sequences import SequenceClassTargets, SequenceResponseTargets
from mlnet.data.sources.targets import ClassTargets, ResponseTargets
from mlnet.layers.base import Size

Targets = (
    ClassTargets
    | PixelTargets
    | DatastorePixelTargets
    | ResponseTargets
    | DatastoreResponses
    | SequenceClassTargets
    | SequenceResponseTargets
)
ClassesTargets = ClassTargets | PixelTargets | DatastorePixelTargets | SequenceClassTargets


def rows_of(predictors: Source) -> Rows | None:
    """Return the rows that predictors read from a datastore; None for other data."""
    parts = predictors.parts if isinstance(predictors, Inputs) else (predictors,)
    return next((part.rows for part in parts if isinstance(part, DatastorePredictors)), None)


class Classes(Protocol):
    """What knows classes: an output layer, or the loss of an output."""

    def class_names(self) -> list[str]:
        """Return the names of the classes; an empty list where the labels tell them."""

    def is_pixelwise(self, size: Size) -> bool:
        """Tell whether scores of ``size`` are compared with an image of labels."""


def class_targets(output: Classes, size: Size, predictors: Source, given: Any, where: str) -> ClassesTargets:
    """Return labels as classes; ``given`` are labels, or the `Rows` of a datastore."""
    names, steps = output.class_names(), predictors.steps if size.is_sequence else None
    if isinstance(given, Rows):
        if output.is_pixelwise(size) and steps is None:
            return DatastorePixelTargets(given, names, size.spatial)
        names = names or given.datastore.classes()
        given = response_column(given)
    if steps is not None:
        return SequenceClassTargets(given, names, steps, where)
    if output.is_pixelwise(size):
        return PixelTargets(given, names, size.spatial, len(predictors), where)
    return ClassTargets(given, names, len(predictors), where)


def response_targets(
    size: Size, predictors: Source, given: Any, where: str
) -> ResponseTargets | DatastoreResponses | SequenceResponseTargets:
    """Return numeric responses; ``given`` are responses, or the `Rows` of a datastore."""
    if size.is_sequence:
        assert predictors.steps is not None
        values = response_column(given) if isinstance(given, Rows) else given
        return SequenceResponseTargets(values, size.dims[-1:] if size.is_flat else size.dims, predictors.steps, where)
    if isinstance(given, Rows):
        return DatastoreResponses(given, size.dims)
    return ResponseTargets(given, size.dims, len(predictors), where)
