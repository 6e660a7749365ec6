"""WeightsFormat, PoolFormat and weights that are formatted dlarrays: the same numbers in any order of dimensions."""

import numpy as np
import pytest

from mlnet import avgpool, dlarray, dlconv, dlfeval, dlgradient, dltranspconv, fullyconnect, gru, lstm, maxpool
from mlnet.errors import DataError, OptionError

RNG = np.random.default_rng(0)
IMAGES = dlarray(RNG.normal(size=(6, 5, 3, 2)), "SSCB")
STEPS = dlarray(RNG.normal(size=(3, 2, 7)), "CBT")


def data(array):
    return array.extractdata()


@pytest.mark.parametrize(
    "function, x, natural, shape, moved",
    [
        (dlconv, IMAGES, "SSCU", (3, 3, 3, 3), "USCS"),
        (dlconv, IMAGES, "SSCUU", (3, 2, 1, 2, 3), "UUSSC"),
        (dlconv, STEPS, "TCU", (3, 3, 3), "UCT"),
        (dltranspconv, IMAGES, "SSUC", (3, 3, 3, 3), "CUSS"),
        (dltranspconv, STEPS, "TUC", (3, 3, 3), "CTU"),
        (fullyconnect, dlarray(RNG.normal(size=(3, 4)), "CB"), "UC", (3, 3), "CU"),
    ],
)
def test_weights_in_any_order(function, x, natural, shape, moved):
    weights = RNG.normal(size=shape)
    expected = data(function(x, weights, 0))
    places = {label: [n for n, each in enumerate(natural) if each == label] for label in natural}
    other = weights.transpose([places[label].pop(0) for label in moved])
    for found in (
        function(x, weights, 0, WeightsFormat=natural),
        function(x, other, 0, WeightsFormat=moved),
        function(x, dlarray(weights, natural), 0),
        function(x, dlarray(other, moved), 0),
    ):
        np.testing.assert_allclose(data(found), expected, rtol=1e-12)
    gradient = dlfeval(lambda w: dlgradient(np.sum(function(x, w, 0, WeightsFormat=moved) ** 2), w), dlarray(other))
    assert gradient.shape == other.shape and data(gradient).any()
    with pytest.raises(DataError, match=f"{function.__name__}: WeightsFormat: needs weights without labels"):
        function(x, dlarray(weights, natural), 0, WeightsFormat=natural)
    with pytest.raises((DataError, OptionError), match=f"{function.__name__}: WeightsFormat: needs"):
        function(x, weights, 0, WeightsFormat="SB")


@pytest.mark.parametrize("pool", [maxpool, avgpool])
def test_dimensions_of_windows(pool):
    for x, fmt in ((IMAGES, "SS"), (STEPS, "T")):
        np.testing.assert_array_equal(data(pool(x, 2, PoolFormat=fmt)), data(pool(x, 2)))
        np.testing.assert_array_equal(data(pool(x, 2, "PoolFormat", fmt)), data(pool(x, 2)))
        with pytest.raises(OptionError, match=f"PoolFormat: needs '{fmt}' for data '{x.dims()}', but got 'C'"):
            pool(x, 2, PoolFormat="C")


@pytest.mark.parametrize("function, gates, states", [(lstm, 4, 2), (gru, 3, 1)])
def test_weights_of_recurrent_functions(function, gates, states):
    w, r, zero = RNG.normal(size=(3 * gates, 3)), RNG.normal(size=(3 * gates, 3)), [np.zeros((3, 1))] * states
    bias = np.zeros(3 * gates)
    expected = data(function(STEPS, *zero, w, r, bias))
    for found in (
        function(STEPS, *zero, w.T, r.T, bias, WeightsFormat="CU"),
        function(STEPS, *zero, w, r, bias, WeightsFormat="UC"),
        function(STEPS, *zero, dlarray(w, "UC"), dlarray(r.T, "CU"), bias),
    ):
        np.testing.assert_array_equal(data(found), expected)
    with pytest.raises(OptionError, match=f"{function.__name__}: WeightsFormat: needs"):
        function(STEPS, *zero, w, r, bias, WeightsFormat="CB")
