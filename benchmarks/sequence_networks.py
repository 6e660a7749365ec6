"""Networks for sequences, in mlnet and in PyTorch."""

from __future__ import annotations

from typing import Any

from mlnet import (
    batchNormalizationLayer,
    classificationLayer,
    convolution1dLayer,
    fullyConnectedLayer,
    globalAveragePooling1dLayer,
    lstmLayer,
    reluLayer,
    sequenceInputLayer,
    softmaxLayer,
)


def lstm() -> list[Any]:
    """Return the classifier of Japanese vowels: 12 channels, 100 units, 9 classes."""
    head = [fullyConnectedLayer(9), softmaxLayer, classificationLayer]
    return [sequenceInputLayer(12), lstmLayer(100, OutputMode="last"), *head]


def torch_lstm(nn: Any) -> Any:
    """Return the same in PyTorch, for (N, T, C)."""

    class Net(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.fc = nn.LSTM(12, 100, batch_first=True), nn.Linear(100, 9)

        def forward(self, x: Any) -> Any:
            return self.fc(self.lstm(x)[1][0][0])

    return Net()


def convolutions() -> list[Any]:
    """Return a classifier of three convolutions over time: 8 channels, 5 classes."""
    layers: list[Any] = [sequenceInputLayer(8, MinLength=64)]
    for filters in (32, 64, 64):
        layers += [convolution1dLayer(5, filters, Padding="same"), batchNormalizationLayer, reluLayer]
    return [*layers, globalAveragePooling1dLayer, fullyConnectedLayer(5), softmaxLayer, classificationLayer]


def torch_convolutions(nn: Any) -> Any:
    """Return the same in PyTorch, for (N, T, C)."""

    class Swap(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x.transpose(1, 2)

    parts, channels = [Swap()], 8
    for filters in (32, 64, 64):
        parts += [nn.Conv1d(channels, filters, 5, padding=2), nn.BatchNorm1d(filters), nn.ReLU()]
        channels = filters
    return nn.Sequential(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 5))
