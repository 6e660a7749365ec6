"""Custom layers with a network as a learnable parameter."""

from __future__ import annotations

import numpy as np
import pytest

from layers.test_custom import FEATURES, RESPONSES, failed, options
from mlnet import (
    Formattable,
    Layer,
    Learnable,
    OptionError,
    additionLayer,
    analyzeNetwork,
    batchNormalizationLayer,
    connectLayers,
    dlarray,
    dlnetwork,
    featureInputLayer,
    fullyConnectedLayer,
    initialize,
    layerGraph,
    predict,
    regressionLayer,
    rng,
    tanhLayer,
    trainNetwork,
)
from mlnet.layers.base import Size
from mlnet.table import ParameterTable


class residual(Layer, Formattable):
    Network = Learnable()

    def __init__(self, *layers, Name=""):
        super().__init__(Name=Name)
        self.Network = dlnetwork(list(layers), Initialize=False)

    def initialize(self, layout):
        self.Network = initialize(self.Network, layout)

    def predict(self, X):
        return X + self.Network.predict(X)


def test_a_network_as_a_parameter():
    rng(0)
    inner = [fullyConnectedLayer(4, Name="fc", BiasLearnRateFactor=0), tanhLayer(Name="tanh")]
    layer = residual(*inner, Name="own")
    assert not layer.Network.Initialized
    layers = [featureInputLayer(4), layer, fullyConnectedLayer(2), regressionLayer]
    rows = analyzeNetwork(layers).LayerInfo
    assert rows.LearnableProperties[1] == "Network/fc/Weights 4x4, Network/fc/Bias 4x1"
    first = layer.with_size(Size("C", (4,)))
    net = trainNetwork(FEATURES, RESPONSES, [layers[0], first, *layers[2:]], options())
    found, before = net.Layers[1].Network.Learnables.Value, first.Network.Learnables.Value
    assert not np.allclose(found[0], before[0]) and (found[1].extractdata() == before[1].extractdata()).all()
    graph = layerGraph([featureInputLayer(4, Name="x"), *inner, additionLayer(2, Name="sum")])
    plain = dlnetwork(connectLayers(graph, "x", "sum/in2"))
    plain.Learnables = ParameterTable(["fc", "fc"], ["Weights", "Bias"], before)
    X = dlarray(FEATURES.astype("single"), "BC")
    own = dlnetwork([featureInputLayer(4), first])
    np.testing.assert_allclose(predict(own, X).extractdata(), predict(plain, X).extractdata(), rtol=1e-6)
    assert own.Learnables.Parameter == ["Network/fc/Weights", "Network/fc/Bias"]
    assert failed(residual(*inner), 4) == {}
    with pytest.raises(OptionError, match="Network: needs .*, or a dlnetwork without states"):
        layer.Network = dlnetwork([featureInputLayer(4), batchNormalizationLayer])
