"""U-Net in two and three dimensions: unetLayers and unet3dLayers."""

from __future__ import annotations

from typing import Any

from mlnet.errors import OptionError
from mlnet.layers.activation import reluLayer, softmaxLayer
from mlnet.layers.base import Layer
from mlnet.layers.combination import concatenationLayer, depthConcatenationLayer
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.convolution3d import convolution3dLayer
from mlnet.layers.crop import crop2dLayer, crop3dLayer
from mlnet.layers.dropout import dropoutLayer
from mlnet.layers.input import imageInputLayer
from mlnet.layers.input3d import image3dInputLayer
from mlnet.layers.normalization import batchNormalizationLayer
from mlnet.layers.pixel_output import pixelClassificationLayer
from mlnet.layers.pooling import maxPooling2dLayer
from mlnet.layers.pooling3d import maxPooling3dLayer
from mlnet.layers.transposed_convolution import transposedConv2dLayer, transposedConv3dLayer
from mlnet.models.assembly import Assembly
from mlnet.models.options import image_size, network_function, num_classes
from mlnet.network.layer_graph import LayerGraph
from mlnet.options import Option
from mlnet.rules import choice, integer, read_only, row


def _options(dimensions: int, depth: int) -> tuple[Option, ...]:
    """Return the options of a network for images of two or three dimensions."""
    what = ("pixels", "voxels")[dimensions - 2]
    return (
        num_classes(),
        Option("EncoderDepth", depth, integer(), "How often images are halved and doubled again."),
        Option("NumFirstEncoderFilters", 64, integer(), "Number of the first filters; it doubles with each stage."),
        Option("FilterSize", read_only([3] * dimensions), row(integer(), dimensions), f"Size of the filters, {what}."),
        Option(
            "ConvolutionPadding",
            "same",
            choice("same", "valid"),
            f"'same': what comes out is as large as the images; 'valid': only {what} with all their neighbours.",
        ),
    )


class _Stages:
    """The parts of a U-Net, for images of ``dimensions``."""

    def __init__(self, options: Any, dimensions: int) -> None:
        self.is_flat = dimensions == 2
        self.first = options.NumFirstEncoderFilters
        self.depth = options.EncoderDepth
        self._size = options.FilterSize
        self._padding = "same" if options.ConvolutionPadding == "same" else 0

    def convolutions(self, place: str, filters: tuple[int, int]) -> list[Layer]:
        """Return two convolutions, each with activation, in three dimensions with batch normalization between."""
        make = convolution2dLayer if self.is_flat else convolution3dLayer
        layers: list[Layer] = []
        for number, count in enumerate(filters, start=1):
            name = f"{place}-Conv-{number}"
            layers.append(make(self._size, count, Padding=self._padding, WeightsInitializer="he", Name=name))
            if not self.is_flat:
                layers.append(batchNormalizationLayer(Name=f"{place}-BN-{number}"))
            layers.append(reluLayer(Name=f"{place}-ReLU-{number}"))
        return layers

    def contracting(self, place: str, stage: int) -> list[Layer]:
        """Return the convolutions of an encoder stage or of the bridge.

        In three dimensions the second has twice as many filters as the first.
        """
        count = self.first * 2 ** (stage - 1)
        return self.convolutions(place, (count, count if self.is_flat else 2 * count))

    def pool(self, place: str) -> Layer:
        """Return the layer that halves height, width and depth."""
        make = maxPooling2dLayer if self.is_flat else maxPooling3dLayer
        return make(2, Stride=2, Name=f"{place}-MaxPool")

    def up(self, place: str, stage: int) -> list[Layer]:
        """Return the layers that double height, width and depth, behind decoder stage ``stage`` - 1."""
        make = transposedConv2dLayer if self.is_flat else transposedConv3dLayer
        count = self.first * 2 ** (self.depth - stage + (0 if self.is_flat else 2))
        name = f"{place}-UpConv"
        up = make(2, count, Stride=2, WeightsInitializer="he", BiasLearnRateFactor=2, Name=name)
        return [up, reluLayer(Name=f"{place}-UpReLU")] if self.is_flat else [up]

    def crop(self, stage: int) -> Layer:
        """Return the layer that cuts what comes from the encoder to the size of what comes from below."""
        if self.is_flat:
            return crop2dLayer("centercrop", Name=f"Crop2d-{stage}")
        return crop3dLayer(Name=f"Crop3d-{stage}")

    def join(self, place: str) -> Layer:
        """Return the layer that joins what comes from below with what comes from the encoder."""
        if self.is_flat:
            return depthConcatenationLayer(2, Name=f"{place}-DepthConcatenation")
        return concatenationLayer(4, 2, Name=f"{place}-Concatenation")

    def expanding(self, place: str, stage: int) -> list[Layer]:
        """Return the convolutions of a decoder stage."""
        count = self.first * 2 ** (self.depth - stage + (0 if self.is_flat else 1))
        return self.convolutions(place, (count, count))

    def last(self, classes: int) -> list[Layer]:
        """Return the layers from features to classes."""
        make = convolution2dLayer if self.is_flat else convolution3dLayer
        return [
            make(1, classes, Padding="same", WeightsInitializer="he", Name="Final-ConvolutionLayer"),
            softmaxLayer(Name="Softmax-Layer"),
            pixelClassificationLayer(Name="Segmentation-Layer"),
        ]


def _unet(first: Layer, parts: _Stages, classes: int, *, crops: bool) -> LayerGraph:
    net = Assembly(first)
    skips = []
    for stage in range(1, parts.depth + 1):
        place = f"Encoder-Stage-{stage}"
        net.append(*parts.contracting(place, stage))
        if stage == parts.depth and parts.is_flat:
            net.append(dropoutLayer(0.5, Name=f"{place}-DropOut"))
        skips.append(net.last)
        net.append(parts.pool(place))
    net.append(*parts.contracting("Bridge", parts.depth + 1))
    if parts.is_flat:
        net.append(dropoutLayer(0.5, Name="Bridge-DropOut"))
    for stage, skip in enumerate(reversed(skips), start=1):
        place = f"Decoder-Stage-{stage}"
        up, join = net.append(*parts.up(place, stage)), parts.join(place)
        if crops:
            crop = parts.crop(stage)
            net.append(crop, after=skip)
            net.wire(up, crop.Name, to="ref")
            skip = crop.Name
        net.append(join, after=up)
        net.wire(skip, join.Name, to="in2")
        net.append(*parts.expanding(place, stage))
    net.append(*parts.last(classes))
    return net.graph()


def _output_size(function: str, options: Any, spatial: list[int]) -> list[int]:
    """Return height, width (and depth) of what comes out; raise `OptionError` for images that do not fit."""
    depth = options.EncoderDepth
    if options.ConvolutionPadding == "same":
        step = 2**depth
        if any(length % step for length in spatial):
            near = " ".join(str(max(step, round(length / step) * step)) for length in spatial)
            raise OptionError(
                f"{function}: needs images whose sides are multiples of {step}, 2^EncoderDepth, but got "
                f"{'x'.join(map(str, spatial))}. Use e.g. [{near} ...], or a smaller EncoderDepth."
            )
        return spatial
    found = []
    for length, size in zip(spatial, options.FilterSize.tolist(), strict=True):
        border = 2 * (size - 1)  # two convolutions
        left = length
        for _ in range(depth):
            left = (left - border) // 2
        left -= border
        for _ in range(depth):
            left = left * 2 - border if left > 0 else 0
        found.append(left)
    if min(found) < 1:
        raise OptionError(
            f"{function}: images of {'x'.join(map(str, spatial))} are too small for ConvolutionPadding='valid' with "
            f"EncoderDepth {depth}: nothing of them is left. Use larger images, a smaller EncoderDepth, or 'same'."
        )
    return found


@network_function(image_size("imageSize", "height width"), *_options(2, 4), outputs=2)
def unetLayers(options: Any) -> tuple[LayerGraph, list[int]]:
    """Return a U-Net for semantic segmentation of images, without weights.

    ``lgraph = unetLayers([480, 640, 3], 5)``, or ``lgraph, outputSize = unetLayers([480, 640, 3], 5, nargout=2)``.

    An encoder of EncoderDepth stages halves the images, a decoder of as many stages doubles them again; each stage of
    the decoder also sees what the encoder had in that size. A stage has two convolutions, whose weights start by 'he'.
    With ConvolutionPadding='same' height and width are multiples of ``2^EncoderDepth``.

    {parameters}

    Returns
    -------
    LayerGraph
    list of int
        With ``nargout=2``: height, width and channels (classes) of what comes out.

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or the images do not fit the depth.

    References
    ----------
    Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = unetLayers([480, 640, 3], 5, EncoderDepth=3)
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [46x1 nnet.cnn.layer.Layer]
        Connections: [48x2 table]
         InputNames: {'ImageInputLayer'}
        OutputNames: {'Segmentation-Layer'}
    >>> lgraph, outputSize = unetLayers([572, 572, 1], 2, ConvolutionPadding='valid', nargout=2)
    >>> outputSize
    [388, 388, 2]
    """
    spatial = _output_size("unetLayers", options, options.imageSize[:2].tolist())
    first = imageInputLayer(options.imageSize, Name="ImageInputLayer")
    crops = options.ConvolutionPadding == "valid"
    return _unet(first, _Stages(options, 2), options.numClasses, crops=crops), [*spatial, options.numClasses]


@network_function(image_size("inputSize", "height width depth"), *_options(3, 3), outputs=2)
def unet3dLayers(options: Any) -> tuple[LayerGraph, list[int]]:
    """Return a U-Net for semantic segmentation of 3-D images, without weights.

    ``lgraph = unet3dLayers([64, 64, 64, 3], 5)``, or ``lgraph, outputSize = unet3dLayers([64, 64, 64, 3], 5,
    nargout=2)``.

    An encoder of EncoderDepth stages halves the images, a decoder of as many stages doubles them again; each stage of
    the decoder also sees what the encoder had in that size. A stage has two convolutions with batch normalization,
    whose weights start by 'he'; in the encoder the second has twice as many filters as the first. With
    ConvolutionPadding='same' height, width and depth are multiples of ``2^EncoderDepth``.

    {parameters}

    Returns
    -------
    LayerGraph
    list of int
        With ``nargout=2``: height, width, depth and channels (classes) of what comes out.

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or the images do not fit the depth.

    References
    ----------
    Cicek et al., "3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation", 2016.

    Examples
    --------
    >>> from mlnet import *
    >>> lgraph = unet3dLayers([128, 128, 128, 3], 5, EncoderDepth=2, NumFirstEncoderFilters=16)
    >>> lgraph
      LayerGraph with properties:
    <BLANKLINE>
             Layers: [40x1 nnet.cnn.layer.Layer]
        Connections: [41x2 table]
         InputNames: {'ImageInputLayer'}
        OutputNames: {'Segmentation-Layer'}
    """
    spatial = _output_size("unet3dLayers", options, options.inputSize[:3].tolist())
    first = image3dInputLayer(options.inputSize, Name="ImageInputLayer")
    crops = options.ConvolutionPadding == "valid"
    return _unet(first, _Stages(options, 3), options.numClasses, crops=crops), [*spatial, options.numClasses]
