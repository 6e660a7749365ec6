"""The examples run as they stand."""

import ast
import gzip
import os
import re
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlnet import digitTrain4DArrayData

EXAMPLES = Path(__file__).parent.parent / "examples"
ARGUMENTS = {
    "train_digits": [],
    "trainnet_digits": [],
    "segment_shapes": ["--pictures", "200", "--epochs", "8"],
    "batchnorm_paper": ["--steps", "500", "--points", "3", "--plot", ""],
    "burgers_equation": ["--points", "1000", "--layers", "4", "--adam", "200", "--lbfgs", "300"],
    "custom_prelu": ["--epochs", "2", "--images", "2560"],
    "digits_gan": ["--images", "2560", "--epochs", "4"],
    "digits_vae": ["--images", "2560", "--epochs", "6"],
    "sequence_loop": ["--sequences", "800", "--epochs", "6"],
    "trainnet_two_outputs": ["--epochs", "4", "--images", "1280"],
    "two_outputs": ["--epochs", "4", "--images", "1280"],
}
"""Short forms of the examples that take long."""
NORMALIZATIONS = sorted(f"normalization/{path.stem}" for path in (EXAMPLES / "normalization").glob("*.py"))


def run(name, *more):
    """Return the lines that an example prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *ARGUMENTS.get(name, []), *more]
    here = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}  # whatever mlnet is installed
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=here)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout.splitlines()


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(ARGUMENTS)


def test_train_digits_reaches_its_accuracy():
    (line,) = [line for line in run("train_digits") if line.startswith("Test accuracy")]
    assert float(line.split()[2]) >= 98.5


def test_trainnet_digits_reaches_its_accuracy():
    (line,) = [line for line in run("trainnet_digits") if line.startswith("Test accuracy")]
    assert float(line.split()[2]) >= 98.5


def test_batch_normalization_is_ahead_from_the_start():
    rows = [[float(cell) for cell in line.replace("%", "").split()] for line in run("batchnorm_paper")[2:]]
    assert [row[0] for row in rows] == [166, 332, 498]
    assert all(row[5] > row[1] + 20 for row in rows)
    middle = np.abs([[row[3], row[7]] for row in rows]).mean(axis=0)
    assert middle[1] < 0.2 < middle[0], "with it the input of a sigmoid stays around 0"


def test_batch_normalization_on_files_as_those_of_mnist(tmp_path):
    images, labels, _ = digitTrain4DArrayData()
    order = np.random.default_rng(0).permutation(len(labels.codes))
    pixels = (255 * images[:, :, 0, order]).astype(np.uint8).transpose(2, 0, 1)
    digits = labels.codes[order].astype(np.uint8)
    for name, chosen, pack in (("train", slice(600), open), ("t10k", slice(600, 720), gzip.open)):
        ending = ".gz" if pack is gzip.open else ""
        for kind, array in (("images", pixels[chosen]), ("labels", digits[chosen])):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            with pack(tmp_path / f"{name}-{kind}-idx{array.ndim}-ubyte{ending}", "wb") as file:
                file.write(head + array.tobytes())
    picture = tmp_path / "plots.png"
    lines = run("batchnorm_paper", "--mnist", str(tmp_path), "--steps", "90", "--plot", str(picture))
    assert [line.split()[0] for line in lines[2:5]] == ["30", "60", "90"]
    assert float(lines[4].split()[6]) > 40
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_segment_shapes_finds_the_shapes():
    lines = run("segment_shapes")
    (row,) = [line.split() for line in lines if line.split()[:1] == ["all"]]
    assert float(row[1]) > 90


def test_burgers_equation_is_solved_better_by_each_solver():
    lines = run("burgers_equation")
    losses = [float(line.split()[-1]) for line in lines if "loss" in line]
    title = next(number for number, line in enumerate(lines) if "error" in line)
    rows = [[float(cell) for cell in line.split()] for line in lines[title + 1 :]]
    assert losses[-1] < losses[0] / 3
    assert [row[0] for row in rows] == [0.25, 0.5, 0.75, 1] and all(row[1] < 0.5 for row in rows)


def test_digits_gan_draws_what_looks_like_the_digits_on_average():
    near, grey = (float(part) for part in re.findall(r"\d\.\d{3}", run("digits_gan")[-1]))
    assert near < grey - 0.02


def test_custom_prelu_passes_its_checks_and_learns():
    lines = run("custom_prelu")
    (summary,) = [line for line in lines if "Passed" in line]
    assert summary.split()[:4] == ["14", "Passed,", "0", "Failed,"]
    (accuracy,) = [float(line.split()[2]) for line in lines if line.startswith("Test accuracy")]
    assert accuracy > 90
    low, high = (float(n) for n in re.findall(r"-?\d\.\d\d", lines[-1]))
    assert low < 0 or high > 0.1, "Alpha begins between 0 and 0.1"


def test_digits_vae_describes_new_digits():
    lines = run("digits_vae")
    losses = [float(line.split()[3].rstrip(",")) for line in lines[:-1]]
    error, blank = (float(part) for part in re.findall(r"\d\.\d{4}", lines[-1]))
    assert losses[-1] < 0.7 * losses[0] and error < 0.9 * blank


def test_sequence_loop_tells_waves_apart():
    assert float(run("sequence_loop")[-1].split()[-1].rstrip("%")) > 70


@pytest.mark.parametrize("name", ["two_outputs", "trainnet_two_outputs"])
def test_networks_of_two_outputs_learn_both(name):
    accuracy, degrees = (float(part) for part in re.findall(r"\d+\.\d\d", run(name)[-1]))
    assert accuracy > 50 and degrees < 30


@pytest.fixture(scope="module")
def normalized():
    """What each example of a normalization prints: by name, the numbers of each line."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        printed = dict(zip(NORMALIZATIONS, pool.map(run, NORMALIZATIONS), strict=True))
    number = r"-?\d+\.\d*"
    return {name: [[float(n) for n in re.findall(number, line)] for line in lines] for name, lines in printed.items()}


def test_every_normalization_has_an_example():
    names = ("batch", "layer", "group", "instance", "cross_channel", "rms", "weight")
    expected = {*[f"{name}_normalization" for name in names], "weight_standardization", "whitening", "input_whitening"}
    assert {name.removeprefix("normalization/") for name in NORMALIZATIONS} == expected


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_examples_of_normalizations_have_ten_lines_and_cite_a_paper(name):
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("import ", "from ", '"""'))]
    assert len(lines) <= 10
    assert re.search(r"\(.*(19|20)\d\d\)", ast.get_docstring(tree))


@pytest.mark.parametrize(
    "name, better",
    [("batch", 20), ("layer", 3), ("group", 10), ("instance", 20), ("cross_channel", -15), ("rms", -10)],
)
def test_normalizations_learn_from_a_few_digits(normalized, name, better):
    """The accuracy with the normalization is more than ``better`` points above that of the first line."""
    (first, *_), (second, *_) = normalized[f"normalization/{name}_normalization"]
    assert second > max(first + better, 40)


def test_what_else_the_examples_show(normalized):
    without, damped = normalized["normalization/cross_channel_normalization"]
    assert damped[1] < without[1] / 2
    plain, lengths = normalized["normalization/weight_normalization"]
    assert len(plain) == 1 and len(lengths) == 9 and abs(lengths[0] - plain[0]) < 10
    plain, standardized = normalized["normalization/weight_standardization"]
    assert min(plain[0], standardized[0]) > 70
    batch, white = normalized["normalization/whitening"]
    assert white[0] > 50 and batch[1] > 0.5 and white[1] < 0.01
    (centred, high), (scaled, _), (whitened, low) = normalized["normalization/input_whitening"]
    assert whitened > max(centred, scaled) + 3 and high > 0.9 and abs(low) < 0.1
