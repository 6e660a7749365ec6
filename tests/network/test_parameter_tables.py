"""Values of learnables and states can be assigned, in the tables of a network and in tables by themselves."""

import copy
import pickle

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    batchNormalizationLayer,
    dlarray,
    dlfeval,
    dlgradient,
    dlnetwork,
    dlupdate,
    featureInputLayer,
    forward,
    fullyConnectedLayer,
    setLearnRateFactor,
)


@pytest.fixture
def net():
    return dlnetwork([featureInputLayer(3), fullyConnectedLayer(2, Name="a"), batchNormalizationLayer(Name="b")])


def _data(table, number):
    return np.asarray(table.Value[number])


def test_an_assigned_value_changes_the_network(net):
    net.Learnables.Value[0] = np.full((2, 3), 4.0)
    net.State.Value[-1] = dlarray([[5.0], [6.0]])
    assert (_data(net.Learnables, 0) == 4).all() and (net.Layers[1].Weights == 4).all()
    assert _data(net.State, 1).ravel().tolist() == [5, 6]
    net.Learnables.Value[0:2] = [np.ones((2, 3)), np.full((2, 1), 2.0)]
    assert (_data(net.Learnables, 0) == 1).all() and (_data(net.Learnables, 1) == 2).all()


def test_an_assigned_column_changes_the_network(net):
    net.Learnables.Value = [value * 0 + 3 for value in net.Learnables.Value]
    assert all((np.asarray(value) == 3).all() for value in net.Learnables.Value)
    table = net.Learnables
    table["Value"] = dlupdate(lambda value: value + 1, table.Value)
    assert all((np.asarray(value) == 4).all() for value in net.Learnables.Value)


def test_tables_of_gradients_are_tables_by_themselves(net):
    x = dlarray(np.random.default_rng(0).normal(size=(3, 4)), "CB")
    gradients = dlfeval(lambda net: dlgradient(np.sum(forward(net, x) ** 2), net.Learnables), net)
    before, weights = _data(gradients, 0), _data(net.Learnables, 0)
    gradients.Value = dlupdate(lambda g, w: g + 0.5 * w, gradients.Value, net.Learnables.Value)
    np.testing.assert_allclose(_data(gradients, 0), before + 0.5 * weights)
    gradients.Value[0] = before
    assert (_data(gradients, 0) == before).all() and (_data(net.Learnables, 0) == weights).all()


def test_a_copy_leaves_the_network_as_it_is(net):
    weights = _data(net.Learnables, 0)
    for table in (copy.copy(net.Learnables), copy.deepcopy(net.Learnables), pickle.loads(pickle.dumps(net.Learnables))):
        table.Value[0] = weights + 1
        assert (_data(table, 0) == weights + 1).all() and (_data(net.Learnables, 0) == weights).all()


def test_values_inside_dlfeval_are_those_of_the_traced_network(net):
    def gradient(net):
        net.Learnables.Value[0] = net.Learnables.Value[0] * 0
        return np.sum(net.Learnables.Value[0])

    weights = _data(net.Learnables, 0)
    assert float(dlfeval(gradient, net)) == 0 and (_data(net.Learnables, 0) == weights).all() and weights.any()


def test_what_does_not_fit_is_refused_and_changes_nothing(net):
    table, weights = net.Learnables, _data(net.Learnables, 0)
    with pytest.raises(DataError, match="a/Weights: needs size 2x3, but got size 3x3"):
        table.Value[0] = np.ones((3, 3))
    with pytest.raises(DataError, match="a/Weights: needs size 2x3"):
        table.Value = [1, 2, 3, 4]
    with pytest.raises(OptionError, match="table: Value: needs 4 values, one for each row, but got 2"):
        table.Value = [1, 2]
    with pytest.raises(OptionError, match="table: Value: needs 2 values, one for each row, but got 3"):
        table.Value[0:2] = [1, 2, 3]
    for each in (table, net.Learnables):
        assert len(each.Value) == 4 and (_data(each, 0) == weights).all()


def test_columns_of_all_tables_can_be_assigned(net):
    table = net.Connections
    table.Source = ["x", "y"]
    table["Weight"] = [1, 2]
    assert list(table.rows()) == [("x", "a", 1), ("y", "b", 2)] and net.Connections.Source == ["input", "a"]
    with pytest.raises(AttributeError):
        table.shape = (1, 2)


def test_elements_of_values_are_those_of_one_network(net):
    other = setLearnRateFactor(net, "a", "Weights", 0)
    other.Learnables.Value[0][0, 0] = 55.0
    other.State.Value[0][0] = 66.0
    assert _data(other.Learnables, 0)[0, 0] == 55 and _data(other.State, 0)[0] == 66
    assert _data(net.Learnables, 0)[0, 0] != 55 and _data(net.State, 0)[0] != 66
