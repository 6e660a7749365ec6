"""Reading in a process of its own: the same numbers, errors by name, and nothing that stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from data.folders import classes

import mlnet
from mlnet import (
    DataError,
    TrainingError,
    arrayDatastore,
    augmentedImageDatastore,
    batchDatastore,
    classificationLayer,
    combine,
    fullyConnectedLayer,
    imageDataAugmenter,
    imageDatastore,
    imageInputLayer,
    readDatastoreImage,
    regressionLayer,
    rng,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
    transform,
)
from mlnet.training import loading
from mlnet.training.reading_process import ReadingProcess, can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="only Linux copies processes that have threads")
ROOT = Path(mlnet.__file__).parent.parent


@pytest.fixture
def folder(tmp_path):
    classes(tmp_path, {"a": 13, "b": 12})
    return tmp_path


def datastore(folder, **options):
    return imageDatastore(str(folder), IncludeSubfolders=True, LabelSource="foldernames", **options)


def trained(data, network=None, **more):
    rng(0)
    first = imageInputLayer([6, 5, 1], Normalization="none")  # nothing is read before the first iteration
    network = network or [first, fullyConnectedLayer(2), softmaxLayer(), classificationLayer()]
    options = {"MaxEpochs": 3, "MiniBatchSize": 4, "Verbose": False, "Shuffle": "every-epoch", **more}
    return trainNetwork(data, network, trainingOptions("sgdm", InitialLearnRate=1e-3, **options), nargout=2)[1]


def children():
    """The processes that this one has started, also those that are dead and not waited for."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found


_others = set()


@pytest.fixture(autouse=True)
def others():
    """Remember the children of other tests."""
    _others.update(children())


def nothing_left():
    assert not children() - _others
    return sorted(os.listdir("/proc/self/fd"))


def losses(*args, **more):
    return np.array(trained(*args, **more).TrainingLoss).tolist()


def test_the_process_changes_no_number(folder, monkeypatch):
    moves = imageDataAugmenter(RandRotation=[-30, 30], RandXReflection=True, RandXTranslation=[-1, 1])
    auimds = augmentedImageDatastore([6, 5], datastore(folder), DataAugmentation=moves, OutputSizeMode="randcrop")
    regression = [imageInputLayer([6, 5, 1]), fullyConnectedLayer(1), regressionLayer()]
    pairs = combine(
        arrayDatastore(np.random.default_rng(0).random((6, 5, 25)), IterationDimension=3),
        arrayDatastore(np.arange(25.0)),
    )
    turned = transform(datastore(folder), lambda image, info: ((image[::-1], info.Label), info), IncludeInfo=True)
    for data, network in ((auimds, None), (turned, None), (pairs, regression)):
        expected = losses(data, network)
        before = nothing_left()
        assert losses(data, network, DispatchInBackground=True) == expected
        assert losses(data, network, PreprocessingEnvironment="background") == expected
        assert nothing_left() == before
        with monkeypatch.context() as patch:
            patch.setattr(loading, "can_fork", lambda: False)
            assert losses(data, network, DispatchInBackground=True) == expected
    assert len(set(expected)) > 5


def test_who_reads(folder, monkeypatch):
    log = folder / "log.txt"

    def read(name):
        with open(log, "a") as file:
            file.write(f"{os.getpid()} {threading.current_thread() is threading.main_thread()}\n")
        return readDatastoreImage(name)

    def readers(**more):
        log.unlink(missing_ok=True)
        trained(datastore(folder, ReadFcn=read), BatchNormalizationStatistics="moving", **more)
        return {tuple(line.split()) for line in log.read_text().splitlines()}

    me = str(os.getpid())
    assert readers() == {(me, "True")}
    both = readers(DispatchInBackground=True)
    assert len(both) == 2 and (me, "True") in both and (me, "False") not in both
    with monkeypatch.context() as patch:
        patch.setattr(loading, "can_fork", lambda: False)
        assert readers(DispatchInBackground=True) == {(me, "True"), (me, "False")}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", no_process)
        assert readers(DispatchInBackground=True) == {(me, "True"), (me, "False")}


def no_process():
    raise BlockingIOError("no more processes")


def test_iterables_are_read_in_a_thread(monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("an iterable may live on threads of this process"))
    x = np.random.default_rng(0).random((25, 3))
    ds = transform(batchDatastore([(x, np.arange(25.0))]), lambda row: row)
    network = [mlnet.featureInputLayer(3), fullyConnectedLayer(1), regressionLayer()]
    trained(ds, network, DispatchInBackground=True)


class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(first)


def test_errors_come_back(folder):
    before = nothing_left()
    changed = {"Shuffle": "never", "DispatchInBackground": True}
    imds = datastore(folder)
    name = imds.Files[10]  # of the third mini-batch
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[:40])
    with pytest.raises(DataError, match=f"imageDatastore: {name}: the file is no image, or damaged or incomplete"):
        trained(imds, **changed)
    Path(name).write_bytes(whole)

    def change(image, info):
        if info.Filename == name:
            raise KeyError("mine")
        return image, info

    changing = combine(transform(imds, change, IncludeInfo=True), arrayDatastore(imds.Labels))
    with pytest.raises(DataError, match=f"transform: the function change for {name} raised KeyError: 'mine'") as found:
        trained(changing, **changed)
    assert 'raise KeyError("mine")' in str(found.value.__cause__)  # where it happened in the other process
    assert nothing_left() == before


def test_errors_of_any_kind():
    def read(error):
        if error == "odd":
            raise Odd("mine", 2)  # cannot be unpacked
        if error == "shape":
            return [np.zeros(4)]
        raise KeyError("mine")

    process = ReadingProcess(read, [np.zeros(3)], ahead=3)
    try:
        for error, kind, words in (
            ("odd", TrainingError, "Odd: mine"),
            ("key", KeyError, "mine"),
            ("shape", AssertionError, r"\(4,\) float64, not \(3,\) float64"),
        ):
            process.ask(error)
            with pytest.raises(kind, match=words) as found:
                process.answer()
            assert error == "odd" or "in the process that reads mini-batches" in str(found.value.__cause__)
    finally:
        process.close()


def test_a_process_that_dies_is_reported(folder):
    me = os.getpid()

    def read(name):
        if os.getpid() != me:
            os.kill(os.getpid(), signal.SIGKILL)
        return readDatastoreImage(name)

    before = nothing_left()
    with pytest.raises(TrainingError, match=r"in the background has ended \(exit code -9\)"):
        trained(datastore(folder, ReadFcn=read), DispatchInBackground=True)
    assert nothing_left() == before


def test_nothing_stays_after_an_early_end(folder):
    before = nothing_left()

    def interrupt(info):
        if info.State == "iteration" and info.Iteration == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(datastore(folder), DispatchInBackground=True, OutputFcn=interrupt)
    assert nothing_left() == before
    stop = {"OutputFcn": lambda info: info.State == "iteration" and info.Iteration == 2}
    found = trained(datastore(folder), DispatchInBackground=True, **stop)
    assert len(found.TrainingLoss) == 2 and nothing_left() == before


def test_a_reader_that_hangs_is_stopped():
    example = [np.zeros((2, 3), np.float32), np.zeros(2, np.int64)]
    process = ReadingProcess(lambda request: time.sleep(60), example, ahead=2)
    process.ask(1)
    start = time.monotonic()
    process.close()
    assert time.monotonic() - start < 10
    nothing_left()


def test_arrays_stay_while_the_next_ones_are_used():
    process = ReadingProcess(lambda n: [np.full((3, 2), n, np.float32), np.array([n])], [np.zeros((3, 2), np.float32),
                             np.array([0])], ahead=2)  # fmt: skip
    try:
        process.ask(0)
        process.ask(1)
        before = None
        for number in range(2, 12):
            arrays = process.answer()
            process.ask(number)
            time.sleep(0.01)
            for each, value in ((arrays, number - 2), (before, number - 3)):
                if each is not None:
                    assert (each[0] == value).all() and each[1] == [value]
            before = arrays
    finally:
        process.close()


_SLOW = """
import os, signal, sys, time
from mlnet import *
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
def read(name):
    with open(sys.argv[2], "a") as file: file.write(f"{os.getpid()}\\n")
    time.sleep(0.01)
    return readDatastoreImage(name)
imds = imageDatastore(sys.argv[1], IncludeSubfolders=True, LabelSource="foldernames", ReadFcn=read)
layers = [imageInputLayer([6, 5, 1], Normalization="none"), fullyConnectedLayer(2), softmaxLayer()]
layers += [classificationLayer()]
trainNetwork(imds, layers, trainingOptions("sgdm", MiniBatchSize=4, MaxEpochs=1000, DispatchInBackground=True))
"""


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_reader_outlives_its_training(folder, number):
    log = folder / "log.txt"
    parent = subprocess.Popen(
        [sys.executable, "-c", _SLOW, str(folder), str(log)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        end = time.monotonic() + 60
        pids = set()
        while len(pids) < 2 and time.monotonic() < end and parent.poll() is None:
            time.sleep(0.05)
            pids = set(log.read_text().split()) if log.exists() else set()
        (reader,) = pids - {str(parent.pid)}
        parent.send_signal(number)
        printed = parent.communicate(timeout=60)[0].decode()
        assert number == signal.SIGKILL or "KeyboardInterrupt" in printed
        while _runs(reader) and time.monotonic() < end:
            time.sleep(0.05)
        assert not _runs(reader)
    finally:
        parent.kill()
        parent.communicate()
