"""The networks of the benchmarks, in mlnet and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mlnet import (
    batchNormalizationLayer,
    classificationLayer,
    convolution2dLayer,
    featureInputLayer,
    fullyConnectedLayer,
    imageInputLayer,
    maxPooling2dLayer,
    reluLayer,
    sigmoidLayer,
    softmaxLayer,
)


class Workload(NamedTuple):
    """A network, its mini-batch size, the size of an observation (C,) or (H, W, C), and its PyTorch twin."""

    layers: list[Any]
    batch: int
    size: tuple[int, ...]
    peer: Callable[[Any], Any]


def _small_cnn() -> Workload:
    layers = [
        imageInputLayer([32, 32, 3], Normalization="none"),
        convolution2dLayer(3, 16, Padding=1),
        batchNormalizationLayer,
        reluLayer,
        maxPooling2dLayer(2, Stride=2),
        convolution2dLayer(3, 32, Padding=1),
        batchNormalizationLayer,
        reluLayer,
        fullyConnectedLayer(10),
        softmaxLayer,
        classificationLayer,
    ]

    def peer(nn: Any) -> Any:
        return nn.Sequential(
            *[nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)],
            *[nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()],
            *[nn.Flatten(), nn.Linear(16 * 16 * 32, 10)],
        )

    return Workload(layers, 128, (32, 32, 3), peer)


def _digits_cnn() -> Workload:
    layers = [imageInputLayer([28, 28, 1], Normalization="none")]
    for filters in (8, 16, 32):
        layers += [convolution2dLayer(3, filters, Padding="same"), batchNormalizationLayer, reluLayer]
        layers += [maxPooling2dLayer(2, Stride=2)] if filters < 32 else []
    layers += [fullyConnectedLayer(10), softmaxLayer, classificationLayer]

    def peer(nn: Any) -> Any:
        parts, channels = [], 1
        for filters in (8, 16, 32):
            parts += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
            parts += [nn.MaxPool2d(2)] if filters < 32 else []
            channels = filters
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(7 * 7 * 32, 10))

    return Workload(layers, 128, (28, 28, 1), peer)


def _mlp() -> Workload:
    hidden = [fullyConnectedLayer(100), batchNormalizationLayer, sigmoidLayer]
    layers = [featureInputLayer(784), *hidden * 3, fullyConnectedLayer(10), softmaxLayer, classificationLayer]

    def peer(nn: Any) -> Any:
        parts, width = [], 784
        for _ in range(3):
            parts += [nn.Linear(width, 100), nn.BatchNorm1d(100), nn.Sigmoid()]
            width = 100
        return nn.Sequential(*parts, nn.Linear(100, 10))

    return Workload(layers, 60, (784,), peer)


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "cnn 32x32x3": _small_cnn,
    "cnn 28x28x1": _digits_cnn,
    "mlp 784": _mlp,
}


def data(workload: Workload, batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictors in MATLAB's order and labels for so many mini-batches."""
    generator = np.random.default_rng(0)
    count = workload.batch * batches
    x = generator.standard_normal((count, *workload.size), dtype=np.float32)
    y = np.arange(count) % 10
    return (x if x.ndim == 2 else np.moveaxis(x, 0, -1)), y
