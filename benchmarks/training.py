"""Time of a whole training step, ours and PyTorch's, in one process in turns.

    python benchmarks/training.py [--rounds 15] [--steps 5] [--threads N]

A step fetches a mini-batch, runs forward and backward, and changes the parameters (sgdm with L2). A round runs so many
steps of each; the table shows the median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from networks import WORKLOADS, Workload, data

from mlnet import rng, trainingOptions
from mlnet.engines.select import select_engine
from mlnet.network.resolve import resolve
from mlnet.randomness import spawn_generators
from mlnet.training.loop import Trainer
from mlnet.training.prepare import initialized, training_data

BATCHES = 20
COLUMNS = {
    "numpy": "mlnet numpy",
    "auto": f"mlnet {select_engine().name}",
    "eager": "torch eager",
    "channels-last": "channels-last",
}


def ours(workload: Workload, acceleration: str) -> Callable[[], None]:
    """Return a function that runs one step of mlnet."""
    x, y = data(workload, BATCHES)
    rng(0)
    options = trainingOptions(
        "sgdm",
        MaxEpochs=10**6,
        MiniBatchSize=workload.batch,
        Shuffle="every-epoch",
        Verbose=False,
        Acceleration=acceleration,
    )
    generators = spawn_generators()
    training, network = training_data(resolve(workload.layers), x, y, options)
    network = initialized(network, training.predictors, options, generators.initialization)
    trainer = Trainer(network, select_engine(acceleration), training, None, options, generators, lambda progress: False)
    iterations: Iterator[Any] = trainer.iterations()
    return lambda: next(iterations)


def pytorch(workload: Workload, torch: Any, *, channels_last: bool) -> Callable[[], None]:
    """Return a function that runs one step of PyTorch."""
    torch.manual_seed(0)
    x, y = data(workload, BATCHES)
    images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, (3, 2), (0, 1)) if x.ndim == 4 else x))
    labels = torch.from_numpy(y)
    net = workload.peer(torch.nn)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss_function = torch.nn.CrossEntropyLoss()
    order: list[Any] = []

    def step() -> None:
        if not order:
            order.extend(torch.randperm(len(labels)).split(workload.batch))
        index = order.pop()
        loss = loss_function(net(images[index]), labels[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def medians(steps: dict[str, Callable[[], None]], rounds: int, count: int) -> dict[str, list[float]]:
    """Return the median seconds of a step of each and then those of all rounds, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(count):
                step()
            if number >= 2:  # the first two warm up
                times[name].append((time.perf_counter() - start) / count)
    return {name: [statistics.median(values), *values] for name, values in times.items()}


def ratio_of(found: dict[str, list[float]]) -> str:
    """Return how many times faster than the faster PyTorch we are, the median over the rounds."""
    peers = [values for name, values in found.items() if name in ("eager", "channels-last")]
    peer = min(peers, key=lambda values: values[0])
    return f"{statistics.median(theirs / own for theirs, own in zip(peer[1:], found['auto'][1:], strict=True)):.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, help="threads of PyTorch; by default its own choice")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed and left out: pip install torch")
    if torch is not None and arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"{'milliseconds a step':<19}" + "".join(f" {title:>13}" for title in (*COLUMNS.values(), "ratio")))
    for name, make in WORKLOADS.items():
        workload = make()
        steps = {"numpy": ours(workload, "none"), "auto": ours(workload, "auto")}
        if torch is not None:
            steps["eager"] = pytorch(workload, torch, channels_last=False)
            if len(workload.size) == 3:
                steps["channels-last"] = pytorch(workload, torch, channels_last=True)
        found = medians(steps, arguments.rounds, arguments.steps)
        cells = [f"{1000 * found[key][0]:.2f}" if key in found else "" for key in COLUMNS]
        ratio = ratio_of(found) if torch is not None else ""
        print(f"{name:<19}" + "".join(f" {cell:>13}" for cell in (*cells, ratio)), flush=True)


if __name__ == "__main__":
    main()
