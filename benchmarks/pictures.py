"""What Plots='training-progress' and Verbose cost in a run of ten epochs over the digits.

    python benchmarks/pictures.py [--rounds 3] [--where page|window]

Runs without and with them take turns, each in a process of its own, in which everything that drawing loads counts. A
window needs a display. The table shows the medians over the rounds, and those of what the picture spent.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import mlnet
from mlnet.training.board import Watch


def measure(*, with_picture: bool) -> None:
    """Train, and print seconds, and those of loading and drawing among them."""
    x, y, _ = mlnet.digitTrain4DArrayData()
    layers = [mlnet.imageInputLayer([28, 28, 1])]
    for number in (8, 16, 32):
        layers += [mlnet.convolution2dLayer(3, number, Padding="same"), mlnet.batchNormalizationLayer()]
        layers += [mlnet.reluLayer(), *([mlnet.maxPooling2dLayer(2, Stride=2)] if number < 32 else [])]
    layers += [mlnet.fullyConnectedLayer(10), mlnet.softmaxLayer(), mlnet.classificationLayer()]
    shown = {"Plots": "training-progress"} if with_picture else {"Verbose": False}
    validation = mlnet.digitTest4DArrayData()[:2]
    options = mlnet.trainingOptions("sgdm", MaxEpochs=10, Shuffle="every-epoch", ValidationData=validation, **shown)
    spent = dict.fromkeys(("open", "update", "close"), 0.0)

    def timed(name: str) -> None:
        kept = getattr(Watch, name)

        def call(watch: Watch) -> None:
            begin = time.perf_counter()
            kept(watch)
            spent[name] += time.perf_counter() - begin

        setattr(Watch, name, call)

    for name in spent:
        timed(name)
    start = time.perf_counter()
    mlnet.trainNetwork(x, y, layers, options)
    print(f"\nmeasured {time.perf_counter() - start:.3f} {sum(spent.values()):.3f}")


def run(mode: str, where: str) -> tuple[float, float]:
    """Return what a process measured."""
    environment = dict(os.environ)
    if where == "page":
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"):
            environment.pop(name, None)
    command = [sys.executable, os.path.abspath(__file__), "--mode", mode]
    with tempfile.TemporaryDirectory() as folder:
        lines = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
        is_page = os.path.exists(os.path.join(folder, "training-progress.html"))
    if mode == "with" and is_page != (where == "page"):
        raise SystemExit(f"There was {'no display' if is_page else 'a display'}.")
    seconds, drawing = (float(each) for each in lines.splitlines()[-1].split()[1:])
    return seconds, drawing


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--where", choices=("page", "window"), default="page")
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        measure(with_picture=arguments.mode == "with")
        return
    found: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    for _ in range(arguments.rounds):
        for mode, values in found.items():
            values.append(run(mode, arguments.where))
    without, shown = (statistics.median(seconds for seconds, _ in values) for values in found.values())
    ratios = [b[0] / a[0] for a, b in zip(found["without"], found["with"], strict=True)]
    drawing = statistics.median(share for _, share in found["with"])
    print(f"without {without:.2f} s, with {shown:.2f} s: {100 * (statistics.median(ratios) - 1):+.1f} %")
    print(f"the picture itself {drawing:.3f} s: {100 * drawing / shown:.1f} %")


if __name__ == "__main__":
    main()
