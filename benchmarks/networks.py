"""The networks of the benchmarks, in mlnet, PyTorch and Keras, and data for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from deep_networks import resnet20, torch_resnet20, torch_unet, unet
from sequence_networks import convolutions, lstm, torch_convolutions, torch_lstm

from mlnet import (
    batchNormalizationLayer,
    categorical,
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
    """A network, its mini-batch size, the size of an observation, and its twins in PyTorch and Keras.

    The size is (C,), (H, W, C), or (T, C) of a sequence.
    """

    layers: Any
    batch: int
    size: tuple[int, ...]
    peer: Callable[[Any], Any]
    keras: Callable[[Any], list[Any]] | None = None
    classes: int = 10
    solver: str = "sgdm"
    of_pixels: bool = False


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

    def keras(k: Any) -> list[Any]:
        parts = [k.Conv2D(16, 3, padding="same"), k.BatchNormalization(), k.ReLU(), k.MaxPooling2D(2)]
        return [*parts, k.Conv2D(32, 3, padding="same"), k.BatchNormalization(), k.ReLU(), k.Flatten(), k.Dense(10)]

    return Workload(layers, 128, (32, 32, 3), peer, keras)


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

    def keras(k: Any) -> list[Any]:
        parts = []
        for filters in (8, 16, 32):
            parts += [k.Conv2D(filters, 3, padding="same"), k.BatchNormalization(), k.ReLU()]
            parts += [k.MaxPooling2D(2)] if filters < 32 else []
        return [*parts, k.Flatten(), k.Dense(10)]

    return Workload(layers, 128, (28, 28, 1), peer, keras)


def _mlp() -> Workload:
    hidden = [fullyConnectedLayer(100), batchNormalizationLayer, sigmoidLayer]
    layers = [featureInputLayer(784), *hidden * 3, fullyConnectedLayer(10), softmaxLayer, classificationLayer]

    def peer(nn: Any) -> Any:
        parts, width = [], 784
        for _ in range(3):
            parts += [nn.Linear(width, 100), nn.BatchNorm1d(100), nn.Sigmoid()]
            width = 100
        return nn.Sequential(*parts, nn.Linear(100, 10))

    def keras(k: Any) -> list[Any]:
        parts = [make() for _ in range(3) for make in (lambda: k.Dense(100), k.BatchNormalization, _sigmoid(k))]
        return [*parts, k.Dense(10)]

    return Workload(layers, 60, (784,), peer, keras)


def _sigmoid(k: Any) -> Callable[[], Any]:
    return lambda: k.Activation("sigmoid")


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "cnn 32x32x3": _small_cnn,
    "cnn 28x28x1": _digits_cnn,
    "mlp 784": _mlp,
    "lstm 12-100": lambda: Workload(lstm(), 27, (26, 12), torch_lstm, classes=9, solver="adam"),
    "resnet-20": lambda: Workload(resnet20(), 128, (32, 32, 3), torch_resnet20),
    "u-net 64x64x3": lambda: Workload(unet(), 8, (64, 64, 3), torch_unet, classes=2, of_pixels=True),
    "convolutions 1-d": lambda: Workload(convolutions(), 64, (128, 8), torch_convolutions, classes=5),
}


def data(workload: Workload, batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return observations (N, ...), channels last, and class numbers (N,) or (N, H, W), for so many mini-batches."""
    generator = np.random.default_rng(0)
    count = workload.batch * batches
    x = generator.standard_normal((count, *workload.size), dtype=np.float32)
    if workload.of_pixels:
        return x, generator.integers(0, workload.classes, (count, *workload.size[:2]))
    return x, np.arange(count) % workload.classes


def for_mlnet(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    """Return the data in the order of MATLAB: H x W x C x N, N x C, or a list of C x T."""
    if x.ndim == 3:
        return [sequence.T for sequence in x], y
    if workload.of_pixels:
        names = [f"C{number + 1}" for number in range(workload.classes)]
        return np.moveaxis(x, 0, -1), categorical(np.moveaxis(y, 0, -1), range(workload.classes), names)
    return (x if x.ndim == 2 else np.moveaxis(x, 0, -1)), y
