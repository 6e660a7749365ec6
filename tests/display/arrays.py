"""The layer arrays behind the golden texts: name of the file and the layers."""

from __future__ import annotations

from mlnet import (
    LayerArray,
    batchNormalizationLayer,
    bilstmLayer,
    classificationLayer,
    convolution2dLayer,
    crop2dLayer,
    crossChannelNormalizationLayer,
    depthConcatenationLayer,
    dropoutLayer,
    featureInputLayer,
    fullyConnectedLayer,
    globalAveragePooling2dLayer,
    imageInputLayer,
    leakyReluLayer,
    lstmLayer,
    maxPooling2dLayer,
    regressionLayer,
    reluLayer,
    scalingLayer,
    sequenceInputLayer,
    softmaxLayer,
    softplusLayer,
    tanhLayer,
    transposedConv2dLayer,
)
from mlnet.layers.base import Layer


class Described(Layer):
    """Stand-in for layers that mlnet does not have: type and description as given."""

    def __init__(self, name, kind, description):
        super().__init__(Name=name)
        self._values.update(kind=kind, description=description)

    def __getattribute__(self, name):
        return self._values["kind"] if name == "type_name" else super().__getattribute__(name)

    def description(self):
        return self._values["description"]


def image_classifier(size, *middle):
    return [
        imageInputLayer([size, size, 3 if size == 32 else 1]),
        *middle,
        fullyConnectedLayer(10),
        softmaxLayer(),
    ]


def squeezenet_end():
    classes = ["tench", *(f"class {number}" for number in range(999))]
    return [
        reluLayer(Name="fire9-relu_expand1x1"),
        convolution2dLayer(3, 256, NumChannels=64, Padding=1, Name="fire9-expand3x3"),
        reluLayer(Name="fire9-relu_expand3x3"),
        depthConcatenationLayer(2, Name="fire9-concat"),
        dropoutLayer(Name="drop9"),
        convolution2dLayer(1, 1000, NumChannels=512, Name="conv10"),
        reluLayer(Name="relu_conv10"),
        globalAveragePooling2dLayer(Name="pool10"),
        softmaxLayer(Name="prob"),
        classificationLayer(Name="ClassificationLayer_predictions", Classes=classes),
    ]


def alexnet():
    def convolution(number, size, filters, channels, **options):
        name = f"conv{number}"
        layer = convolution2dLayer(size, filters, NumChannels=channels, Name=name, **options)
        return [layer, reluLayer(Name=f"relu{number}")]

    def normalized_pool(number):
        return [
            crossChannelNormalizationLayer(5, Name=f"norm{number}"),
            maxPooling2dLayer(3, Stride=2, Name=f"pool{number}"),
        ]

    def hidden(number):
        name = f"fc{number}"
        return [
            fullyConnectedLayer(4096, Name=name),
            reluLayer(Name=f"relu{number}"),
            dropoutLayer(Name=f"drop{number}"),
        ]

    classes = ["tench", "goldfish", *(f"class {number}" for number in range(998))]
    return [
        imageInputLayer([227, 227, 3], Name="data"),
        *convolution(1, 11, 96, 3, Stride=4),
        *normalized_pool(1),
        *convolution(2, 5, 256, 48, Padding=2),
        *normalized_pool(2),
        *convolution(3, 3, 384, 256, Padding=1),
        *convolution(4, 3, 384, 192, Padding=1),
        *convolution(5, 3, 256, 192, Padding=1),
        maxPooling2dLayer(3, Stride=2, Name="pool5"),
        *hidden(6),
        *hidden(7),
        fullyConnectedLayer(1000, Name="fc8"),
        softmaxLayer(Name="prob"),
        classificationLayer(Name="output", Classes=classes),
    ]


def tiny_yolo():
    layers = [imageInputLayer([416, 416, 3], Normalization="none", Name="input")]
    channels = 3
    for number, filters in enumerate([16, 32, 64, 128, 256, 512, 1024, 512], start=1):
        layers += [
            convolution2dLayer(3, filters, NumChannels=channels, Padding="same", Name=f"conv2d_{number}"),
            batchNormalizationLayer(NumChannels=filters, Name=f"batch_norm_{number}"),
            leakyReluLayer(0.1, Name=f"leaky_relu_{number}"),
        ]
        if number <= 6:
            stride = 2 if number < 6 else 1
            layers.append(maxPooling2dLayer(2, Stride=stride, Padding="same", Name=f"max_pooling_{number}"))
        channels = filters
    layers.append(convolution2dLayer(1, 425, NumChannels=512, Name="conv2d_9"))
    kind = "YOLO v2 Transform Layer"
    return [*layers, Described("yolov2Transform", kind, f"{kind} with 5 anchors")]


def custom_types():
    def convolution(name, *args, **options):
        return convolution2dLayer(*args, Name=name, **options)

    def parametric(name, channels):
        return Described(name, "preluLayer", f"PReLU with {channels} channels")

    layers = [
        imageInputLayer([8192, 1], Normalization="none", Name="in"),
        Described("incon0", "nn_My_SincNet_Layer", "Sinc Layer with 48 filters"),
        Described("inact0", "nn_My_Log_Layer", "Two-sided log layer with Name channels"),
    ]
    for number in range(1, 6):
        layers.append(convolution(f"incon{number}", [32, 1], 128, Stride=[2, 1], Padding="same"))
        layers.append(parametric(f"inact{number}", 128))
    return [
        *layers,
        convolution("bcon", [32, 1], 8, Padding="same"),
        parametric("bact", 8),
        convolution("dummy1", [33, 1], 1),
        convolution("dummy2", [33, 1], 1),
        crop2dLayer([1, 33], Name="outcrop"),
        transposedConv2dLayer(1, 340, Cropping="same", Name="outcon0"),
        Described("outact0", "nn_My_Exp_Layer", "Exponential layer with Name channels"),
        Described("Poiss", "Regression Output", "Poisson loss"),
    ]


def page():
    return [
        imageInputLayer([32, 32, 3]),
        convolution2dLayer(3, 16, Padding=1),
        batchNormalizationLayer(),
        reluLayer(),
        maxPooling2dLayer(2, Stride=2),
        convolution2dLayer(3, 32, Padding=1),
        batchNormalizationLayer(),
        reluLayer(),
        fullyConnectedLayer(10),
        softmaxLayer(),
        classificationLayer(),
    ]


def actor():
    return [
        featureInputLayer(4, Name="input_1"),
        fullyConnectedLayer(256, Name="fc_1"),
        reluLayer(Name="relu_body"),
        fullyConnectedLayer(256, Name="fc_body"),
        reluLayer(Name="body_output"),
        fullyConnectedLayer(1, Name="fc_mean"),
        tanhLayer(Name="tanh"),
        scalingLayer(Name="scale"),
        fullyConnectedLayer(1, Name="fc_std"),
        softplusLayer(Name="std"),
    ]


def digits(filter_size, filters, pool):
    first = [imageInputLayer([28, 28, 1]), convolution2dLayer(filter_size, filters), reluLayer()]
    return [*first, pool, fullyConnectedLayer(10), softmaxLayer()]


def max_pool():
    return maxPooling2dLayer(2, Stride=2)


LAYER_ARRAYS = {
    "layers_bilstm_classification": lambda: [
        sequenceInputLayer(12),
        bilstmLayer(100, OutputMode="last"),
        fullyConnectedLayer(9),
        softmaxLayer(),
        classificationLayer(),
    ],
    "layers_classification_page": lambda: [*digits(5, 20, max_pool()), classificationLayer()],
    "layers_custom_types": custom_types,
    "layers_digits_basic_cnn": lambda: [*digits(3, 25, max_pool()), classificationLayer()],
    "layers_global_average_pooling": lambda: digits(5, 20, globalAveragePooling2dLayer()),
    "layers_lstm_regression": lambda: [
        sequenceInputLayer(4, Normalization="rescale-symmetric"),
        lstmLayer(150, OutputMode="last"),
        fullyConnectedLayer(1),
        regressionLayer(),
    ],
    "layers_page": page,
    "layers_pinn_tanh": lambda: [
        featureInputLayer(2),
        [fullyConnectedLayer(20), tanhLayer] * 8,
        fullyConnectedLayer(1),
    ],
    "layers_rl_actor": actor,
    "layers_softmax_page": lambda: digits(5, 20, max_pool()),
    "layers_squeezenet_last_10": squeezenet_end,
}

ROWS = {"rows_alexnet": alexnet, "rows_tiny_yolo": tiny_yolo}


def array(name):
    return LayerArray({**LAYER_ARRAYS, **ROWS}[name]())
