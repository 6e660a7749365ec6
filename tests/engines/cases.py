"""The table of operations and sizes on which everything is tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One call: shapes of the arrays, attributes, which gradients exist and whether observations are independent."""

    operation: str
    shapes: tuple[tuple[int, ...], ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    independent: bool = True
    positive: tuple[int, ...] = ()

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """Return random arrays, float64; the numbers in ``positive`` have no negative values."""
        generator = np.random.default_rng(seed)
        arrays = [generator.standard_normal(shape) for shape in self.shapes]
        return [np.abs(a) + 0.5 if i in self.positive else a for i, a in enumerate(arrays)]

    @property
    def id(self) -> str:
        """The name of the case in pytest's output."""
        sizes = "x".join(map(str, self.shapes[0]))
        values = ",".join(str(value).replace(" ", "") for value in self.attributes.values())
        return f"{self.operation}-{sizes}-{values}"


def _convolution(x: tuple[int, ...], filters: tuple[int, int, int], **changes: Any) -> Case:
    attributes = {"stride": (1, 1), "dilation": (1, 1), "padding": (0, 0, 0, 0), "padding_value": 0.0} | changes
    height, width, count = filters
    return Case("convolution2d", (x, (height, width, x[3], count), (1, 1, count)), attributes)


def _convolutions() -> list[Case]:
    modes = ("replicate", "symmetric-include-edge", "symmetric-exclude-edge")
    return [
        _convolution((2, 5, 6, 1), (3, 3, 4)),
        _convolution((2, 5, 6, 3), (3, 2, 4), padding=(1, 1, 1, 1)),
        _convolution((3, 6, 5, 8), (3, 3, 5), padding=(1, 1, 1, 1)),
        _convolution((1, 1, 1, 1), (1, 1, 1)),
        _convolution((2, 4, 4, 3), (1, 1, 2)),
        _convolution((2, 4, 5, 3), (1, 1, 2), stride=(2, 2)),
        _convolution((2, 4, 5, 2), (1, 1, 2), padding=(1, 0, 2, 1), padding_value=1.5),
        _convolution((2, 8, 9, 3), (3, 2, 4), stride=(2, 3), padding=(0, 2, 1, 3)),
        _convolution((2, 8, 9, 1), (2, 2, 3), stride=(3, 2)),
        _convolution((2, 9, 8, 2), (3, 3, 3), dilation=(2, 3), padding=(2, 1, 3, 3)),
        _convolution((1, 9, 9, 3), (2, 3, 2), dilation=(3, 1), stride=(2, 1), padding=(1, 2, 0, 1)),
        _convolution((2, 2, 3, 3), (5, 4, 2), padding=(2, 2, 1, 2)),
        _convolution((2, 3, 3, 8), (2, 2, 3), padding=(4, 3, 5, 2)),
        _convolution((2, 4, 4, 1), (3, 3, 2), padding=(1, 1, 1, 1), padding_value=-2.0),
        *[_convolution((2, 5, 4, 3), (3, 3, 2), padding=(1, 2, 2, 1), padding_value=mode) for mode in modes],
        *[
            _convolution((2, 5, 6, 1), (3, 2, 2), stride=(2, 2), padding=(2, 1, 1, 3), padding_value=mode)
            for mode in modes
        ],
        _convolution((1, 3, 2, 2), (2, 2, 2), padding=(5, 4, 3, 5), padding_value="symmetric-include-edge"),
    ]


def _pooling(operation: str) -> list[Case]:
    def case(x: tuple[int, ...], size: Any, stride: Any, padding: Any = (0, 0, 0, 0), **more: Any) -> Case:
        return Case(operation, (x,), {"pool_size": size, "stride": stride, "padding": padding} | more)

    cases = [
        case((2, 4, 6, 3), (2, 2), (2, 2)),
        case((2, 5, 7, 3), (2, 2), (2, 2)),
        case((2, 6, 7, 1), (3, 2), (3, 2)),
        case((2, 6, 7, 2), (3, 3), (2, 1)),
        case((2, 7, 8, 2), (2, 2), (3, 4)),
        case((1, 1, 1, 1), (1, 1), (1, 1)),
        case((2, 5, 4, 3), (3, 3), (2, 2), (1, 1, 1, 1)),
        case((2, 5, 4, 3), (2, 2), (2, 2), (0, 1, 1, 1)),
    ]
    if operation == "average_pooling2d":
        cases += [case((2, 5, 4, 3), (3, 2), (2, 1), (1, 1, 1, 0), padding_value=value) for value in (0.0, "mean")]
    return cases


def _batch_normalization() -> list[Case]:
    images = [
        ((3, 4, 5, 2), (1, 1, 2)),
        ((2, 1, 1, 3), (1, 1, 3)),
        ((1, 3, 2, 1), (1, 1, 1)),
        ((5, 7), (7, 1)),
    ]
    return [
        *[Case("batch_normalization", (x, p, p), {"epsilon": 1e-5}, independent=False) for x, p in images],
        *[Case("batch_normalization_inference", (x, p, p, p, p), {"epsilon": 1e-5}, positive=(4,)) for x, p in images],
        Case(
            "batch_normalization",
            ((3, 4, 5, 2), (1, 1, 2), (1, 1, 2)),
            {"epsilon": 1e-5, "rectified": True},
            independent=False,
        ),
        Case(
            "batch_normalization_inference",
            ((5, 7), *[(7, 1)] * 4),
            {"epsilon": 1e-5, "rectified": True},
            positive=(4,),
        ),
    ]


def _activations() -> list[Case]:
    functions: list[tuple[str, dict[str, Any]]] = [
        ("relu", {}),
        ("leaky_relu", {"scale": 0.1}),
        ("leaky_relu", {"scale": 1.5}),
        ("clipped_relu", {"ceiling": 0.7}),
        ("elu", {"alpha": 1.3}),
        ("tanh", {}),
        ("sigmoid", {}),
        ("softmax", {}),
        ("swish", {}),
        ("softplus", {}),
        ("gelu", {"approximation": "none"}),
        ("gelu", {"approximation": "tanh"}),
        ("scaling", {"scale": 2.0, "bias": -1.0}),
    ]
    shapes = [(2, 3, 4, 5), (4, 3), (1, 1)]
    return [Case(name, (shape,), attributes) for name, attributes in functions for shape in shapes]


def _group_normalizations() -> list[Case]:
    groups = [((3, 4, 5, 6), 1), ((3, 4, 5, 6), 2), ((3, 4, 5, 6), 6), ((1, 7, 3, 8), 4), ((4, 6), 3), ((2, 9, 4), 2)]
    groups += [((2, 20, 30, 3), 3), ((2, 1, 1, 4), 2)]
    axes = [((3, 4, 5, 6), (-3, -2, -1)), ((3, 4, 5, 6), (1, 2, 3)), ((3, 4, 5, 6), (-1,)), ((4, 6), (1,))]
    axes += [((1, 5), (-1,)), ((2, 7, 3), (-1,)), ((2, 7, 3), (-2, -1)), ((2, 3, 4, 5, 2), (-3, -2, -1))]
    return [
        *[Case("group_normalization", (x, _p(x), _p(x)), {"groups": n, "epsilon": 1e-5}) for x, n in groups],
        *[Case("layer_normalization", (x, _p(x), _p(x)), {"axes": a, "epsilon": 1e-5}) for x, a in axes],
        *[Case("rms_normalization", (x, _p(x)), {"axes": a, "epsilon": 1e-5}) for x, a in axes],
    ]


def _p(x: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one parameter per channel."""
    return (1, 1, x[-1]) if len(x) == 4 else (x[-1], 1)


def _whitening() -> list[Case]:
    cases = [((6, 4, 5, 6), 1), ((6, 4, 5, 6), 2), ((6, 4, 5, 6), 6), ((30, 4), 1), ((30, 4), 2), ((1, 5, 6, 3), 1)]
    cases += [((9, 7, 4), 2)]
    few = [((1, 4), 2), ((3, 6), 1)]  # no full rank: Epsilon decides
    attributes = {"groups": 0, "epsilon": 1e-2}
    matrices = [(x, (x[-1] // n, x[-1] // n, n)) for x, n in cases] + [((5, 4), (4, 4))]
    return [
        *[Case("whitening", (x, _p(x), _p(x)), {**attributes, "groups": n}, independent=False) for x, n in cases],
        *[
            Case("whitening", (x, _p(x), _p(x)), {"groups": n, "epsilon": 0.5}, independent=False)
            for x, n in [*cases, *few]
        ],
        *[Case("whitening_inference", (x, _p(x), _p(x), _p(x), matrix)) for x, matrix in matrices],
    ]


def _input_whitening() -> list[Case]:
    def case(x: tuple[int, ...], width: int) -> Case:
        matrix = np.random.default_rng(7).standard_normal((width, width))
        mean = np.arange(width, dtype=float).reshape(x[1:] if width == np.prod(x[1:]) else -1)
        return Case("whiten_input", (x,), {"mean": mean, "matrix": matrix})

    return [case((4, 5), 5), case((3, 1), 1), case((2, 3, 4, 3), 3), case((2, 3, 4, 3), 36), case((2, 2, 3, 2, 2), 24)]


CASES: list[Case] = [
    *_convolutions(),
    Case("fully_connected", ((4, 5), (3, 5), (3, 1))),
    Case("fully_connected", ((1, 1), (1, 1), (1, 1))),
    Case("fully_connected", ((3, 2, 3, 4), (5, 24), (5, 1))),
    Case("fully_connected", ((2, 3, 2, 2), (9, 12), (9, 1))),
    Case("fully_connected", ((2, 3, 1, 2), (4, 6), (4, 1))),
    Case("fully_connected", ((2, 3, 2, 4, 2), (4, 48), (4, 1))),
    Case("fully_connected", ((2, 1, 1, 6), (4, 6), (4, 1))),
    Case("fully_connected", ((2, 3, 4), (5, 12), (5, 1))),
    *_batch_normalization(),
    *_group_normalizations(),
    *_whitening(),
    *[Case("prelu", (x, _p(x))) for x in [(2, 3, 4, 5), (4, 3), (1, 1), (2, 6, 3), (3, 30, 40, 3), (3, 7, 11, 200)]],
    Case("scaling", ((2, 4, 5, 3),), {"scale": np.arange(3.0) + 1, "bias": 0.0}),
    Case("scaling", ((2, 4, 5, 3),), {"scale": 0.5, "bias": np.arange(60.0).reshape(4, 5, 3)}),
    *[
        Case("cross_channel_normalization", (shape,), {"window": window, "alpha": 0.7, "beta": 0.75, "k": 2.0})
        for shape, window in [((2, 3, 2, 8), 5), ((2, 3, 2, 8), 4), ((1, 2, 2, 3), 7), ((1, 1, 1, 1), 1)]
    ],
    *_activations(),
    *_pooling("max_pooling2d"),
    *_pooling("average_pooling2d"),
    *[
        Case(operation, (shape,))
        for operation in ("global_average_pooling", "global_max_pooling")
        for shape in [(2, 3, 4, 5), (1, 1, 1, 1), (3, 5, 1, 2)]
    ],
    *[
        Case("quadratic", (x,), {"size": size})
        for x, size in [((3, 4), (10,)), ((2, 1), (1,)), ((2, 5, 1, 1), (15, 1, 1)), ((2, 1, 1, 3), (1, 1, 6))]
    ],
    *[
        Case("adaptive_average_pooling", (shape,), {"size": size})
        for shape, size in [
            ((2, 6, 8, 3), (3, 2)),
            ((2, 7, 5, 3), (3, 4)),
            ((2, 3, 2, 1), (5, 2)),
            ((1, 1, 1, 1), (1, 1)),
            ((2, 5, 4, 3, 2), (2, 4, 2)),
        ]
    ],
    Case(
        "normalize_input",
        ((2, 3, 4, 5),),
        {"shift": np.full((3, 4, 5), 0.5), "scale": np.full((1, 1, 5), 2.0)},
    ),
    Case("normalize_input", ((3, 5),), {"shift": np.full(5, 0.5), "scale": None}),
    Case("normalize_input", ((3, 5),), {"shift": None, "scale": np.full(5, 4.0)}),
    Case("normalize_input", ((3, 5),), {"shift": None, "scale": None}),
    *_input_whitening(),
]
