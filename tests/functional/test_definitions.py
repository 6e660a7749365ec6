"""Definitions with derivatives of any order: the same as the pairs of the engine, differentiated once more."""

import numpy as np
import pytest

import mlnet
from mlnet import dlarray, dlfeval, dlgradient
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.errors import NotSupportedError
from mlnet.functional.definitions import DEFINITIONS
from mlnet.functional.pairs import call_pair
from tests.engines.cases import CASES

WITHOUT = {"whitening", "custom_layer_with_backward"}
"""Operations that can be differentiated once."""
OF_USERS = {"user_function", "custom_layer"}
"""Functions of users have the derivatives of what they are made of."""

STEPS = {"lengths": np.full(2, 5)}
WINDOW = {"stride": 2, "dilation": 1, "padding": (1, 0)}
BOX = {"stride": (1, 2, 1), "padding": (0, 0, 1, 0, 0, 0)}
SAME = {**WINDOW, "padding": "same", "padding_value": 2.0, "dilation": 2}
MODES = ("sequence", "last")
LSTM = ((2, 5, 3), (16, 3), (16, 4), (16, 1), (4, 1), (2, 4))
BILSTM = ((2, 5, 3), (32, 3), (32, 4), (32, 1), (8, 1), (2, 8))
PROJECTED = ((2, 5, 3), (16, 2), (16, 3), (16, 1), (3, 2), (4, 3), (4, 1), (2, 4))
GRU = ((2, 5, 3), (12, 3), (12, 4), (12, 1), (2, 4))
GRU_TWO_BIASES = (*GRU[:3], (24, 1), (4, 1))
QKV = ((2, 5, 4), (2, 6, 4), (2, 6, 8))
SELF = ((2, 5, 3), (4, 3), (4, 3), (6, 3), (2, 6), (4, 1), (4, 1), (6, 1), (2, 1))
RESIZE = {"scale": None, "transform": "half-pixel", "rounding": "round"}

MORE = [
    ("convolution1d", ((2, 5, 3), (2, 3, 4), (1, 4)), {**WINDOW, **STEPS}),
    ("convolution1d", ((2, 5, 3), (2, 3, 4), (1, 4)), SAME),
    ("convolution1d", ((2, 5, 3), (2, 3, 4), (1, 4)), {**WINDOW, "padding_value": "replicate"}),
    ("convolution3d", ((2, 4, 5, 3, 2), (2, 2, 2, 2, 3), (1, 1, 1, 3)), {**BOX, "dilation": (1, 1, 2)}),
    (
        "grouped_convolution2d",
        ((2, 5, 4, 6), (2, 3, 2, 2, 3), (1, 1, 2, 3)),
        {"stride": (2, 1), "dilation": (1, 1), "padding": (1, 0, 1, 1), "padding_value": -1.5},
    ),
    (
        "grouped_convolution2d",
        ((2, 5, 4, 3), (2, 2, 1, 2, 3), (1, 1, 2, 3)),
        {"stride": (1, 1), "dilation": (2, 1), "padding": (0, 0, 0, 0)},
    ),
    ("transposed_convolution1d", ((2, 5, 3), (3, 4, 3), (1, 4)), {"stride": 2, "cropping": (1, -1), **STEPS}),
    ("transposed_convolution2d", ((2, 3, 4, 3), (3, 2, 4, 3), (1, 1, 4)), {"stride": (2, 1), "cropping": (1, 0, 0, 1)}),
    (
        "transposed_convolution3d",
        ((1, 2, 3, 2, 2), (2, 2, 3, 3, 2), (1, 1, 1, 3)),
        {"stride": (2, 1, 1), "cropping": (1, 0, 0, 0, 0, 1)},
    ),
    ("max_pooling1d", ((2, 5, 3),), {"pool_size": 2, "stride": 2, "padding": "same", **STEPS}),
    ("max_pooling1d", ((2, 5, 3),), {"pool_size": 3, "stride": 1, "padding": (2, 1)}),
    ("average_pooling1d", ((2, 5, 3),), {"pool_size": 2, "stride": 1, "padding": (1, 0), "padding_value": "mean"}),
    ("max_pooling3d", ((2, 4, 5, 3, 2),), {"pool_size": (2, 2, 2), **BOX}),
    ("average_pooling3d", ((2, 4, 5, 3, 2),), {"pool_size": (2, 2, 2), **BOX}),
    ("max_pooling2d_with_indices", ((2, 4, 5, 3),), {"pool_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 1, 0)}),
    *[(f"global_{kind}_pooling1d", ((2, 5, 3),), STEPS) for kind in ("max", "average")],
    *[(f"global_{kind}_pooling3d", ((2, 4, 5, 3, 2),), {}) for kind in ("max", "average")],
    *[("lstm", LSTM, {"output_mode": mode, "lengths": np.full(2, 5)}) for mode in MODES],
    *[("lstm", LSTM, {"output_mode": mode, "reverse": True}) for mode in MODES],
    ("lstm", LSTM, {"state_activation": "softsign", "gate_activation": "hard-sigmoid"}),
    ("lstm", LSTM, {"state_activation": "relu"}),
    *[("bilstm", BILSTM, {"output_mode": mode}) for mode in MODES],
    *[("projected_lstm", PROJECTED, {"output_mode": mode}) for mode in MODES],
    *[("gru", GRU, {"reset_gate_mode": f"{place}-multiplication"}) for place in ("after", "before")],
    ("gru", GRU_TWO_BIASES, {"reset_gate_mode": "recurrent-bias-after-multiplication", "output_mode": "last"}),
    (
        "recurrent_with_ports",
        ((2, 5, 3), (2, 4), (2, 4), (16, 3), (16, 4), (16, 1)),
        {"operation": "lstm", "states_in": 2, "states_out": 2},
    ),
    ("recurrent_with_ports", (*GRU,), {"operation": "gru", "states_in": 0, "states_out": 1, "output_mode": "last"}),
    ("attention", QKV, {"heads": 2, "scale": 0.5}),
    ("attention", QKV, {"heads": 2, "scale": 0.5, "causal": True, "scores": True}),
    ("attention", QKV, {"heads": 2, "scale": 0.5, "probability": 0.4, "generator": 1}),
    ("self_attention", SELF, {"heads": 2, "scale": 0.7, "causal": True}),
    ("position_embedding", ((2, 5, 3), (4, 6)), STEPS),
    ("embedding_concatenation", ((2, 5, 3), (3, 1)), {}),
    ("patch_embedding", ((2, 5, 4, 3), (2, 2, 3, 6), (1, 1, 6)), {"by_rows": False}),
    ("patch_embedding", ((2, 4, 6, 3), (2, 3, 3, 6), (1, 1, 6)), {"by_rows": True}),
    ("indexing1d", ((2, 5, 3),), {"last": True, **STEPS}),
    ("position_encoding", ((2, 5, 3),), {"size": 4, **STEPS}),
    ("value_encoding", ((2, 5, 1),), {"size": 6}),
    ("dropout", ((4, 5),), {"probability": 0.4, "generator": 1}),
    ("spatial_dropout", ((4, 3, 3, 5),), {"probability": 0.4, "generator": 1}),
    ("weight_normalization", ((3, 3, 2, 4), (4, 1)), {"axes": (0, 1, 2)}),
    ("weight_standardization", ((3, 3, 2, 4),), {"axes": (0, 1, 2), "epsilon": 1e-3}),
    ("crop", ((2, 5, 6, 3), (2, 3, 4, 1)), {"offset": (1, 2)}),
    ("resize", ((2, 4, 3, 2),), {"size": (7, 5), "method": "bilinear", **RESIZE}),
    ("reshape", ((2, 4, 3, 2),), {"size": (6, 4)}),
    ("permute", ((2, 4, 3, 2),), {"order": (2, 0, 1)}),
    ("depth_to_space", ((2, 2, 3, 8),), {"block": (2, 2), "mode": "dcr"}),
    ("space_to_depth", ((2, 4, 6, 3),), {"block": (2, 2)}),
    ("addition", ((2, 3), (2, 3)), {}),
    ("multiplication", ((2, 3), (2, 3)), {}),
    ("concatenation", ((2, 3), (2, 4)), {"axis": -1}),
    ("flatten", ((2, 4, 3, 2),), {}),
    ("word_embedding", ((2, 5, 1), (4, 7)), {"words": 6, "strict": False}),
    ("max_unpooling2d", ((2, 2, 3, 2), (2, 2, 3, 2), (1, 1, 1, 1)), {"size": (4, 6)}),
]  # fmt: skip

TABLE = [(case.operation, case.arrays(), case.attributes) for case in CASES if case.operation not in WITHOUT]
TABLE += [
    (name, [np.random.default_rng(number).normal(size=shape) for number, shape in enumerate(shapes)], attributes)
    for name, shapes, attributes in MORE
]
WHOLE_NUMBERS = {"word_embedding": 0, "max_unpooling2d": 1}
"""Operations of which one array has whole numbers."""


def test_every_operation_has_a_definition_and_a_case():
    operations = set(NumpyEngine().operations)
    assert set(DEFINITIONS) == operations - WITHOUT
    assert {name for name, _, _ in TABLE} == operations - WITHOUT - OF_USERS


def differentiated(name, attributes, arrays, fixed, ways):
    """Return the derivative along ``ways``, plain and once more recorded, and the gradient of the latter."""
    attributes = dict(attributes)
    generator = attributes.pop("generator", None)

    def run(arrays):
        outputs, _ = call_pair(name, name, arrays, attributes, generator=generator and np.random.default_rng(generator))
        total = 0.0
        for number, y in enumerate(outputs):
            if y.dtype == np.float64 and y.size and is_value(name, number):
                factor = np.random.default_rng(7 + number).normal(size=y.shape)
                total = total + np.sum(y * y * factor) + np.sum(y * factor)
        free = [array for number, array in enumerate(arrays) if number != fixed]
        plain = dlgradient(total, free, RetainData=True)
        first = dlgradient(total, free, EnableHigherDerivatives=True)
        along = sum(np.sum(g * way) for g, way in zip(first, ways, strict=True))
        return (
            sum((g.extractdata() * way).sum() for g, way in zip(plain, ways, strict=True)),
            along,
            dlgradient(along, free),
        )

    kinds = [np.int32 if name == "max_unpooling2d" and number == fixed else float for number in range(len(arrays))]
    return dlfeval(run, [dlarray(each).astype(kind) for each, kind in zip(arrays, kinds, strict=True)])


def is_value(name, output):
    return not (name == "max_pooling2d_with_indices" and output)


@pytest.mark.parametrize("number", range(len(TABLE)), ids=lambda number: f"{TABLE[number][0]}-{number}")
def test_second_derivatives_are_differences_of_the_first(number):
    name, arrays, attributes = TABLE[number]
    fixed = WHOLE_NUMBERS.get(name)
    random = np.random.default_rng(number)
    if fixed is not None:
        arrays = list(arrays)
        shape = arrays[fixed].shape
        arrays[fixed] = (
            random.permutation(24)[:12].repeat(2).reshape(shape)
            if name == "max_unpooling2d"
            else (random.integers(1, 9, shape).astype(float))
        )
    ways = [random.normal(size=each.shape) for place, each in enumerate(arrays) if place != fixed]
    steps = [random.normal(size=each.shape) for each in ways]
    before = [each.copy() for each in arrays]
    plain, along, second = differentiated(name, attributes, arrays, fixed, ways)
    np.testing.assert_allclose(along.item(), plain, rtol=1e-9, atol=1e-9)
    found = sum((g.extractdata() * step).sum() for g, step in zip(second, steps, strict=True))
    h = 1e-5

    def moved(sign):
        left = iter(steps)
        return [each if place == fixed else each + sign * h * next(left) for place, each in enumerate(arrays)]

    up, down = (differentiated(name, attributes, moved(sign), fixed, ways)[0] for sign in (1, -1))
    assert found == pytest.approx((up - down) / (2 * h), rel=2e-5, abs=2e-5)
    for one, other in zip(before, arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_has_no_definition_names_the_layer():
    net = mlnet.dlnetwork([mlnet.featureInputLayer(4), mlnet.whiteningLayer(Name="white")])

    def twice(net, x):
        first = dlgradient(np.sum(mlnet.forward(net, x) ** 2), x, EnableHigherDerivatives=True)
        return dlgradient(np.sum(first), x)

    x = dlarray(np.random.default_rng(0).normal(size=(4, 9)), "CB")
    with pytest.raises(NotSupportedError, match=r"Layer 'white' \(whitening\): needs to be differentiated once"):
        dlfeval(twice, net, x)
