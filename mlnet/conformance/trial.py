"""One layer between input and output layers, with data and parameters, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mlnet.conformance.batches import Batch, Result, d_outputs_for
from mlnet.conformance.probes import Probe, Wrapper
from mlnet.conformance.surroundings import NAME, ends_of, network_of
from mlnet.engines.base import Engine
from mlnet.engines.program import Key, Program, StepPlan
from mlnet.errors import DataError
from mlnet.layers.base import Layer, Size
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.per_channel import PopulationLayer
from mlnet.network.compile import layer_program, parameter_values
from mlnet.network.initialize import initialize
from mlnet.network.resolve import Resolved
from mlnet.network.run import predictors_for
from mlnet.training.statistics import missing_statistics, with_input_statistics

_STEPS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64)
_EXTRA_STEPS = (2, 0, 3, 1)
"""How much longer than the shortest ones sequences of uneven lengths are, again and again."""


@dataclass(frozen=True)
class Case:
    """A layer, the sizes of its inputs and the engine that computes it; ``seed`` is that of data and parameters.

    For an input layer the size is that of its data.
    """

    layer: Layer
    sizes: tuple[Size, ...]
    engine: Engine
    seed: int = 0

    @cached_property
    def network(self) -> Resolved:
        """The layer between input and output layers; raises `NetworkError` where it does not take the sizes."""
        return network_of(self.layer, self.sizes)

    @cached_property
    def inner(self) -> list[Layer]:
        """The layer with nothing left to infer; for a network layer the layers in it."""
        return [layer for layer in self.network.layers if layer.Name.split(":")[0] == NAME]

    @cached_property
    def is_random(self) -> bool:
        """Whether training draws random numbers."""
        return any(node.random for node in self.trial(training=True).program.nodes)

    @cached_property
    def normalizes_by_mini_batch(self) -> bool:
        """Whether observations of a mini-batch depend on one another in training."""
        return any(isinstance(layer, PopulationLayer) for layer in self.inner)

    @cached_property
    def has_sequences(self) -> bool:
        """Whether an input takes sequences."""
        return any(size.is_sequence for size in self.sizes)

    @cached_property
    def steps(self) -> int:
        """The number of time steps of the shortest sequences that the layer takes."""
        if not self.has_sequences:
            return 1
        for steps in _STEPS:
            try:
                self.trial(training=False).forward(self._batch([steps]))
                return steps
            except DataError as error:
                last = error
        raise last

    @cached_property
    def declared(self) -> tuple[Size, ...]:
        """The sizes of the outputs."""
        network = self.network
        return tuple(network.sizes[source.layer][source.output] for source in ends_of(network))

    def trial(self, *, training: bool) -> Trial:
        """Return what runs the layer for prediction or training."""
        return Trial(self, training=training)

    def batch(self, count: int, *, uneven: bool = True) -> Batch:
        """Return random data, float64, of ``count`` observations; sequences of uneven or of equal lengths."""
        extra = [_EXTRA_STEPS[number % len(_EXTRA_STEPS)] if uneven else 1 for number in range(count)]
        return self._batch([self.steps + more for more in extra])

    def _batch(self, lengths: list[int]) -> Batch:
        generator = np.random.default_rng([self.seed, len(lengths)])
        counts = [sum(lengths) if size.is_sequence else len(lengths) for size in self.sizes]
        shapes = [(count, *size.dims) for count, size in zip(counts, self.sizes, strict=True)]
        steps = tuple(np.array(lengths) if size.is_sequence else None for size in self.sizes)
        data = tuple(
            self._draw(n, shape, own, generator) for n, (shape, own) in enumerate(zip(shapes, steps, strict=True))
        )
        return Batch(data, steps)

    def whole(self, number: int) -> tuple[int, int] | None:
        """Return the first and last of the whole numbers that an input takes; None for all others."""
        return self.layer.whole_inputs.get(self.layer.inputs[number]) if self.layer.inputs else None

    def _draw(
        self, number: int, shape: tuple[int, ...], lengths: np.ndarray | None, generator: np.random.Generator
    ) -> np.ndarray:
        whole = self.whole(number)
        if whole is None:
            return generator.standard_normal(shape)
        drawn = generator.integers(*whole, shape, endpoint=True).astype(np.float64)
        first = np.s_[:, 0] if lengths is None else np.s_[np.cumsum(lengths) - lengths]
        drawn[first] = whole[1]  # so that no mask hides a whole observation
        return drawn

    def reseeded(self, seed: int) -> Case:
        """Return the case with other data and parameters."""
        return replace(self, seed=seed)

    @cached_property
    def parameters(self) -> dict[Key, np.ndarray]:
        """Values, float64, of all learnables and states: given ones, and otherwise near their initial ones."""
        generator = np.random.default_rng([self.seed, 99])
        network = self.network
        ready = [
            layer if isinstance(layer, InputLayer) else initialize(layer, network.input_size(index), generator)
            for index, layer in enumerate(network.layers)
        ]
        values = parameter_values(ready, np.float64)
        for index, layer in enumerate(network.layers):
            for learnable in layer.learnables:
                if not getattr(layer, learnable.name).size:
                    value = values[layer.Name, learnable.name]
                    values[layer.Name, learnable.name] = value + 0.3 * generator.standard_normal(value.shape)
            for state in layer.states:
                shape = layer.parameter_shape(state, network.input_size(index))
                if not getattr(layer, state).any():  # resolving sets those of recurrent layers to zero
                    values[layer.Name, state] = generator.uniform(0.5, 1.5, shape)
        return values

    @cached_property
    def learnable_keys(self) -> list[Key]:
        """The keys of all learnables."""
        return [(layer.Name, learnable.name) for layer in self.inner for learnable in layer.learnables]

    @cached_property
    def with_statistics(self) -> Resolved:
        """The network with the statistics of its input layers."""
        network = self.network
        if not any(isinstance(layer, InputLayer) and missing_statistics(layer, reset=False) for layer in self.inner):
            return network
        generator = np.random.default_rng([self.seed, 98])
        (size,) = self.sizes
        shape = (*size.dims, 7) if size.spatial or size.is_sequence else (7, *size.dims)
        data: Any = generator.standard_normal(shape)
        if self.layer.SplitComplexInputs:
            channel = shape.index(size.channels, len(size.spatial))
            data = data.take(range(size.channels // 2), axis=channel).astype(np.complex128) * (1 + 1j)
        predictors: Any = predictors_for(network, [data] if size.is_sequence else data, "checkLayer")
        layers = [
            with_input_statistics(layer, predictors, reset=False) if isinstance(layer, InputLayer) else layer
            for layer in network.layers
        ]
        return network.with_layers(layers)


class Trial:
    """Runs the layer of a case, each time with buffers that nothing has used unless it is given plans."""

    def __init__(self, case: Case, *, training: bool, wrapper: Wrapper | None = None) -> None:
        self.case, self.training, self._wrapper = case, training, wrapper
        network = case.with_statistics
        program = layer_program(network, ends_of(network), training=training)
        self.engine, self.program = case.engine, case.engine.fuse(program)
        if wrapper is not None:
            self.engine, self.program = Probe.around(case.engine, self.program, wrapper)
        self.parameters = case.parameters

    def wrapped(self, wrapper: Wrapper) -> Trial:
        """Return the trial with ``wrapper`` around each operation."""
        return Trial(self.case, training=self.training, wrapper=wrapper)

    def on(self, engine: Engine) -> Trial:
        """Return the trial on another engine."""
        return Trial(replace(self.case, engine=engine), training=self.training)

    def plans(self) -> list[StepPlan]:
        """Return a plan for each input: it gives the gradient of that input, which is the first one of the plan."""
        return [self.engine.plan(_exchanged(self.program, number)) for number in range(len(self.case.sizes))]

    def forward(
        self, batch: Batch, parameters: dict[Key, np.ndarray] | None = None, plan: StepPlan | None = None, seed: int = 5
    ) -> list[np.ndarray]:
        """Return the outputs."""
        return self._forward(plan or self.engine.plan(self.program), batch, 0, self._values(batch, parameters), seed)

    @property
    def has_gradients(self) -> bool:
        """Whether there is a backward: not for predict of a layer of a user whose backward needs memory of forward."""
        layers = [each for each in self.case.inner if isinstance(each, CustomLayer)]
        return self.training or not any(each.takes_memory("predict") for each in layers)

    def run(
        self,
        batch: Batch,
        d_outputs: Sequence[np.ndarray] | None = None,
        plans: list[StepPlan] | None = None,
        seed: int = 5,
    ) -> Result:
        """Return outputs and all gradients; for a random gradient of the outputs if none is given."""
        values, wanted = self._values(batch, None), self.case.learnable_keys
        outputs: list[np.ndarray] = []
        lengths: list[np.ndarray | None] = []
        inputs, gradients = [], {}
        for number, plan in enumerate(self.plans() if plans is None else plans):
            found = self._forward(plan, batch, number, values, seed)
            if number == 0:
                outputs = [output.copy() for output in found]
                lengths = [plan.output_lengths(output) for output in range(len(found))]
            if d_outputs is None:
                d_outputs = d_outputs_for(outputs)
            if not self.has_gradients:
                inputs.append(np.zeros_like(batch.data[number]))
                continue
            given = [d_output if d_output.dtype.kind == "f" else None for d_output in d_outputs]
            found_gradients, d_input = plan.backward(given, wanted if number == 0 else (), want_input=True)
            inputs.append(np.zeros_like(batch.data[number]) if d_input is None else d_input.copy())
            if number == 0:
                gradients = {key: found_gradients[key].copy() for key in wanted if key in found_gradients}
        for key in wanted:
            gradients.setdefault(key, np.zeros_like(values[key]))
        return Result(tuple(outputs), tuple(lengths), tuple(inputs), gradients)

    def _values(self, batch: Batch, parameters: dict[Key, np.ndarray] | None) -> dict[Key, np.ndarray]:
        values = self.parameters if parameters is None else parameters
        return {key: value.astype(batch.data[0].dtype) for key, value in values.items()}

    def _forward(
        self, plan: StepPlan, batch: Batch, first: int, values: dict[Key, np.ndarray], seed: int
    ) -> list[np.ndarray]:
        generator = np.random.default_rng(seed) if self.training else None
        data = _first([array.copy() for array in batch.data], first)  # one that is changed spoils this run only
        lengths = _first(batch.lengths, first)
        plan.forward(data, values, generator, lengths=lengths)
        return [plan.output(data, number) for number in range(len(plan.program.outputs))]


def _first(entries: Sequence[Any], first: int) -> tuple[Any, ...]:
    """Return ``entries`` with the first and the entry number ``first`` exchanged."""
    order = list(entries)
    order[0], order[first] = order[first], order[0]
    return tuple(order)


def _exchanged(program: Program, number: int) -> Program:
    """Return the program with the first and another of its data exchanged."""
    place = {-1: -1 - number, -1 - number: -1}
    nodes = tuple(replace(node, inputs=tuple(place.get(each, each) for each in node.inputs)) for node in program.nodes)
    return Program(nodes, tuple(place.get(each, each) for each in program.outputs))
