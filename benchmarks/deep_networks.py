"""ResNet-20 and a small U-Net, in mlnet and in PyTorch."""

from __future__ import annotations

from typing import Any

from mlnet import (
    additionLayer,
    averagePooling2dLayer,
    batchNormalizationLayer,
    classificationLayer,
    convolution2dLayer,
    fullyConnectedLayer,
    imageInputLayer,
    layerGraph,
    reluLayer,
    softmaxLayer,
    unetLayers,
)


def resnet20() -> Any:
    """Return ResNet-20 for 32x32x3 (He et al., 2015), with 1x1 convolutions where sizes change."""
    lgraph = layerGraph(
        [
            imageInputLayer([32, 32, 3], Normalization="none", Name="in"),
            convolution2dLayer(3, 16, Padding="same", Name="conv"),
            batchNormalizationLayer(Name="bn"),
            reluLayer(Name="relu"),
        ]
    )
    before, channels = "relu", 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            name, stride = f"{stage}{block}", 1 + (stage > 0 and block == 0)
            lgraph = lgraph.addLayers(
                [
                    convolution2dLayer(3, filters, Padding="same", Stride=stride, Name=f"conv{name}a"),
                    batchNormalizationLayer(Name=f"bn{name}a"),
                    reluLayer(Name=f"relu{name}a"),
                    convolution2dLayer(3, filters, Padding="same", Name=f"conv{name}b"),
                    batchNormalizationLayer(Name=f"bn{name}b"),
                    additionLayer(2, Name=f"add{name}"),
                    reluLayer(Name=f"relu{name}"),
                ]
            )
            lgraph = lgraph.connectLayers(before, f"conv{name}a")
            if channels != filters:
                shortcut = [
                    convolution2dLayer(1, filters, Stride=stride, Name=f"short{name}"),
                    batchNormalizationLayer(Name=f"shortbn{name}"),
                ]
                lgraph = lgraph.addLayers(shortcut).connectLayers(before, f"short{name}")
                lgraph = lgraph.connectLayers(f"shortbn{name}", f"add{name}/in2")
            else:
                lgraph = lgraph.connectLayers(before, f"add{name}/in2")
            before, channels = f"relu{name}", filters
    lgraph = lgraph.addLayers(
        [
            averagePooling2dLayer(8, Name="pool"),
            fullyConnectedLayer(10, Name="fc"),
            softmaxLayer(Name="softmax"),
            classificationLayer(Name="out"),
        ]
    )
    return lgraph.connectLayers(before, "pool")


def torch_resnet20(nn: Any) -> Any:
    """Return the same in PyTorch."""

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, channels: int, filters: int, stride: int) -> None:
            super().__init__()
            first = nn.Conv2d(channels, filters, 3, stride, 1)
            second = nn.Conv2d(filters, filters, 3, 1, 1)
            parts = [first, nn.BatchNorm2d(filters), nn.ReLU(), second, nn.BatchNorm2d(filters)]
            self.way = nn.Sequential(*parts)
            other = [nn.Conv2d(channels, filters, 1, stride), nn.BatchNorm2d(filters)]
            self.shortcut = nn.Sequential(*(other if channels != filters else []))
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.way(x) + self.shortcut(x))

    parts, channels = [nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            parts.append(Block(channels, filters, 1 + (stage > 0 and block == 0)))
            channels = filters
    return nn.Sequential(*parts, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


def unet() -> Any:
    """Return a U-Net for 64x64x3 with two classes of pixels."""
    return unetLayers([64, 64, 3], 2, EncoderDepth=2, NumFirstEncoderFilters=16)


def torch_unet(nn: Any) -> Any:
    """Return the same in PyTorch."""
    import torch

    def twice(channels: int, filters: int, *more: Any) -> Any:
        first, second = nn.Conv2d(channels, filters, 3, 1, 1), nn.Conv2d(filters, filters, 3, 1, 1)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *more)

    class Net(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.bridge = twice(3, 16), twice(16, 32, nn.Dropout()), twice(32, 64, nn.Dropout())
            self.pool = nn.MaxPool2d(2)
            self.up2 = nn.Sequential(nn.ConvTranspose2d(64, 32, 2, 2), nn.ReLU())
            self.up1 = nn.Sequential(nn.ConvTranspose2d(32, 16, 2, 2), nn.ReLU())
            self.back2, self.back1, self.last = twice(64, 32), twice(32, 16), nn.Conv2d(16, 2, 1)

        def forward(self, x: Any) -> Any:
            one = self.one(x)
            two = self.two(self.pool(one))
            back = self.back2(torch.cat([self.up2(self.bridge(self.pool(two))), two], 1))
            return self.last(self.back1(torch.cat([self.up1(back), one], 1)))

    return Net()
