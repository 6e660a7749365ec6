"""Values of snapshots: tables of parameters, numbered moments, and the check that they belong to a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlnet.engines.program import Key
from mlnet.errors import DataError

DAMAGED = (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError)
"""What comes of values that are no snapshot; a `DataError` of `check` is none of these."""
VERSION = 1


def check(own: Mapping[str, Any], state: dict[str, Any], where: str) -> None:
    """Raise `DataError` where a snapshot is not of the training whose fingerprint is ``own``."""
    if int(state["version"]) != VERSION:
        raise DataError(f"{where}: needs a checkpoint of version {VERSION}, but got version {state['version']}.")
    given = state["options"]
    different = [name for name, value in own.items() if str(given.get(name, value)) != str(value)]
    if different:
        raise DataError(
            f"{where}: the checkpoint belongs to another training: {', '.join(different)} differ. "
            "Give the same data and options, or train the layers of its network."
        )


def common(trainer: Any, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what snapshots of both kinds of training have: arrays are copies."""
    best = trainer.best
    return {
        "version": VERSION,
        "options": fingerprint,
        "parameters": table(trainer.parameters.values),
        "moving": {f"node{number}": dict(numbered(values)) for number, values in trainer.moving.moments.items()},
        "loader_seed": trainer.loader.seed,
        "best_value": best.value,
        "best_iteration": best.iteration,
        "best_values": table(best.values),
        "waited": best.waited,
        "history": np.array([progress.numbers() for progress in trainer.history], float),
    }


def damaged(where: str, error: Exception) -> DataError:
    """Return the error for what is no snapshot."""
    return DataError(f"{where}: the checkpoint is damaged or of another version ({error!r}).")


def parameters(values: Mapping[Key, np.ndarray]) -> str:
    """Return names and shapes of parameters, for fingerprints."""
    ordered = sorted(values.items(), key=lambda item: item[0])
    return ", ".join(f"{layer}/{name} {value.shape}" for (layer, name), value in ordered)


def table(values: Mapping[Key, np.ndarray]) -> dict[str, list[Any]]:
    """Return values by (layer, parameter) as three lists."""
    return {
        "layers": [layer for layer, _ in values],
        "names": [name for _, name in values],
        "values": [np.array(value) for value in values.values()],
    }


def whole(value: Any) -> int:
    """Return a whole number of 0 or more; raise ValueError for others."""
    number = int(value)
    if number < 0:
        raise ValueError(f"{number} in the place of a count")
    return number


def keyed(given: dict[str, Any]) -> dict[Key, np.ndarray]:
    """Return values by (layer, parameter) from the three lists of `table`."""
    rows = zip(given["layers"], given["names"], given["values"], strict=True)
    return {(str(layer), str(name)): np.asarray(value) for layer, name, value in rows}


def numbered(values: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Return copies of moments with names."""
    return [(f"moment{number}", value.copy()) for number, value in enumerate(values)]


def moments(own: Mapping[int, list[np.ndarray]], given: dict[str, Any]) -> dict[int, list[np.ndarray]]:
    """Return the moments of a snapshot in the shapes of those that a training has."""
    return {
        number: [
            np.asarray(given[f"node{number}"][name]).reshape(value.shape)
            for (name, _), value in zip(numbered(values), values, strict=True)
        ]
        for number, values in own.items()
    }


def put_moments(own: Mapping[int, list[np.ndarray]], found: Mapping[int, list[np.ndarray]]) -> None:
    """Write the moments of a snapshot, see `moments`, into those of a training."""
    for number, values in found.items():
        for mine, value in zip(own[number], values, strict=True):
            mine[...] = value
