"""The loss of a network without output layers: a named one on what the engine puts out, or a function of dlarrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.differentiate import vjp
from mlnet.engines.base import Engine
from mlnet.engines.packing import pack, pad
from mlnet.errors import DataError, MlnetError, message
from mlnet.functional.traced import to_labelled
from mlnet.layers.base import Size
from mlnet.network.ends import put_out_size
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import Source
from mlnet.options import describe
from mlnet.training.caller import caller
from mlnet.training.metering import Average, Meters, Result
from mlnet.training.nets.losses import NetLoss, is_joined
from mlnet.training.nets.metering import NetMeters, Output
from mlnet.training.nets.targets import FreeTargets, SeveralTargets, names_of
from mlnet.training.validation import Objective

_NAMED = {
    "crossentropy": ("softmax_cross_entropy", "softmax_soft_cross_entropy"),
    "indexcrossentropy": ("softmax_cross_entropy", "softmax_soft_cross_entropy"),
    "binary-crossentropy": ("", "sigmoid_cross_entropy"),
    "mse": ("", "half_mean_squared_error"),
    "mae": ("", "absolute_error"),
    "huber": ("", "huber_error"),
}
"""Losses of the engine by the names of losses: for classes, and for numbers."""


@dataclass(frozen=True)
class Ends:
    """The outputs of a network: their names, the sizes of what they put out, and their targets."""

    names: tuple[str, ...]
    sizes: tuple[Size, ...]
    target_sizes: tuple[Size | None, ...]
    classes: tuple[list[str], ...]

    @classmethod
    def of(cls, network: Resolved, names: Sequence[str], targets: Any) -> Ends:
        """Return the outputs of a network whose targets are known."""
        sources: list[Source] = [network.sources[index][0] for index in network.output_indices]
        parts = targets.parts if isinstance(targets, SeveralTargets) else (targets,)
        own = tuple(part.size if isinstance(part, FreeTargets) else None for part in parts)
        sizes = tuple(put_out_size(network, source) for source in sources)
        return cls(tuple(names), sizes, own, tuple(names_of(targets)))


class NetObjective(Objective):
    """Base of the losses of trainnet, see `Objective`."""

    validates_first = True
    is_classification = True
    is_least_squares = False

    def __init__(self, loss: NetLoss, ends: Ends, metrics: Any) -> None:
        self.loss, self.ends = loss, ends
        outputs = [
            Output(name, bool(classes) or loss.is_of_classes, loss.name == "binary-crossentropy")
            for name, classes in zip(ends.names, ends.classes, strict=True)
        ]
        self.meters: Meters = NetMeters(metrics, outputs)
        self.least_squares_message = (
            f"{caller()}: the solver 'lm' needs the loss 'mse', a sum of squares, but got {loss.name or 'a function'}."
        )

    def average(self) -> Average:
        """Return what adds up the results of mini-batches to those of a data set."""
        return Average(self.meters, is_classification=True)


class NamedObjective(NetObjective):
    """A named loss, the mean over all elements, or over all observations, pixels and time steps for classes."""

    def __init__(self, loss: NetLoss, ends: Ends, metrics: Any, engine: Engine) -> None:
        super().__init__(loss, ends, metrics)
        self._losses = engine.losses
        self.is_least_squares = loss.name == "mse"

    def evaluate(self, z: Any, targets: Any, workspace: Any, lengths: Any = None) -> tuple[Result, Any, Any]:
        """Return loss and metrics of a mini-batch, its scores, and the record that `gradient` needs."""
        _check_steps(z, targets, lengths)
        name = _NAMED[self.loss.name][0 if targets.dtype.kind == "i" else 1]
        if self.loss.is_of_responses or self.loss.name == "binary-crossentropy":
            share = (2 if self.loss.name == "mse" else 1) / max(1, z.size)
        else:
            share = 1 / max(1, self.counts(targets, len(z))[0])
        shares = np.full(len(z), share)
        scores, loss, saved = self._losses[name].forward(z, targets, shares=shares, workspace=workspace)
        return Result(loss, math.nan), scores, (name, saved)

    def counts(self, targets: Any, observations: int, lengths: Any = None) -> tuple[int, int]:
        """Return how many positions a mini-batch has; for classes those with a label."""
        is_class = targets.dtype.kind == "i"
        count = int(np.count_nonzero(targets >= 0)) if is_class else targets.size // targets.shape[-1]
        return count, count

    def residual_shares(self, saved: Any) -> np.ndarray:
        """Return how much half the square of each residual counts."""
        return super().residual_shares(saved[1])

    def gradient(self, saved: Any, workspace: Any) -> Any:
        """Return the gradient of the loss with respect to what it took."""
        name, record = saved
        return self._losses[name].backward(record, workspace=workspace)


class FunctionObjective(NetObjective):
    """A function of the outputs and their targets; only it goes through the derivatives of dlarrays."""

    needs_all = True
    advice = "lossFcn has made it of finite outputs, e.g. by dividing by 0 or log of 0."

    def __init__(self, loss: NetLoss, ends: Ends, metrics: Any) -> None:
        super().__init__(loss, ends, metrics)
        self._function = loss.as_function()
        self._where = f"{caller()}: lossFcn" + (f": {getattr(loss.function, '__name__', '')}" if loss.function else "")

    def evaluate(self, z: Any, targets: Any, workspace: Any, lengths: Any = None) -> tuple[Result, Any, Any]:
        """Return loss and metrics of a mini-batch, its outputs, and the record that `gradient` needs."""
        outputs = z if isinstance(z, tuple) else (z,)
        given = targets if isinstance(targets, tuple) else (targets,)
        steps = lengths if isinstance(z, tuple) else (lengths,)
        wanted = [self._targets(n, t, own, outputs[n]) for n, (t, own) in enumerate(zip(given, steps, strict=True))]
        padded = [y if own is None else pad(y, own) for y, own in zip(outputs, steps, strict=True)]

        def function(*values: dlarray) -> Any:
            ys = [
                _labelled(y, size, is_sequence=own is not None)
                for y, size, own in zip(values, self.ends.sizes, steps, strict=True)
            ]
            return self._called(*ys, *wanted)

        (loss,), pullback = vjp(function, [wrap(np.ascontiguousarray(each)) for each in padded])
        if loss._node is None:
            fix = "Compute it from the outputs with functions of dlarrays."
            raise DataError(message(self._where, "a loss that depends on the outputs", "one that does not", fix))
        seed = np.ones_like(loss._data)
        value = float(loss._data.reshape(()))
        return Result(value, math.nan), z, (pullback, seed, steps, [each.dtype for each in outputs])

    def counts(self, targets: Any, observations: int, lengths: Any = None) -> tuple[int, int]:
        """Return the number of observations."""
        return observations, observations

    def gradient(self, saved: Any, workspace: Any) -> Any:
        """Return the gradients of the loss with respect to the outputs."""
        pullback, seed, steps, dtypes = saved
        found = [
            np.asarray(each if own is None else pack(each, own), dtype)
            for each, own, dtype in zip(pullback(seed), steps, dtypes, strict=True)
        ]
        return found[0] if len(found) == 1 else found

    def _called(self, *arguments: dlarray) -> dlarray:
        before = [each._data for each in arguments]
        try:
            loss = self._function(*arguments)
        except MlnetError as error:
            raise DataError(f"{self._where}: {error}") from error
        except Exception as error:
            raise DataError(f"{self._where} raised {type(error).__name__}: {error}") from error
        if any(each._data is not data for each, data in zip(arguments, before, strict=True)):
            fix = "Change a copy: Z = Y.copy(), then Z[...] = ..."
            raise DataError(
                message(self._where, "to leave its arguments as they are", "a function that assigns to one", fix)
            )
        if not isinstance(loss, dlarray):
            raise DataError(message(self._where, "to return a dlarray of one number", describe(loss)))
        if loss.size != 1:
            size = "x".join(map(str, loss.shape))
            fix = "Return e.g. numpy.mean(loss)."
            raise DataError(message(self._where, "to return a scalar", f"size {size}", fix))
        return loss

    def _targets(self, number: int, t: np.ndarray, lengths: np.ndarray | None, y: np.ndarray) -> dlarray:
        """Return the targets of an output as a formatted dlarray, classes one-hot."""
        ends = self.ends
        size, own = ends.sizes[number], ends.target_sizes[number]
        if t.dtype.kind == "i":
            classes = len(ends.classes[number])
            t = (t[..., None] == np.arange(classes)).astype(y.dtype)
            is_image = size.spatial and t.ndim == len(size.dims) + 1
            size = (
                Size(size.format, (*size.spatial, classes)) if is_image or size.is_sequence else Size("C", (classes,))
            )
        elif own is not None:
            size = own
        if lengths is not None and own is None:
            _check_steps(y, t, lengths)
            t = pad(t, lengths)
        else:
            lengths = None
        return _labelled(wrap(t.astype(y.dtype)), size, is_sequence=lengths is not None)


def _labelled(value: dlarray, size: Size, *, is_sequence: bool) -> dlarray:
    """Return an array in the layout of engines as a formatted one."""
    format = size.format if is_sequence else size.format.replace("T", "")
    return to_labelled(value.reshape(*value.shape[: 1 + is_sequence], *size.dims), format)


def _check_steps(z: np.ndarray, targets: np.ndarray, lengths: Any) -> None:
    if lengths is not None and len(z) != len(targets):
        raise DataError(
            f"{caller()}: T: needs a target for each of the {len(z)} time steps that the network puts out for a "
            f"mini-batch, but has {len(targets)}, as many as X. Keep the number of time steps: Stride 1 and "
            "Padding='same' or 'causal'."
        )


def make_objective(network: Resolved, engine: Engine, loss: NetLoss, ends: Ends, metrics: Any) -> NetObjective:
    """Return the loss of a network on an engine, with metrics."""
    if loss.function is None and (not loss.is_of_classes or is_joined(network)):
        return NamedObjective(loss, ends, metrics, engine)
    return FunctionObjective(loss, ends, metrics)
