"""minibatchqueue: order, formats, types, and what a function makes of the data."""

import threading

import numpy as np
import pytest

import mlnet
from mlnet import (
    DataError,
    NotSupportedError,
    OptionError,
    arrayDatastore,
    categorical,
    combine,
    dims,
    dlarray,
    hasdata,
    minibatchqueue,
    onehotencode,
    padsequences,
    reset,
    rng,
    shuffle,
)
from mlnet.data.datastores.datastore import Datastore

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(6, 5, 2, 11))
LABELS = np.array(["b", "a", "c"])[np.arange(11) % 3]


class Columns(Datastore):
    """Columns in memory, with labels that may be known, and noise from the generator."""

    def __init__(self, *columns, labels=None, noise=False):
        super().__init__()
        self.columns, self._labels, self._noise, self.threads = columns, labels, noise, set()

    def __len__(self):
        return len(self.columns[0])

    def rows(self, numbers, generator=None):
        self.threads.add(threading.get_ident())
        found = [tuple(column[number] for column in self.columns) for number in numbers]
        return [(row[0] + generator.normal(), *row[1:]) for row in found] if self._noise and generator else found

    def labels(self):
        return self._labels


def images():
    return [IMAGES[..., number] for number in range(11)]


def data(array):
    return array.extractdata() if isinstance(array, dlarray) else array


def test_images_and_labels_become_dlarrays():
    mbq = minibatchqueue(Columns(images(), LABELS), MiniBatchSize=4, MiniBatchFormat=["SSCB", "BC"])
    x, t = next(mbq)
    assert (dims(x), x.shape, x.dtype) == ("SSCB", (6, 5, 2, 4), np.float32)
    np.testing.assert_array_equal(data(x), IMAGES[..., :4].astype(np.float32))
    assert (dims(t), t.shape, t.dtype) == ("CB", (1, 4), np.float32)
    assert mbq.num_outputs == 2


def test_labels_are_numbered_by_all_categories():
    known = categorical(LABELS, ["a", "b", "c"])
    mbq = minibatchqueue(Columns(images(), LABELS, labels=known), MiniBatchSize=2, OutputAsDlarray=[True, False])
    x, t = mbq.next()
    assert isinstance(x, dlarray) and dims(x) == ""
    np.testing.assert_array_equal(t, [[2], [1]])
    assert t.dtype == np.float32


def test_order_partial_mini_batches_and_passes():
    ds = Columns(np.arange(11.0))
    mbq = minibatchqueue(ds, MiniBatchSize=4)
    assert [data(x).tolist() for x in mbq] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert not mbq.hasdata()
    assert [len(x) for x in mbq] == [4, 4, 3], "a for loop starts from the first one"
    with pytest.raises(DataError, match="no more mini-batches. Use reset or shuffle"):
        mbq.next()
    with pytest.raises(StopIteration):
        next(mbq)
    mbq.reset()
    assert data(mbq.next())[0] == 0 and mbq.hasdata()
    full = minibatchqueue(ds, MiniBatchSize=4, PartialMiniBatch="discard")
    assert [len(x) for x in full] == [4, 4]
    few = minibatchqueue(ds, MiniBatchSize=12, PartialMiniBatch="discard")
    assert not few.hasdata()
    assert len(minibatchqueue(ds, MiniBatchSize=12).next()) == 11


def test_shuffling_is_repeatable_and_keeps_rows_together():
    def order(times):
        rng(3)
        mbq = minibatchqueue(Columns(np.arange(11.0), 10 * np.arange(11.0)), MiniBatchSize=4)
        for _ in range(times):
            mbq.next()
            mbq.shuffle()
        pairs = [(data(x), data(y)) for x, y in mbq]
        x, y = (np.concatenate(each) for each in zip(*pairs, strict=True))
        np.testing.assert_array_equal(y, 10 * x)
        return x.tolist()

    assert sorted(order(1)) == list(range(11))
    assert order(1) == order(1) != order(2) != list(range(11))
    rng(3)
    mbq = minibatchqueue(Columns(np.arange(11.0)), MiniBatchSize=11).shuffle()
    first = data(mbq.next()).tolist()
    assert data(mbq.reset().next()).tolist() == first, "reset keeps the order"


@pytest.mark.parametrize("option", [{"DispatchInBackground": True}, {"PreprocessingEnvironment": "background"}])
def test_another_thread_changes_no_mini_batch(option):
    def read(ds, **more):
        rng(1)
        mbq = minibatchqueue(ds, MiniBatchSize=4, **more)
        found = [data(x) for x in mbq]
        next(mbq.reset())
        return [*found, *map(data, mbq.shuffle())]

    ds = Columns(np.arange(11.0), noise=True)
    for one, other in zip(read(Columns(np.arange(11.0), noise=True)), read(ds, **option), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(ds.threads) > 1
    plain = [data(x) for x in minibatchqueue(Columns(np.arange(11.0)), MiniBatchSize=4)]
    assert not np.array_equal(plain[0], read(ds)[0])


def test_a_change_of_the_size_leaves_out_what_was_prepared():
    mbq = minibatchqueue(Columns(np.arange(11.0)), MiniBatchSize=4, PreprocessingEnvironment="background")
    mbq.next()
    mbq.MiniBatchSize = 2
    assert data(mbq.next()).tolist() == [4, 5]


def test_functions_get_lists_and_categorical_labels():
    seen = []

    def preprocess(x, y):
        seen.append((type(x), type(y), len(x)))
        return np.stack(x, axis=-1), onehotencode(y, 1)

    known = categorical(LABELS, ["a", "b", "c"])
    ds = Columns(images(), LABELS, labels=known)
    mbq = minibatchqueue(ds, MiniBatchSize=2, MiniBatchFcn=preprocess, MiniBatchFormat=["SSCB", "CB"])
    x, t = mbq.next()
    assert seen == [(list, categorical, 2)]
    np.testing.assert_array_equal(data(t), [[0, 1], [1, 0], [0, 0]])
    assert dims(t) == "CB" and x.shape == (6, 5, 2, 2)


def test_number_of_outputs_of_a_function():
    sequences = [GENERATOR.normal(size=(3, length)) for length in (4, 2, 5)]

    def pad(x):
        padded, mask = padsequences(x, 2, nargout=2)
        return np.moveaxis(padded, 2, 1), np.moveaxis(mask, 2, 1)

    ds = Columns(sequences)
    mbq = minibatchqueue(ds, 2, MiniBatchFcn=pad, MiniBatchFormat="CBT", OutputCast=["double", "logical"])
    x, mask = mbq.next()
    assert x.shape == mask.shape == (3, 3, 5) and (x.dtype, mask.dtype) == (np.float64, bool)
    assert data(mask)[0].sum(axis=1).tolist() == [4, 2, 5]
    with pytest.raises(DataError, match=r"MiniBatchFcn pad: needs to return 1 outputs, but got 2. Give minibatchqueue"):
        minibatchqueue(ds, MiniBatchFcn=pad).next()
    one = minibatchqueue(Columns(images(), LABELS), 1, MiniBatchSize=3)
    assert one.next().shape == (6, 5, 2, 3), "only the first columns"


@pytest.mark.parametrize(
    "elements, fmt, shape",
    [
        ([np.ones((6, 5))] * 3, "SSCB", (6, 5, 1, 3)),
        ([np.ones((6, 5))] * 3, "SSBC", (6, 5, 1, 3)),
        ([np.ones((1, 4))] * 3, "BC", (4, 3)),
        ([np.ones((1, 4))] * 3, "", (3, 4)),
        ([np.ones(4)] * 3, "BC", (4, 3)),
        ([np.ones(4)] * 3, "CB", (4, 3)),
        ([np.ones((4, 1))] * 3, "CB", (4, 3)),
        ([np.ones((2, 7))] * 3, "CBT", (2, 3, 7)),
        ([np.ones((2, 7))] * 3, "CTB", (2, 3, 7)),
        ([np.ones((2, 7))] * 3, "", (2, 7, 3)),
        ([1.0, 2.0, 3.0], "CB", (1, 3)),
        ([1.0, 2.0, 3.0], "BC", (1, 3)),
    ],
)
def test_the_dimension_of_the_observations(elements, fmt, shape):
    assert minibatchqueue(Columns(elements), MiniBatchFormat=fmt).next().shape == shape


def test_types():
    ds = Columns([np.array([-1.5, 0.4, 300.0]), np.array([1.0, np.nan, 2.5])])

    def read(kind):
        return minibatchqueue(ds, OutputCast=kind, OutputAsDlarray=False).next()

    assert read("uint8").T.tolist() == [[0, 0, 255], [1, 0, 3]]
    assert read("int16").T.tolist() == [[-2, 0, 300], [1, 0, 3]]
    assert read("int64").dtype == np.int64 and read("double").dtype == np.float64
    huge = minibatchqueue(Columns([np.array([1e30, -1e30])]), OutputCast="int64", OutputAsDlarray=False).next()
    assert huge[0, 0] > 2**62 and huge[1, 0] == -(2**63)
    labels = Columns(categorical(["a", "", "b"]).names())
    found = [minibatchqueue(labels, OutputCast=kind, OutputAsDlarray=False).next() for kind in ("single", "uint8")]
    np.testing.assert_array_equal(found[0].ravel(), [1, np.nan, 2])
    np.testing.assert_array_equal(found[1].ravel(), [1, 0, 2])


def test_the_functions_of_datastores_and_a_loop_as_scripts_write_it():
    labels = categorical(LABELS, ["a", "b", "c"])
    ds = combine(arrayDatastore(IMAGES, IterationDimension=4), arrayDatastore(labels))
    mbq = minibatchqueue(ds, MiniBatchSize=4, MiniBatchFormat=["SSCB", "BC"])
    rng(0)
    found = []
    for _ in range(2):
        shuffle(mbq)
        while hasdata(mbq):
            x, t = next(mbq)
            found.append((data(x), data(t)))
    assert [len(t[0]) for _, t in found] == [4, 4, 3] * 2
    for x, t in found:
        for image, code in zip(np.moveaxis(x, -1, 0), t[0], strict=True):
            (place,) = [n for n in range(11) if np.array_equal(IMAGES[..., n].astype(np.float32), image)]
            assert code == labels.codes[place] + 1
    assert reset(mbq) is mbq and hasdata(mbq)
    with pytest.raises(OptionError, match="hasdata: needs a datastore"):
        hasdata(IMAGES)


def test_next_is_reachable_by_its_name():
    mbq = minibatchqueue(Columns(np.arange(3.0)), MiniBatchSize=1)
    assert data(mlnet.next(mbq)).tolist() == [0]
    assert "next" not in mlnet.__all__


def test_copies_and_display():
    mbq = minibatchqueue(Columns(images(), LABELS), MiniBatchSize=4)
    mbq.next()
    twin = mbq.copy()
    twin.MiniBatchSize = 3
    assert mbq.MiniBatchSize == 4 and twin.next()[0].shape[-1] == 3 and mbq.next()[0].shape[-1] == 4

    def preprocess(x, y):
        return x

    shown = repr(minibatchqueue(Columns(images(), LABELS), 1, MiniBatchFcn=preprocess)).splitlines()
    assert shown[0] == "minibatchqueue with 1 output and properties:"
    assert shown[5] == "                MiniBatchFcn: @preprocess"
    assert shown[-3:] == [
        "             OutputAsDlarray: 1",
        "             MiniBatchFormat: {''}",
        "           OutputEnvironment: {'auto'}",
    ]


def wrong(x):
    raise KeyError("oh")


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: minibatchqueue(IMAGES), OptionError, "ds: needs a datastore, but got an array"),
        (lambda: minibatchqueue(Columns([])), DataError, "an empty one"),
        (lambda: minibatchqueue(Columns([1.0]), OutputEnvironment="gpu"), NotSupportedError, "OutputEnvironment='gpu'"),
        (
            lambda: minibatchqueue(Columns([1.0]), MiniBatchFormat=["CB", "CB"]),
            OptionError,
            "MiniBatchFormat: needs one value or 1 of them, but got 2 values",
        ),
        (lambda: minibatchqueue(Columns([1.0]), OutputCast="half"), OptionError, "OutputCast: needs one of 'single'"),
        (lambda: minibatchqueue(Columns([1.0]), 2).next(), DataError, "needs 2 columns"),
        (lambda: minibatchqueue(Columns([np.ones((2, 3)), np.ones((2, 4))])).next(), DataError, "padsequences"),
        (lambda: minibatchqueue(Columns([{}])).next(), DataError, "needs numeric observations or labels, but got {}"),
        (
            lambda: minibatchqueue(Columns([np.ones((2, 3))]), MiniBatchFormat="CB").next(),
            DataError,
            "minibatchqueue: output 1: ",
        ),
        (lambda: minibatchqueue(Columns([1.0]), MiniBatchFcn=wrong).next(), DataError, "wrong raised KeyError: 'oh'"),
        (lambda: minibatchqueue(Columns([1.0]), MiniBatchFcn=lambda x: "a").next(), DataError, "needs numbers"),
        (lambda: setattr(minibatchqueue(Columns([1.0])), "ds", 1), OptionError, "ds is read-only"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
