"""The objects behind the golden texts: name of the file and how the object is made."""

from __future__ import annotations

import numpy as np

from mlnet import (
    SeriesNetwork,
    additionLayer,
    addLayers,
    averagePooling2dLayer,
    batchNormalizationLayer,
    categorical,
    classificationLayer,
    clippedReluLayer,
    concatenationLayer,
    connectLayers,
    convolution2dLayer,
    crossChannelNormalizationLayer,
    depthConcatenationLayer,
    dicePixelClassificationLayer,
    dlarray,
    dropoutLayer,
    eluLayer,
    featureInputLayer,
    flattenLayer,
    focalLossLayer,
    fullyConnectedLayer,
    functionLayer,
    globalAveragePooling2dLayer,
    globalMaxPooling2dLayer,
    imageInputLayer,
    layerGraph,
    leakyReluLayer,
    lstmLayer,
    maxPooling2dLayer,
    maxUnpooling2dLayer,
    pixelClassificationLayer,
    quadraticLayer,
    regressionLayer,
    reluLayer,
    sequenceInputLayer,
    sigmoidLayer,
    softmaxLayer,
    tanhLayer,
    trainingOptions,
)
from mlnet.layers.base import Layer, layer_table
from mlnet.network.resolve import Resolved
from mlnet.options import Derived, Group
from mlnet.rules import EMPTY


def trained(layer, **values):
    """Return the layer with properties set; tuples are the shapes of single arrays."""
    for name, value in values.items():
        setattr(layer, name, np.ones(value, np.float32) if isinstance(value, tuple) else value)
    return layer


def shown(name, value, group=Group.PLAIN):
    return Derived(name, lambda layer: value, "", group)


class LSTMLayer(Layer):
    """Stand-in: has every group of the display."""

    shows_all_link = True
    table = layer_table(
        shown("InputNames", ["in"]),
        shown("OutputNames", ["out"]),
        shown("NumInputs", 1),
        shown("NumOutputs", 1),
        shown("HasStateInputs", False),
        shown("HasStateOutputs", False),
        # groups are put in order whatever the order of the table
        shown("HiddenState", EMPTY, Group.STATE),
        shown("CellState", EMPTY, Group.STATE),
        shown("InputWeights", EMPTY, Group.LEARNABLE),
        shown("RecurrentWeights", EMPTY, Group.LEARNABLE),
        shown("Bias", EMPTY, Group.LEARNABLE),
        shown("InputSize", "auto", Group.HYPERPARAMETERS),
        shown("NumHiddenUnits", 150, Group.HYPERPARAMETERS),
        shown("OutputMode", "last", Group.HYPERPARAMETERS),
        shown("StateActivationFunction", "tanh", Group.HYPERPARAMETERS),
        shown("GateActivationFunction", "sigmoid", Group.HYPERPARAMETERS),
        shown("InputLearnRateFactor", 1, Group.HIDDEN),
    )


def actor_critic():
    """Return a graph with two inputs and 801 learnables, all of them set."""
    full = [(25, 4), (25, 25), (1, 25)]
    hidden = [trained(fullyConnectedLayer(rows), Weights=(rows, columns), Bias=(rows, 1)) for rows, columns in full]
    layers = [featureInputLayer(3, Name="obsInLyr"), concatenationLayer(1, 2, Name="concat"), *hidden]
    graph = addLayers(layerGraph(layers), featureInputLayer(1, Name="actInLyr", Normalization="zscore"))
    return connectLayers(graph, "actInLyr", "concat/in2")


def untrained_series():
    layers = [imageInputLayer([28, 28, 3]), convolution2dLayer(3, 50, Padding="same"), batchNormalizationLayer]
    return [*layers, reluLayer, fullyConnectedLayer(10)]


SUMMARIES = {"summary_two_inputs": actor_critic, "summary_untrained": untrained_series}

BLOCKS = {
    "addition": lambda: additionLayer(2, Name="add_1"),
    "average_pooling": lambda: averagePooling2dLayer(
        [3, 2],
        Padding=[0, 0, 1, 1],
        PaddingValue="mean",
        Name="pool",
    ),
    "batch_normalization": lambda: batchNormalizationLayer("Name", "BN1"),
    "batch_normalization_trained": lambda: trained(
        batchNormalizationLayer(Name="BN1"),
        NumChannels=16,
        TrainedMean=(1, 1, 16),
        TrainedVariance=(1, 1, 16),
        Offset=(1, 1, 16),
        Scale=(1, 1, 16),
    ),
    "classification_output": lambda: classificationLayer("Name", "output"),
    "classification_output_trained": lambda: classificationLayer(
        Name="out", Classes=categorical([0, 1, 2]), ClassWeights=[1, 0.5, 2]
    ),
    "clipped_relu": lambda: clippedReluLayer(10, Name="clip1"),
    "convolution2d": lambda: convolution2dLayer(3, 16, Padding="same", Name="conv_1"),
    "convolution2d_trained": lambda: trained(
        convolution2dLayer([3, 5], 16, Stride=2, Padding=1, PaddingValue=0.5),
        NumChannels=1,
        Weights=(3, 5, 1, 16),
        Bias=(1, 1, 16),
    ),
    "cross_channel_normalization": lambda: crossChannelNormalizationLayer(5, K=1),
    "dice_pixel_classification": lambda: dicePixelClassificationLayer(Name="dice", Classes=["sky", "road"]),
    "depth_concatenation": lambda: depthConcatenationLayer(2, Name="concat_1"),
    "dropout": lambda: dropoutLayer(0.4, Name="drop1"),
    "elu": lambda: eluLayer(Name="elu1"),
    "feature_input_zscore": lambda: featureInputLayer(4, Normalization="zscore"),
    "focal_loss": lambda: focalLossLayer(Name="focal", Alpha=0.5),
    "flatten": lambda: flattenLayer(Name="flatten1"),
    "fully_connected": lambda: fullyConnectedLayer(1),
    "fully_connected_trained": lambda: trained(
        fullyConnectedLayer(10, Name="fc"), InputSize=64, Weights=(10, 64), Bias=(10, 1)
    ),
    "function": lambda: functionLayer(np.tanh, Name="tanh1", Formattable=True),
    "global_average_pooling": lambda: globalAveragePooling2dLayer(Name="gap1"),
    "global_max_pooling": lambda: globalMaxPooling2dLayer(Name="gmp1"),
    "image_input": lambda: imageInputLayer([28, 28, 1]),
    "image_input_rescale_trained": lambda: trained(
        imageInputLayer([28, 28, 3], Normalization="rescale-zero-one", Name="in"), Max=255, Min=(1, 1, 3)
    ),
    "leaky_relu": lambda: leakyReluLayer(0.1, Name="leaky1"),
    "lstm_last": lambda: lstmLayer(150, OutputMode="last"),
    "lstm_stand_in": lambda: LSTMLayer(),
    "max_pooling": lambda: maxPooling2dLayer(2, Stride=2),
    "pixel_classification": lambda: pixelClassificationLayer(Name="labels"),
    "pixel_classification_weighted": lambda: pixelClassificationLayer(Classes=["sky", "road"], ClassWeights=[0.25, 2]),
    "max_pooling_for_unpooling": lambda: maxPooling2dLayer(2, Stride=2, HasUnpoolingOutputs=True, Name="pool"),
    "max_unpooling": lambda: maxUnpooling2dLayer(Name="unpool"),
    "quadratic": lambda: quadraticLayer(Name="quad"),
    "regression_output": lambda: regressionLayer(),
    "regression_output_trained": lambda: regressionLayer(ResponseNames=["angle", "size"]),
    "relu": lambda: reluLayer(Name="relu1"),
    "sequence_input_rescale": lambda: sequenceInputLayer(4, Normalization="rescale-symmetric"),
    "series_network": lambda: SeriesNetwork(
        Resolved(
            (
                imageInputLayer([28, 28, 1], Name="imageinput"),
                *[reluLayer()] * 5,
                classificationLayer(Name="classoutput"),
            ),
            sources=(),
            sizes=(),
            order=(),
        )
    ),
    "sigmoid": lambda: sigmoidLayer(Name="sigmoid1"),
    "softmax": lambda: softmaxLayer(Name="sm1"),
    "tanh": lambda: tanhLayer(Name="tanh1"),
    "training_options_adam": lambda: trainingOptions(
        "adam",
        InitialLearnRate=0.005,
        MaxEpochs=8000,
        Verbose=False,
        ExecutionEnvironment="cpu",
        Plots="training-progress",
        SequenceLength="shortest",
    ),
    "training_options_lbfgs": lambda: trainingOptions("lbfgs", MaxIterations=400, GradientTolerance=1e-8),
    "training_options_lm": lambda: trainingOptions("lm", L2Regularization=0),
    "training_options_sgdm": lambda: trainingOptions(
        "sgdm",
        LearnRateSchedule="piecewise",
        LearnRateDropFactor=0.2,
        LearnRateDropPeriod=5,
        MaxEpochs=20,
        MiniBatchSize=64,
        Plots="training-progress",
        ValidationData=[np.zeros((28, 28, 1, 100), np.float32), categorical(np.arange(100) % 10)],
    ),
}

PAGES = [0.5377, 1.8339, -2.2588, 0.8622, 0.3188, -1.3077, -0.4336, 0.3426, 3.5784, 2.7694, -1.3499, 3.0349]

DLARRAYS = {
    "dlarray_1x1": lambda: dlarray(104),
    "dlarray_integers": lambda: dlarray([[396, 200], [-1, 2]]),
    "dlarray_labelled_column": lambda: dlarray(np.array([-0.1619, 0.1122, 0.0165], np.float32)[:, None], "CT"),
    "dlarray_large": lambda: dlarray(np.zeros((28, 28, 1, 128), np.float32), "SSCB"),
    "dlarray_logical": lambda: dlarray(np.eye(4, 3) > 0, "SS"),
    "dlarray_pages": lambda: dlarray(np.array(PAGES).reshape(2, 1, 2, 3).T, "SSTU"),
    "dlarray_scaled": lambda: dlarray([-12000, 40973, 2199.1, 0]),
    "dlarray_small_scalar": lambda: dlarray(np.float32(1533.4)),
    "dlarray_wide": lambda: dlarray(np.arange(18) / 8),
}
