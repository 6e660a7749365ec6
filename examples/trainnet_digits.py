"""Train a digit classifier without an output layer: the loss is an argument of trainnet."""

from mlnet import *

XTrain, YTrain, _ = digitTrain4DArrayData()
XTest, YTest, _ = digitTest4DArrayData()

layers = LayerArray([
    imageInputLayer([28, 28, 1]),

    convolution2dLayer(3, 8, Padding='same'),
    batchNormalizationLayer,
    reluLayer,

    maxPooling2dLayer(2, Stride=2),

    convolution2dLayer(3, 16, Padding='same'),
    batchNormalizationLayer,
    reluLayer,

    maxPooling2dLayer(2, Stride=2),

    convolution2dLayer(3, 32, Padding='same'),
    batchNormalizationLayer,
    reluLayer,

    fullyConnectedLayer(10),
    softmaxLayer,
])  # fmt: skip

options = trainingOptions(
    'sgdm',
    InitialLearnRate=0.01,
    MaxEpochs=4,
    Shuffle='every-epoch',
    ValidationData=(XTest, YTest),
    ValidationFrequency=30,
    Metrics='accuracy',
)  # fmt: skip

rng(0)
net, info = trainnet(XTrain, YTrain, layers, "crossentropy", options, nargout=2)
print("\ninfo = ", info, sep="\n")

accuracy, fscore = testnet(net, XTest, YTest, ["accuracy", "fscore"])
print(f"\nTest accuracy: {accuracy:.2f} %, F-score {fscore:.4f}\n")

labels = scores2label(minibatchpredict(net, XTest[..., :5]), categories(YTest))
print("labels = ", labels, sep="\n")
