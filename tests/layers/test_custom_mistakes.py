"""Mistakes in custom layers: errors that name the layer, its method and the fix, and what checkLayer finds."""

from __future__ import annotations

import numpy as np
import pytest

from layers.test_custom import counter, failed, prelu, preluWithBackward, trained
from mlnet import DataError, Layer, Learnable, NetworkError, State, checkLayer, dlnetwork, imageInputLayer

# Mistakes


def method(**methods):
    """Return a class of layers for images with these methods."""
    return type("faulty", (prelu,), {**methods, "__module__": __name__})


def _changing(self, X):
    X[...] = 0
    return X


def _changing_alpha(self, X):
    self.Alpha[...] = 0
    return X


def _assigning(self, X):
    self.Factor = 3
    return X


MISTAKES = {
    "batch": ({"predict": lambda self, X: X[..., :1]}, "a method predict that passes the number of observations on"),
    "dimensions": ({"predict": lambda self, X: np.sum(X, axis=0)}, "an output of 4 dimensions like the first input"),
    "several": ({"predict": lambda self, X: (X, X)}, r"that returns 1 output \(NumOutputs\), but got 2 values"),
    "nothing": ({"predict": lambda self, X: None}, "a method predict that returns arrays, but got None"),
    "type": ({"predict": lambda self, X: X > 0}, "single or double numbers, but got numbers of type bool"),
    "number": ({"predict": lambda self, X: X * float(np.sum(X))}, "not turned into a number"),
    "array": ({"predict": lambda self, X: np.asarray(X)}, "not turned into an array"),
    "rule": ({"predict": lambda self, X: np.cumprod(X)}, "np.cumprod: needs arrays, but got a dlarray, for which"),
    "truth": ({"predict": lambda self, X: max(X, 0)}, "use np.where, np.maximum and np.minimum"),
    "raising": (
        {"predict": lambda self, X: {}["key"]},
        r"but got KeyError: 'key' \(line \d+ of test_custom_mistakes.py",
    ),
    "assigning": ({"predict": _assigning}, r"Declare it as a state in the class \(Factor = State\(\)\)"),
    "input": ({"predict": _changing}, r"a method predict that leaves its input as it is, .*: Z = X.copy\(\)"),
    "parameter": ({"predict": _changing_alpha}, r"leaves self.Alpha as it is, .*: Z = self.Alpha.copy\(\)"),
    "changing": ({"predict": _changing, "backward": lambda self, X, Z, d, m: d}, "Compute new arrays instead of"),
    "forward": ({"forward": lambda self, X: X[:2]}, "the same size of output from forward and predict"),
    "gradients": ({"backward": lambda self, X, Z, d, m: d}, "that returns 2 gradients, of the input, Alpha"),
    "size": ({"backward": lambda self, X, Z, d, m: (d, 0.0)}, "a gradient of Alpha of size 1x1x4, but got size 1x1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found_before_training(name):
    methods, text = MISTAKES[name]
    layer = method(**methods)(4, "mine")
    with pytest.raises(NetworkError, match=r"Layer 4 'mine' \(faulty\): needs .*" + text):
        trained(layer)
    assert list(failed(layer, [5, 6, 4])) == ["trial"]
    with pytest.raises(NetworkError, match=text):
        dlnetwork([imageInputLayer([5, 6, 4], Normalization="none"), layer])


def test_missing_values_and_methods():
    class empty(Layer):
        Weights = Learnable()

    class wrong(empty):
        def initialize(self, layout):
            self.Weights = np.zeros(layout.nothing)

        def predict(self, X):
            return X

    class without(Layer):
        pass

    for layer, text in (
        (
            type("none", (empty,), {"predict": wrong.predict, "__module__": __name__})(),
            "a value of Weights, but got none",
        ),
        (wrong(), "a method initialize that runs, but got AttributeError"),
        (without(), "a method predict"),
    ):
        assert text in failed(layer, 4)["trial"]


def test_mistakes_while_training_name_the_layer():
    class late(Layer):
        Calls = State(0)

        def predict(self, X):
            return X

        def forward(self, X):
            if self.Calls.item() > 1:
                raise RuntimeError("too many")
            return X, self.Calls + 1

    with pytest.raises(DataError, match=r"Layer 'late' \(late\): forward has raised RuntimeError: too many \(line"):
        trained(late(Name="late"))


def test_sizes_at_run_time():
    class odd(Layer):
        def predict(self, X):
            return X if X.shape[-1] < 3 else X[:1]

    with pytest.raises(
        DataError, match=r"Layer 'odd' \(odd.predict\): needs an output of size 4x3x4x8, but got 1x3x4x8"
    ):
        trained(odd(Name="odd"))


# What checkLayer finds


def _wrong_gradient(self, X, Z, dLdZ, memory):
    return dLdZ, np.sum(np.minimum(X, 0) * dLdZ, axis=(0, 1, 3), keepdims=True)


def _wrong_parameter(self, X, Z, dLdZ, memory):
    d_x = np.where(X > 0, np.single(1), self.Alpha) * dLdZ
    return d_x, np.sum(np.maximum(X, 0) * dLdZ, axis=(0, 1, 3), keepdims=True)


def _double_gradient(self, X, Z, dLdZ, memory):
    d_x, d_alpha = preluWithBackward.backward(self, X, Z, dLdZ, memory)
    return d_x.astype(float), d_alpha


CALLS = [0]


def _remembering(self, X):
    CALLS[0] += 1
    return X * CALLS[0]


PLANTED = {
    "wrong gradient": ({"backward": _wrong_gradient}, {"gradients"}),
    "wrong gradient of a parameter": ({"backward": _wrong_parameter}, {"gradients"}),
    "type of the output": ({"predict": lambda self, X: X.astype(float)}, {"types"}),
    "type of the gradient": ({"backward": _double_gradient}, {"types"}),
    "memory of calls": ({"predict": _remembering}, {"repeated runs", "memory order", "modes"}),
    "observations": ({"predict": lambda self, X: X - np.mean(X, axis=3, keepdims=True)}, {"observations"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_fail(name):
    methods, expected = PLANTED[name]
    base = preluWithBackward if "gradient" in name else prelu
    layer = type("planted", (base,), {**methods, "__module__": __name__})(4)
    assert expected <= set(failed(layer, [5, 6, 4])), failed(layer, [5, 6, 4])


def test_reset_that_does_not_reset():
    class stuck(counter):
        def resetState(self):
            self.Count = self.Count + 1 if self.Count.size else 0
            self.Mean = 0

    assert set(failed(stuck(), 4)) == {"reset"}


def test_the_report_is_that_of_matlab(capsys):
    checkLayer(preluWithBackward(4), [5, 6, 4], ObservationDimension=4)
    lines = capsys.readouterr().out.split("\n")
    assert lines[:4] == [
        "Skipping GPU tests. No compatible GPU device found.",
        "",
        "Running nnet.checklayer.TestLayerWithBackward",
        ".......... .........",
    ]
    assert lines[4:8] == ["Done nnet.checklayer.TestLayerWithBackward", "__________", "", "Test Summary:"]
    assert lines[8] == "     14 Passed, 0 Failed, 0 Incomplete, 5 Skipped."
