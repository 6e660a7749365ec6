"""What every output layer computes: a loss and its gradient."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from mlnet.conformance.checks import EXACT, SINGLE, Check
from mlnet.conformance.differences import compare_gradient, scattered
from mlnet.conformance.trial import Case
from mlnet.engines.base import Workspace
from mlnet.layers.output import ClassesOutputLayer, OutputLayer
from mlnet.training.validation import Objective


def with_loss(check: Check) -> Check:
    """Return a check that is applicable to output layers only."""

    @functools.wraps(check)
    def applied(case: Case) -> str | None:
        return check(case) if isinstance(case.layer, OutputLayer) else "Only output layers have a loss."

    return applied


class LossTrial:
    """Computes the loss of an output layer for what it takes, (N, ..., C) or packed sequences, and targets."""

    def __init__(self, case: Case, count: int = 4) -> None:
        self.objective = Objective(case.network, case.engine)
        batch = case.batch(count)
        (self.z,), (self.lengths,) = batch.data, batch.lengths
        generator = np.random.default_rng([case.seed, 97])
        self.targets: np.ndarray = generator.standard_normal(self.z.shape)
        if isinstance(case.layer, ClassesOutputLayer):
            shape = self.z.shape[:-1] if case.layer.is_pixelwise(case.sizes[0]) else self.z.shape[:1]
            if not case.layer.takes_activation:  # of a custom layer: it takes probabilities
                shares = np.exp(self.z)
                self.z = shares / shares.sum(axis=-1, keepdims=True)
            self.targets = generator.integers(0, self.z.shape[-1], shape)

    def run(self, z: np.ndarray, workspace: Workspace | None = None) -> tuple[float, np.ndarray]:
        """Return the loss, and its gradient as a copy."""
        workspace = workspace or Workspace()
        targets = self.targets if self.targets.dtype.kind == "i" else self.targets.astype(z.dtype)
        result, _, saved = self.objective.evaluate(z, targets, workspace, self.lengths)
        return result.loss, self.objective.gradient(saved, workspace).copy()


@with_loss
def check_loss_gradient(case: Case) -> None:
    """Check that the gradient of the loss agrees with central differences in double precision."""
    trial = LossTrial(case)
    _, gradient = trial.run(trial.z)
    if gradient.shape != trial.z.shape:
        raise AssertionError(f"Gradient of the loss: needs shape {trial.z.shape}, but has {gradient.shape}.")
    generator = np.random.default_rng(2)
    compare_gradient("Gradient of the loss", lambda z: trial.run(z)[0], trial.z, gradient, generator)


@with_loss
def check_loss_runs(case: Case) -> None:
    """Check that a loss is the same in single precision, from scattered arrays and used buffers, changing none."""
    trial, other = LossTrial(case), LossTrial(case, 5)
    expected, given = trial.run(trial.z), trial.z.copy()
    if not np.isfinite(expected[0]):
        raise AssertionError(f"Loss: needs a finite number, but is {expected[0]}.")
    workspace = Workspace()
    for each in (trial, other):
        each.run(each.z, workspace)
    single = trial.run(trial.z.astype(np.float32))
    if single[1].dtype != np.float32:
        raise AssertionError(f"Gradient of the loss in single precision: needs float32, but has {single[1].dtype}.")
    _close("in single precision", single, expected, SINGLE)
    _close("of non-contiguous arrays", trial.run(scattered(trial.z)), expected, EXACT)
    _close("in used buffers", trial.run(trial.z, workspace), expected, EXACT)
    if not np.array_equal(trial.z, given):
        raise AssertionError("A loss needs to leave what it takes as it is, but has changed it.")


def _close(what: str, found: Any, expected: Any, tolerance: float) -> None:
    for name, value, right in zip(("Loss", "Gradient of the loss"), found, expected, strict=True):
        error = float(np.abs(np.asarray(value, np.float64) - right).max())
        limit = tolerance * max(1e-3, float(np.abs(right).max()))
        if not error <= limit:
            raise AssertionError(f"{name} {what}: needs to agree to {limit:.2g}, but differs by {error:.2g}.")
