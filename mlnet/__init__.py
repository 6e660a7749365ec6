"""mlnet: MATLAB-like layer arrays, their training and their display.

Everything public is here, under MATLAB's names. Importing the package loads NumPy and little else: the module of a name
is loaded when the name is used first.
"""

import builtins as _builtins
import importlib as _importlib
from typing import Any as _Any

from mlnet.errors import suggestion as _suggestion
from mlnet.options import Renderer as _Renderer
from mlnet.storage.kinds import Kinds as _Kinds
from mlnet.training.board import Board as _Board
from mlnet.version import __version__ as __version__

_NAMES_OF = {
    "autodiff.array": "dlarray",
    "autodiff.data_layout": "networkDataLayout",
    "autodiff.differentiate": "dlfeval dlgradient",
    "autodiff.fields": "clearCache dlaccelerate dldivergence dljacobian dllaplacian",
    "autodiff.labelled": "dims extractdata finddim stripdims",
    "conformance.check_layer": "checkLayer",
    "data.confusion": "confusionmat",
    "data.datastores.array_datastore": "arrayDatastore",
    "data.images.augmentation": "augment imageDataAugmenter",
    "data.datastores.augmented": "augmentedImageDatastore",
    "data.datastores.batch_datastore": "batchDatastore",
    "data.datastores.combined": "combine transform",
    "category_functions": (
        "addcats countcats iscategory isundefined mergecats removecats renamecats reordercats setcats"
    ),
    "data.digits": "digitTest4DArrayData digitTrain4DArrayData",
    "data.datastores.file_datastore": "fileDatastore signalDatastore",
    "data.datastores.functions": (
        "hasdata numel numpartitions partition preview progress read readByIndex readall readimage reset shuffle subset"
    ),
    "data.datastores.image_datastore": "imageDatastore",
    "data.images.files": "readDatastoreImage",
    "data.datastores.label_counts": "countEachLabel splitEachLabel",
    "data.datastores.mini_batch_queue": "minibatchqueue",
    "data.onehot": "onehotdecode onehotencode",
    "data.padding": "padsequences",
    "data.datastores.pixel_datastore": "pixelLabelDatastore pixelLabelImageDatastore",
    "data.segmentation_metrics": "evaluateSemanticSegmentation",
    "data.scaling": "mapminmax mapstd rescale",
    "data.datastores.writing": "writeall",
    "display": "disp properties",
    "display.summary": "summary",
    "errors": (
        "DataError MissingExtraError MlnetError NetworkError NotSupportedError OptionError TrainingError "
        "UnknownNameError"
    ),
    "interop.code": "codeFor",
    "interop.matlab.exporting": "exportNetworkToMATLAB",
    "interop.matlab.importing": "importNetworkFromMATLAB matlabFolder",
    "interop.onnx.writing.exporting": "exportONNXNetwork",
    "interop.onnx.reading.importing": "importNetworkFromONNX importONNXLayers importONNXNetwork",
    "interop.openvino.exporting": "exportOpenVINO",
    "interop.onnx.reading.placeholder": "findPlaceholderLayers",
    "interop.weights.transfer": "exportWeights importWeights",
    "functional.activation": "dlmtimes fullyconnect gelu leakyrelu relu sigmoid softmax softplus",
    "functional.batch_norm_inference": "batchNormInference",
    "functional.convolution": "dlconv dltranspconv",
    "functional.ctc": "ctc",
    "functional.index_loss": "indexcrossentropy",
    "functional.loss": "crossentropy huber l1loss l2loss mse",
    "functional.matlab_arrays": "cat double ones permute repmat reshape single size squeeze zeros",
    "functional.normalization": "batchnorm crosschannelnorm groupnorm instancenorm layernorm",
    "functional.pooling": "avgpool maxpool maxunpool",
    "functional.recurrent": "attention embed gru lstm",
    "labels": "categorical categories",
    "layers.activation": "clippedReluLayer eluLayer leakyReluLayer reluLayer sigmoidLayer softmaxLayer tanhLayer",
    "layers.adaptive_pooling": "adaptiveAveragePooling2dLayer",
    "layers.attention": "attentionLayer selfAttentionLayer",
    "layers.combination": "additionLayer concatenationLayer depthConcatenationLayer multiplicationLayer",
    "layers.convolution": "convolution2dLayer",
    "layers.convolution1d": "convolution1dLayer",
    "layers.convolution3d": "convolution3dLayer",
    "layers.crop": "crop2dLayer crop3dLayer",
    "layers.custom": "Acceleratable Formattable Layer",
    "layers.custom_output": "ClassificationLayer RegressionLayer",
    "layers.custom_declarations": "Learnable State",
    "layers.dropout": "dropoutLayer",
    "layers.embedding": "embeddingConcatenationLayer positionEmbeddingLayer wordEmbeddingLayer",
    "layers.folding": "identityLayer sequenceFoldingLayer sequenceUnfoldingLayer",
    "layers.function": "functionLayer",
    "layers.general_input": "inputLayer",
    "layers.group_normalization": (
        "groupNormalizationLayer instanceNormalizationLayer layerNormalizationLayer rmsNormalizationLayer"
    ),
    "layers.grouped_convolution": "groupedConvolution2dLayer",
    "layers.indexing": "indexing1dLayer",
    "layers.input": "featureInputLayer imageInputLayer sequenceInputLayer",
    "layers.input3d": "image3dInputLayer",
    "layers.linear": "fullyConnectedLayer",
    "layers.normalization": "batchNormalizationLayer crossChannelNormalizationLayer",
    "layers.output": "classificationLayer regressionLayer",
    "layers.patch_embedding": "patchEmbeddingLayer",
    "layers.pixel_output": "dicePixelClassificationLayer focalLossLayer pixelClassificationLayer",
    "layers.pooling": "averagePooling2dLayer globalAveragePooling2dLayer globalMaxPooling2dLayer maxPooling2dLayer",
    "layers.pooling1d": "averagePooling1dLayer globalAveragePooling1dLayer globalMaxPooling1dLayer maxPooling1dLayer",
    "layers.pooling3d": "averagePooling3dLayer globalAveragePooling3dLayer globalMaxPooling3dLayer maxPooling3dLayer",
    "layers.position_encoding": "sinusoidalPositionEncodingLayer",
    "layers.quadratic": "quadraticLayer",
    "layers.recurrent": "bilstmLayer gruLayer lstmLayer lstmProjectedLayer",
    "layers.resize": "depthToSpace2dLayer resize2dLayer spaceToDepthLayer",
    "layers.resize3d": "resize3dLayer",
    "layers.shape": "flattenLayer permuteLayer reshapeLayer",
    "layers.smooth_activation": "geluLayer preluLayer scalingLayer softplusLayer swishLayer",
    "layers.spatial_dropout": "spatialDropoutLayer",
    "layers.transposed_convolution": "transposedConv1dLayer transposedConv2dLayer transposedConv3dLayer",
    "layers.unpooling": "maxUnpooling2dLayer",
    "layers.whitening": "whiteningLayer",
    "max_threads": "maxNumCompThreads",
    "models.deeplab": "deeplabv3plusLayers",
    "models.denoising": "denoisingNetwork dnCNNLayers",
    "models.fcn": "fcnLayers",
    "models.inception": "googlenet squeezenet",
    "models.mobile": "mobilenetv2",
    "models.residual": "resnet101 resnet18 resnet50",
    "models.resnet_layers": "resnetLayers",
    "models.segnet": "segnetLayers",
    "models.series": "alexnet darknet19 vgg16 vgg19",
    "models.unet": "unet3dLayers unetLayers",
    "network.add_input": "addInputLayer",
    "network.analyze": "NetworkAnalysis analyzeNetwork",
    "network.assemble": "assembleNetwork",
    "network.engine_info": "engineInfo",
    "network.dlnetwork": "dlnetwork",
    "network.dlnetwork_functions": "forward initialize",
    "network.factors": "getL2Factor getLearnRateFactor setL2Factor setLearnRateFactor",
    "network.layer_array": "LayerArray",
    "network.layer_graph": "LayerGraph addLayers connectLayers disconnectLayers layerGraph removeLayers replaceLayer",
    "network.nested": "networkLayer",
    "network.segmentation": "semanticseg",
    "network.trained": (
        "DAGNetwork SeriesNetwork activations classify classifyAndUpdateState predict predictAndUpdateState resetState"
    ),
    "plotting.confusion_chart": "ConfusionMatrixChart confusionchart sortClasses",
    "plotting.confusion_plot": "plotconfusion",
    "plotting.plot": "plot",
    "randomness": "rng",
    "storage.files": "load save",
    "training.own_loops.metric_values": "evaluate update",
    "training.metrics": (
        "accuracyMetric aucMetric fScoreMetric mapeMetric precisionMetric rSquaredMetric recallMetric rmseMetric"
    ),
    "training.own_loops.gpu": "canUseGPU gather gpuArray gpuDeviceCount",
    "training.own_loops.lbfgs_update": "lbfgsState lbfgsupdate",
    "training.own_loops.monitor": "groupSubPlot recordMetrics trainingProgressMonitor updateInfo yscale",
    "training.options": "trainingOptions",
    "training.schedules": (
        "cosineLearnRate cyclicalLearnRate exponentialLearnRate piecewiseLearnRate polynomialLearnRate warmupLearnRate"
    ),
    "training.nets.reporter": "TrainingInfo",
    "training.nets.predicting": "minibatchpredict scores2label",
    "training.nets.testnet": "testnet",
    "training.train": "trainNetwork",
    "training.nets.trainnet": "trainnet",
    "training.own_loops.updates": "adamupdate dlupdate rmspropupdate sgdmupdate",
}
"""The public names, by the module that defines them."""

_FROM_PYTHON = ("next",)
"""MATLAB's functions that Python has under the same name: reachable as ``mlnet.next``, but not imported by ``*``."""

_ON_REQUEST = dict.fromkeys(("NetworkClassifier", "NetworkRegressor"), "interop.estimators")
"""Names whose module needs an optional package: reachable by their names, but not imported by ``*``."""

_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names.split()}

__all__ = sorted([*_MODULE_OF, "__version__"])


def __getattr__(name: str) -> _Any:
    """Return a public name after loading its module."""
    if name in _FROM_PYTHON:
        return getattr(_builtins, name)
    if name in _ON_REQUEST:
        return getattr(_importlib.import_module(f"mlnet.{_ON_REQUEST[name]}"), name)
    if name not in _MODULE_OF:
        hint = "" if name.startswith("_") else _suggestion(name, __dir__()) or "dir(mlnet) lists all names."
        raise AttributeError(f"module 'mlnet' has no attribute '{name}'. {hint}".rstrip())
    value = getattr(_importlib.import_module(f"mlnet.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted([*__all__, *_ON_REQUEST])


_Renderer.loader = staticmethod(lambda: _importlib.import_module("mlnet.display"))  # for objects that print themselves
_Board.opener = staticmethod(lambda board: _importlib.import_module("mlnet.plotting.pictures").open_picture(board))
_Kinds.loader = staticmethod(  # what beside layers can be in files: options, operators of ONNX
    lambda: [_importlib.import_module(f"mlnet.{n}") for n in ("training.options", "interop.onnx.reading.function")]
)
