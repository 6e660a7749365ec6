"""What a network should put out: classes and responses."""

from __future__ import annotations

import numpy as np
import pytest

from mlnet import DataError, categorical
from mlnet.data.sources.targets import ClassTargets, ResponseTargets


def classes(labels, names=(), count=None):
    return ClassTargets(labels, list(names), len(labels) if count is None else count, "trainNetwork: Y")


def responses(data, dims, count):
    return ResponseTargets(data, dims, count, "trainNetwork: Y")


@pytest.mark.parametrize(
    "labels, names",
    [
        (["b", "a", "b"], ["a", "b"]),
        (categorical(["b", "a", "b"]), ["a", "b"]),
        (np.array([["b"], ["a"], ["b"]]), ["a", "b"]),
        ([20, 3, 20], ["3", "20"]),
        (np.array([20, 3, 20], np.uint8), ["3", "20"]),
        (np.array([20.0, 3.0, 20.0]), ["3", "20"]),
        ([True, False, True], ["false", "true"]),
    ],
)
def test_numbers_of_classes(labels, names):
    targets = classes(labels)
    assert targets.classes == names and targets.present() == 2 and len(targets) == 3
    assert targets.batch(slice(None)).tolist() == [1, 0, 1] and targets.batch(np.array([2, 1])).tolist() == [1, 0]
    assert targets.batch(slice(0, 1), np.float64).dtype == np.int64


def test_given_classes_are_the_order_and_may_be_absent():
    targets = classes(["a", "c"], ["c", "b", "a"])
    assert targets.classes == ["c", "b", "a"] and targets.batch(slice(None)).tolist() == [2, 0]
    assert targets.present() == 2
    spare = categorical(["a", "c"], ["a", "b", "c", "d"])
    assert classes(spare).classes == ["a", "b", "c", "d"]
    assert classes(spare, ["a", "c"]).batch(slice(None)).tolist() == [0, 1]  # 'b' and 'd' do not occur


@pytest.mark.parametrize(
    "labels, names, count, text",
    [
        ([1, 2, 3], (), 4, "needs 4 entries, one for each observation of X, but got 3"),
        ([], (), 4, "needs 4 entries, one for each observation of X, but got 0"),
        (["a", "x"], ["a", "b"], 2, "needs classes out of ['a', 'b'], but has also 'x'"),
        ([11], [str(n) for n in range(9)], 1, "out of ['0', '1', '2', '3', '4' and 4 others], but has also '11'"),
        ([1.5, 2], (), 2, "needs class labels (categorical, texts, integers or bools), but got fractional"),
        (np.eye(2), (), 2, "needs one class for each observation (N x 1), but got shape (2, 2)"),
        (["a", None], (), 2, "number 2 is undefined"),
        (None, (), 2, "number 1 is undefined"),
    ],
)
def test_labels_that_do_not_fit(labels, names, count, text):
    with pytest.raises(DataError) as caught:
        classes(labels, names, count)
    assert str(caught.value).startswith("trainNetwork: Y: ") and text in str(caught.value)


@pytest.mark.parametrize(
    "data, dims, count, shape",
    [
        (np.arange(5.0), (1,), 5, (5, 1)),
        (np.arange(5), (1, 1, 1), 5, (5, 1, 1, 1)),
        (np.ones((5, 3)), (3,), 5, (5, 3)),
        (np.ones((5, 3)), (1, 1, 3), 5, (5, 1, 1, 3)),
        (np.ones((1, 1, 3, 5)), (3,), 5, (5, 3)),
        (np.ones((1, 1, 3, 5)), (1, 1, 3), 5, (5, 1, 1, 3)),
        (np.ones((4, 2, 3, 5)), (4, 2, 3), 5, (5, 4, 2, 3)),
        (np.ones((4, 2, 3)), (4, 2, 3), 1, (1, 4, 2, 3)),
        (np.ones((4, 2)), (4, 2, 1), 1, (1, 4, 2, 1)),
        ([1, 2, 3], (3,), 1, (1, 3)),
        (7, (1,), 1, (1, 1)),
        ([[1], [2]], (1,), 2, (2, 1)),
    ],
)
def test_shapes_of_responses(data, dims, count, shape):
    targets = responses(data, dims, count)
    batch = targets.batch(slice(None))
    assert batch.shape == shape and batch.dtype == np.float32 and len(targets) == count
    assert np.array_equal(np.sort(batch, axis=None), np.sort(np.float32(data), axis=None))


def test_response_images_keep_their_places():
    y = np.arange(4 * 2 * 3 * 5.0).reshape(4, 2, 3, 5)
    batch = responses(y, (4, 2, 3), 5).batch(np.array([4, 1]))
    assert np.array_equal(batch[0], y[..., 4]) and np.array_equal(batch[1], y[..., 1])


@pytest.mark.parametrize("y, dims", [(np.ones((50, 3), np.float64), (3,)), (np.ones((4, 2, 3, 50)), (4, 2, 3))])
def test_responses_are_not_copied_as_a_whole(y, dims):
    targets = responses(y, dims, 50)
    assert np.shares_memory(targets._y, y)
    assert not np.shares_memory(targets.batch(slice(0, 2)), y)


@pytest.mark.parametrize(
    "data, dims, count, text",
    [
        (["a", "b"], (1,), 2, "needs numeric responses (for classes end the network with softmaxLayer and"),
        (categorical(["a"]), (1,), 1, "but got a categorical"),
        (None, (1,), 1, "but got None"),
        ([[1], [1, 2]], (1,), 2, "but got a list of uneven lists"),
        (np.ones(2) * 1j, (1,), 2, "needs numeric responses"),
        (np.ones((3, 5)), (3,), 5, "needs 5 entries, one for each observation of X, but got 3. Transpose it."),
        (np.ones((4, 3)), (3,), 5, "needs 5 entries, one for each observation of X, but got 4."),
        (
            np.ones((5, 2)),
            (3,),
            5,
            "needs responses of size 3 for each observation, as the network puts out, but got 2.",
        ),
        (np.ones(5), (3,), 5, "needs responses of size 3 for each observation, as the network puts out, but got 1."),
        (np.ones((4, 3, 3, 5)), (4, 4, 3), 5, "needs responses of size 4x4x3 for each observation"),
        (np.ones((2, 2, 3, 5)), (3,), 5, "needs responses of size 3 for each observation"),
        (np.ones((5, 3)), (4, 4, 3), 5, "needs 5 entries"),
        ([1, np.inf], (1,), 2, "needs finite numbers, but observation 2 has NaN or Inf"),
        ([[1, 2], [3, np.nan]], (2,), 2, "needs finite numbers, but observation 2 has NaN or Inf"),
    ],
)
def test_responses_that_do_not_fit(data, dims, count, text):
    with pytest.raises(DataError) as caught:
        responses(data, dims, count)
    assert str(caught.value).startswith("trainNetwork: Y: ") and text in str(caught.value)
