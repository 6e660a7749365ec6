"""Where a training stands, as plain arrays, numbers and texts, so that another run goes on bit for bit.

A snapshot is a dictionary that holds nothing but arrays, numbers, texts, and lists and dictionaries of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mlnet.engines.program import Key
from mlnet.errors import DataError
from mlnet.network.resolve import Resolved
from mlnet.rules import EMPTY, read_only
from mlnet.training.order import Epoch
from mlnet.training.progress import Progress

if TYPE_CHECKING:
    from mlnet.training.loop import Trainer

_DAMAGED = (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError)
"""What comes of values that are no snapshot."""
VERSION = 1


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """Return where ``trainer`` stands behind its last iteration; arrays are copies."""
    last = trainer.last
    assert last is not None
    best = trainer.best
    return {
        "version": VERSION,
        "options": fingerprint(trainer),
        "parameters": _table(trainer.parameters.values),
        "solver": {slot: memory.copy() for slot, memory in trainer.solver.memory.items()},
        "solver_iteration": trainer.solver.iteration,
        "moving": {f"node{number}": dict(_numbered(values)) for number, values in trainer.moving.moments.items()},
        "carried": _table({} if trainer.carried is None else trainer.carried.found),
        "epoch": last.epoch.number,
        "order": last.epoch.order.copy(),
        "start": last.start,
        "piece": last.piece,
        "shuffle": json.dumps(last.epoch.generator_state),
        "dropout": json.dumps(trainer.generators.dropout.bit_generator.state),
        "loader_seed": trainer.loader.seed,
        "best_value": best.value,
        "best_iteration": best.iteration,
        "best_values": _table(best.values),
        "waited": best.waited,
        "history": np.array([progress.numbers() for progress in trainer.history], float),
    }


def restore(trainer: Trainer, state: dict[str, Any], where: str) -> None:
    """Let ``trainer`` go on from a snapshot of a training of the same network, data and options.

    Raises
    ------
    DataError
        Where the snapshot does not belong to this training.
    """
    try:
        _check(trainer, state, where)
        history = [Progress.from_numbers(row) for row in np.asarray(state["history"], float).tolist()]
        epoch = Epoch(int(state["epoch"]), np.asarray(state["order"], np.int64).ravel(), json.loads(state["shuffle"]))
        if not np.array_equal(np.sort(epoch.order), np.arange(trainer.count)):
            raise ValueError("an order that is none")
        moving = {
            number: [np.asarray(state["moving"][f"node{number}"][name]) for name, _ in _numbered(values)]
            for number, values in trainer.moving.moments.items()
        }
        values = {slot: np.asarray(state["solver"][slot]) for slot in trainer.solver.memory}
        parameters, best_values = _keyed(state["parameters"]), _keyed(state["best_values"])
        parameters = {key: parameters[key].reshape(value.shape) for key, value in trainer.parameters.values.items()}
        dropout = json.loads(state["dropout"])
        carried = _keyed(state["carried"])
        for key, value in parameters.items():
            trainer.parameters.values[key][...] = value
        for slot, memory in values.items():
            trainer.solver.memory[slot][...] = memory.ravel()
        trainer.solver.iteration = int(state["solver_iteration"])
        for number, given in moving.items():
            for mine, value in zip(trainer.moving.moments[number], given, strict=True):
                mine[...] = value.reshape(mine.shape)
        if trainer.carried is not None:
            trainer.carried.found = carried
        trainer.generators.dropout.bit_generator.state = dropout
        trainer.loader.seed = int(state["loader_seed"])
        trainer.best.value, trainer.best.iteration = float(state["best_value"]), int(state["best_iteration"])
        trainer.best.values, trainer.best.waited = best_values, int(state["waited"])
        trainer.history = history
        trainer.go_on(epoch, int(state["start"]), int(state["piece"]))
    except DataError:
        raise
    except _DAMAGED as error:
        raise _damaged(where, error) from None


def as_started(network: Resolved, state: dict[str, Any], where: str) -> Resolved:
    """Return the network of a checkpoint with the states that its layers had when its training began.

    The network of the checkpoint has those of the moment; training tells from them how it starts.
    """
    try:
        given = _keyed(state["parameters"])
        layers = []
        for layer in network.layers:
            states = {name: given.get((layer.Name, name), EMPTY) for name in layer.states}
            layers.append(layer.replaced(**{name: read_only(value) for name, value in states.items()}))
    except _DAMAGED as error:
        raise _damaged(where, error) from None
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
        "parameters": ", ".join(f"{layer}/{name} {value.shape}" for (layer, name), value in _sorted(trainer)),
    }


def _damaged(where: str, error: Exception) -> DataError:
    return DataError(f"{where}: the checkpoint is damaged or of another version ({error!r}).")


def _sorted(trainer: Trainer) -> list[tuple[Key, np.ndarray]]:
    return sorted(trainer.parameters.values.items(), key=lambda item: item[0])


def _check(trainer: Trainer, state: dict[str, Any], where: str) -> None:
    if int(state["version"]) != VERSION:
        raise DataError(f"{where}: needs a checkpoint of version {VERSION}, but got version {state['version']}.")
    given = state["options"]
    different = [name for name, value in fingerprint(trainer).items() if str(given[name]) != str(value)]
    if different:
        raise DataError(
            f"{where}: the checkpoint belongs to another training: {', '.join(different)} differ. "
            "Give the same data and options, or train the layers of its network."
        )


def _table(values: Mapping[Key, np.ndarray]) -> dict[str, list[Any]]:
    """Return values by (layer, parameter) as three lists."""
    return {
        "layers": [layer for layer, _ in values],
        "names": [name for _, name in values],
        "values": [np.array(value) for value in values.values()],
    }


def _keyed(table: dict[str, Any]) -> dict[Key, np.ndarray]:
    rows = zip(table["layers"], table["names"], table["values"], strict=True)
    return {(str(layer), str(name)): np.asarray(value) for layer, name, value in rows}


def _numbered(values: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return [(f"moment{number}", value.copy()) for number, value in enumerate(values)]
