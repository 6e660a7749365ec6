"""Training with all observations in each step: the solvers 'lbfgs' and 'lm'.

The loss is the mean over all observations plus ``L2Regularization / 2 * sum of L2Factor * value^2``. It is computed in
double precision, in pieces of `PIECE` observations, so that memory stays bounded. Layers that normalize by the
mini-batch are what they are meant to be with all data only, so a network with such layers takes them in one piece;
validation takes moving averages of their statistics, as with the other solvers.
Random layers draw the same in each pass: otherwise the loss would not be a function of the parameters.

A learn-rate factor f of a parameter works as in the other solvers, on steps along the gradient: the solvers see
``value / sqrt(f)``. With a factor of 0 a parameter stays as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.program import Key, StepPlan
from mlnet.engines.select import engine_named
from mlnet.errors import NetworkError, NotSupportedError, TrainingError
from mlnet.layers.per_channel import PopulationLayer
from mlnet.network.compile import training_program
from mlnet.network.resolve import Resolved
from mlnet.randomness import Generators
from mlnet.training.caller import caller
from mlnet.training.checkpoints import Checkpoint
from mlnet.training.full_batch import snapshot as full_batch_snapshot
from mlnet.training.full_batch.lbfgs import LBFGS, Point
from mlnet.training.full_batch.levenberg_marquardt import LevenbergMarquardt
from mlnet.training.interruption import Interruption
from mlnet.training.judging import CRITERION, Best, Judge
from mlnet.training.loading import Loader
from mlnet.training.metering import Result
from mlnet.training.options import TrainingOptions, TrainingOptionsLM
from mlnet.training.order import MiniBatch
from mlnet.training.parameters import Parameters
from mlnet.training.progress import Progress
from mlnet.training.statistics import (
    MovingStatistics,
    exact_population_statistics,
    keep_states,
    population_statistics,
)
from mlnet.training.validation import DataSet, MakesObjective, Objective, Validator, put_out

PIECE = 512
"""Observations that are computed at once."""
LARGEST = 5000
"""Trained parameters that 'lm' takes; the time of a step grows with their third power."""

BY_GRADIENT = "Gradient tolerance reached"
BY_STEP = "Step tolerance reached"
BY_ITERATIONS = "Reached maximum iterations"


class FullBatchTrainer:
    """One training of one network with all observations in each step.

    Parameters
    ----------
    network : Resolved
        Layers with all learnables set.
    engine : Engine
        For the statistics of the trained network; the training itself computes in double precision, by the reference.
    data : DataSet
    validation : DataSet or None
    options : TrainingOptionsLBFGS or TrainingOptionsLM
    generators : Generators
    report : callable
        Takes the `Progress` of each iteration and returns why to stop, or ''.
    checkpoint : callable, optional
        Takes the trainer after each iteration, and whether a checkpoint is to be written ``at_once``.
    make_objective : callable, optional
        Makes the loss of the network and its metrics; by default those of its output layer.

    Raises
    ------
    NetworkError
        Where nothing is trained, or 'lm' gets a network that has no sum of squares as its loss.
    NotSupportedError
        Where a network is too large for 'lm'.
    """

    def __init__(
        self,
        network: Resolved,
        engine: Engine,
        data: DataSet,
        validation: DataSet | None,
        options: TrainingOptions,
        generators: Generators,
        report: Callable[[Progress], str],
        checkpoint: Checkpoint | None = None,
        make_objective: MakesObjective = Objective.of,
    ) -> None:
        self.network, self.engine, self.options = network, engine, options
        exact = engine_named("numpy")
        self.objective = make_objective(network, exact, options)
        self.parameters = Parameters(network.layers, np.float64)
        self.history: list[Progress] = []
        self.output_iteration = 0
        self._data, self._report, self._checkpoint = data, report, checkpoint
        self.count = len(data.predictors)
        self._dropout, self.drawn = generators.dropout, generators.dropout.bit_generator.state
        self._plan = StepPlan(exact, training_program(network))
        self._workspace = Workspace()
        self.moving = MovingStatistics(network, self._plan)
        self.loader = Loader(int(generators.augmentation.integers(2**31)), in_background=False, dtype=np.float64)
        is_whole = self.objective.needs_all or any(isinstance(layer, PopulationLayer) for layer in network.layers)
        self._piece = len(data.predictors) if is_whole else PIECE
        self._kept: dict[int, tuple[Any, Any, np.ndarray]] = {}
        self._factors, self._l2 = _by_parameter(self.parameters, options.L2Regularization)
        if not self._factors.size:
            raise NetworkError(f"{caller()}: the network has no parameters to train: all LearnRateFactors are 0.")
        validator = Validator(network, exact, self.objective, validation, PIECE) if validation else None
        self._judge = Judge(options, self.objective, validator)
        is_lm = isinstance(options, TrainingOptionsLM)
        if is_lm:
            _check_least_squares(self.objective, self.parameters)
        self.solver: LBFGS | LevenbergMarquardt = (
            LevenbergMarquardt(options, self._products) if is_lm else LBFGS(options)
        )
        self.point: Point | None = None
        self.last: MiniBatch | None = None
        self.first_norm = math.nan
        self.first: Progress | None = None
        self._started = time.perf_counter()

    @property
    def best(self) -> Best:
        """The best validation so far."""
        return self._judge.best

    def go_on(self, point: Point, first_norm: float, history: list[Progress]) -> None:
        """Go on behind an iteration of an earlier run; `mlnet.training.full_batch.snapshot` has restored the rest."""
        self.point, self.first_norm, self.history = point, first_norm, history
        self._place(point.place)
        self._started -= history[-1].seconds

    def snapshot(self) -> dict[str, Any]:
        """Return where this training stands, as plain values."""
        return full_batch_snapshot.snapshot(self)

    def restore(self, state: dict[str, Any], where: str) -> None:
        """Go on behind a snapshot; raise `DataError` where it does not belong to this training."""
        full_batch_snapshot.restore(self, state, where)

    def run(self) -> str:
        """Train, and return why training ended.

        Ctrl-C lets the iteration end and the checkpoint be written before it raises KeyboardInterrupt.
        """
        with Interruption() as interruption, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self.point is None:
                self.point = self._evaluate(self.parameters.flat_values / self._factors)
                self.first_norm = float(np.linalg.norm(self.point.gradient))
            if not math.isfinite(self.point.loss):
                raise TrainingError(f"{caller()}: the loss is {self.point.loss} at the beginning. Change the values.")
            self.first = None if self.history else self._judge.first(math.nan, self.values)
            if self.first is not None:
                self.first.seconds = time.perf_counter() - self._started
                self._report(self.first)
            while not (reason := self._reason_to_end()):
                after = self.solver.step(self.point, self._evaluate)
                if after is None:
                    self._place(self.point.place)
                    return self.solver.failure
                change = float(np.linalg.norm(after.place - self.point.place))
                self.point = after
                reason = self._report(self._progress(len(self.history) + 1, after, change))
                if self._checkpoint is not None:
                    self._checkpoint(self, at_once=interruption.asked)
                interruption.raise_if_asked()
                if reason:
                    return reason
                if self._judge.has_waited:
                    return CRITERION
        return reason

    def _reason_to_end(self) -> str:
        """Return why there is no further step from where training stands, or ''."""
        assert self.point is not None
        if self._is_flat(self.point):
            return BY_GRADIENT
        if self.history and self.history[-1].step_norm <= self.options.StepTolerance:
            return BY_STEP
        return BY_ITERATIONS if len(self.history) >= self.options.MaxIterations else ""

    def final_values(self) -> dict[Key, np.ndarray]:
        """Return the learnables and the statistics for prediction of the network that training returns."""
        values, self.output_iteration = self.values(), len(self.history)
        if self._judge.best.values:
            values, self.output_iteration = self._judge.best.values, self._judge.best.iteration
        values = {key: value.astype(np.float32) for key, value in values.items()}
        kind = self.options.BatchNormalizationStatistics
        if kind != "moving":
            compute = exact_population_statistics if kind == "population-exact" else population_statistics
            values |= compute(self.network, self.engine, values, self._batches)
        return values

    def values(self) -> dict[Key, np.ndarray]:
        """Return the learnables as they are, and the moving statistics."""
        return {**self.parameters.values, **self.moving.values}

    def validate(self, values: dict[Key, np.ndarray]) -> Result | None:
        """Return loss and metrics on the validation set, or None where there is none."""
        return self._judge.validate(values)

    def _is_flat(self, point: Point) -> bool:
        norm = float(np.linalg.norm(point.gradient))
        return norm <= self.options.GradientTolerance * max(1.0, min(abs(point.loss), self.first_norm))

    def _progress(self, iteration: int, point: Point, change: float) -> Progress:
        """Take over the parameters of a point, and return where training stands."""
        self._place(point.place)
        self.moving.update(self._plan)
        keep_states(self._plan, self.parameters.values)
        result: Result = point.record
        progress = Progress(iteration, iteration, 0.0, math.nan, *result[:2], training_more=result.more)
        progress.gradient_norm, progress.step_norm = float(np.linalg.norm(point.gradient)), change
        is_last = iteration == self.options.MaxIterations
        if self._judge.is_time(iteration, is_last=is_last):
            self._judge(progress, self.values)
        progress.seconds = time.perf_counter() - self._started
        self.history.append(progress)
        return progress

    def _place(self, place: np.ndarray) -> None:
        np.multiply(place, self._factors, out=self.parameters.flat_values)

    def _evaluate(self, place: np.ndarray) -> Point:
        """Return loss and gradient over all the data at ``place``, with the metrics of it."""
        self._place(place)
        parameters, average = self.parameters, self.objective.average()
        gradient = np.zeros_like(parameters.flat_values)
        total = 0
        for weights, result, scores, targets, saved in self._passes():
            average.add(result, weights, scores, targets)
            found, _ = self._plan.backward(self.objective.gradient(saved, self._workspace), parameters.gradients.keys())
            parameters.set_gradients(found)
            gradient += weights[0] * parameters.flat_gradients
            total += weights[0]
        result = average.result()
        theta = parameters.flat_values
        loss = result.loss + 0.5 * float(self._l2 @ (theta * theta))
        return Point(place, loss, (gradient / total + self._l2 * theta) * self._factors, result)

    def _passes(self) -> Iterator[tuple[tuple[int, int], Result, np.ndarray, np.ndarray, Any]]:
        """Run the data forward, piece by piece."""
        self._dropout.bit_generator.state = self.drawn
        for number in range(-(-len(self._data.predictors) // self._piece)):
            x, lengths, targets = self._read(number)
            self._plan.forward(x, self.parameters.values, self._dropout, lengths=lengths)
            z, after = put_out(self._plan, x)
            result, scores, saved = self.objective.evaluate(z, targets, self._workspace, after)
            observations = min(self._piece, len(self._data.predictors) - number * self._piece)
            yield self.objective.counts(targets, observations, after), result, scores, targets, saved

    def _products(self, place: np.ndarray) -> np.ndarray:
        """Return J'J at ``place``, J the derivatives of the residuals, each times the root of its share in the loss.

        A pass back for each number that the network puts out gives its derivatives; only the products are kept.
        """
        self._place(place)
        keys, rows, total = self.parameters.gradients.keys(), [], 0
        products = np.diag(self._l2 * self._factors**2)
        parts: np.ndarray = np.zeros_like(products)
        for weights, _, scores, _, saved in self._passes():
            share = np.broadcast_to(self.objective.residual_shares(saved), scores.shape).ravel() * weights[0]
            d_scores = np.zeros(scores.size)
            for number in range(scores.size):
                d_scores[number] = math.sqrt(share[number])
                found, _ = self._plan.backward(d_scores.reshape(scores.shape), keys)
                d_scores[number] = 0
                self.parameters.set_gradients(found)
                rows.append(self.parameters.flat_gradients * self._factors)
                if len(rows) == 256 or number == scores.size - 1:
                    jacobian = np.stack(rows)
                    parts += jacobian.T @ jacobian
                    rows = []
            total += weights[0]
        return products + parts / total

    def _read(self, number: int) -> tuple[Any, Any, np.ndarray]:
        if number in self._kept:
            return self._kept[number]
        start, count = number * self._piece, len(self._data.predictors)
        index = slice(start, min(start + self._piece, count))
        x, lengths = self.loader.predictors(self._data, index, 1, start)
        targets = self._data.targets.batch(index, np.float64)
        if self._piece >= count:
            self._kept[number] = x, lengths, targets
        return x, lengths, targets

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        for number in range(-(-len(self._data.predictors) // self._piece)):
            x, lengths, _ = self._read(number)
            yield (
                (x.astype(np.float32) if isinstance(x, np.ndarray) else [each.astype(np.float32) for each in x]),
                lengths,
            )


def _by_parameter(parameters: Parameters, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each trained number the root of its learn-rate factor, and the factor of its L2 penalty."""
    factors, penalties = np.ones_like(parameters.flat_values), np.zeros_like(parameters.flat_values)
    for where, learn_rate_factor, l2_factor in parameters.segments:
        factors[where] = math.sqrt(learn_rate_factor)
        penalties[where] = l2 * l2_factor
    return factors, penalties


def _check_least_squares(objective: Objective, parameters: Parameters) -> None:
    if not objective.is_least_squares:
        raise NetworkError(f"{objective.least_squares_message} Use 'lbfgs'.")
    if parameters.flat_values.size > LARGEST:
        raise NotSupportedError(
            f"{caller()}: the solver 'lm' takes networks of up to {LARGEST} trained parameters, but this one has "
            f"{parameters.flat_values.size}. Use 'lbfgs'."
        )
