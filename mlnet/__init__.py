"""mlnet: MATLAB-like layer arrays, their training and their display.

Everything public is here, under MATLAB's names; importing it loads NumPy and nothing heavier.
"""

from mlnet.data.digits import digitTest4DArrayData, digitTrain4DArrayData
from mlnet.display import disp, properties
from mlnet.errors import (
    DataError,
    MissingExtraError,
    MlnetError,
    NetworkError,
    NotSupportedError,
    OptionError,
    TrainingError,
    UnknownNameError,
)
from mlnet.labels import categorical, categories
from mlnet.layers.activation import (
    clippedReluLayer,
    eluLayer,
    leakyReluLayer,
    reluLayer,
    sigmoidLayer,
    softmaxLayer,
    tanhLayer,
)
from mlnet.layers.combination import (
    additionLayer,
    concatenationLayer,
    depthConcatenationLayer,
    multiplicationLayer,
)
from mlnet.layers.convolution import convolution2dLayer
from mlnet.layers.convolution1d import convolution1dLayer
from mlnet.layers.convolution3d import convolution3dLayer
from mlnet.layers.crop import crop2dLayer
from mlnet.layers.dropout import dropoutLayer
from mlnet.layers.factors import getL2Factor, getLearnRateFactor, setL2Factor, setLearnRateFactor
from mlnet.layers.folding import identityLayer, sequenceFoldingLayer, sequenceUnfoldingLayer
from mlnet.layers.group_normalization import (
    groupNormalizationLayer,
    instanceNormalizationLayer,
    layerNormalizationLayer,
    rmsNormalizationLayer,
)
from mlnet.layers.grouped_convolution import groupedConvolution2dLayer
from mlnet.layers.input import featureInputLayer, imageInputLayer, sequenceInputLayer
from mlnet.layers.input3d import image3dInputLayer
from mlnet.layers.linear import fullyConnectedLayer
from mlnet.layers.normalization import batchNormalizationLayer, crossChannelNormalizationLayer
from mlnet.layers.output import classificationLayer, regressionLayer
from mlnet.layers.pooling import (
    averagePooling2dLayer,
    globalAveragePooling2dLayer,
    globalMaxPooling2dLayer,
    maxPooling2dLayer,
)
from mlnet.layers.pooling1d import (
    averagePooling1dLayer,
    globalAveragePooling1dLayer,
    globalMaxPooling1dLayer,
    maxPooling1dLayer,
)
from mlnet.layers.pooling3d import (
    averagePooling3dLayer,
    globalAveragePooling3dLayer,
    globalMaxPooling3dLayer,
    maxPooling3dLayer,
)
from mlnet.layers.recurrent import bilstmLayer, gruLayer, lstmLayer, lstmProjectedLayer
from mlnet.layers.resize import depthToSpace2dLayer, resize2dLayer, spaceToDepthLayer
from mlnet.layers.shape import flattenLayer, permuteLayer, reshapeLayer
from mlnet.layers.smooth_activation import geluLayer, preluLayer, scalingLayer, softplusLayer, swishLayer
from mlnet.layers.spatial_dropout import spatialDropoutLayer
from mlnet.layers.transposed_convolution import transposedConv1dLayer, transposedConv2dLayer, transposedConv3dLayer
from mlnet.layers.whitening import whiteningLayer
from mlnet.network.analyze import NetworkAnalysis, analyzeNetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import (
    LayerGraph,
    addLayers,
    connectLayers,
    disconnectLayers,
    layerGraph,
    removeLayers,
    replaceLayer,
)
from mlnet.network.trained import (
    DAGNetwork,
    SeriesNetwork,
    activations,
    classify,
    classifyAndUpdateState,
    predict,
    predictAndUpdateState,
    resetState,
)
from mlnet.randomness import rng
from mlnet.training.options import trainingOptions
from mlnet.training.train import trainNetwork
from mlnet.version import __version__

__all__ = [
    "DAGNetwork",
    "DataError",
    "LayerArray",
    "LayerGraph",
    "MissingExtraError",
    "MlnetError",
    "NetworkAnalysis",
    "NetworkError",
    "NotSupportedError",
    "OptionError",
    "SeriesNetwork",
    "TrainingError",
    "UnknownNameError",
    "__version__",
    "activations",
    "addLayers",
    "additionLayer",
    "analyzeNetwork",
    "averagePooling1dLayer",
    "averagePooling2dLayer",
    "averagePooling3dLayer",
    "batchNormalizationLayer",
    "bilstmLayer",
    "categorical",
    "categories",
    "classificationLayer",
    "classify",
    "classifyAndUpdateState",
    "clippedReluLayer",
    "concatenationLayer",
    "connectLayers",
    "convolution1dLayer",
    "convolution2dLayer",
    "convolution3dLayer",
    "crop2dLayer",
    "crossChannelNormalizationLayer",
    "depthConcatenationLayer",
    "depthToSpace2dLayer",
    "digitTest4DArrayData",
    "digitTrain4DArrayData",
    "disconnectLayers",
    "disp",
    "dropoutLayer",
    "eluLayer",
    "featureInputLayer",
    "flattenLayer",
    "fullyConnectedLayer",
    "geluLayer",
    "getL2Factor",
    "getLearnRateFactor",
    "globalAveragePooling1dLayer",
    "globalAveragePooling2dLayer",
    "globalAveragePooling3dLayer",
    "globalMaxPooling1dLayer",
    "globalMaxPooling2dLayer",
    "globalMaxPooling3dLayer",
    "groupNormalizationLayer",
    "groupedConvolution2dLayer",
    "gruLayer",
    "identityLayer",
    "image3dInputLayer",
    "imageInputLayer",
    "instanceNormalizationLayer",
    "layerGraph",
    "layerNormalizationLayer",
    "leakyReluLayer",
    "lstmLayer",
    "lstmProjectedLayer",
    "maxPooling1dLayer",
    "maxPooling2dLayer",
    "maxPooling3dLayer",
    "multiplicationLayer",
    "permuteLayer",
    "predict",
    "predictAndUpdateState",
    "preluLayer",
    "properties",
    "regressionLayer",
    "reluLayer",
    "removeLayers",
    "replaceLayer",
    "resetState",
    "reshapeLayer",
    "resize2dLayer",
    "rmsNormalizationLayer",
    "rng",
    "scalingLayer",
    "sequenceFoldingLayer",
    "sequenceInputLayer",
    "sequenceUnfoldingLayer",
    "setL2Factor",
    "setLearnRateFactor",
    "sigmoidLayer",
    "softmaxLayer",
    "softplusLayer",
    "spaceToDepthLayer",
    "spatialDropoutLayer",
    "swishLayer",
    "tanhLayer",
    "trainNetwork",
    "trainingOptions",
    "transposedConv1dLayer",
    "transposedConv2dLayer",
    "transposedConv3dLayer",
    "whiteningLayer",
]
