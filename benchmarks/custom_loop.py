"""Training loops of one's own, ours and PyTorch's eager, in one process in turns.

    python benchmarks/custom_loop.py [--rounds 15] [--points 10000] [--profile]

The physics-informed step is that of Burgers' equation: 8 hidden layers of 20 with tanh, first and second derivatives of
the output by the inputs, the gradient of the loss by the parameters, Adam. The other step is dlfeval, dlgradient and
adamupdate for the small convolutional network of `networks`. The table shows medians over the rounds.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import pstats
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import medians
from networks import WORKLOADS, data, for_mlnet

from mlnet import (
    adamupdate,
    crossentropy,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    l2loss,
    rng,
    tanhLayer,
)

VISCOSITY = 0.01 / math.pi
Steps = dict[str, Callable[[], Any]]


def points(count: int) -> list[np.ndarray]:
    """Return x and t of the points inside, and x, t and u of those at the edge and the start."""
    random = np.random.default_rng(0)
    inside = [random.uniform(low, 1, count) for low in (-1, 0)]
    edge, start = np.linspace(0, 1, 25), np.linspace(-1, 1, 50)
    x0 = np.concatenate([-np.ones(25), np.ones(25), start])
    t0 = np.concatenate([edge, edge, np.zeros(50)])
    u0 = np.concatenate([np.zeros(50), -np.sin(np.pi * start)])
    return [each.astype(np.float32) for each in (*inside, x0, t0, u0)]


def burgers(count: int) -> Steps:
    """Return functions that run a physics-informed step."""
    given = [dlarray(each[None], "CB") for each in points(count)]

    def model_loss(net: Any, x: Any, t: Any, x0: Any, t0: Any, u0: Any) -> tuple[Any, Any]:
        u = forward(net, np.concatenate([x, t]))
        u_x, u_t = dlgradient(np.sum(u), x, t, EnableHigherDerivatives=True)
        u_xx = dlgradient(np.sum(u_x), x, EnableHigherDerivatives=True)
        residual = u_t + u * u_x - VISCOSITY * u_xx
        loss = l2loss(residual, np.zeros(residual.shape, np.float32))
        loss = loss + l2loss(forward(net, np.concatenate([x0, t0])), u0)
        return loss, dlgradient(loss, net.Learnables)

    rng(0)
    hidden = [fullyConnectedLayer(20), tanhLayer]
    start = dlnetwork([featureInputLayer(2), *hidden * 8, fullyConnectedLayer(1)])
    steps: Steps = {"mlnet": _loop(start, lambda net: dlfeval(model_loss, net, *given))}
    torch = _torch()
    if torch is None:
        return steps
    torch.manual_seed(0)
    widths = [2, *[20] * 8]
    parts: list[Any] = []
    for width in widths:
        parts += [torch.nn.Linear(width, 20), torch.nn.Tanh()]
    net = torch.nn.Sequential(*parts[:-2], torch.nn.Linear(20, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    x, t, x0, t0, u0 = (torch.from_numpy(each[:, None]) for each in points(count))
    x.requires_grad_(), t.requires_grad_()

    def step() -> float:
        u = net(torch.cat([x, t], 1))
        u_x, u_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        residual = u_t + u * u_x - VISCOSITY * u_xx
        loss = residual.square().mean() + (net(torch.cat([x0, t0], 1)) - u0).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(net.parameters()))
        optimizer.step()
        return loss.item()

    steps["torch"] = step
    return steps


def small_cnn() -> Steps:
    """Return functions that run a step of the small convolutional network."""
    workload = WORKLOADS["cnn 32x32x3"]()
    x, y = data(workload, 1)
    targets = dlarray(np.eye(10, dtype=np.float32)[:, y], "CB")
    given = dlarray(for_mlnet(workload, x, y)[0], "SSCB")

    def model_loss(net: Any, x: Any, targets: Any) -> tuple[Any, Any, Any]:
        scores, state = forward(net, x, nargout=2)
        loss = crossentropy(scores, targets)
        return loss, dlgradient(loss, net.Learnables), state

    rng(0)
    steps: Steps = {
        "mlnet": _loop(dlnetwork(workload.layers[:-1]), lambda net: dlfeval(model_loss, net, given, targets))
    }
    torch = _torch()
    if torch is None:
        return steps
    torch.manual_seed(0)
    net = workload.peer(torch.nn)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    loss_function = torch.nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), torch.from_numpy(y)

    def step() -> float:
        loss = loss_function(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    steps["torch"] = step
    return steps


def _loop(net: Any, evaluate: Callable[[Any], tuple[Any, ...]]) -> Callable[[], float]:
    """Return a function that runs one step of Adam, with the state of the network where there is one."""
    now: list[Any] = [net, [], [], 0]

    def step() -> float:
        loss, gradients, *state = evaluate(now[0])
        if state:
            now[0].State = state[0]
        now[3] += 1
        now[:3] = adamupdate(now[0], gradients, now[1], now[2], now[3], 0.001)
        return loss.item()

    return step


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def main() -> None:
    """Print the table, or where the time of our steps goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--points", type=int, default=10000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    if _torch() is None:
        print("PyTorch is not installed and left out: pip install torch")
    print(f"{'milliseconds a step':<25}{'mlnet':>9}{'torch':>9}{'mlnet / torch':>15}")
    for name, steps in (("physics-informed step", burgers(arguments.points)), ("cnn 32x32x3", small_cnn())):
        found = medians(steps, arguments.rounds, 3)
        cells = "".join(f"{1000 * values[0]:>9.2f}" for values in found.values())
        if "torch" in found:
            pairs = zip(found["mlnet"][1:], found["torch"][1:], strict=True)
            cells += f"{statistics.median(own / peer for own, peer in pairs):>15.2f}"
        print(f"{name:<25}{cells}", flush=True)
        if arguments.profile:
            profile = cProfile.Profile()
            profile.runcall(lambda run=steps["mlnet"]: [run() for _ in range(20)])
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
