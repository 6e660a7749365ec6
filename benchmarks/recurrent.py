"""Time of a recurrent training step without the update, ours and PyTorch's, in one process in turns.

    python benchmarks/recurrent.py [--rounds 30] [--steps 5] [--threads N] [--engines numpy onednn]

A step is forward, loss and the gradients of all parameters. A round runs so many steps of each; the table shows the
median over the rounds, and the ratio tells how many times the better engine is faster than PyTorch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from harness import medians

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.packing import pack
from mlnet.engines.program import Node, Program
from mlnet.engines.select import ENGINES, engine_named
from mlnet.layers.base import no_lengths

CLASSES = 9


class Workload(NamedTuple):
    """A recurrent layer with its last output, a fully connected layer and the softmax cross-entropy."""

    operation: str
    channels: int
    units: int
    steps: int
    batch: int
    ragged: bool = False

    def lengths(self) -> np.ndarray:
        """Return the numbers of steps of the observations: all, or ``ragged`` from half of them on."""
        return np.linspace(self.steps // 2 if self.ragged else self.steps, self.steps, self.batch).astype(int)


WORKLOADS = {
    "LSTM 12-100, 26 steps, batch 27": Workload("lstm", 12, 100, 26, 27),
    "the same, 13 to 26 steps": Workload("lstm", 12, 100, 26, 27, ragged=True),
    "BiLSTM 12-100, 26 steps, batch 27": Workload("bilstm", 12, 100, 26, 27),
    "GRU 12-100, 26 steps, batch 27": Workload("gru", 12, 100, 26, 27),
    "LSTM 64-200, 50 steps, batch 128": Workload("lstm", 64, 200, 50, 128),
    "LSTM 300-32, 100 steps, batch 16": Workload("lstm", 300, 32, 100, 16),
}


def data(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (N, T, C) and classes (N,)."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((workload.batch, workload.steps, workload.channels)).astype(np.float32)
    return x, generator.integers(0, CLASSES, workload.batch)


def ours(workload: Workload, engine: Engine) -> Callable[[], None]:
    """Return a function that runs one step of mlnet on ``engine``."""
    generator = np.random.default_rng(0)
    gates, directions = (3 if workload.operation == "gru" else 4), (2 if workload.operation == "bilstm" else 1)
    rows, outputs = directions * gates * workload.units, directions * workload.units
    shapes = {
        "InputWeights": (rows, workload.channels),
        "RecurrentWeights": (rows, workload.units),
        "Bias": (rows, 1),
        "HiddenState": (outputs, 1),
        "CellState": (outputs, 1),
    }
    if workload.operation == "gru":
        del shapes["CellState"]
    values = {("layer", name): generator.uniform(-0.1, 0.1, shape) for name, shape in shapes.items()}
    values["fc", "Weights"] = generator.uniform(-0.1, 0.1, (CLASSES, outputs))
    values["fc", "Bias"] = np.zeros((CLASSES, 1))
    values = {key: value.astype(np.float32) for key, value in values.items()}
    wanted = {key for key in values if not key[1].endswith("State")}
    nodes = (
        Node("layer", workload.operation, (-1,), tuple(shapes), {"output_mode": "last"}, time=no_lengths),
        Node("fc", "fully_connected", (0,), ("Weights", "Bias")),
    )
    plan, loss = engine.plan(Program(nodes)), engine.losses["softmax_cross_entropy"]
    x, classes = data(workload)
    lengths, workspace = workload.lengths(), Workspace()
    packed = pack(x, lengths)

    def step() -> None:
        z = plan.forward(packed, values, lengths=lengths)
        _, _, saved = loss.forward(z, classes, workspace=workspace)
        plan.backward(loss.backward(saved, workspace=workspace), wanted)

    return step


def pytorch(workload: Workload, torch: Any) -> Callable[[], None]:
    """Return a function that runs one step of PyTorch."""
    kind = torch.nn.GRU if workload.operation == "gru" else torch.nn.LSTM
    both = workload.operation == "bilstm"
    layer = kind(workload.channels, workload.units, batch_first=True, bidirectional=both)
    fc = torch.nn.Linear((1 + both) * workload.units, CLASSES)
    parameters = [*layer.parameters(), *fc.parameters()]
    x, classes = (torch.from_numpy(array) for array in data(workload))
    lengths = workload.lengths()

    def step() -> None:
        inputs = x
        if workload.ragged:
            inputs = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, last = layer(inputs)
        last = last if workload.operation == "gru" else last[0]
        loss = torch.nn.functional.cross_entropy(fc(torch.cat(tuple(last), dim=1)), classes)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        loss.item()

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, help="threads of PyTorch; by default its own choice")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES, help="engines of mlnet")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed and left out: pip install torch")
    if torch is not None and arguments.threads:
        torch.set_num_threads(arguments.threads)
    columns = [f"mlnet {name}" for name in arguments.engines] + (["torch eager", "ratio"] if torch else [])
    print(f"{'milliseconds a step':<34} " + " ".join(f"{column:>12}" for column in columns))
    for name, workload in WORKLOADS.items():
        steps = {engine: ours(workload, engine_named(engine)) for engine in arguments.engines}
        if torch is not None:
            steps["eager"] = pytorch(workload, torch)
        times = medians(steps, arguments.rounds, arguments.steps)
        found = {key: 1000 * seconds[0] for key, seconds in times.items()}
        row = [f"{value:>12.2f}" for value in found.values()]
        if torch is not None:
            row.append(f"{found['eager'] / min(found[engine] for engine in arguments.engines):>12.2f}")
        print(f"{name:<34} " + " ".join(row))


if __name__ == "__main__":
    main()
