"""Checkpoints: files from which a training goes on bit for bit, also after the process was killed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mlnet.engines.program import Key
from mlnet.errors import DataError, MlnetError, OptionError, message
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.resolve import Resolved
from mlnet.network.trained import DAGNetwork, SeriesNetwork, TrainedNetwork
from mlnet.storage import mat
from mlnet.storage.atomic import write_atomically
from mlnet.storage.files import read
from mlnet.storage.networks import decode, encode
from mlnet.training.caller import caller
from mlnet.training.options import TrainingOptions
from mlnet.training.order import MiniBatch
from mlnet.training.progress import Progress
from mlnet.training.statistics import with_values

_NAME = re.compile(r"net_checkpoint__(\d+)__(\d{4}(?:_\d\d){2}__\d\d(?:_\d\d){2})\.mat")


def _where() -> str:
    return f"{caller()}: CheckpointPath"


class Training(Protocol):
    """A training, as checkpoints see it."""

    history: list[Progress]
    last: MiniBatch | None

    def values(self) -> dict[Key, np.ndarray]:
        """Return the learnables as they are, and the moving statistics."""

    def snapshot(self) -> dict[str, Any]:
        """Return where it stands, as plain values."""


class Checkpoint(Protocol):
    """What writes checkpoints."""

    def __call__(self, trainer: Training, *, at_once: bool) -> None:
        """Write one if it is time for it."""


class Checkpoints:
    """Writes the checkpoints of a training into the folder CheckpointPath; older ones stay.

    A file ``net_checkpoint__<iteration>__<year>_<month>_<day>__<hour>_<minute>_<second>.mat`` has the variables
    ``net``, the network with its moving statistics, and ``training``, the snapshot. What goes wrong while training is
    said once, and training goes on.

    Parameters
    ----------
    network : Resolved
        Layers with all learnables set.
    kind : callable
        Makes a SeriesNetwork, DAGNetwork or dlnetwork of the layers.
    options : TrainingOptions

    Raises
    ------
    OptionError
        Where the folder is not there or cannot be written to, or a layer cannot be kept in a file.
    """

    def __init__(
        self, network: Resolved, kind: Callable[[Resolved], TrainedNetwork | dlnetwork], options: TrainingOptions
    ) -> None:
        self._network, self._kind = network, kind
        self._frequency = options.CheckpointFrequency
        self._by_iteration = options.is_full_batch or options.CheckpointFrequencyUnit == "iteration"
        self._folder = Path(os.path.abspath(options.CheckpointPath))
        self._is_said = False
        self._check(options.CheckpointPath)

    def __call__(self, trainer: Training, *, at_once: bool) -> None:
        """Write a checkpoint if it is time for one, or ``at_once``."""
        if not at_once and not self._is_time(trainer):
            return
        try:
            self._write(trainer)
        except (OSError, MlnetError, MemoryError) as error:
            if not self._is_said:
                self._is_said = True
                reason = " ".join(str(error).split()) or type(error).__name__
                print(f"{_where()}: no checkpoint at iteration {len(trainer.history)}: {reason}", flush=True)

    def _check(self, given: str) -> None:
        if not self._folder.is_dir():
            raise OptionError(message(_where(), "a folder that exists", f"{given!r}", "Make it with mkdir."))
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".net_checkpoint", suffix=".tmp"):
                pass
        except OSError as error:
            came = f"{given!r} ({error.strerror or error})"
            raise OptionError(message(_where(), "a folder that can be written to", came)) from None
        encode(self._kind(self._network), _where())

    def _is_time(self, trainer: Training) -> bool:
        if self._by_iteration:
            return len(trainer.history) % self._frequency == 0
        last = trainer.last
        return last is not None and last.ends_epoch and last.epoch.number % self._frequency == 0

    def _write(self, trainer: Training) -> None:
        values = {key: value.astype(np.float32) for key, value in trainer.values().items()}
        net = self._kind(self._network.with_layers(with_values(self._network, values)))
        parts = mat.to_bytes({"net": encode(net, _where()), "training": trainer.snapshot()}, _where())
        name = f"net_checkpoint__{len(trainer.history)}__{datetime.now():%Y_%m_%d__%H_%M_%S}.mat"
        write_atomically(self._folder / name, lambda file: [file.write(part) for part in parts])


class Found(NamedTuple):
    """A checkpoint: its file, its network, and the snapshot of its training."""

    path: Path
    net: Any
    training: dict[str, Any]

    @property
    def where(self) -> str:
        """Beginning of messages."""
        return f"{caller()}: {str(self.path)!r}"


def find_checkpoint(given: str | os.PathLike[str]) -> Found:
    """Return a checkpoint from a file, or the newest one of a folder that can be loaded.

    Raises
    ------
    DataError
        Where there is none.
    """
    path = Path(given)
    where = f"{caller()}: {str(path)!r}"
    if not path.is_dir():
        if not path.exists() and not path.suffix:
            path = path.with_name(f"{path.name}.mat")
        if not path.exists():
            raise DataError(f"{where}: there is no such checkpoint, neither a file nor a folder.")
        return _loaded(path)
    named = [(found[2], int(found[1]), each) for each in path.iterdir() if (found := _NAME.fullmatch(each.name))]
    reasons = []
    for _, _, each in sorted(named, reverse=True):
        try:
            return _loaded(each)
        except DataError as error:
            reasons.append(str(error))
    if reasons:
        raise DataError(f"{where}: none of the {len(reasons)} checkpoints in this folder can be loaded. {reasons[0]}")
    raise DataError(f"{where}: there are no checkpoints (net_checkpoint__*.mat) in this folder.")


def _loaded(path: Path) -> Found:
    where = f"{caller()}: {str(path)!r}"
    variables = read(path, where)
    net, training = variables.get("net"), variables.get("training")
    if not isinstance(training, dict):
        fix = "Train the layers of its network: trainNetwork(X, Y, load(file).net.Layers, options)."
        raise DataError(f"{where}: has no variable 'training' to go on from; it is no checkpoint of mlnet. {fix}")
    network = decode(net, where)
    if not isinstance(network, (SeriesNetwork, DAGNetwork) if caller() == "trainNetwork" else dlnetwork):
        raise DataError(f"{where}: has no network in its variable 'net'; it is no checkpoint of mlnet.")
    return Found(path, network, training)
