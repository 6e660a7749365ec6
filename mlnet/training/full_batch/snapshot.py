"""Where a training with all data in each step stands, as plain values; see `mlnet.training.snapshot`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mlnet.errors import DataError
from mlnet.training.full_batch.lbfgs import LBFGS, Point
from mlnet.training.progress import Progress
from mlnet.training.snapshot_values import (
    DAMAGED,
    check,
    common,
    damaged,
    keyed,
    moments,
    parameters,
    put_moments,
    whole,
)

if TYPE_CHECKING:
    from mlnet.training.full_batch.trainer import FullBatchTrainer


def snapshot(trainer: FullBatchTrainer) -> dict[str, Any]:
    """Return where ``trainer`` stands behind its last iteration; arrays are copies."""
    point, solver = trainer.point, trainer.solver
    assert point is not None
    is_lbfgs = isinstance(solver, LBFGS)
    pairs = solver.pairs if isinstance(solver, LBFGS) else ()
    return {
        **common(trainer, fingerprint(trainer)),
        "place": point.place.copy(),
        "loss": point.loss,
        "gradient": point.gradient.copy(),
        "first_norm": trainer.first_norm,
        "steps": np.array([s for s, _ in pairs], float),
        "changes": np.array([y for _, y in pairs], float),
        "damping": 0.0 if is_lbfgs else solver.damping,  # type: ignore[union-attr]
        "dropout": json.dumps(trainer.drawn),
    }


def restore(trainer: FullBatchTrainer, state: dict[str, Any], where: str) -> None:
    """Let ``trainer`` go on from a snapshot of a training of the same network, data and options.

    Raises
    ------
    DataError
        Where the snapshot does not belong to this training.
    """
    try:
        check(fingerprint(trainer), state, where)
        history = [Progress.from_numbers(row) for row in np.asarray(state["history"], float).tolist()]
        count = trainer.parameters.flat_values.size
        place, gradient = (np.asarray(state[name], float).reshape(count) for name in ("place", "gradient"))
        point = Point(place, float(state["loss"]), gradient)
        steps, changes = (np.asarray(state[name], float).reshape(-1, count) for name in ("steps", "changes"))
        pairs = list(zip(steps, changes, strict=True))
        first_norm, damping = float(state["first_norm"]), float(state["damping"])
        moving, best_values = moments(trainer.moving.moments, state["moving"]), keyed(state["best_values"])
        drawn, seed = json.loads(state["dropout"]), whole(state["loader_seed"])
        best = float(state["best_value"]), whole(state["best_iteration"]), whole(state["waited"])
        if not history or drawn["bit_generator"] != trainer.drawn["bit_generator"]:
            raise ValueError("no history, or a state of another generator")
    except DataError:
        raise
    except DAMAGED as error:
        raise damaged(where, error) from None
    if isinstance(trainer.solver, LBFGS):
        trainer.solver = LBFGS(trainer.options, pairs)
    else:
        trainer.solver.damping = damping
    put_moments(trainer.moving.moments, moving)
    trainer.drawn, trainer.loader.seed = drawn, seed
    trainer.best.value, trainer.best.iteration, trainer.best.waited = best
    trainer.best.values = best_values
    trainer.go_on(point, first_norm, history)


def fingerprint(trainer: FullBatchTrainer) -> dict[str, Any]:
    """Return what has to be the same in the training that goes on."""
    return {
        "solver": type(trainer.options).__name__,
        "SequenceLength": str(trainer.options.SequenceLength),
        "observations": trainer.count,
        "parameters": parameters(trainer.parameters.values),
    }
