"""Attention: PyTorch, gradients, sequences of different lengths, masks and dropout."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy import attention as family
from mlnet.errors import DataError
from mlnet.parallel.blocks import BLOCK_BYTES

from .gradients import check_gradients, scattered

ATTENTION = Operation(family.attention, family.attention_backward)
SELF_ATTENTION = Operation(family.self_attention, family.self_attention_backward)
LENGTHS = np.array([5, 2, 4])


def draw(*shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


def parameters(channels, keys, values, output, seed=1):
    """Return the weights and biases of self-attention."""
    shapes = [(keys, channels), (keys, channels), (values, channels), (output, values)]
    return draw(*shapes, *[(shape[0], 1) for shape in shapes], seed=seed)


def hidden(count, queries, keys, causal, lengths):
    """Return PyTorch's mask (N, 1, Tq, Tk), true where a key is seen."""
    seen = np.ones((count, 1, queries, keys), bool)
    if causal:
        seen &= np.tril(np.ones((queries, keys), bool))
    if lengths is not None:
        seen &= (np.arange(keys) < np.asarray(lengths)[:, None])[:, None, None]
    return torch.tensor(seen)


def torch_attention(q, k, v, heads, seen, scale):
    q, k, v = (each.reshape(*each.shape[:2], heads, -1).transpose(1, 2) for each in (q, k, v))
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    return y.transpose(1, 2).flatten(2)


def behind(shape, lengths):
    """Return 0 behind the ends of sequences (N, T, C), 1 before."""
    if lengths is None:
        return np.ones(shape)
    return (np.arange(shape[1]) < np.asarray(lengths)[:, None])[:, :, None] * np.ones(shape)


QUERY_CASES: list[tuple[list[tuple[int, ...]], dict[str, Any]]] = [
    ([(3, 5, 6), (3, 5, 6), (3, 5, 4)], {"heads": 2, "scale": 0.6}),
    ([(3, 4, 6), (3, 5, 6), (3, 5, 9)], {"heads": 3, "scale": 0.7, "causal": True}),
    ([(3, 6, 4), (3, 5, 4), (3, 5, 2)], {"heads": 1, "scale": -0.5, "causal": True}),
    ([(3, 5, 4), (3, 5, 4), (3, 5, 4)], {"heads": 4, "scale": 1.0, "lengths": LENGTHS, "more_lengths": (LENGTHS,) * 2}),
    (
        [(3, 5, 4), (3, 4, 4), (3, 4, 4)],
        {"heads": 2, "scale": 1.0, "lengths": LENGTHS, "more_lengths": (np.array([1, 4, 2]),) * 2, "causal": True},
    ),
    ([(3, 5, 4), (3, 4, 4), (3, 4, 6)], {"heads": 2, "scale": 1.0, "lengths": LENGTHS}),
    ([(1, 1, 1), (1, 1, 1), (1, 1, 1)], {"heads": 1, "scale": 1.0}),
]


@pytest.mark.parametrize("shapes, attributes", QUERY_CASES, ids=str)
def test_attention_agrees_with_pytorch(shapes, attributes):
    arrays = draw(*shapes)
    ours, saved = ATTENTION.forward(*map(scattered, arrays), workspace=Workspace(), **attributes)
    lengths, keys = attributes.get("lengths"), (attributes.get("more_lengths") or (None,))[0]
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    seen = hidden(len(arrays[0]), shapes[0][1], shapes[1][1], attributes.get("causal", False), keys)
    theirs = torch_attention(*tensors, attributes["heads"], seen, attributes["scale"])
    inside = behind(ours.shape, lengths)
    np.testing.assert_allclose(ours, theirs.detach().numpy() * inside, rtol=1e-12, atol=1e-12)
    (d_output,) = draw(ours.shape, seed=2)
    gradients = ATTENTION.backward(saved, scattered(d_output), wanted=(True,) * 3, workspace=Workspace())
    theirs.backward(torch.tensor(d_output * inside))
    for gradient, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-11, atol=1e-12)


SELF_CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((3, 5, 6), (6, 6, 6), {"heads": 2}),
    ((3, 5, 6), (6, 6, 6), {"heads": 3, "causal": True}),
    ((3, 5, 6), (6, 6, 6), {"heads": 1, "lengths": LENGTHS}),
    ((3, 5, 6), (6, 6, 6), {"heads": 6, "lengths": LENGTHS, "causal": True}),
    ((3, 5, 4), (6, 3, 5), {"heads": 3, "lengths": LENGTHS}),
    ((2, 1, 1), (1, 1, 1), {"heads": 1}),
]


@pytest.mark.parametrize("shape, sizes, attributes", SELF_CASES, ids=str)
def test_self_attention_agrees_with_pytorch(shape, sizes, attributes):
    (x,) = draw(shape)
    heads, lengths = attributes["heads"], attributes.get("lengths")
    attributes = {"scale": 1 / math.sqrt(sizes[0] // heads), **attributes}
    arrays = [x, *parameters(shape[-1], *sizes)]
    ours, saved = SELF_ATTENTION.forward(*map(scattered, arrays), workspace=Workspace(), **attributes)
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    t, wq, wk, wv, wo, bq, bk, bv, bo = tensors
    if sizes == (shape[-1],) * 3:  # what PyTorch's whole layer can do
        padding = None
        if lengths is not None:
            padding = torch.tensor(np.arange(shape[1]) >= lengths[:, None])
        causal = torch.triu(torch.ones(shape[1], shape[1], dtype=torch.bool), 1) if attributes.get("causal") else None
        theirs, _ = torch.nn.functional.multi_head_attention_forward(
            *[t.transpose(0, 1)] * 3,
            embed_dim_to_check=shape[-1],
            num_heads=heads,
            in_proj_weight=None,
            in_proj_bias=torch.cat([bq, bk, bv]).ravel(),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=wo,
            out_proj_bias=bo.ravel(),
            key_padding_mask=padding,
            attn_mask=causal,
            use_separate_proj_weight=True,
            q_proj_weight=wq,
            k_proj_weight=wk,
            v_proj_weight=wv,
        )
        theirs = theirs.transpose(0, 1)
    else:
        made = [t @ w.T + b.T for w, b in ((wq, bq), (wk, bk), (wv, bv))]
        seen = hidden(*shape[:2], shape[1], attributes.get("causal", False), lengths)
        theirs = torch_attention(*made, heads, seen, None) @ wo.T + bo.T
    inside = behind(ours.shape, lengths)
    np.testing.assert_allclose(ours, theirs.detach().numpy() * inside, rtol=1e-11, atol=1e-12)
    (d_output,) = draw(ours.shape, seed=2)
    gradients = SELF_ATTENTION.backward(saved, scattered(d_output), wanted=(True,) * 9, workspace=Workspace())
    theirs.backward(torch.tensor(d_output * inside))
    for gradient, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)


def everything():
    """Yield operations with all arrays and attributes in all combinations that differ in their ways."""
    q, k, v = draw((3, 4, 6), (3, 5, 6), (3, 5, 4))
    mask = np.ones((3, 5, 1))
    mask[1, 2:] = mask[2, 0] = 0
    for scores, causal in itertools.product([False, True], repeat=2):
        options = {"heads": 2, "scale": 0.5, "causal": causal, "scores": scores}
        yield ATTENTION, [q, k, v], options
        yield ATTENTION, [q, k, v, mask], options
        yield SELF_ATTENTION, [k, *parameters(6, 4, 8, 3)], options
        yield SELF_ATTENTION, [k, mask, *parameters(6, 4, 8, 3)], options
    yield SELF_ATTENTION, [k[:, 0], *parameters(6, 4, 8, 3)], {"heads": 2, "scale": 0.5}
    yield SELF_ATTENTION, [k[:, 0], mask[:, 0], *parameters(6, 4, 8, 3)], {"heads": 2, "scale": 0.5}
    yield ATTENTION, [q[:, 0], k, v], {"heads": 2, "scale": 0.5}
    yield ATTENTION, [q, k[:, 0], v[:, 0], mask[:, 0]], {"heads": 2, "scale": 0.5}


@pytest.mark.parametrize("operation, arrays, attributes", list(everything()))
def test_gradients_agree_with_differences(operation, arrays, attributes):
    check_gradients(operation, arrays, attributes, (True,) * len(arrays), np.random.default_rng(2))


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("operation", [ATTENTION, SELF_ATTENTION])
def test_gradients_of_sequences_with_masks(operation, scores):
    mask = np.ones((3, 5, 1))
    mask[0, 4] = mask[2, 1] = 0
    attributes = {"heads": 2, "scale": 0.5, "causal": True, "lengths": LENGTHS, "scores": scores}
    if operation is ATTENTION:
        arrays = [*draw((3, 5, 6), (3, 5, 6), (3, 5, 4)), mask]
        attributes["more_lengths"] = (LENGTHS,) * 3
    else:
        arrays = [*draw((3, 5, 6)), mask, *parameters(6, 4, 8, 3)]
        attributes["more_lengths"] = (LENGTHS,)
    check_gradients(operation, arrays, attributes, (True,) * len(arrays), np.random.default_rng(2))


def test_only_one_of_two_outputs_may_have_a_gradient():
    arrays = [*draw((3, 5, 6)), *parameters(6, 4, 8, 3)]
    attributes = {"heads": 2, "scale": 0.5, "scores": True}
    (y, scores), saved = SELF_ATTENTION.forward(*arrays, workspace=Workspace(), **attributes)
    d_y, d_scores = draw(y.shape, scores.shape)

    def back(*d_outputs):
        found = SELF_ATTENTION.backward(saved, d_outputs, wanted=(True,) * 9, workspace=Workspace())
        return [np.array(each) for each in found]

    for both, one, other in zip(back(d_y, d_scores), back(d_y, None), back(None, d_scores), strict=True):
        np.testing.assert_allclose(both, one + other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operation, arrays, attributes", list(everything()))
def test_wanted_gradients_only_and_used_workspaces(operation, arrays, attributes):
    workspace = Workspace()

    def run(wanted, workspace):
        output, saved = operation.forward(*arrays, workspace=workspace, **attributes)
        outputs = output if isinstance(output, tuple) else (output,)
        d_outputs = draw(*[each.shape for each in outputs], seed=5)
        d_output = tuple(d_outputs) if len(outputs) > 1 else d_outputs[0]
        gradients = operation.backward(saved, d_output, wanted=wanted, workspace=workspace)
        return [None if each is None else np.array(each) for each in gradients]

    full = run((True,) * len(arrays), Workspace())
    for number in range(len(arrays)):
        for wanted in (tuple(n == number for n in range(len(arrays))), tuple(n != number for n in range(len(arrays)))):
            found = run(wanted, workspace)
            assert tuple(each is not None for each in found) == wanted
            for each, expected in zip(found, full, strict=True):
                if each is not None:
                    np.testing.assert_array_equal(each, expected)


@pytest.mark.parametrize("operation, arrays, attributes", list(everything()))
def test_float32_stays_float32_and_is_close(operation, arrays, attributes):
    def run(dtype):
        given = [each.astype(dtype) for each in arrays]
        output, saved = operation.forward(*given, workspace=Workspace(), **attributes)
        outputs = output if isinstance(output, tuple) else (output,)
        d_outputs = tuple(each.astype(dtype) for each in draw(*[each.shape for each in outputs], seed=5))
        d_output = d_outputs if len(outputs) > 1 else d_outputs[0]
        wanted = (True,) * len(arrays)
        return [*outputs, *operation.backward(saved, d_output, wanted=wanted, workspace=Workspace())]

    for single, double in zip(run(np.float32), run(np.float64), strict=True):
        assert single.dtype == np.float32 and double.dtype == np.float64
        np.testing.assert_allclose(single, double, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("operation", [ATTENTION, SELF_ATTENTION])
def test_what_lies_behind_the_ends_does_not_matter(operation, causal):
    x, others = draw((3, 5, 6))[0], parameters(6, 4, 8, 3)
    spoiled = np.where(behind(x.shape, LENGTHS) > 0, x, 1e6)
    results = []
    for each in (x, spoiled):
        attributes = {"heads": 2, "scale": 0.5, "causal": causal, "lengths": LENGTHS}
        if operation is ATTENTION:
            arrays, attributes["more_lengths"] = [each] * 3, (LENGTHS,) * 2
        else:
            arrays = [each, *others]
        y, saved = operation.forward(*arrays, workspace=Workspace(), **attributes)
        d_y = draw(y.shape, seed=3)[0] + (1 - behind(y.shape, LENGTHS)) * each.max()
        gradients = operation.backward(saved, d_y, wanted=(True,) * len(arrays), workspace=Workspace())
        results.append([y, *gradients])
        assert not y[1, 2:].any() and not gradients[0][1, 2:].any()
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    for number, length in enumerate(LENGTHS):
        alone = [each[number : number + 1, :length] for each in ([x] * 3 if operation is ATTENTION else [x])]
        alone += [] if operation is ATTENTION else others
        y, _ = operation.forward(*alone, heads=2, scale=0.5, causal=causal, workspace=Workspace())
        np.testing.assert_allclose(results[0][0][number, :length], y[0], rtol=1e-12, atol=1e-12)


def test_scores_are_keys_by_queries_and_sum_to_one():
    q, k, v = draw((2, 3, 4), (2, 5, 4), (2, 5, 4))
    mask = np.ones((2, 5, 1))
    mask[0, 3:] = 0
    (y, scores), _ = ATTENTION.forward(q, k, v, mask, heads=2, scale=1.0, scores=True, workspace=Workspace())
    assert scores.shape == (2, 5, 3, 2) and not scores[0, 3:].any()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    expected = np.einsum("nkqh,nkhc->nqhc", scores, v.reshape(2, 5, 2, 2)).reshape(2, 3, 4)
    np.testing.assert_allclose(y, expected)


def test_without_any_key_the_output_is_zero():
    q, k, v = draw((2, 3, 4), (2, 5, 4), (2, 5, 4))
    mask = np.ones((2, 5, 1))
    mask[1] = 0
    y, saved = ATTENTION.forward(q, k, v, mask, heads=2, scale=1.0, workspace=Workspace())
    assert y[0].all() and not y[1].any()
    gradients = ATTENTION.backward(saved, np.ones_like(y), wanted=(True,) * 4, workspace=Workspace())
    assert all(np.isfinite(each).all() for each in gradients)


@pytest.mark.parametrize("operation", [ATTENTION, SELF_ATTENTION])
def test_large_scores_do_not_overflow(operation):
    x = np.full((1, 3, 2), 1e3)
    arrays = [x] * 3 if operation is ATTENTION else [x, *parameters(2, 2, 2, 2)]
    y, _ = operation.forward(*arrays, heads=1, scale=1e6, workspace=Workspace())
    assert np.isfinite(y).all()


def test_an_empty_mini_batch():
    arrays = [np.zeros((0, 5, 6)), *parameters(6, 4, 8, 3)]
    y, saved = SELF_ATTENTION.forward(*arrays, heads=2, scale=1.0, workspace=Workspace())
    assert y.shape == (0, 5, 3)
    gradients = SELF_ATTENTION.backward(saved, y, wanted=(True,) * 9, workspace=Workspace())
    for gradient, array in zip(gradients, arrays, strict=True):
        assert gradient.shape == array.shape and not gradient.any()


class Fixed(np.random.Generator):
    """Gives the same numbers each time."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))
        self.seed = seed

    def random(self, *args, **kwargs):
        return np.random.default_rng(self.seed).random(*args, **kwargs)


@pytest.mark.parametrize("operation", [ATTENTION, SELF_ATTENTION])
def test_dropout_of_scores(operation):
    arrays = draw((3, 4, 6), (3, 5, 6), (3, 5, 4)) if operation is ATTENTION else draw((3, 5, 6))
    arrays += [] if operation is ATTENTION else parameters(6, 4, 8, 3)
    attributes = {"heads": 2, "scale": 0.5, "probability": 0.4}
    check_gradients(
        operation, arrays, {**attributes, "generator": Fixed(3)}, (True,) * len(arrays), np.random.default_rng(2)
    )
    kept, _ = operation.forward(*arrays, **attributes, workspace=Workspace())
    plain, _ = operation.forward(*arrays, heads=2, scale=0.5, workspace=Workspace())
    np.testing.assert_array_equal(kept, plain)
    generator, attributes["workspace"] = np.random.default_rng(0), Workspace()
    every = [operation.forward(*arrays, **attributes, generator=generator)[0].copy() for _ in range(2000)]
    errors = (np.mean(every, axis=0) - plain) / (np.std(every, axis=0) / np.sqrt(len(every)))
    assert np.abs(errors).max() < 4.5  # dropping keeps the mean


def test_dropout_takes_whole_scores():
    q, k, _ = draw((1, 3, 4), (1, 5, 4), (1,))
    attributes = {"heads": 1, "scale": 1.0, "probability": 0.5, "generator": np.random.default_rng(0), "scores": True}
    (y, scores), _ = ATTENTION.forward(q, k, np.eye(5)[None], workspace=Workspace(), **attributes)
    ratio = y[0] / scores[0, :, :, 0].T
    assert set(np.round(ratio, 12).ravel()) == {0.0, 2.0}


def test_sequences_of_other_lengths_are_refused():
    q, k, v = draw((2, 3, 4), (2, 3, 4), (2, 3, 4))
    one, other = np.array([3, 2]), np.array([3, 3])
    with pytest.raises(DataError, match=r"the same numbers of time steps, but got \[3, 2\] and \[3, 3\]"):
        ATTENTION.forward(q, k, v, heads=1, scale=1.0, lengths=one, more_lengths=(one, other), workspace=Workspace())
    with pytest.raises(DataError, match="the same numbers of time steps"):
        SELF_ATTENTION.forward(
            q,
            np.ones((2, 3, 1)),
            *parameters(4, 4, 4, 4),
            heads=1,
            scale=1.0,
            lengths=one,
            more_lengths=(other,),
            workspace=Workspace(),
        )


@pytest.mark.parametrize("count, queries, keys", [(40, 60, 70), (2, 300, 310)])
def test_many_pieces_agree_with_pytorch(count, queries, keys):
    """Observations, and heads of large ones, are shared out to several threads."""
    arrays = draw((count, queries, 8), (count, keys, 8), (count, keys, 8))
    assert count * 2 * queries * keys * 8 > BLOCK_BYTES
    y, saved = ATTENTION.forward(*arrays, heads=2, scale=0.5, workspace=Workspace())
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    theirs = torch_attention(*tensors, 2, None, 0.5)
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-11, atol=1e-12)
    (d_y,) = draw(y.shape, seed=2)
    gradients = ATTENTION.backward(saved, d_y, wanted=(True,) * 3, workspace=Workspace())
    theirs.backward(torch.tensor(d_y))
    for gradient, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wrong", [1.001, -1.0, 0.0])
def test_a_planted_error_is_found(wrong):
    def backward(saved, d_output, *, wanted, workspace):
        d_q, *others = ATTENTION.backward(saved, d_output, wanted=wanted, workspace=workspace)
        return (d_q * wrong, *others)

    arrays = draw((3, 4, 6), (3, 5, 6), (3, 5, 4))
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(
            Operation(family.attention, backward),
            arrays,
            {"heads": 2, "scale": 0.5},
            (True,) * 3,
            np.random.default_rng(2),
        )
