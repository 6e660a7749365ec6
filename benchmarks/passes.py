"""The pass over the training data that ends a training, beside other passes over the same data.

    python benchmarks/passes.py [--rounds 5] [--engine none|auto]

All read the data in mini-batches of 128 and run the layers forward: a prediction, the forward half of an epoch of
training, the pass for the statistics, which stops at the last normalization layer and adds up moments, and the exact
one, which is a pass for each normalization layer. They take turns; the table shows medians and the ratios of the
third to the first and to the second.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from networks import WORKLOADS, Workload, data, for_mlnet

import mlnet
from mlnet.engines.select import select_engine
from mlnet.network.compile import training_program
from mlnet.network.resolve import resolve
from mlnet.randomness import spawn_generators
from mlnet.training.loop import Trainer
from mlnet.training.prepare import initialized, training_data
from mlnet.training.statistics import exact_population_statistics, population_statistics

BATCHES = 40

NETWORKS = ("cnn 32x32x3", "cnn 28x28x1", "mlp 784")
"""Those with batch normalization that prediction tables show."""


def passes(workload: Workload, acceleration: str) -> dict[str, Callable[[], Any]]:
    """Return functions that run a prediction and both passes."""
    x, y = for_mlnet(workload, *data(workload, BATCHES))
    mlnet.rng(0)
    options = mlnet.trainingOptions(
        "sgdm", MaxEpochs=1, MiniBatchSize=128, Verbose=False, Shuffle="never", Acceleration=acceleration
    )
    net = mlnet.trainNetwork(x, y, workload.layers, options)
    generators = spawn_generators()
    training, network = training_data(resolve(workload.layers), x, y, options)
    network = initialized(network, training.predictors, options, generators.initialization)
    engine = select_engine(acceleration)
    trainer = Trainer(network, engine, training, None, options, generators, lambda progress: "")
    count = len(training.predictors)

    def batches() -> Iterator[tuple[Any, Any]]:
        for start in range(0, count, 128):
            yield training.predictors.batch(slice(start, start + 128)), None

    values = trainer.values()
    plan = engine.plan(engine.fuse(training_program(network)))

    def forward() -> None:
        for batch, lengths in batches():
            plan.forward(batch, values, generators.dropout, lengths=lengths)

    return {
        "predict": lambda: mlnet.predict(net, x, MiniBatchSize=128, Acceleration=acceleration),
        "forward": forward,
        "statistics": lambda: population_statistics(network, engine, values, batches),
        "exact": lambda: exact_population_statistics(network, engine, values, batches),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", choices=("none", "auto"), default="auto", help="value of Acceleration")
    arguments = parser.parse_args()
    titles = ("predict", "forward", "statistics", "exact")
    print(f"{'milliseconds':<19}" + "".join(f"{title:>12}" for title in titles) + "   ratios")
    for name in NETWORKS:
        functions = passes(WORKLOADS[name](), arguments.engine)
        times: dict[str, list[float]] = {key: [] for key in functions}
        for number in range(arguments.rounds + 1):
            for key, function in functions.items():
                start = time.perf_counter()
                function()
                if number:  # the first one warms up
                    times[key].append(time.perf_counter() - start)
        ratios = [
            statistics.median(a / b for a, b in zip(times["statistics"], times[other], strict=True))
            for other in ("predict", "forward")
        ]
        cells = "".join(f"{1000 * statistics.median(values):>12.1f}" for values in times.values())
        print(f"{name:<19}{cells}   {ratios[0]:.2f} {ratios[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
