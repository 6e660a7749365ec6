"""What the machine can do: its rates of matrix products and of memory, and the time a step needs at least by them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from networks import Workload

from mlnet.network.resolve import resolve

_LARGE = 1500
_BYTES = 1 << 23


class Machine:
    """The rates of this machine, measured when it is made: multiplications and additions, and bytes, in a second."""

    def __init__(self) -> None:
        matrix = np.ones((_LARGE, _LARGE), np.float32)
        self.rate = 2 * _LARGE**3 / _shortest(lambda: matrix @ matrix)
        cores = os.cpu_count() or 1
        pairs = [(np.ones(_BYTES, np.uint8), np.ones(_BYTES, np.uint8)) for _ in range(cores)]
        with ThreadPoolExecutor(cores) as pool:
            seconds = _shortest(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))
        self.bandwidth = 2 * _BYTES * cores / seconds

    def __str__(self) -> str:
        return f"Matrix products: {self.rate / 1e9:.0f} GFLOP/s; copies: {self.bandwidth / 1e9:.0f} GB/s"

    def limit(self, workload: Workload) -> float:
        """Return the seconds of the products and of the values of a training step.

        Each product of the forward comes back twice on the way back, in the first layer once. The output of each layer
        that is not merged with the one before is written and read, and so is its gradient.
        """
        network = resolve(workload.layers)
        steps = workload.size[0] if len(workload.size) == 2 else 1
        work = values = 0
        is_first = True
        for index, layer in enumerate(network.layers):
            size, given = network.sizes[index][0], network.input_size(index)
            if not layer.learnables and size == given:
                continue  # ReLU and the like
            values += 4 * size.count * (steps if size.format.endswith("T") else 1)
            names = [each.name for each in layer.learnables if each.name.endswith("Weights")]
            if names:
                count = sum(int(np.prod(layer.parameter_shape(name, given))) for name in names)
                positions = int(np.prod(size.spatial)) * (steps if given.format.endswith("T") else 1)
                work += 2 * positions * count * (2 if is_first else 3)
                is_first = False
        return workload.batch * (work / self.rate + 4 * values / self.bandwidth)


def _shortest(function: Callable[[], object], rounds: int = 8) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
