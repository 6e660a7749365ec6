"""Training from a folder of small PNG files: peak memory, and how much of the reading time the background hides.

    python benchmarks/reading.py [--images 20000] [--folder FOLDER]

Each measurement is an epoch in a process of its own, from memory, and from files without and with
DispatchInBackground. The hidden share is how much of the seconds that files take more than memory the background takes
back: (files - background) / (files - memory). What all cores compute at the same time cannot be hidden; without idle
cores, or while Python's lock is held, the share is small or negative. The waiting column has the seconds in which
training waited for a mini-batch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import mlnet
from mlnet.training import loading

SIZE = 28
CLASSES = 10


def write(folder: Path, count: int) -> None:
    """Write PNG files in a folder for each class."""
    from PIL import Image

    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 128, (CLASSES, SIZE, SIZE))
    for number in range(count):
        kind = number % CLASSES
        image = patterns[kind] + generator.integers(0, 100, (SIZE, SIZE)) * (generator.random((SIZE, SIZE)) < 0.3)
        (folder / str(kind)).mkdir(exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(folder / str(kind) / f"{number:06}.png")


def measure(folder: str, mode: str) -> None:
    """Train one epoch and print seconds, megabytes and seconds of waiting for what is read in the background."""
    import resource  # not on Windows

    imds = mlnet.imageDatastore(folder, IncludeSubfolders=True, LabelSource="foldernames")
    layers = [
        mlnet.imageInputLayer([SIZE, SIZE, 1], Normalization="none"),
        mlnet.convolution2dLayer(3, 8, Padding="same"),
        mlnet.reluLayer(),
        mlnet.maxPooling2dLayer(2, Stride=2),
        mlnet.convolution2dLayer(3, 16, Padding="same"),
        mlnet.reluLayer(),
        mlnet.maxPooling2dLayer(2, Stride=2),
        mlnet.fullyConnectedLayer(CLASSES),
        mlnet.softmaxLayer(),
        mlnet.classificationLayer(),
    ]
    options = mlnet.trainingOptions(
        "sgdm", MaxEpochs=1, Verbose=False, InitialLearnRate=1e-4, DispatchInBackground=mode == "background"
    )
    data = (imds,)
    if mode == "memory":
        data = (np.stack(imds.readall(), axis=-1)[:, :, np.newaxis], imds.Labels)
    waited = []
    for reader in (loading._Thread, loading._Process):

        def timed(self, mini_batch, answer=reader.answer):
            start = time.perf_counter()
            loaded = answer(self, mini_batch)
            waited.append(time.perf_counter() - start)
            return loaded

        reader.answer = timed
    start = time.perf_counter()
    mlnet.trainNetwork(*data, layers, options)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{mode} {seconds:.2f} {peak:.0f} {sum(waited):.3f}")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--folder", help="a folder that such files have been written to; otherwise a temporary one")
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        measure(arguments.folder, arguments.mode)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or temporary
        if not arguments.folder:
            write(Path(folder), arguments.images)
        print(f"{'data':<12}{'seconds':>9}{'peak MB':>9}{'waiting s':>11}")
        seconds = {}
        for mode in ("memory", "serial", "background"):
            command = [sys.executable, __file__, "--folder", folder, "--mode", mode]
            line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            name, taken, peak, waited = line.split()
            seconds[mode] = float(taken)
            print(f"{name:<12}{taken:>9}{peak:>9}{waited:>11}")
        hidden = (seconds["serial"] - seconds["background"]) / (seconds["serial"] - seconds["memory"])
        print(f"hidden: {100 * hidden:.0f} %")


if __name__ == "__main__":
    main()
