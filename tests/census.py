"""Forms in which public scripts call layers and training options: a census, and further documented forms.

`OPTIONS` lists for each function the arguments that its calls start with, and its options with the values that scripts
give them; `POSITIONAL` further first arguments; `STORED` what becomes of forms that are easily refused by mistake.
"""

import math

import numpy as np

from mlnet import categorical

_RATES = {"WeightLearnRateFactor": [10, 20], "BiasLearnRateFactor": [2, 0, 20, 10], "BiasL2Factor": [0]}
_STARTS = {"WeightsInitializer": ["he", "narrow-normal", "glorot"], "BiasInitializer": ["ones", "zeros"]}
_NAME = {"Name": ["fc_1"]}

OPTIONS = {
    "trainingOptions": (
        ("sgdm",),
        {
            "MaxEpochs": [20, 100, 1000, 5],
            "Plots": ["training-progress", "none"],
            "MiniBatchSize": [64, 128, 4, 2],
            "InitialLearnRate": [0.001, 0.01, 1e-05, 0.1],
            "Verbose": [False, 0, True, 1],
            "Shuffle": ["every-epoch", "never", "once"],
            "ValidationData": [[np.zeros((3, 2)), np.zeros(3)], []],
            "LearnRateSchedule": ["piecewise", "none"],
            "LearnRateDropPeriod": [125, 2, 1],
            "LearnRateDropFactor": [0.5, 0.2, 0.005, 1],
            "ValidationFrequency": [10, 1],
            "GradientThreshold": [1, 1.2, 0.05, math.inf],
            "GradientThresholdMethod": ["l2norm", "global-l2norm", "absolute-value"],
            "ExecutionEnvironment": ["gpu", "auto", "cpu", "multi-gpu", "parallel"],
            "L2Regularization": [0.0005, 2e-11, 0],
            "ValidationPatience": [math.inf, 4, 21],
            "VerboseFrequency": [10, 50],
            "Momentum": [0.9],
            "SequenceLength": ["longest", "shortest", 20],
            "CheckpointPath": ["checkpoints"],
            "OutputFcn": [print, [print, print]],
            "SequencePaddingDirection": ["left", "right"],
            "Metrics": ["accuracy"],
            "InputDataFormats": ["BSC"],
            "OutputNetwork": ["best-validation-loss", "last-iteration"],
            "ResetInputNormalization": [False],
            "DispatchInBackground": [True],
        },
    ),
    "fullyConnectedLayer": ((1,), {**_NAME, **_RATES, **_STARTS, "Bias": [0], "Weights": [[1, 2, 3], []]}),
    "convolution2dLayer": (
        (5, 20),
        {
            **_NAME,
            **_RATES,
            **_STARTS,
            "Padding": ["same", [2, 2, 2, 2], [1, 1, 1, 1], 1, 0, [1, 0], [4, 4]],
            "Stride": [[4, 4], 2, [1, 5], [1, 2], 1],
            "DilationFactor": [1, 2, [2, 2]],
            "NumChannels": [1, 3, 4096, "auto"],
            "WeightL2Factor": [0.5],
            "PaddingValue": [0, 1.5, "replicate", "symmetric-include-edge"],
        },
    ),
    "imageInputLayer": (
        ([28, 28, 1],),
        {
            **_NAME,
            "Normalization": ["none", "zscore", "zerocenter", "rescale-zero-one", "rescale-symmetric", abs],
            "NormalizationDimension": ["auto", "channel", "element", "all"],
            "DataAugmentation": ["none", "randfliplr", ["randcrop", "randfliplr"]],
            "Mean": [0, np.zeros((1, 1)), np.zeros((28, 28))],
        },
    ),
    "sequenceInputLayer": (
        (1,),
        {**_NAME, "Normalization": ["none", "rescale-zero-one", "zerocenter"], "MinLength": [50, 128]},
    ),
    "featureInputLayer": ((2,), {**_NAME, "Normalization": ["none", "zscore"]}),
    "softmaxLayer": ((), _NAME),
    "classificationLayer": (
        (),
        {
            **_NAME,
            "Classes": ["auto", ["cat", "dog"], ("cat", "dog"), np.array(["cat", "dog"]), categorical(["cat", "dog"])],
            "ClassWeights": ["none"],
        },
    ),
    "regressionLayer": ((), {**_NAME, "ResponseNames": ["x", ["x", "y"], []]}),
    "batchNormalizationLayer": (
        (),
        {**_NAME, "Epsilon": [5e-05], "OffsetInitializer": ["zeros"], "ScaleInitializer": ["ones"]},
    ),
    "layerNormalizationLayer": ((), {**_NAME, "Epsilon": [1e-12], "OperationDimension": ["auto", "channel-only"]}),
    "crossChannelNormalizationLayer": ((5,), {**_NAME, "K": [1, 2], "Alpha": [0.0001], "Beta": [0.75]}),
    "maxPooling2dLayer": (
        ([2, 2],),
        {**_NAME, "Stride": [[1, 2], [2, 1], [2, 2], 2, 3, 1], "Padding": ["same", 0, [0, 1]]},
    ),
    "maxPooling1dLayer": ((2,), {**_NAME, "Stride": [2, 3], "Padding": ["same", [1, 0]]}),
    "averagePooling2dLayer": (([2, 2],), {**_NAME, "Stride": [[2, 2], 2, [2, 1]], "PaddingValue": ["mean", 0]}),
    "dropoutLayer": ((0.5,), _NAME),
    "lstmLayer": ((100,), {**_NAME, "OutputMode": ["sequence", "last"], "BiasLearnRateFactor": [2, [1, 2, 1, 1]]}),
    "bilstmLayer": ((60,), {**_NAME, "OutputMode": ["last", "sequence"]}),
    "gruLayer": (
        (128,),
        {
            **_NAME,
            "OutputMode": ["last", "sequence"],
            "InputWeightsInitializer": ["He"],
            "RecurrentWeightsInitializer": ["He"],
        },
    ),
    "additionLayer": ((2,), _NAME),
    "multiplicationLayer": ((2,), _NAME),
    "depthConcatenationLayer": ((2,), _NAME),
    "concatenationLayer": ((3, 2), _NAME),
    "transposedConv2dLayer": (
        (4, 64),
        {
            **_NAME,
            "Stride": [2, 4, [2, 7], 15, [1, 11]],
            "Cropping": ["same", [1, 0], 0, 1, [3, 1], [1, 2, 1, 2]],
            "NumChannels": [3],
        },
    ),
    "transposedConv1dLayer": ((4, 64), {**_NAME, "Stride": [2], "Cropping": ["same", 1, [1, 0]]}),
    "convolution1dLayer": (
        (3, 32),
        {**_NAME, **_STARTS, "Padding": ["same", 1, "causal", 0, [2, 1]], "Stride": [1, 2, 4], "DilationFactor": [4]},
    ),
    "convolution3dLayer": (
        (3, 16),
        {**_NAME, "Padding": ["same", 1, [1, 0, 1], [[1, 1, 1], [0, 0, 0]]], "Stride": [2, [1, 2, 2]]},
    ),
    "groupedConvolution2dLayer": (
        ([3, 3], 128, 2),
        {**_NAME, **_STARTS, "BiasLearnRateFactor": [2], "Padding": [[1, 1, 1, 1], "same"]},
    ),
    "reluLayer": ((), _NAME),
    "leakyReluLayer": ((), {**_NAME, "Scale": [0.1]}),
    "eluLayer": ((1,), _NAME),
    "tanhLayer": ((), _NAME),
    "sigmoidLayer": ((), _NAME),
    "flattenLayer": ((), _NAME),
    "geluLayer": ((), {**_NAME, "Approximation": ["none", "tanh"]}),
    "sequenceFoldingLayer": ((), _NAME),
    "sequenceUnfoldingLayer": ((), _NAME),
    "globalAveragePooling2dLayer": ((), _NAME),
    "globalAveragePooling1dLayer": ((), _NAME),
    "globalMaxPooling2dLayer": ((), _NAME),
    "crop2dLayer": (("centercrop",), _NAME),
    "resize2dLayer": (
        (),
        {
            **_NAME,
            "OutputSize": [[72, 14]],
            "Scale": [2, [2, 1.5]],
            "GeometricTransformMode": ["half-pixel"],
            "Method": ["bilinear", "nearest"],
            "NearestRoundingMode": ["round"],
        },
    ),
}

POSITIONAL = {
    "trainingOptions": [("adam",), ("rmsprop",), ("SGDM",)],
    "imageInputLayer": [([32, 32, 3],), ([1, 1],)],
    "sequenceInputLayer": [(3,), ([227, 227, 3],)],
    "convolution2dLayer": [([1, 1], 10), ([5, 5], 500), (3, 32)],
    "transposedConv2dLayer": [([10, 1], 64), (14, 1000)],
    "maxPooling2dLayer": [([1, 1],), (3,), ([1, 3],)],
    "averagePooling2dLayer": [(7,), ([1, 1],)],
    "dropoutLayer": [(), (0.01,), (0.2,), (0,)],
    "leakyReluLayer": [(0.01,)],
    "eluLayer": [(), (2,)],
    "additionLayer": [(4,), (3,)],
    "concatenationLayer": [(1, 4), (2, 5)],
    "crop2dLayer": [([2, 3],)],
    "groupedConvolution2dLayer": [(3, 1, "channel-wise")],
    "groupNormalizationLayer": [("all-channels",), ("channel-wise",), (4,)],
    "depthToSpace2dLayer": [(2,), ([2, 2],)],
    "lstmProjectedLayer": [(100, 30, 20)],
}

STORED = [
    ("convolution2dLayer", (3, 16, "Padding", [1, 0]), {}, "PaddingSize", [1, 1, 0, 0]),
    ("convolution2dLayer", (3, 16, "padding", 1.0), {}, "PaddingSize", [1, 1, 1, 1]),
    ("convolution2dLayer", (3, 16, "Padding", np.array([[1], [2], [3], [4]])), {}, "PaddingSize", [1, 2, 3, 4]),
    ("convolution2dLayer", (np.float64(3), np.uint8(16)), {}, "FilterSize", [3, 3]),
    ("convolution2dLayer", (3, 16), {"stride": (2, 1)}, "Stride", [2, 1]),
    ("convolution2dLayer", (3, 16, "WeightL", 0), {"WeightLearnRate": 1}, "WeightLearnRateFactor", None),
    ("convolution2dLayer", (3, 16, "Dilation", 2), {}, "DilationFactor", [2, 2]),
    ("imageInputLayer", ([28, 28],), {}, "InputSize", [28, 28, 1]),
    ("imageInputLayer", (np.zeros((28, 28, 3)).shape,), {}, "InputSize", [28, 28, 3]),
    ("fullyConnectedLayer", (1, "Weights", [1, 2, 3]), {}, "Weights", [1, 2, 3]),
    ("fullyConnectedLayer", ([10], "Name", np.str_("fc")), {}, "Name", "fc"),
    ("lstmLayer", (5, "Outputmode", "Last"), {}, "OutputMode", "last"),
    ("dropoutLayer", ("Name", "d"), {}, "Probability", 0.5),
    ("leakyReluLayer", ("Name", "l"), {"Scale": 0.2}, "Scale", 0.2),
    ("classificationLayer", ("Classes", [0, 1]), {}, "ClassNames", ["0", "1"]),
    ("trainingOptions", ("adam", "MaxEpoch", 7.0), {}, "MaxEpochs", 7),
    ("trainingOptions", ("adam", "verbose", 0), {}, "Verbose", False),
    ("trainingOptions", ("Adam",), {"Plots": "Training-Progress"}, "Plots", "training-progress"),
]
"""Function, arguments, keyword arguments, property and its value; None where the call is ambiguous and refused."""
