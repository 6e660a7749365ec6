"""The training loop: mini-batches, gradients, steps of the solver, validation, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.program import Key, StepPlan
from mlnet.errors import TrainingError
from mlnet.network.compile import training_program
from mlnet.network.resolve import Resolved
from mlnet.randomness import Generators
from mlnet.training import snapshot
from mlnet.training.caller import caller
from mlnet.training.checkpoints import Checkpoint
from mlnet.training.interruption import Interruption
from mlnet.training.judging import CRITERION, Best, Judge
from mlnet.training.loading import Loaded, Loader
from mlnet.training.metering import Result
from mlnet.training.options import TrainingOptions
from mlnet.training.order import Epoch, MiniBatch, MiniBatches
from mlnet.training.parameters import Parameters
from mlnet.training.progress import Progress
from mlnet.training.schedules import LearnRate
from mlnet.training.solvers import make_solver
from mlnet.training.splitting import CarriedStates, SplitData
from mlnet.training.statistics import (
    MovingStatistics,
    exact_population_statistics,
    keep_states,
    population_statistics,
)
from mlnet.training.validation import DataSet, MakesObjective, Objective, Validator, put_out

COMPLETED = "Max epochs completed"


class Trainer:
    """One training of one network.

    Parameters
    ----------
    network : Resolved
        Layers with all learnables set.
    engine : Engine
    data : DataSet
        The training set.
    validation : DataSet or None
    options : TrainingOptions
    generators : Generators
        Randomness of the order and of dropout.
    report : callable
        Takes the `Progress` of each iteration and returns why to stop, or ''.
    checkpoint : callable, optional
        Takes the trainer after each iteration, and whether a checkpoint is to be written ``at_once``.
    make_objective : callable, optional
        Makes the loss of the network and its metrics; by default those of its output layer.
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
        self.objective = make_objective(network, engine, options)
        self.parameters = Parameters(network.layers)
        self.history: list[Progress] = []
        self._data, self.generators, self._report, self._checkpoint = data, generators, report, checkpoint
        self.count = len(data.predictors)
        self._plan = engine.in_precision(options.Precision).plan(engine.fuse(training_program(network)))
        self._plan.gradient_room = self.parameters.gradients
        self._loss_workspace = Workspace()
        self.solver = make_solver(options, self.parameters)
        self.moving = MovingStatistics(network, self._plan)
        validator = (
            Validator(network, engine, self.objective, validation, options.MiniBatchSize) if validation else None
        )
        self._judge = Judge(options, self.objective, validator)
        length = options.SequenceLength
        split = None if isinstance(length, str) else SplitData(data, length)
        size = min(options.MiniBatchSize, len(data.predictors))
        self._mini_batches = MiniBatches(data, size, options.MaxEpochs, options.Shuffle, generators.shuffle, split)
        in_background = options.DispatchInBackground or options.PreprocessingEnvironment != "serial"
        self.loader = Loader(int(generators.augmentation.integers(2**31)), in_background=in_background)
        self.carried = CarriedStates(network) if split is not None else None
        self.last: MiniBatch | None = None
        self._rate = LearnRate(options, None if split is not None else self.count // size)
        self.output_iteration = 0
        self.first: Progress | None = None
        self._started = time.perf_counter()

    @property
    def best(self) -> Best:
        """The best validation so far."""
        return self._judge.best

    def run(self) -> str:
        """Train, and return why training ended.

        Ctrl-C lets the iteration end and the checkpoint be written before it raises KeyboardInterrupt; a second one
        raises at once.
        """
        self.first = None if self.history else self._judge.first(self._rate(1, 1), self.values)
        if self.first is not None:
            self.first.seconds = time.perf_counter() - self._started
            self._report(self.first)
        with Interruption() as interruption:
            for progress in self.iterations():
                reason = self._report(progress)
                if self._checkpoint is not None:
                    self._checkpoint(self, at_once=interruption.asked)
                interruption.raise_if_asked()
                if reason:
                    return reason
                if self._judge.has_waited:
                    return CRITERION
        return COMPLETED

    def iterations(self) -> Iterator[Progress]:
        """Run one mini-batch after another, and yield where training stands."""
        for loaded in self.loader(self._mini_batches):
            self.last = loaded.mini_batch
            epoch, iteration = self.last.epoch.number, len(self.history) + 1
            rate = self._rate(epoch, iteration)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the loss tells, see `_diverged`
                result = self._step(loaded, rate, iteration)
            progress = Progress(epoch, iteration, 0.0, rate, *result[:2], training_more=result.more)
            if self._judge.is_time(iteration, is_last=self.last.is_last):
                self._judge(progress, self.values)
            progress.seconds = time.perf_counter() - self._started
            self.history.append(progress)
            yield progress

    def go_on(self, epoch: Epoch, start: int, piece: int) -> None:
        """Go on behind a mini-batch of an earlier run; `mlnet.training.snapshot` has restored the rest."""
        self._mini_batches.go_on(epoch, start, piece)
        self.last = MiniBatch(epoch, start, piece, self._data, slice(0), None, False, False)
        self._started -= self.history[-1].seconds if self.history else 0

    def snapshot(self) -> dict[str, Any]:
        """Return where this training stands, as plain values."""
        return snapshot.snapshot(self)

    def restore(self, state: dict[str, Any], where: str) -> None:
        """Go on behind a snapshot; raise `DataError` where it does not belong to this training."""
        snapshot.restore(self, state, where)

    def final_values(self) -> dict[Key, np.ndarray]:
        """Return the learnables and the statistics for prediction of the network that training returns."""
        values = self.values()
        self.output_iteration = len(self.history)
        if self.best.values:
            values, self.output_iteration = self.best.values, self.best.iteration
        kind = self.options.BatchNormalizationStatistics
        if kind != "moving":
            compute = exact_population_statistics if kind == "population-exact" else population_statistics
            values = {**values, **compute(self.network, self.engine, values, self._all_batches)}
        return values

    def values(self) -> dict[Key, np.ndarray]:
        """Return the learnables as they are, and the moving statistics."""
        return {**self.parameters.values, **self.moving.values}

    def validate(self, values: dict[Key, np.ndarray]) -> Result | None:
        """Return loss and metric on the validation set, or None where there is none."""
        return self._judge.validate(values)

    def _all_batches(self) -> Iterator[tuple[Any, Any]]:
        """Yield the whole training set in the order of the last epoch, an incomplete last mini-batch included."""
        for start, index in self._mini_batches.in_order_of(self.last.epoch if self.last else None):
            yield self.loader.predictors(self._data, index, 0, start)

    def _step(self, loaded: Loaded, rate: float, iteration: int) -> Result:
        """Run one mini-batch forward and backward and change the parameters."""
        options, parameters = self.options, self.parameters
        x, targets, lengths = loaded.x, loaded.targets, loaded.lengths
        values: dict[Key, np.ndarray] = parameters.values
        if self.carried is not None:
            values = {**values, **self.carried.before(loaded.mini_batch.rows)}
        self._plan.forward(x, values, self.generators.dropout, lengths=lengths)
        z, after = put_out(self._plan, x)
        result, scores, saved = self.objective.evaluate(z, targets, self._loss_workspace, after)
        if not math.isfinite(result.loss):
            at = f"iteration {iteration} (epoch {loaded.mini_batch.epoch.number})"
            raise TrainingError(diverged(self._plan, result.loss, at, self.objective.advice))
        result = self.objective.meters.of(result, scores, targets)
        gradients, _ = self._plan.backward(
            self.objective.gradient(saved, self._loss_workspace), parameters.gradients.keys()
        )
        parameters.set_gradients(gradients)
        if math.isinf(options.GradientThreshold):
            self.solver.step(rate, options.L2Regularization)
        else:
            parameters.add_l2(options.L2Regularization)
            parameters.clip(options.GradientThreshold, options.GradientThresholdMethod)
            self.solver.step(rate)
        self.moving.update(self._plan)
        keep_states(self._plan, parameters.values)
        if self.carried is not None:
            self.carried.keep(self._plan)
        return result


def diverged(plan: StepPlan, loss: float, at: str, advice: str) -> str:
    """Return a message that names the first layer whose output is not finite; ``advice`` is for none."""
    fix = "Lower InitialLearnRate, or set GradientThreshold=1."
    for owner, value in zip(plan.program.owners, plan.values, strict=True):
        if not np.isfinite(value).all():
            node = plan.program.nodes[owner]
            name = node.name
            if node.is_of_users:
                fix = "Its code has made NaN or Inf of finite numbers, e.g. by dividing by 0 or log of 0."
            return f"{caller()}: the output of layer '{name}' is not finite at {at}, the loss is {loss}. {fix}"
    return f"{caller()}: the loss is {loss} at {at}. {advice}"
