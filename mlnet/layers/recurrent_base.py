"""What recurrent layers share: options, parameters with a block of rows for each gate, states and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import (
    CONSTANT_INITIALIZERS,
    WEIGHT_INITIALIZERS,
    Call,
    Layer,
    Learnable,
    Size,
    SizeError,
    auto_or,
    layer_table,
    no_lengths,
    parameter_mistakes,
    ports,
    same_lengths,
)
from mlnet.options import Argument, Group, Option, Table
from mlnet.rules import EMPTY, Rule, array, choice, either, flag, integer, number, read_only, row

_INPUT_SIZE = "Number of channels of the input; inferred when training if 'auto'."
_OUTPUT_MODE = "Put out all time steps, or only what the layer has at the end of a sequence."
_STATE_FUNCTION = "Function of the candidate and of the state."
_GATE_FUNCTION = "Function of the gates; 'hard-sigmoid' is 0.2 x + 0.5, from 0 to 1."


def _number_or_row(count: int) -> Rule:
    """Return the rule of a number of at least 0 that stays a scalar, or a row vector of ``count`` of them."""
    rule = either(number(0), row(number(0), count, expand=False))
    return replace(rule, needed=f"a number of at least 0, or a vector of {count} of them")


@dataclass(frozen=True)
class _GateLearnable(Learnable):
    """A learnable parameter with ``gates`` blocks of rows, each of which may have factors of its own."""

    gates: int = 1

    def options(self) -> tuple[Option, ...]:
        """Return the options, with factors for all gates or for each."""
        several = (self.learn_rate_option, self.l2_option)
        return tuple(
            replace(option, rule=_number_or_row(self.gates), doc=f"{option.doc[:-1]}; a vector has one for each gate.")
            if option.name in several
            else option
            for option in super().options()
        )


def gate_learnables(gates: int, columns: str, recurrent: str, bias: str, bias_rows: str) -> tuple[Learnable, ...]:
    """Return input weights, recurrent weights and bias of a layer with ``gates`` blocks of rows.

    ``columns`` and ``recurrent`` tell the widths of the weights in words, ``bias`` is the default initializer.
    """
    rows = f"{gates}*NumHiddenUnits"
    initializers = ("unit-forget-gate", *CONSTANT_INITIALIZERS) if gates % 4 == 0 else CONSTANT_INITIALIZERS
    weights = ("InputWeights", "glorot", columns), ("RecurrentWeights", "orthogonal", recurrent)
    return (
        *(
            _GateLearnable(name, name, start, 1, f"{rows} x {width}", WEIGHT_INITIALIZERS, gates)
            for name, start, width in weights
        ),
        _GateLearnable("Bias", "Bias", bias, 0, f"{bias_rows} x 1", initializers, gates),
    )


def projector(name: str, rows: str) -> Learnable:
    """Return the learnable parameter of a projector with ``rows`` in words."""
    return Learnable(name, name, "orthogonal", 1, f"{rows} x {name}Size", WEIGHT_INITIALIZERS)


def recurrent_table(
    learnables: tuple[Learnable, ...], states: tuple[str, ...], directions: int = 1, *more: Option
) -> Table:
    """Return the table of a recurrent layer; ``more`` are hyperparameters of its own."""
    hyper = Group.HYPERPARAMETERS
    sizes = [option for option in more if option.argument is Argument.REQUIRED]
    others = [option for option in more if option not in sizes]
    rows = "NumHiddenUnits" if directions == 1 else f"{directions}*NumHiddenUnits"
    counts, names = zip(ports("input"), ports("output"), strict=True)
    return layer_table(
        *names,
        *counts,
        Option("HasStateInputs", False, flag(), "Take the states from further inputs.", Group.PLAIN),
        Option("HasStateOutputs", False, flag(), "Put out the states as further outputs.", Group.PLAIN),
        Option("InputSize", "auto", auto_or(integer()), _INPUT_SIZE, hyper, Argument.NONE),
        Option("NumHiddenUnits", None, integer(), "Number of hidden units.", hyper, Argument.REQUIRED),
        *sizes,
        Option("OutputMode", "sequence", choice("sequence", "last"), _OUTPUT_MODE, hyper),
        Option("StateActivationFunction", "tanh", choice("tanh", "softsign", "relu"), _STATE_FUNCTION, hyper),
        Option("GateActivationFunction", "sigmoid", choice("sigmoid", "hard-sigmoid"), _GATE_FUNCTION, hyper),
        *others,
        *(option for learnable in learnables for option in learnable.options()),
        *(
            Option(name, EMPTY, array(), f"{rows} x 1 array; the state before a sequence, zeros if [].", Group.STATE)
            for name in states
        ),
    )


class RecurrentLayer(Layer):
    """Base of the layers that carry states along sequences."""

    shows_all_link: ClassVar[bool] = True
    operation_name: ClassVar[str]
    gates: ClassVar[int] = 4
    """Blocks of rows in the weights of one direction."""
    directions: ClassVar[int] = 1
    kept: ClassVar[tuple[str, ...]] = ("HiddenState", "CellState")
    """What the layer carries along a sequence."""

    @property
    def states(self) -> tuple[str, ...]:  # type: ignore[override]
        """The states that the layer holds; none where they come in."""
        return () if self.HasStateInputs else self.kept

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return ("in", *self._ports()) if self.HasStateInputs else ("in",)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs."""
        return ("out", *self._ports()) if self.HasStateOutputs else ("out",)

    def description(self) -> str:
        """Return e.g. "LSTM with 100 hidden units"."""
        return f"{self.type_name} with {self.NumHiddenUnits} hidden units"

    def check(self) -> None:
        """Refuse given states where they come in."""
        given = [name for name in self.kept if self.HasStateInputs and getattr(self, name).size]
        if given:
            fix = "Leave it out, or connect it as an input."
            raise OptionError(f"{self.where()}: {given[0]} needs HasStateInputs=False, but it is True. {fix}")

    def mistakes(self, size: Size, *states: Size) -> Iterator[SizeError]:
        """Yield an input size, parameters and states that do not fit."""
        units = self._state_shape()[0]
        for port, state in zip(self._ports(), states, strict=False):
            if (state.format, state.dims) != ("C", (units,)):
                yield SizeError(f"{units} features for each observation at the input '{port}'", str(state))
        if size.format != "CT":
            return
        if self.InputSize not in ("auto", size.channels):
            fix = f"Use a new {self.constructor_name}, or keep the layers before it as they were."
            yield SizeError(f"{self.InputSize} channels (InputSize)", f"{size.channels}", fix)
        yield from parameter_mistakes(self, size)

    def output_size(self, size: Size, *states: Size) -> Size:
        """Return a sequence of NumHiddenUnits channels, twice as many from two directions; without time for 'last'."""
        if size.format != "CT":
            fix = "Start with a sequenceInputLayer; a recurrent layer before this one needs OutputMode='sequence'."
            if size.is_sequence:
                fix = "Put a flattenLayer before this layer."
            raise SizeError("sequences of vectors", str(size), fix)
        return Size("C" if self.OutputMode == "last" else "CT", (self.directions * self.NumHiddenUnits,))

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size of the output and, with HasStateOutputs, of each state."""
        states = [Size("C", self._state_shape()[:1])] * (len(self.outputs) - 1)
        return self.output_size(*sizes), *states

    def with_size(self, size: Size, *states_in: Size) -> RecurrentLayer:
        """Return a copy with InputSize set, and states of zeros where none were given."""
        shape = self._state_shape()
        states = {}
        for name in self.states:
            given = getattr(self, name)
            if given.size in (0, shape[0]):  # others are mistakes
                states[name] = read_only(given.reshape(shape) if given.size else np.zeros(shape), np.float32)
        return self.replaced(InputSize=size.channels, **states)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of a weight matrix, of the bias or of a state."""
        rows = self.directions * self.gates * self.NumHiddenUnits
        if name in self.kept:
            return self._state_shape()
        return {
            "InputWeights": (rows, size.channels),
            "RecurrentWeights": (rows, self.NumHiddenUnits),
            "Bias": (rows, 1),
        }[name]

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return the columns and rows of a matrix, which are its numbers of inputs and outputs."""
        rows, columns = self.parameter_shape(name, size)
        return columns, rows

    def draw(self, name: str, initializer: str, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        """Return the first value by an initializer that only recurrent layers have, or None for all others.

        'unit-forget-gate': 1 for the forget gate, 0 elsewhere (Gers et al., 2000; Jozefowicz et al., 2015).
        """
        if initializer != "unit-forget-gate":
            return None
        bias = np.zeros((self.directions, self.gates, self.NumHiddenUnits))
        bias[:, 1] = 1
        return bias.reshape(shape)

    def separate_parts(self, name: str) -> int:
        """Return how many blocks of rows are drawn one after the other: each direction is orthogonal in itself."""
        return self.directions

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the operation along time."""
        parameters = (*(learnable.name for learnable in self.learnables), *self.states)
        time = no_lengths if self.OutputMode == "last" else same_lengths
        if not (self.HasStateInputs or self.HasStateOutputs):
            return Call(self.operation_name, parameters, self._attributes(), time=time)
        attributes = {
            "operation": self.operation_name,
            "states_in": len(self.inputs) - 1,
            "states_out": len(self.outputs) - 1,
            **self._attributes(),
        }
        return Call("recurrent_with_ports", parameters, attributes, time=time, outputs=len(self.outputs))

    def _attributes(self) -> dict[str, Any]:
        return {
            "output_mode": self.OutputMode,
            "state_activation": self.StateActivationFunction,
            "gate_activation": self.GateActivationFunction,
        }

    def _ports(self) -> tuple[str, ...]:
        return tuple(name.removesuffix("State").lower() for name in self.kept)

    def _state_shape(self) -> tuple[int, int]:
        return (self.directions * self.NumHiddenUnits, 1)
