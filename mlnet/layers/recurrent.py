"""Recurrent layers: LSTM, LSTM in both directions, LSTM with projectors, and GRU."""

from __future__ import annotations

from typing import Any, ClassVar

from mlnet.layers.base import Learnable, Size
from mlnet.layers.recurrent_base import RecurrentLayer, gate_learnables, projector, recurrent_table
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import choice, integer

_LSTM = gate_learnables(4, "InputSize", "NumHiddenUnits", "unit-forget-gate", "4*NumHiddenUnits")
_BILSTM = gate_learnables(8, "InputSize", "NumHiddenUnits", "unit-forget-gate", "8*NumHiddenUnits")
_GRU = gate_learnables(3, "InputSize", "NumHiddenUnits", "zeros", "3*NumHiddenUnits (6* in the third ResetGateMode)")
_PROJECTED = (
    *gate_learnables(4, "InputProjectorSize", "OutputProjectorSize", "unit-forget-gate", "4*NumHiddenUnits"),
    projector("InputProjector", "InputSize"),
    projector("OutputProjector", "NumHiddenUnits"),
)


class LSTMLayer(RecurrentLayer):
    """Carries a hidden and a cell state along a sequence."""

    type_name = "LSTM"
    base_name = operation_name = "lstm"
    learnables = _LSTM
    table = recurrent_table(_LSTM, RecurrentLayer.kept)


@constructs(LSTMLayer)
def lstmLayer() -> None:
    """Create a long short-term memory layer, which learns dependencies between the time steps of a sequence.

    With the gate function ``sigma`` and the state function ``s``, from the states ``h`` and ``c`` of the step before::

        i = sigma(Wi x + Ri h + bi)     c = f * c + i * g
        f = sigma(Wf x + Rf h + bf)     h = o * s(c)
        g = s(Wg x + Rg h + bg)
        o = sigma(Wo x + Ro h + bo)

    InputWeights W, RecurrentWeights R and Bias b hold the rows of i, f, g, o one below the other, and factors for each
    gate are in this order. The output is h. In a mini-batch of sequences of different lengths, padding on the right
    changes nothing.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; the forget gate: Gers, Schmidhuber and Cummins,
    "Learning to Forget: Continual Prediction with LSTM", 2000. 'glorot' counts InputSize (or NumHiddenUnits) inputs and
    4*NumHiddenUnits outputs. Differs from MATLAB: BiasInitializer may be 'zeros'.

    Examples
    --------
    >>> from mlnet import lstmLayer
    >>> lstmLayer(150, OutputMode='last')
      LSTMLayer with properties:
    <BLANKLINE>
                           Name: ''
                     InputNames: {'in'}
                    OutputNames: {'out'}
                      NumInputs: 1
                     NumOutputs: 1
                 HasStateInputs: 0
                HasStateOutputs: 0
    <BLANKLINE>
       Hyperparameters
                      InputSize: 'auto'
                 NumHiddenUnits: 150
                     OutputMode: 'last'
        StateActivationFunction: 'tanh'
         GateActivationFunction: 'sigmoid'
    <BLANKLINE>
       Learnable Parameters
                   InputWeights: []
               RecurrentWeights: []
                           Bias: []
    <BLANKLINE>
       State Parameters
                    HiddenState: []
                      CellState: []
    <BLANKLINE>
      Show all properties
    """


class BiLSTMLayer(RecurrentLayer):
    """Two LSTMs, one along the sequence and one from its end to its beginning."""

    type_name = "BiLSTM"
    base_name = "biLSTM"
    operation_name = "bilstm"
    directions = 2
    learnables = _BILSTM
    table = recurrent_table(_BILSTM, RecurrentLayer.kept, 2)


@constructs(BiLSTMLayer)
def bilstmLayer() -> None:
    """Create two LSTM layers side by side, one of which reads each sequence from its last time step to its first.

    The formulas are those of lstmLayer. All parameters hold the rows i, f, g, o of the forward direction and then those
    of the backward one; the output has 2*NumHiddenUnits channels in the same order. With OutputMode='last' the backward
    half is its value at the first time step, at which it has seen the whole sequence.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Schuster and Paliwal, "Bidirectional Recurrent Neural Networks", 1997; Graves and Schmidhuber, "Framewise Phoneme
    Classification with Bidirectional LSTM", 2005. 'glorot' counts InputSize (or NumHiddenUnits) inputs and
    8*NumHiddenUnits outputs; 'orthogonal' makes each direction orthogonal.

    Examples
    --------
    >>> from mlnet import bilstmLayer
    >>> bilstmLayer(100, Name='both')
      BiLSTMLayer with properties:
    <BLANKLINE>
                           Name: 'both'
                     InputNames: {'in'}
                    OutputNames: {'out'}
                      NumInputs: 1
                     NumOutputs: 1
                 HasStateInputs: 0
                HasStateOutputs: 0
    <BLANKLINE>
       Hyperparameters
                      InputSize: 'auto'
                 NumHiddenUnits: 100
                     OutputMode: 'sequence'
        StateActivationFunction: 'tanh'
         GateActivationFunction: 'sigmoid'
    <BLANKLINE>
       Learnable Parameters
                   InputWeights: []
               RecurrentWeights: []
                           Bias: []
    <BLANKLINE>
       State Parameters
                    HiddenState: []
                      CellState: []
    <BLANKLINE>
      Show all properties
    """


class GRULayer(RecurrentLayer):
    """Carries a hidden state along a sequence, with two gates."""

    type_name = "GRU"
    base_name = operation_name = "gru"
    gates = 3
    kept: ClassVar[tuple[str, ...]] = ("HiddenState",)
    learnables = _GRU
    table = recurrent_table(
        _GRU,
        kept,
        1,
        Option(
            "ResetGateMode",
            "after-multiplication",
            choice("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"),
            "Where the reset gate acts.",
            Group.HYPERPARAMETERS,
        ),
    )

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of a parameter or state; the third ResetGateMode has a bias twice as long."""
        rows, columns = super().parameter_shape(name, size)
        if name == "Bias" and self.ResetGateMode == "recurrent-bias-after-multiplication":
            rows *= 2
        return rows, columns

    def factors(self, learnable: Learnable) -> list[tuple[float, float]]:
        """Return the factors of each gate; the longer bias has those of its first half again in its second."""
        found = super().factors(learnable)
        is_long = learnable.name == "Bias" and self.ResetGateMode == "recurrent-bias-after-multiplication"
        return found * 2 if is_long else found

    def _attributes(self) -> dict[str, Any]:
        return {**super()._attributes(), "reset_gate_mode": self.ResetGateMode}


@constructs(GRULayer)
def gruLayer() -> None:
    """Create a layer of gated recurrent units, which learns dependencies between the time steps of a sequence.

    With the gate function ``sigma`` and the state function ``s``, from the state ``h`` of the step before::

        r = sigma(Wr x + br + Rr h)
        z = sigma(Wz x + bz + Rz h)
        k = s(Wk x + bk + r * (Rk h))          ResetGateMode='after-multiplication'
        k = s(Wk x + bk + Rk (r * h))          'before-multiplication'
        k = s(Wk x + bk + r * (Rk h + ck))     'recurrent-bias-after-multiplication'
        h = (1 - z) * k + z * h

    InputWeights W, RecurrentWeights R and Bias b hold the rows of r, z, k one below the other, and factors for each
    gate are in this order. In the third mode Bias holds 3*NumHiddenUnits more rows: the recurrent bias c of r, z, k, of
    which cr and cz are added to br and bz. The output is h.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", 2014.
    The third mode is what cuDNN and PyTorch compute.

    Examples
    --------
    >>> from mlnet import gruLayer
    >>> gruLayer(100)
      GRULayer with properties:
    <BLANKLINE>
                           Name: ''
                     InputNames: {'in'}
                    OutputNames: {'out'}
                      NumInputs: 1
                     NumOutputs: 1
                 HasStateInputs: 0
                HasStateOutputs: 0
    <BLANKLINE>
       Hyperparameters
                      InputSize: 'auto'
                 NumHiddenUnits: 100
                     OutputMode: 'sequence'
        StateActivationFunction: 'tanh'
         GateActivationFunction: 'sigmoid'
                  ResetGateMode: 'after-multiplication'
    <BLANKLINE>
       Learnable Parameters
                   InputWeights: []
               RecurrentWeights: []
                           Bias: []
    <BLANKLINE>
       State Parameters
                    HiddenState: []
    <BLANKLINE>
      Show all properties
    """


class LSTMProjectedLayer(RecurrentLayer):
    """An LSTM whose gates see projections of the input and of the hidden state."""

    type_name = "Projected LSTM"
    base_name = "projectedlstm"
    operation_name = "projected_lstm"
    learnables = _PROJECTED
    table = recurrent_table(
        _PROJECTED,
        RecurrentLayer.kept,
        1,
        *(
            Option(
                name, None, integer(), f"Number of columns of {parameter}.", Group.HYPERPARAMETERS, Argument.REQUIRED
            )
            for name, parameter in (
                ("OutputProjectorSize", "OutputProjector"),
                ("InputProjectorSize", "InputProjector"),
            )
        ),
    )

    def description(self) -> str:
        """Return the numbers of hidden units and of the columns of the projectors."""
        return (
            f"Projected LSTM layer with {self.NumHiddenUnits} hidden units, an output projector size of "
            f"{self.OutputProjectorSize}, and an input projector size of {self.InputProjectorSize}"
        )

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of a weight matrix, of the bias, of a projector or of a state."""
        units, columns = self.NumHiddenUnits, {"Input": self.InputProjectorSize, "Output": self.OutputProjectorSize}
        shapes = {
            "InputWeights": (self.gates * units, columns["Input"]),
            "RecurrentWeights": (self.gates * units, columns["Output"]),
            "InputProjector": (size.channels, columns["Input"]),
            "OutputProjector": (units, columns["Output"]),
        }
        return shapes[name] if name in shapes else super().parameter_shape(name, size)


@constructs(LSTMProjectedLayer)
def lstmProjectedLayer() -> None:
    """Create an LSTM layer with fewer parameters, whose gates see projections of the input and of the hidden state.

    In the formulas of lstmLayer, ``W x`` becomes ``W (InputProjector' x)`` and ``R h`` becomes
    ``R (OutputProjector' h)``. The output is h itself, with NumHiddenUnits channels.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    As in MATLAB (R2022b), ``W`` and ``R`` are stored multiplied by the projectors. Projections of the hidden state:
    Sak, Senior and Beaufays, "Long Short-Term Memory Recurrent Neural Network Architectures for Large Scale Acoustic
    Modeling", 2014, where, unlike here, the projection is also the output.

    Examples
    --------
    >>> from mlnet import lstmProjectedLayer
    >>> lstmProjectedLayer(100, 30, 16)
      LSTMProjectedLayer with properties:
    <BLANKLINE>
                           Name: ''
                     InputNames: {'in'}
                    OutputNames: {'out'}
                      NumInputs: 1
                     NumOutputs: 1
                 HasStateInputs: 0
                HasStateOutputs: 0
    <BLANKLINE>
       Hyperparameters
                      InputSize: 'auto'
                 NumHiddenUnits: 100
            OutputProjectorSize: 30
             InputProjectorSize: 16
                     OutputMode: 'sequence'
        StateActivationFunction: 'tanh'
         GateActivationFunction: 'sigmoid'
    <BLANKLINE>
       Learnable Parameters
                   InputWeights: []
               RecurrentWeights: []
                           Bias: []
                 InputProjector: []
                OutputProjector: []
    <BLANKLINE>
       State Parameters
                    HiddenState: []
                      CellState: []
    <BLANKLINE>
      Show all properties
    """
