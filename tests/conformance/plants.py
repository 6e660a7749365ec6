"""Layers and operations with one mistake each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.base import Engine, Loss, Operation
from mlnet.engines.select import engine_named
from mlnet.layers.base import Call, Layer, Size, SizeError, TimeRule, layer_table, same_lengths
from mlnet.layers.output import OutputLayer
from mlnet.options import Group, Option
from mlnet.rules import Rule, number


class PlantedEngine(Engine):
    """The NumPy engine with one more operation, 'planted'."""

    name = "numpy"

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self._operations = {**engine_named("numpy").operations, "planted": Operation(forward, backward)}
        self._losses = {**engine_named("numpy").losses, "planted": Loss(forward, backward)}

    @property
    def operations(self) -> Mapping[str, Operation]:
        return self._operations

    @property
    def losses(self) -> Mapping[str, Loss]:
        return self._losses


class PlantedLoss(OutputLayer):
    """Has the loss 'planted'."""

    type_name = "Planted Loss"
    constructor_name = "plantedLoss"
    loss = "planted"
    metric = "RMSE"


class PlantedLayer(Layer):
    """Runs the operation 'planted'."""

    type_name = "Planted"
    constructor_name = "plantedLayer"
    table = layer_table(Option("Factor", 2.0, number(), "A factor.", Group.PLAIN))
    time: TimeRule | None = None
    random = False

    def operation(self, size: Size, *, training: bool) -> Call | None:
        return Call("planted", (), {"factor": self.Factor}, random=self.random and training, time=self.time)


class AlongTime(PlantedLayer):
    """Runs the operation along time."""

    time = staticmethod(same_lengths)

    def output_size(self, size: Size) -> Size:
        if size.format != "CT":
            raise SizeError("sequences of vectors", str(size))
        return size


class Random(PlantedLayer):
    """Runs the operation with a generator in training."""

    random = True


class Whole(PlantedLayer):
    """Takes whole numbers."""

    whole_inputs = MappingProxyType({"in": (3, 6)})


class WrongSize(PlantedLayer):
    """Says that it has one channel more than it has."""

    def output_size(self, size: Size) -> Size:
        return Size(size.format, (*size.dims[:-1], size.channels + 1))


class OtherInTraining(PlantedLayer):
    """Computes something else in training."""

    def operation(self, size: Size, *, training: bool) -> Call | None:
        return Call("planted", (), {"factor": self.Factor + training})


class Forgetful(PlantedLayer):
    """Loses a value on the way through a pickle."""

    def __reduce__(self) -> Any:
        return Forgetful, ()


class Careless(PlantedLayer):
    """Takes every value of its option."""

    table = layer_table(Option("Factor", 2.0, Rule("a number", lambda value: value, ("x",)), "A factor.", Group.PLAIN))


class RawHtml(PlantedLayer):
    """Shows its name as it is."""

    def _repr_html_(self) -> str:
        return f"<p>{self.Name}</p>"


class Breaking(PlantedLayer):
    """Raises something of its own for features."""

    def output_size(self, size: Size) -> Size:
        return Size(size.format, (size.spatial[0], *size.dims[1:]))


class Record(NamedTuple):
    """What a backward needs."""

    factor: float
    more: Any = None


def forward(x, *, factor, workspace, **_):
    return x * factor, Record(factor)


def backward(saved, d_output, *, wanted, workspace):
    return (d_output * saved.factor,)


def wrong_backward(saved, d_output, *, wanted, workspace):
    return (d_output * saved.factor * 1.0001,)


def changes_its_input(x, *, factor, workspace):
    output = x * factor
    x += 1
    return output, Record(factor)


def changes_the_gradient(saved, d_output, *, wanted, workspace):
    d_x = d_output * saved.factor
    d_output += 1
    return (d_x,)


def counts_runs(x, *, factor, workspace):
    workspace.count = getattr(workspace, "count", 0) + 1
    return x * factor * workspace.count, Record(factor * workspace.count)


def keeps_the_first_mask(x, *, factor, workspace):
    masks = workspace.__dict__.setdefault("masks", {})
    mask = masks.setdefault(x.shape, x > 0)
    return x * mask * factor, Record(factor, mask)


def masked_backward(saved, d_output, *, wanted, workspace):
    return (d_output * saved.more * saved.factor,)


def averages_padding(x, *, factor, lengths, workspace):
    return factor * x + x.mean(axis=1, keepdims=True), Record(factor)


def averages_padding_backward(saved, d_output, *, wanted, workspace):
    return (saved.factor * d_output + d_output.mean(axis=1, keepdims=True),)


def sums_padding(x, *, factor, lengths, workspace):
    """Add the sum of a sequence, which is right as long as there are zeros behind its end."""
    return factor * x + x.sum(axis=1, keepdims=True), Record(factor)


def sums_padding_backward(saved, d_output, *, wanted, workspace):
    return (saved.factor * d_output + d_output.sum(axis=1, keepdims=True),)


def centres_the_batch(x, *, factor, workspace):
    return factor * (x - x.mean(axis=0)), Record(factor)


def centres_the_batch_backward(saved, d_output, *, wanted, workspace):
    return (saved.factor * (d_output - d_output.mean(axis=0)),)


def always_double(x, *, factor, workspace):
    return x.astype(np.float64) * factor, Record(factor)


def needs_contiguous(x, *, factor, workspace):
    factor = factor if x.flags.c_contiguous else factor + 1
    return x * factor, Record(factor)


def own_generator(x, *, factor, workspace, generator=None):
    if generator is not None:
        factor = factor + np.random.default_rng().random()
    return x * factor, Record(factor)


def infinite_for_one_channel(x, *, factor, workspace):
    return x * (factor if x.shape[-1] > 1 else np.inf), Record(factor)


def loss(z, targets, *, weights, shares, workspace, scale=1.0):
    difference = z - targets
    return z, float(np.sum(difference**2)) * scale / 2, Record(scale, difference)


def loss_backward(saved, *, workspace):
    return saved.more * saved.factor


def wrong_loss_backward(saved, *, workspace):
    return saved.more * 0.999


def loss_that_counts(z, targets, *, workspace, **more):
    workspace.count = getattr(workspace, "count", 0) + 1
    return loss(z, targets, workspace=workspace, scale=workspace.count, **more)


def loss_that_changes(z, targets, *, workspace, **more):
    found = loss(z.copy(), targets, workspace=workspace, **more)
    z += 1
    return found


def fractions(x, *, factor, workspace):
    """Take whole numbers from 3 to 6 only, and have no gradient."""
    assert set(x.ravel()) <= {3, 4, 5, 6}
    return np.array([0, 0, 0, 7, 1, 5, 3])[x.astype(int)].astype(x.dtype), Record(factor)


def no_gradient(saved, d_output, *, wanted, workspace):
    return (np.zeros_like(d_output),)
