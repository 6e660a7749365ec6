"""Where a training stands, as plain arrays, numbers and texts, so that another run goes on bit for bit.

A snapshot is a dictionary that holds nothing but arrays, numbers, texts, and lists and dictionaries of these.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mlnet.errors import DataError
from mlnet.network.resolve import Resolved
from mlnet.rules import EMPTY, read_only
from mlnet.training.order import Epoch
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
    table,
    whole,
)

if TYPE_CHECKING:
    from mlnet.training.loop import Trainer


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """Return where ``trainer`` stands behind its last iteration; arrays are copies."""
    last = trainer.last
    assert last is not None
    return {
        **common(trainer, fingerprint(trainer)),
        "solver": {slot: memory.copy() for slot, memory in trainer.solver.memory.items()},
        "solver_iteration": trainer.solver.iteration,
        "carried": table({} if trainer.carried is None else trainer.carried.found),
        "epoch": last.epoch.number,
        "order": last.epoch.order.copy(),
        "start": last.start,
        "piece": last.piece,
        "shuffle": json.dumps(last.epoch.generator_state),
        "dropout": json.dumps(trainer.generators.dropout.bit_generator.state),
    }


def restore(trainer: Trainer, state: dict[str, Any], where: str) -> None:
    """Let ``trainer`` go on from a snapshot of a training of the same network, data and options.

    Raises
    ------
    DataError
        Where the snapshot does not belong to this training.
    """
    try:
        check(fingerprint(trainer), state, where)
        history = [Progress.from_numbers(row) for row in np.asarray(state["history"], float).tolist()]
        epoch = Epoch(int(state["epoch"]), np.asarray(state["order"], np.int64).ravel(), json.loads(state["shuffle"]))
        if not np.array_equal(np.sort(epoch.order), np.arange(trainer.count)):
            raise ValueError("an order that is none")
        moving = moments(trainer.moving.moments, state["moving"])
        values = {slot: np.asarray(state["solver"][slot]) for slot in trainer.solver.memory}
        given, best_values = keyed(state["parameters"]), keyed(state["best_values"])
        given = {key: given[key].reshape(value.shape) for key, value in trainer.parameters.values.items()}
        dropout = json.loads(state["dropout"])
        carried = keyed(state["carried"])
        for key, value in given.items():
            trainer.parameters.values[key][...] = value
        for slot, memory in values.items():
            trainer.solver.memory[slot][...] = memory.ravel()
        trainer.solver.iteration = whole(state["solver_iteration"])
        put_moments(trainer.moving.moments, moving)
        if trainer.carried is not None:
            trainer.carried.found = carried
        trainer.generators.dropout.bit_generator.state = dropout
        trainer.loader.seed = whole(state["loader_seed"])
        trainer.best.value, trainer.best.iteration = float(state["best_value"]), whole(state["best_iteration"])
        trainer.best.values, trainer.best.waited = best_values, whole(state["waited"])
        trainer.history = history
        trainer.go_on(epoch, whole(state["start"]), whole(state["piece"]))
    except DataError:
        raise
    except DAMAGED as error:
        raise damaged(where, error) from None


def as_started(network: Resolved, state: dict[str, Any], where: str) -> Resolved:
    """Return the network of a checkpoint with the states that its layers had when its training began.

    The network of the checkpoint has those of the moment; training tells from them how it starts.
    """
    try:
        given = keyed(state["parameters"])
        layers = []
        for layer in network.layers:
            states = {name: given.get((layer.Name, name), EMPTY) for name in layer.states}
            layers.append(layer.replaced(**{name: read_only(value) for name, value in states.items()}))
    except DAMAGED as error:
        raise damaged(where, error) from None
    return network.with_layers(layers)


def fingerprint(trainer: Trainer) -> dict[str, Any]:
    """Return what has to be the same in the training that goes on."""
    options = trainer.options
    return {
        "solver": type(options).__name__,
        "MiniBatchSize": int(options.MiniBatchSize),
        "Shuffle": options.Shuffle,
        "SequenceLength": str(options.SequenceLength),
        "observations": trainer.count,
        "parameters": parameters(trainer.parameters.values),
    }
