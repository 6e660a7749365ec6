"""plot of what trainNetwork returns beside the network."""

import numpy as np
import pytest
from matplotlib import pyplot

from mlnet import (
    OptionError,
    classificationLayer,
    featureInputLayer,
    fullyConnectedLayer,
    layerGraph,
    plot,
    regressionLayer,
    reluLayer,
    softmaxLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.structure import Structure

X = np.random.default_rng(0).normal(size=(64, 2))
Y = (X[:, 0] > 0).astype(int)


def info_of(*ending, responses=Y, **given):
    options = trainingOptions("sgdm", MaxEpochs=3, MiniBatchSize=16, Verbose=False, **given)
    return trainNetwork(X, responses, [featureInputLayer(2), *ending], options, nargout=2)[1]


def test_curves_of_a_classification(tmp_path):
    ending = fullyConnectedLayer(2), softmaxLayer, classificationLayer
    info = info_of(*ending, ValidationData=(X, Y), ValidationFrequency=5)
    figure = plot(info)
    assert figure is pyplot.gcf()
    accuracy, loss = figure.axes
    assert accuracy.get_ylabel() == "Accuracy (%)" and accuracy.get_ylim() == (0, 100)
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), info.TrainingAccuracy)
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), info.TrainingLoss)
    np.testing.assert_array_equal(loss.lines[2].get_xdata(), [1, 5, 10, 12, 12])
    expected = [*info.ValidationAccuracy[[0, 4, 9, 11]], info.FinalValidationAccuracy]
    np.testing.assert_array_equal(accuracy.lines[2].get_ydata(), expected)
    assert any(f"{info.FinalValidationAccuracy:.2f}%" in text.get_text() for text in figure.texts)
    figure.savefig(tmp_path / "info.png")


def test_curves_of_a_regression():
    figure = plot(info_of(fullyConnectedLayer(1), regressionLayer, responses=X[:, :1]))
    assert figure.axes[0].get_ylabel() == "RMSE" and len(figure.axes[0].lines) == 2


def test_other_structures_are_refused():
    with pytest.raises(OptionError, match="without TrainingLoss and TrainingAccuracy"):
        plot(Structure(a=1))
    with pytest.raises(OptionError, match="no axes"):
        plot(Structure(TrainingLoss=[1.0], TrainingAccuracy=[1.0]), 3)
    assert not pyplot.get_fignums()


def test_one_function_plots_networks_too():
    assert len(plot(layerGraph([reluLayer, reluLayer])).lines) == 1
