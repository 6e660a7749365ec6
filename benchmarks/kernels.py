"""Times one training step of the NumPy engine, without the update, next to PyTorch on the same network.

    python benchmarks/kernels.py [--profile] [--rounds 30]

A step is forward, loss and the gradients of all parameters. All contestants run in one process, in turns, so that
they see the same machine; medians are printed. Where PyTorch is missing, only the engine is timed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.numpy.fusion import fuse
from mlnet.engines.program import Node, Program, StepPlan

Layer = tuple[Any, ...]
NETWORKS: dict[str, tuple[tuple[int, ...], list[Layer]]] = {
    "32x32x3, conv16-BN-ReLU-pool-conv32-BN-ReLU-fc10, batch 128": (
        (128, 32, 32, 3),
        [("conv", 16), ("bn",), ("relu",), ("pool",), ("conv", 32), ("bn",), ("relu",), ("fc", 10)],
    ),
    "28x28x1, conv-BN-ReLU 8-16-32, fc10, batch 128": (
        (128, 28, 28, 1),
        [("conv", 8), ("bn",), ("relu",), ("pool",), ("conv", 16), ("bn",), ("relu",), ("pool",)]
        + [("conv", 32), ("bn",), ("relu",), ("fc", 10)],
    ),
    "784-100-100-100-10, BN and sigmoid, batch 60": (
        (60, 784),
        [("fc", 100), ("bn",), ("sigmoid",)] * 3 + [("fc", 10)],
    ),
}


def build(shape: tuple[int, ...], layers: list[Layer]) -> tuple[Program, dict[tuple[str, str], np.ndarray]]:
    """Return the program of a network and its parameters."""
    generator = np.random.default_rng(0)
    nodes: list[Node] = []
    values: dict[tuple[str, str], np.ndarray] = {}
    size = list(shape[1:])

    def add(operation: str, attributes: dict[str, Any], **parameters: tuple[int, ...]) -> None:
        name = f"{operation}_{len(nodes) + 1}"
        nodes.append(Node(name, operation, (len(nodes) - 1,), tuple(parameters), attributes))
        for parameter, of_shape in parameters.items():
            value = 0.05 * generator.standard_normal(of_shape) + (parameter == "Scale")
            values[name, parameter] = value.astype(np.float32)

    for kind, *arguments in layers:
        channels = size[-1]
        if kind == "conv":
            (filters,) = arguments
            attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1), "padding_value": 0.0}
            add("convolution2d", attributes, Weights=(3, 3, channels, filters), Bias=(1, 1, filters))
            size[-1] = filters
        elif kind == "bn":
            of_shape = (1, 1, channels) if len(size) == 3 else (channels, 1)
            add("batch_normalization", {"epsilon": 1e-5}, Offset=of_shape, Scale=of_shape)
        elif kind == "pool":
            add("max_pooling2d", {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)})
            size[:2] = [size[0] // 2, size[1] // 2]
        elif kind == "fc":
            (outputs,) = arguments
            add("fully_connected", {}, Weights=(outputs, int(np.prod(size))), Bias=(outputs, 1))
            size = [outputs]
        else:
            add(kind, {})
    return Program(tuple(nodes)), values


def our_step(shape: tuple[int, ...], layers: list[Layer], engine: NumpyEngine, fused: bool) -> Callable[[], float]:
    """Return a function that runs one step with the engine and returns the loss."""
    program, values = build(shape, layers)
    plan = StepPlan(engine, fuse(program) if fused else program)
    loss = engine.losses["softmax_cross_entropy"]
    workspace = Workspace()
    x, targets = data(shape)

    def step() -> float:
        z = plan.forward(x, values)
        _, value, saved = loss.forward(z, targets, workspace=workspace)
        plan.backward(loss.backward(saved, workspace=workspace), values.keys())
        return value

    return step


def torch_step(shape: tuple[int, ...], layers: list[Layer], channels_last: bool) -> Callable[[], float]:
    """Return a function that runs the same step with PyTorch."""
    import torch
    from torch import nn

    _, values = build(shape, layers)
    parameters = iter(values.values())
    modules: list[nn.Module] = []
    size = list(shape[1:])
    for kind, *arguments in layers:
        if kind == "conv":
            module: nn.Module = nn.Conv2d(size[-1], arguments[0], 3, padding=1)
            weight, bias = torch.tensor(next(parameters)).permute(3, 2, 0, 1), next(parameters)
            size[-1] = arguments[0]
        elif kind == "bn":
            module = nn.BatchNorm2d(size[-1]) if len(size) == 3 else nn.BatchNorm1d(size[-1])
            bias, weight = next(parameters), torch.tensor(next(parameters)).ravel()
        elif kind == "fc":
            module = nn.Linear(int(np.prod(size)), arguments[0])
            matrix, bias = next(parameters), next(parameters)
            # PyTorch flattens (C, H, W); MATLAB's weights count height first, then width, then channels.
            weight = torch.tensor(matrix.reshape(len(matrix), *size[::-1]))
            weight = (weight.transpose(2, 3) if len(size) == 3 else weight).reshape(len(matrix), -1)
            modules += [nn.Flatten()]
            size = [arguments[0]]
        else:
            modules.append({"relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "pool": nn.MaxPool2d(2)}[kind])
            size[:-1] = [length // 2 for length in size[:-1]] if kind == "pool" else size[:-1]
            continue
        with torch.no_grad():
            module.weight.copy_(weight)  # type: ignore[operator,union-attr]
            module.bias.copy_(torch.tensor(bias).ravel())  # type: ignore[operator,union-attr]
        modules.append(module)
    network = nn.Sequential(*modules)
    x, targets = (torch.tensor(array) for array in data(shape))
    if len(shape) == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    if channels_last:
        x, network = (
            x.contiguous(memory_format=torch.channels_last),
            network.to(memory_format=torch.channels_last),
        )

    def step() -> float:
        for parameter in network.parameters():
            parameter.grad = None
        loss = nn.functional.cross_entropy(network(x), targets)
        loss.backward()
        return loss.item()

    return step


def data(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a random mini-batch and class indices."""
    generator = np.random.default_rng(1)
    return generator.standard_normal(shape).astype(np.float32), generator.integers(0, 10, shape[0])


class ProfilingEngine(NumpyEngine):
    """Adds up the time spent in every operation."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def operation(self, name: str) -> Operation:
        """Return the operation with a clock around it."""
        return Operation(*[self._timed(function) for function in super().operation(name)])

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arrays: Any, **attributes: Any) -> Any:
            start = time.perf_counter()
            result = function(*arrays, **attributes)
            self.seconds[function.__name__] += time.perf_counter() - start
            return result

        return timed


def in_turns(steps: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of milliseconds a step for each contestant; a turn is several steps in a row."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            for _ in range(2):
                step()
            for _ in range(5):
                start = time.perf_counter()
                step()
                if number >= 2:
                    times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print one table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="turns for each contestant")
    parser.add_argument("--profile", action="store_true", help="print the time for each operation")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed: only the engine is timed.")
    for title, (shape, layers) in NETWORKS.items():
        steps = {
            "mlnet numpy": our_step(shape, layers, NumpyEngine(), fused=True),
            "mlnet numpy, not fused": our_step(shape, layers, NumpyEngine(), fused=False),
        }
        if torch is not None:
            steps["torch eager"] = torch_step(shape, layers, channels_last=False)
            if len(shape) == 4:
                steps["torch channels-last"] = torch_step(shape, layers, channels_last=True)
        losses = {name: step() for name, step in steps.items()}
        assert max(losses.values()) - min(losses.values()) < 1e-4, losses
        print(f"\n{title}")
        medians = in_turns(steps, arguments.rounds)
        best = min((value for name, value in medians.items() if "torch" in name), default=None)
        for name, value in medians.items():
            ratio = f"   {value / best:5.2f} x the better PyTorch" if best else ""
            print(f"  {name:24} {value:8.3f} ms{ratio}")
        if arguments.profile:
            print_profile(shape, layers)


def print_profile(shape: tuple[int, ...], layers: list[Layer], steps: int = 50) -> None:
    """Print the milliseconds a step that each operation takes."""
    engine = ProfilingEngine()
    step = our_step(shape, layers, engine, fused=True)
    for _ in range(5):
        step()
    engine.seconds.clear()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    total = time.perf_counter() - start
    rest = total - sum(engine.seconds.values())
    for name, seconds in [
        *sorted(engine.seconds.items(), key=lambda item: -item[1]),
        ("loss and plan", rest),
    ]:
        print(f"    {name:48} {1e3 * seconds / steps:8.3f} ms")


if __name__ == "__main__":
    main()
