"""Runs a network over data in mini-batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources import inputs
from mlnet.data.sources.arrays import Predictors
from mlnet.data.sources.columns import is_table
from mlnet.data.sources.reading import DatastorePredictors, Rows
from mlnet.data.sources.sequences import SequencePredictors, unpack
from mlnet.data.sources.streams import inputs_of_batches, is_stream
from mlnet.data.sources.tables import prediction_table
from mlnet.engines.program import Key, StepPlan
from mlnet.engines.select import select_engine
from mlnet.errors import DataError
from mlnet.layers import general_input
from mlnet.layers.base import Layer
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.network import prepared
from mlnet.network.categories import encoded
from mlnet.network.pieces import Pieces
from mlnet.network.resolve import Resolved
from mlnet.network.wiring import Source
from mlnet.options import Declared, describe

STATE_FIELDS = {"HiddenState": "hidden_state", "CellState": "cell_state"}
"""States that predicting changes, and where operations save them."""


Output = tuple[np.ndarray, np.ndarray | None]
"""An output of a mini-batch, and the lengths where it is made of packed sequences."""


class Run:
    """What a network puts out for data, and the states of its recurrent layers behind them.

    Parameters
    ----------
    network : Resolved
    X : array, list of arrays, or iterable of mini-batches
        The data; for networks of several inputs a list or table by name with one entry for each.
    options : Declared
        MiniBatchSize, Acceleration, ExecutionEnvironment, SequenceLength, SequencePaddingDirection.
    ends : sequence of Source
        The outputs of layers that are wanted; by default those of the output layers.
    carries : bool
        Whether states of custom layers behind a mini-batch are those before the next one.

    Raises
    ------
    DataError
        Where the data do not fit the network or its states.
    """

    def __init__(
        self,
        network: Resolved,
        X: Any,  # noqa: N803
        options: Declared,
        ends: Sequence[Source] = (),
        *,
        carries: bool = False,
    ) -> None:
        engine = select_engine(options.Acceleration, options.ExecutionEnvironment)
        self._where = f"{options.constructor_name}: X"
        self._sources = _sources(network, X, self._where, kept_steps(options))
        self._is_stream, self._is_single = is_stream(X), False
        self._network, self._ready = network, prepared.take(network, ends, engine)
        self._plan, self._values, _ = self._ready.predictor
        self._states = [(layer.Name, state) for layer in network.layers for state in changing_states(layer)]
        self._found: dict[Key, list[np.ndarray]] = {key: [] for key in self._states}
        self._size, self._carries = options.MiniBatchSize, carries
        length = getattr(options, "SequenceLength", "longest")
        self._length: int | None = None if isinstance(length, str) else length

    def outputs(self) -> list[Any]:
        """Return the outputs in the engines' order, (N, ...); sequences as a list in MATLAB's order, or one of them."""
        count = len(self._plan.program.outputs)
        found: list[list[np.ndarray]] = [[] for _ in range(count)]
        is_sequence = [False] * count
        for outputs in self.mini_batches():
            for number, (output, after) in enumerate(outputs):
                is_sequence[number] = after is not None
                found[number] += [output] if after is None else unpack(output, after)
        return [
            (parts[0] if self._is_single else parts) if sequences else _joined(parts)
            for parts, sequences in zip(found, is_sequence, strict=True)
        ]

    def mini_batches(self) -> Iterator[list[Output]]:
        """Yield for each mini-batch the outputs, and the lengths of those that are packed sequences."""
        for predictors in self._sources:
            self._is_single = predictors.is_single and not self._is_stream
            pieces = None
            if self._length is not None:
                pieces = Pieces(predictors, self._length, self._where.replace(": X", ": SequenceLength"))
            for start in range(0, len(predictors), self._size):
                index = slice(start, start + self._size)
                values = self._values_for(index, len(predictors))
                if pieces is not None:
                    yield self._in_pieces(pieces, np.arange(len(predictors))[index], values)
                    continue
                yield self._ran(predictors, index, values)
                self._keep_states()

    def _ran(self, predictors: Any, index: Any, values: Mapping[Key, np.ndarray]) -> list[Output]:
        """Return the outputs of one mini-batch."""
        batch, lengths = predictors.batch(index), predictors.lengths(index)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # NaN in the data shows
            self._plan.forward(batch, values, lengths=lengths)
        numbers = range(len(self._plan.program.outputs))
        return [(self._plan.output(batch, n).copy(), self._plan.output_lengths(n)) for n in numbers]

    def _in_pieces(self, pieces: Pieces, observations: np.ndarray, values: Mapping[Key, np.ndarray]) -> list[Output]:
        """Return the outputs of a mini-batch whose sequences come in pieces, with the states carried on.

        Sequences that are put out are joined; of all else the last piece of each observation counts.
        """
        here = np.arange(len(observations))
        states: dict[Key, np.ndarray] = {}
        last: dict[Key, np.ndarray] = {}
        found: list[list[list[np.ndarray]]] = [[[] for _ in observations] for _ in self._plan.program.outputs]
        are_sequences = [False] * len(found)
        for piece in pieces.of(observations):
            if piece.rows is not None:
                here = here[piece.rows]
                values = {**values, **self._values_of_custom()}
                values.update({key: np.ascontiguousarray(state[piece.rows]) for key, state in states.items()})
            for number, (output, after) in enumerate(self._ran(pieces.predictors, piece.numbers, values)):
                are_sequences[number] = after is not None
                parts = output[:, np.newaxis] if after is None else np.split(output, np.cumsum(after)[:-1])
                for place, part in zip(here, parts, strict=True):
                    found[number][place] = [*found[number][place], part] if after is not None else [part]
            states = states_behind(self._plan, self._states)
            for key, state in states.items():
                last.setdefault(key, np.zeros((len(observations), *state.shape[1:]), state.dtype))[here] = state
        self._keep_states(last)
        return [_whole(parts, is_sequence) for parts, is_sequence in zip(found, are_sequences, strict=True)]

    def _values_of_custom(self) -> dict[Key, np.ndarray]:
        """Return the states of custom layers behind the piece before, of the shape that they had."""
        found = custom_states(self._plan)
        return {key: each for key, each in found.items() if each.shape == self._values[key].shape}

    def finish(self, successor: Resolved | None = None) -> None:
        """Keep the plan for the next prediction: nothing is asked for any more.

        ``successor`` is the same network with the states behind the data: the plan is for that one then.
        """
        if successor is None:
            prepared.give(self._network, self._ready)
        elif not custom_states(self._plan):
            prepared.give(successor, self._ready.with_states(successor, self._states))

    def states(self) -> dict[Key, np.ndarray]:
        """Return the states behind the data that `output` has seen, (units, N)."""
        recurrent = {key: np.concatenate(parts).T for key, parts in self._found.items()}
        return {**recurrent, **custom_states(self._plan)}

    def _values_for(self, index: slice, count: int) -> Mapping[Key, np.ndarray]:
        """Return the parameters, with the states of the observations ``index``."""
        if not self._states:
            return self._values
        values = dict(self._values)
        for key in self._states:
            state = values[key]
            if state.shape[1] == 1:
                continue  # one state for all observations
            if state.shape[1] != count or self._is_stream:
                came = "mini-batches" if self._is_stream else f"{count}"
                raise DataError(
                    f"{self._where}: the network has states of {state.shape[1]} observations, but there are {came}. "
                    "Use resetState."
                )
            values[key] = np.ascontiguousarray(state.T[index])
        return values

    def _keep_states(self, states: Mapping[Key, np.ndarray] | None = None) -> None:
        for key, value in (states_behind(self._plan, self._states) if states is None else states).items():
            self._found[key].append(value)
        if self._carries:
            self._values = {**self._values, **self._values_of_custom()}


def _whole(parts: Sequence[Sequence[np.ndarray]], is_sequence: bool) -> Output:
    """Return the output of a mini-batch from what came for each of its observations."""
    if not is_sequence:
        return _joined([each for (each,) in parts]), None
    return np.concatenate([each for row in parts for each in row]), np.array([sum(map(len, row)) for row in parts])


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the outputs of all mini-batches; zeros fill those whose size depends on the longest sequence."""
    if len({part.shape[1:] for part in parts}) < 2:
        return np.concatenate(parts)
    largest = np.max([part.shape for part in parts], axis=0)[1:]
    return np.concatenate(
        [np.pad(p, [(0, 0), *((0, n - m) for n, m in zip(largest, p.shape[1:], strict=True))]) for p in parts]
    )


def states_behind(plan: StepPlan, keys: Collection[Key]) -> dict[Key, np.ndarray]:
    """Return the states (N, units) behind the mini-batch that ``plan`` ran last, of those in ``keys`` that change."""
    return {
        (node.name, state): getattr(saved, field)
        for node, saved in zip(plan.program.nodes, plan.saved, strict=False)
        for state, field in STATE_FIELDS.items()
        if (node.name, state) in keys
    }


def custom_states(plan: StepPlan) -> dict[Key, np.ndarray]:
    """Return the states that custom layers have returned for the mini-batch that ``plan`` ran last."""
    return {
        (node.name, name): value
        for node, saved in zip(plan.program.nodes, plan.saved, strict=False)
        if node.is_custom
        for name, value in saved.states.items()
    }


def changing_states(layer: Layer) -> list[str]:
    """Return the states of a recurrent layer, which are one for each observation behind the data."""
    return [] if isinstance(layer, CustomLayer) else [state for state in layer.states if state in STATE_FIELDS]


def _sources(
    network: Resolved,
    X: Any,  # noqa: N803
    where: str,
    keep: str,
) -> Iterable[inputs.Source]:
    """Return the mini-batches of data; of an iterable one source for each of its mini-batches, made when it comes."""
    if not is_stream(X):
        return [predictors_for(network, X, where, keep)]
    of_sequences = network.input_layers[0].size().is_sequence
    batches = inputs_of_batches(X, len(network.input_layers), where, of_sequences=of_sequences)
    return (predictors_for(network, batch, name, keep) for batch, name in batches)


def kept_steps(options: Declared) -> str:
    """Return which time steps SequenceLength and SequencePaddingDirection keep, see `Steps` of the sequences."""
    if "SequenceLength" not in options.table.options or options.SequenceLength != "shortest":
        return "all"
    return "first" if options.SequencePaddingDirection == "right" else "last"


def predictors_for(
    network: Resolved,
    X: Any,  # noqa: N803
    where: str,
    keep: str = "all",
) -> inputs.Source:
    """Return ``X`` as mini-batches for the input layers of a network; ``keep`` is for sequences, see `Steps`."""
    layers = network.input_layers
    names = [layer.Name for layer in layers]
    X = encoded(layers, X, where)  # noqa: N806
    if is_table(X) and len(layers) == 1:
        size = layers[0].size()
        X = prediction_table(X, size.format, size.channels, where)  # noqa: N806
    if isinstance(X, Datastore):
        return _from_datastore(layers, X, where, keep)
    if len(layers) == 1:
        return _predictors(layers[0], X, where, keep)
    given = [X[name] for name in names] if isinstance(X, Mapping) and set(X) == set(names) else X
    if isinstance(given, Mapping) or not isinstance(given, (list, tuple)) or len(given) != len(layers):
        came = f"{len(given)} entries" if isinstance(given, (list, tuple)) else describe(given)
        raise DataError(
            f"{where}: needs one entry for each of the {len(layers)} inputs {', '.join(names)}, but got {came}. "
            f"Give ({', '.join(f'X{number}' for number in range(1, len(layers) + 1))})."
        )
    parts = [
        _predictors(layer, entry, f"{where} for '{layer.Name}'", keep)
        for layer, entry in zip(layers, given, strict=True)
    ]
    return inputs.Inputs(parts, names, where)


def _from_datastore(layers: Sequence[InputLayer], datastore: Datastore, where: str, keep: str) -> inputs.Source:
    """Return the first columns of a datastore; sequences, whose lengths have to be known, are read at once."""
    rows = Rows(datastore, len(layers), where)
    parts: list[inputs.Part] = []
    for column, layer in enumerate(layers):
        if layer.size().is_sequence:
            values, _ = rows.column(column, slice(None))
            parts.append(_predictors(layer, values, where, keep))
        else:
            function = layer.Normalization if callable(layer.Normalization) else None
            size, options = layer.size(), {"split_complex": layer.SplitComplexInputs, "function": function}
            parts.append(
                DatastorePredictors(rows, column, size.format, size.dims, augmentation=layer.augmentation(), **options)
            )
    return parts[0] if len(parts) == 1 else inputs.Inputs(parts, [layer.Name for layer in layers], where)


def _predictors(
    layer: InputLayer,
    X: Any,  # noqa: N803
    where: str,
    keep: str,
) -> Predictors | SequencePredictors:
    function = layer.Normalization if callable(layer.Normalization) else None
    size, split = layer.size(), layer.SplitComplexInputs
    if isinstance(layer, general_input.InputLayer):
        X = layer.arranged(X)  # noqa: N806
    if size.is_sequence:
        return SequencePredictors(
            X,
            size.dims,
            split_complex=split,
            function=function,
            min_length=layer.MinLength,
            of=f" of '{layer.Name}'",
            keep=keep,
            where=where,
        )
    return Predictors(
        X,
        size.format,
        size.dims,
        split_complex=split,
        function=function,
        augmentation=layer.augmentation(),
        where=where,
    )
