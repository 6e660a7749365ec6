"""Embeddings of words, positions and patches, encodings of positions, and indexing."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import embedding, indexing, patch_embedding, position_encoding
from mlnet.errors import DataError

from .gradients import check_gradients, scattered

OPERATIONS = {
    name: Operation(forward, getattr(module, f"{name}_backward"))
    for module in (embedding, indexing, patch_embedding, position_encoding)
    for name, forward in vars(module).items()
    if hasattr(module, f"{name}_backward")
}
LENGTHS = np.array([5, 2, 4])


def draw(*shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


def words(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 9, shape).astype(float)


def inside(x):
    """Return (N, T) true before the ends."""
    return np.arange(x.shape[1]) < LENGTHS[:, None]


def mask_of(*shape):
    mask = np.ones((*shape, 1))
    mask[0, -1] = mask[1, 0] = 0
    return mask


CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("position_embedding", draw((3, 5, 2), (4, 7)), {}),
    ("position_embedding", draw((3, 5, 2), (4, 5)), {"lengths": LENGTHS}),
    ("position_embedding", draw((3, 5, 2, 3, 6), (4, 5)), {"lengths": LENGTHS}),
    ("position_embedding", draw((1, 1, 1), (1, 1)), {}),
    ("embedding_concatenation", draw((3, 5, 4), (4, 1)), {}),
    ("embedding_concatenation", draw((1, 1, 1), (1, 1)), {}),
    ("value_encoding", draw((3, 5, 1)), {"size": 6}),
    ("value_encoding", draw((3, 1)), {"size": 2}),
    ("patch_embedding", draw((2, 7, 3), (2, 3, 4), (1, 4)), {"by_rows": False}),
    *[
        ("patch_embedding", draw(*shapes), {"by_rows": rows})
        for shapes, rows in itertools.product(
            [
                ((2, 6, 9, 3), (2, 3, 3, 5), (1, 1, 5)),
                ((2, 7, 8, 1), (3, 3, 1, 2), (1, 1, 2)),
                ((2, 4, 5, 4, 2), (2, 2, 2, 2, 3), (1, 1, 1, 3)),
                ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1)),
            ],
            [False, True],
        )
    ],
    ("indexing1d", draw((3, 5, 4)), {"last": False}),
    ("indexing1d", draw((3, 5, 4)), {"last": True}),
    ("indexing1d", draw((3, 5, 4)), {"last": True, "lengths": LENGTHS}),
    ("indexing1d", draw((3, 5, 2, 3, 4)), {"last": True, "lengths": LENGTHS}),
    ("indexing1d", [*draw((3, 5, 4)), mask_of(3, 5)], {"last": False}),
    ("indexing1d", [*draw((3, 5, 4)), mask_of(3, 5)], {"last": True, "lengths": LENGTHS, "more_lengths": (LENGTHS,)}),
]
NAMES = [f"{name}-{'x'.join(map(str, arrays[0].shape))}-{number}" for number, (name, arrays, _) in enumerate(CASES)]
every_case = pytest.mark.parametrize("name, arrays, attributes", CASES, ids=NAMES)


def run_both(name, arrays, attributes, wanted=None, workspace=None):
    workspace = workspace or Workspace()
    y, saved = OPERATIONS[name].forward(*arrays, workspace=workspace, **attributes)
    (d_y,) = draw(y.shape, seed=5)
    wanted = wanted or (True,) * len(arrays)
    gradients = OPERATIONS[name].backward(saved, d_y.astype(y.dtype), wanted=wanted, workspace=workspace)
    return [None if each is None else np.array(each) for each in (y, *gradients)]


@every_case
def test_gradients_agree_with_differences(name, arrays, attributes):
    check_gradients(OPERATIONS[name], arrays, attributes, (True,) * len(arrays), np.random.default_rng(2))


@every_case
def test_non_contiguous_inputs_wanted_gradients_and_used_workspaces(name, arrays, attributes):
    full, workspace = run_both(name, arrays, attributes), Workspace()
    for found, expected in zip(run_both(name, [scattered(each) for each in arrays], attributes), full, strict=True):
        np.testing.assert_array_equal(found, expected)
    for wanted in itertools.product((False, True), repeat=len(arrays)):
        _, *found = run_both(name, arrays, attributes, wanted, workspace)
        assert tuple(each is not None for each in found) == wanted
        for each, expected in zip(found, full[1:], strict=True):
            if each is not None:
                np.testing.assert_array_equal(each, expected)


@every_case
def test_float32_stays_float32_and_empty_mini_batches(name, arrays, attributes):
    single = run_both(name, [each.astype(np.float32) for each in arrays], attributes)
    for found, expected in zip(single, run_both(name, arrays, attributes), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
    inputs = 2 if name == "indexing1d" else 1
    empty = [each[:0] if number < inputs else each for number, each in enumerate(arrays)]
    attributes = {
        k: v[:0] if k == "lengths" else (v[0][:0],) if k == "more_lengths" else v for k, v in attributes.items()
    }
    found = run_both(name, empty, attributes)
    assert found[0].shape == (0, *single[0].shape[1:])
    for gradient, array in zip(found[1:], empty, strict=True):
        assert gradient.shape == array.shape and not gradient.any()


def test_words_agree_with_pytorch():
    x, (weights,) = words(4, 6, 1), draw((3, 9))
    y, saved = OPERATIONS["word_embedding"].forward(scattered(x), weights, words=8, strict=False, workspace=Workspace())
    columns = torch.tensor(np.where(x[..., 0] == 0, 8, x[..., 0] - 1), dtype=torch.long)
    table = torch.tensor(weights.T.copy(), requires_grad=True)
    theirs = torch.nn.functional.embedding(columns, table)
    np.testing.assert_array_equal(y, theirs.detach().numpy())
    (d_y,) = draw(y.shape)
    theirs.backward(torch.tensor(d_y))
    d_x, d_weights = OPERATIONS["word_embedding"].backward(saved, d_y, wanted=(True, True), workspace=Workspace())
    np.testing.assert_allclose(d_weights, table.grad.numpy().T, rtol=1e-12)
    assert d_x.shape == x.shape and not d_x.any()
    none = OPERATIONS["word_embedding"].backward(saved, d_y, wanted=(False, False), workspace=Workspace())
    assert none == (None, None)


def test_words_that_are_not_known():
    (weights,) = draw((3, 5))
    forward = OPERATIONS["word_embedding"].forward
    x = np.array([[1.0], [4], [5], [0], [-3], [100]])
    y, _ = forward(x, weights, words=4, strict=False, workspace=Workspace())
    np.testing.assert_array_equal(y, weights.T[[0, 3, 4, 4, 4, 4]])
    for number in (0, 5):
        with pytest.raises(DataError, match=f"needs numbers of words from 1 to 4 .*, but got {number}"):
            forward(np.array([[1.0], [number]]), weights[:, :4], words=4, strict=True, workspace=Workspace())
    for strict in (False, True):
        with pytest.raises(DataError, match="needs whole numbers of words, but got 1.5"):
            forward(np.array([[1.5]]), weights, words=4, strict=strict, workspace=Workspace())


def test_an_empty_mini_batch_of_words():
    y, *gradients = run_both("word_embedding", [np.zeros((0, 1)), *draw((3, 5))], {"words": 4, "strict": False})
    assert y.shape == (0, 3) and gradients[1].shape == (3, 5) and not gradients[1].any()


def test_words_stay_single():
    y, _, d_weights = run_both(
        "word_embedding",
        [words(4, 1).astype(np.float32), draw((3, 9))[0].astype(np.float32)],
        {"words": 8, "strict": False},
    )
    assert y.dtype == d_weights.dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 5, 2), (3, 5, 2, 2, 2)])
def test_position_embedding_puts_out_columns(shape):
    x, weights = draw(shape, (4, 6))
    y, _ = OPERATIONS["position_embedding"].forward(x, weights, lengths=LENGTHS, workspace=Workspace())
    for n, length in enumerate(LENGTHS):
        for t in range(5):
            expected = weights[:, t] if t < length else np.zeros(4)
            np.testing.assert_array_equal(y[n, t], np.broadcast_to(expected, (*shape[2:-1], 4)))


def test_position_embedding_needs_a_column_for_each_position():
    x, weights = draw((3, 5, 2), (4, 4))
    with pytest.raises(DataError, match=r"at most 4 positions \(MaxPosition\), but got 5"):
        OPERATIONS["position_embedding"].forward(x, weights, workspace=Workspace())
    shorter = np.array([4, 2, 4])
    y, _ = OPERATIONS["position_embedding"].forward(x, weights, lengths=shorter, workspace=Workspace())
    assert not y[:, 4].any()


@pytest.mark.parametrize("size", [2, 6])
def test_encodings_by_the_formula(size):
    def formula(p):
        pairs = [
            (math.sin(p / 10000 ** (2 * i / size)), math.cos(p / 10000 ** (2 * i / size))) for i in range(size // 2)
        ]
        return [number for pair in pairs for number in pair]

    (x,) = draw((3, 5, 2, 4))
    y, _ = OPERATIONS["position_encoding"].forward(x, size=size, lengths=LENGTHS, workspace=Workspace())
    for n, length in enumerate(LENGTHS):
        for t in range(5):
            expected = formula(t + 1) if t < length else [0] * size
            np.testing.assert_allclose(y[n, t], [expected] * 2, atol=1e-15)
    full, saved = OPERATIONS["position_encoding"].forward(x, size=size, workspace=Workspace())
    np.testing.assert_array_equal(full[1], full[0])
    (d_x,) = OPERATIONS["position_encoding"].backward(saved, full, wanted=(True,), workspace=Workspace())
    assert d_x.shape == x.shape and not d_x.any()
    values, _ = OPERATIONS["value_encoding"].forward(x[..., :1], size=size, workspace=Workspace())
    np.testing.assert_allclose(values[1, 2, 1], formula(x[1, 2, 1, 0]), atol=1e-14)


def test_large_positions_are_exact_in_single_precision():
    x = np.array([[12345.0]], np.float32)
    y, _ = OPERATIONS["value_encoding"].forward(x, size=2, workspace=Workspace())
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[0], [math.sin(12345), math.cos(12345)], atol=1e-6)


def test_concatenation_puts_the_vector_first():
    x, weights = draw((3, 5, 4), (4, 1))
    y, _ = OPERATIONS["embedding_concatenation"].forward(x, weights, lengths=LENGTHS, workspace=Workspace())
    np.testing.assert_array_equal(y, np.concatenate([np.tile(weights.T, (3, 1, 1)), x], axis=1))


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("shape, patch", [((2, 6, 9, 3), (2, 3)), ((2, 7, 8, 2), (3, 3)), ((2, 5, 4, 6, 2), (2, 2, 3))])
def test_patches_agree_with_a_convolution_of_pytorch(shape, patch, rows):
    x, weights, bias = draw(shape, (*patch, shape[-1], 5), (*[1] * len(patch), 5))
    y, saved = OPERATIONS["patch_embedding"].forward(x, weights, bias, by_rows=rows, workspace=Workspace())
    tensors = [torch.tensor(each, requires_grad=True) for each in (x, weights, bias)]
    convolution = torch.nn.functional.conv2d if len(patch) == 2 else torch.nn.functional.conv3d
    images = torch.movedim(tensors[0], -1, 1)
    filters = torch.movedim(tensors[1], (-1, -2), (0, 1))
    theirs = torch.movedim(convolution(images, filters, tensors[2].ravel(), stride=patch), 1, -1)
    order = range(1, len(patch) + 1) if rows else range(len(patch), 0, -1)
    theirs = theirs.permute(0, *order, len(patch) + 1).flatten(1, -2)
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-11, atol=1e-12)
    (d_y,) = draw(y.shape, seed=3)
    theirs.backward(torch.tensor(d_y))
    gradients = OPERATIONS["patch_embedding"].backward(saved, d_y, wanted=(True,) * 3, workspace=Workspace())
    for gradient, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_patches_have_the_order_of_the_documentation():
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    one, zero = np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1))
    for rows, expected in ((False, [1, 4, 7, 2, 5, 8, 3, 6, 9]), (True, [1, 2, 3, 4, 5, 6, 7, 8, 9])):
        y, _ = OPERATIONS["patch_embedding"].forward(x, one, zero, by_rows=rows, workspace=Workspace())
        assert y.ravel().tolist() == expected


def test_indexing_looks_at_ends_and_masks():
    (x,) = draw((3, 5, 4))
    mask = np.array([[0, 1, 1, 0, 1], [1, 0, 1, 1, 1], [0, 0, 1, 1, 0.0]])[..., None]

    def taken(last, *mask, **lengths):
        return OPERATIONS["indexing1d"].forward(x, *mask, last=last, workspace=Workspace(), **lengths)[0]

    for found, places in (
        (taken(False), [0, 0, 0]),
        (taken(True), [4, 4, 4]),
        (taken(True, lengths=LENGTHS), [4, 1, 3]),
        (taken(False, mask), [1, 0, 2]),
        (taken(True, mask), [4, 4, 3]),
        (taken(True, mask, lengths=LENGTHS, more_lengths=(LENGTHS,)), [4, 0, 3]),
    ):
        np.testing.assert_array_equal(found, x[np.arange(3), places])
    with pytest.raises(DataError, match="Observation 2 of the mini-batch: needs at least 1 time step, but got 0"):
        taken(True, lengths=np.array([1, 0, 5]))
    with pytest.raises(DataError, match="a mask with as many time steps"):
        taken(True, mask, lengths=LENGTHS, more_lengths=(np.array([5, 5, 5]),))


def test_a_planted_error_is_found():
    right = OPERATIONS["patch_embedding"]

    def backward(saved, d_output, *, wanted, workspace):
        d_x, *others = right.backward(saved, d_output, wanted=wanted, workspace=workspace)
        return (d_x.swapaxes(1, 2), *others)

    arrays = draw((2, 6, 6, 3), (2, 3, 3, 5), (1, 1, 5))
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(
            Operation(right.forward, backward), arrays, {"by_rows": True}, (True,) * 3, np.random.default_rng(2)
        )
