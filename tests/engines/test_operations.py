"""Every operation of the NumPy engine, on every case of the table."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlnet.engines.base import Operation, Workspace
from mlnet.engines.numpy.engine import NumpyEngine

from . import reference
from .cases import CASES, Case
from .checks import check_backward, check_formula
from .gradients import check_gradients, scattered

ENGINE = NumpyEngine()
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def forward(case: Case, arrays: list[np.ndarray], workspace: Workspace | None = None) -> np.ndarray:
    output, _ = ENGINE.operation(case.operation).forward(*arrays, workspace=workspace or Workspace(), **case.attributes)
    return output


def run_both(case: Case, arrays: list[np.ndarray], workspace: Workspace) -> list[np.ndarray]:
    """Return copies of the output and of all gradients, for an output gradient that depends on the shape only."""
    operation = ENGINE.operation(case.operation)
    output, saved = operation.forward(*arrays, workspace=workspace, **case.attributes)
    d_output = np.random.default_rng(5).standard_normal(output.shape).astype(output.dtype)
    kept = d_output.copy()
    gradients = operation.backward(saved, d_output, wanted=(True,) * len(arrays), workspace=workspace)
    np.testing.assert_array_equal(d_output, kept, err_msg="The backward changed the output gradient.")
    return [output.copy(), *[gradient.copy() for gradient in gradients]]


TESTED_ELSEWHERE = {
    *("dropout", "spatial_dropout", "addition", "multiplication", "concatenation", "crop"),
    *("lstm", "bilstm", "gru", "projected_lstm"),
    "recurrent_with_ports",
    *("attention", "self_attention", "word_embedding", "position_embedding", "embedding_concatenation"),
    *("patch_embedding", "indexing1d", "position_encoding", "value_encoding"),
    *("convolution1d", "convolution3d", "grouped_convolution2d"),
    *("transposed_convolution1d", "transposed_convolution2d", "transposed_convolution3d"),
    *[f"{kind}_pooling{d}" for kind in ("max", "average", "global_max", "global_average") for d in ("1d", "3d")],
    *("weight_normalization", "weight_standardization"),
    *("max_pooling2d_with_indices", "max_unpooling2d"),
    *("user_function", "custom_layer", "custom_layer_with_backward"),
    *("flatten", "reshape", "permute", "depth_to_space", "space_to_depth", "resize"),
}
"""Operations that need a generator or several inputs and have a test file of their own."""


def test_every_operation_has_cases_and_a_reference():
    tested = {case.operation for case in CASES}
    assert tested == set(ENGINE.operations) - TESTED_ELSEWHERE
    assert all(hasattr(reference, name) for name in tested)


@every_case
def test_forward_is_the_formula(case):
    check_formula(ENGINE.operation(case.operation), case)


@every_case
def test_non_contiguous_inputs_give_the_same(case):
    arrays = case.arrays()
    np.testing.assert_array_equal(forward(case, [scattered(array) for array in arrays]), forward(case, arrays))


@every_case
def test_gradients_agree_with_differences(case):
    check_backward(ENGINE.operation(case.operation), case)


@every_case
def test_float32_stays_float32_and_is_close(case):
    arrays = case.arrays(3)
    single = run_both(case, [array.astype(np.float32) for array in arrays], Workspace())
    double = run_both(case, arrays, Workspace())
    for found, expected in zip(single, double, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)


@every_case
def test_wanted_gradients_only(case):
    arrays = case.arrays()
    operation = ENGINE.operation(case.operation)
    full = run_both(case, arrays, Workspace())[1:]
    for wanted in itertools.product((False, True), repeat=len(arrays)):
        workspace = Workspace()
        output, saved = operation.forward(*arrays, workspace=workspace, **case.attributes)
        d_output = np.random.default_rng(5).standard_normal(output.shape)
        gradients = operation.backward(saved, d_output, wanted=wanted, workspace=workspace)
        assert tuple(gradient is not None for gradient in gradients) == wanted
        for gradient, expected in zip(gradients, full, strict=True):
            if gradient is not None:
                np.testing.assert_array_equal(gradient, expected)


@every_case
def test_a_batch_is_its_observations_one_by_one(case):
    if not case.independent:
        pytest.skip("its observations depend on one another")
    x, *others = case.arrays()
    together = forward(case, [x, *others])
    for n in range(len(x)):
        alone = forward(case, [x[n : n + 1], *others])
        np.testing.assert_allclose(together[n : n + 1], alone, rtol=1e-12, atol=1e-12)


@every_case
def test_a_used_workspace_gives_what_a_fresh_one_gives(case):
    x, *others = case.arrays()
    workspace = Workspace()
    sizes = [x, x[:1], np.concatenate([x, x[:1], x]), x]
    for part in sizes:
        used = run_both(case, [part, *others], workspace)
        fresh = run_both(case, [part, *others], Workspace())
        for found, expected in zip(used, fresh, strict=True):
            np.testing.assert_array_equal(found, expected)


@every_case
def test_an_empty_batch_gives_an_empty_output(case):
    if not case.independent:
        pytest.skip("an empty mini-batch has no statistics")
    x, *others = case.arrays()
    results = run_both(case, [x[:0], *others], Workspace())
    assert results[0].shape == (0, *forward(case, [x, *others]).shape[1:])
    for gradient, array in zip(results[1:], [x[:0], *others], strict=True):
        assert gradient.shape == array.shape
        assert not gradient.any()


@pytest.mark.parametrize("shape", [(32, 20, 20, 24), (40, 24, 24, 9)])
@pytest.mark.parametrize(
    "case",
    [
        Case(
            "convolution2d",
            ((1, 1, 1, 1),),
            {"stride": (1, 1), "dilation": (1, 1), "padding": (1, 1, 1, 1), "padding_value": 0.0},
        ),
        Case("batch_normalization", ((1,),), {"epsilon": 1e-5}),
        Case("relu", ((1,),)),
        Case("max_pooling2d", ((1,),), {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}),
    ],
    ids=lambda case: case.operation,
)
def test_many_blocks_agree_with_the_formula(case, shape):
    generator = np.random.default_rng(0)
    x = generator.standard_normal(shape)
    others = {
        "convolution2d": [generator.standard_normal((3, 3, shape[3], 4)), np.ones((1, 1, 4))],
        "batch_normalization": [generator.standard_normal((1, 1, shape[3])) for _ in range(2)],
    }.get(case.operation, [])
    expected = getattr(reference, case.operation)(x, *others, **case.attributes)
    np.testing.assert_allclose(forward(case, [x, *others]), expected, rtol=1e-9, atol=1e-9)
    check_gradients(
        ENGINE.operation(case.operation),
        [x, *others],
        case.attributes,
        (True,) * (1 + len(others)),
        generator,
        tolerance=1e-5,
    )


@pytest.mark.parametrize("wrong", [1.001, -1.0, 0.0])
def test_a_planted_error_is_found(wrong):
    right = ENGINE.operation("batch_normalization")

    def backward(saved, d_output, *, wanted, workspace):
        d_x, *others = right.backward(saved, d_output, wanted=wanted, workspace=workspace)
        return (d_x * wrong, *others)

    case = next(case for case in CASES if case.operation == "batch_normalization")
    with pytest.raises(AssertionError, match="difference quotient"):
        check_gradients(
            Operation(right.forward, backward),
            case.arrays(),
            case.attributes,
            (True,) * 3,
            np.random.default_rng(2),
        )


def test_a_changed_input_is_found():
    def careless(x, *, workspace):
        x[...] = 0
        return x, None

    def backward(saved, d_output, *, wanted, workspace):
        return (d_output,)

    with pytest.raises(AssertionError, match="changed its input"):
        check_gradients(Operation(careless, backward), [np.ones((2, 3))], {}, (True,), np.random.default_rng(2))
