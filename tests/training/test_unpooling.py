"""Networks with max unpooling: training, PyTorch, sequences of images, and mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlnet import (
    DataError,
    NetworkError,
    activations,
    analyzeNetwork,
    connectLayers,
    convolution2dLayer,
    imageInputLayer,
    layerGraph,
    maxPooling2dLayer,
    maxUnpooling2dLayer,
    regressionLayer,
    reluLayer,
    replaceLayer,
    rng,
    sequenceInputLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.data.sources.layout import to_engine
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.engines.program import StepPlan
from mlnet.network.compile import parameter_values, prediction_program
from mlnet.network.resolve import resolve


def graph(first, pool=None, wires=("indices", "size")):
    """Return an encoder and a decoder joined by a pooling and an unpooling layer."""
    lgraph = layerGraph(
        [
            first.replaced(Name="in"),
            convolution2dLayer(3, 4, Padding="same", Name="conv1"),
            pool or maxPooling2dLayer(2, Stride=2, HasUnpoolingOutputs=True, Name="pool"),
            convolution2dLayer(3, 4, Padding="same", Name="conv2"),
            reluLayer(Name="relu"),
            maxUnpooling2dLayer(Name="unpool"),
            convolution2dLayer(3, 2, Padding="same", Name="conv3"),
            regressionLayer(Name="out"),
        ]
    )
    for port in wires:
        lgraph = connectLayers(lgraph, f"pool/{port}", f"unpool/{port}")
    return lgraph


def options(**changes):
    return trainingOptions("adam", **{"MiniBatchSize": 10, "Verbose": False, "MaxEpochs": 20, **changes})


def trained(**changes):
    rng(0)
    x = np.random.default_rng(0).standard_normal((7, 6, 3, 30))
    y = np.stack([x[:, :, 0], np.maximum(x[:, :, 1], 0)], axis=2)
    return x, trainNetwork(x, y, graph(imageInputLayer([7, 6, 3])), options(**changes), nargout=2)


def test_training_lowers_the_loss_and_outputs_can_be_looked_at():
    x, (net, info) = trained(InitialLearnRate=0.01)
    assert info.TrainingLoss[-1] < 0.7 * info.TrainingLoss[0]
    before, pooled, indices = (activations(net, x, name) for name in ("conv1", "pool", "pool/indices"))
    assert indices.shape == pooled.shape == (3, 3, 4, 30)
    rows, columns = np.divmod(indices.astype(int), 6)
    for i, j, c, n in np.ndindex(indices.shape):
        assert before[rows[i, j, c, n], columns[i, j, c, n], c, n] == pooled[i, j, c, n]
    assert activations(net, x, "pool/size").shape == before.shape
    unpooled = activations(net, x, "unpool")
    assert unpooled.shape == (7, 6, 4, 30) and not unpooled[6].any() and unpooled.any()


def test_pytorch_has_the_same_gradients():
    x, (net, _) = trained(MaxEpochs=1)
    network = net._network
    plan = StepPlan(NumpyEngine(), prediction_program(network))
    values = parameter_values(network.layers, np.float64)
    data = to_engine(x, "SSC").astype(np.float64)
    y = plan.forward(data, values).copy()
    d_y = np.random.default_rng(3).standard_normal(y.shape)
    gradients, d_x = plan.backward(d_y, set(values), want_input=True)

    theirs = {key: torch.tensor(value, requires_grad=True) for key, value in values.items()}

    def convolution(x, name):
        weights = theirs[name, "Weights"].permute(3, 2, 0, 1)
        return torch.nn.functional.conv2d(x, weights, theirs[name, "Bias"].reshape(-1), padding="same")

    centered = data - network.layers[0].Mean.astype(np.float64)
    images = torch.tensor(np.ascontiguousarray(centered.transpose(0, 3, 1, 2)), requires_grad=True)
    pooled, places = torch.nn.functional.max_pool2d(convolution(images, "conv1"), 2, return_indices=True)
    decoded = torch.relu(convolution(pooled, "conv2"))
    back = torch.nn.functional.max_unpool2d(decoded, places, 2, output_size=(7, 6))
    expected = convolution(back, "conv3").permute(0, 2, 3, 1)
    expected.backward(torch.tensor(d_y))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9, atol=1e-9)
    assert set(gradients) == set(theirs) and len(gradients) == 6
    for key, gradient in gradients.items():
        np.testing.assert_allclose(gradient, theirs[key].grad.numpy(), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(d_x, images.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-8, atol=1e-9)


def test_sequences_of_images_are_unpooled_step_by_step():
    rng(0)
    generator = np.random.default_rng(0)
    x = [generator.standard_normal((6, 4, 3, length)) for length in (3, 1, 2)]
    y = [each[:, :, :2] for each in x]
    net = trainNetwork(x, y, graph(sequenceInputLayer([6, 4, 3])), options(MaxEpochs=2, MiniBatchSize=2))
    for found, each in zip(net.predict(x), x, strict=True):
        assert found.shape == (6, 4, 2, each.shape[3])
        for step in range(each.shape[3]):
            alone = net.predict([each[..., step : step + 1]])[0]
            np.testing.assert_allclose(found[..., step : step + 1], alone, rtol=1e-5, atol=1e-6)


def test_sizes_of_the_network():
    rows = str(analyzeNetwork(graph(imageInputLayer([7, 6, 3])))).split("\n")
    (row,) = [row for row in rows if " unpool " in row]
    assert "Max Unpooling" in row and "7(S) x 6(S) x 4(C)" in row


@pytest.mark.parametrize("text", ["nothing feeds the input 'size'", "nothing uses 'pool/size'"])
def test_outputs_and_inputs_that_are_not_connected(text):
    with pytest.raises(NetworkError, match=text):
        resolve(graph(imageInputLayer([7, 6, 3]), wires=["indices"]))


def test_other_channels_than_the_indices():
    lgraph = replaceLayer(graph(imageInputLayer([7, 6, 3])), "conv2", convolution2dLayer(3, 5, Padding="same"))
    with pytest.raises(NetworkError, match="needs images of the size 3x3x4 of the indices, but got 3x3x5"):
        resolve(lgraph)


def test_wires_that_are_swapped():
    lgraph = graph(imageInputLayer([7, 6, 3]), maxPooling2dLayer(1, HasUnpoolingOutputs=True, Name="pool"), wires=())
    lgraph = connectLayers(connectLayers(lgraph, "pool/size", "unpool/indices"), "pool/indices", "unpool/size")
    with pytest.raises(DataError, match="Connect 'indices' and 'size' with the outputs of those names"):
        trainNetwork(np.zeros((7, 6, 3, 2)), np.zeros((7, 6, 2, 2)), lgraph, options())
