"""Whitening in the input layer, against closed forms: covariance, order, signs, offsets, chunks, given statistics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlnet import (
    NetworkError,
    OptionError,
    assembleNetwork,
    featureInputLayer,
    fullyConnectedLayer,
    image3dInputLayer,
    imageInputLayer,
    regressionLayer,
    rng,
    sequenceInputLayer,
    trainingOptions,
    trainNetwork,
)
from mlnet.matrix_root import whitening_matrix
from mlnet.network.resolve import resolve
from mlnet.training import statistics

KINDS = ["pca-whitening", "zca-whitening"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def trained(layer, x, **changes):
    rng(0)
    given = {"InitialLearnRate": 1e-6, "MaxEpochs": 1, "MiniBatchSize": 16, "Verbose": False}
    is_sequence = isinstance(x, list)
    count = len(x) if is_sequence else (x.shape[-1] if x.ndim > 2 else len(x))
    y = [np.zeros((1, each.shape[-1])) for each in x] if is_sequence else np.zeros(count)
    options = trainingOptions("sgdm", **{**given, **changes})
    return trainNetwork(x, y, [layer, fullyConnectedLayer(1), regressionLayer()], options)


def correlated(count, width, offset=0.0, seed=0):
    generator = np.random.default_rng(seed)
    mix = generator.standard_normal((width, width)) + np.eye(width)
    return generator.standard_normal((count, width)) @ mix + offset


def check_white(rows, whitened, kind, epsilon=1e-5, accuracy=2e-3):
    """The closed form: whitened data (n, K) of ``rows`` have eigenvalues lambda / (lambda + e)."""
    rows = rows.astype(np.float32).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(rows.shape[1], -1))
    values = np.maximum(values, 0)
    found = whitened.astype(np.float64)
    left = values / (values + epsilon * values.mean())
    expected = np.diag(left[::-1]) if kind == "pca-whitening" else vectors @ np.diag(left) @ vectors.T
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=accuracy)
    np.testing.assert_allclose(found.T @ found / len(found), expected, atol=accuracy)


@every_kind
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_features_are_white(kind, offset, epsilon):
    x = correlated(200, 5, offset)
    net = trained(featureInputLayer(5, Normalization=kind, WhiteningEpsilon=epsilon), x)
    whitened = net.activations(x, 1).T
    check_white(x, whitened, kind, epsilon)
    layer = net.Layers[0]
    assert layer.Mean.shape == (5, 1) and layer.WhiteningMatrix.shape == (5, 5)
    assert layer.Mean.dtype == layer.WhiteningMatrix.dtype == np.float32
    np.testing.assert_allclose(layer.Mean.ravel(), x.mean(axis=0), rtol=1e-6, atol=1e-6)
    expected = (layer.WhiteningMatrix.astype(float) @ (x - layer.Mean.ravel()).T).T
    np.testing.assert_allclose(whitened, expected, atol=2e-3)
    if epsilon == 1e-5:
        np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(5), atol=5e-3)


@every_kind
def test_chunks_of_any_size_give_the_same(kind, monkeypatch):
    x = np.sort(correlated(101, 4, 1000), axis=0)
    whole = trained(featureInputLayer(4, Normalization=kind), x).Layers[0]
    cuts = [0, 1, 3, 50, 51, 101]
    monkeypatch.setattr(statistics, "chunks", lambda *_: [slice(*pair) for pair in itertools.pairwise(cuts)])
    parts = trained(featureInputLayer(4, Normalization=kind), x).Layers[0]
    np.testing.assert_allclose(parts.Mean, whole.Mean, rtol=1e-7)
    np.testing.assert_allclose(parts.WhiteningMatrix, whole.WhiteningMatrix, rtol=1e-5, atol=1e-7)
    check_white(x, trained(featureInputLayer(4, Normalization=kind), x).activations(x, 1).T, kind)


def pixels(x):
    """(H, W, C, N) to rows of channels."""
    return np.moveaxis(x, -1, 0).reshape(-1, x.shape[-2])


def columns(x):
    """(H, W, C, N) to rows x(:) in MATLAB's order."""
    return x.reshape(-1, x.shape[-1], order="F").T


@every_kind
@pytest.mark.parametrize("dimension", ["auto", "channel", "element"])
@pytest.mark.parametrize("layer, size", [(imageInputLayer, (3, 4, 2)), (image3dInputLayer, (2, 3, 2, 2))])
def test_images_are_white(kind, dimension, layer, size):
    x = correlated(150, int(np.prod(size)), seed=3).reshape(150, *size)
    x = np.moveaxis(x, 0, -1) + np.arange(size[-1])[:, None]
    given = layer(size, Normalization=kind, NormalizationDimension=dimension)
    net = trained(given, x)
    rows = columns if dimension == "element" else pixels
    check_white(rows(x), rows(net.activations(x, 1)), kind)
    found = net.Layers[0]
    width = rows(x).shape[1]
    assert found.WhiteningMatrix.shape == (width, width)
    assert found.Mean.shape == (size if dimension == "element" else (*[1] * (len(size) - 1), size[-1]))
    expected = (rows(x) - rows(x).mean(axis=0)) @ found.WhiteningMatrix.T  # x(:) of MATLAB meets the matrix
    np.testing.assert_allclose(rows(net.activations(x, 1)), expected, atol=1e-3)


@every_kind
def test_sequences_are_white_over_all_time_steps(kind):
    generator = np.random.default_rng(4)
    x = [correlated(length, 3, 5, seed).T for seed, length in enumerate(generator.integers(5, 40, 20))]
    net = trained(sequenceInputLayer(3, Normalization=kind), x)
    found = np.concatenate([each.T for each in net.activations(x, 1)])
    check_white(np.concatenate([each.T for each in x]), found, kind)


@every_kind
@pytest.mark.parametrize("dimension", ["channel", "element"])
def test_sequences_of_images_are_white(kind, dimension):
    x = [correlated(n, 12, 5, n).T.reshape(2, 3, 2, n) for n in (30, 40, 7)]
    net = trained(sequenceInputLayer([2, 3, 2], Normalization=kind, NormalizationDimension=dimension), x)
    rows = columns if dimension == "element" else pixels
    found = np.concatenate([rows(each) for each in net.activations(x, 1)])
    check_white(np.concatenate([rows(each) for each in x]), found, kind)


def test_zca_is_symmetric_and_changes_least():
    x = correlated(300, 6)
    pca, zca = (
        trained(featureInputLayer(6, Normalization=kind), x).Layers[0].WhiteningMatrix.astype(float) for kind in KINDS
    )
    np.testing.assert_allclose(zca, zca.T, atol=1e-6)
    assert np.linalg.eigvalsh(zca).min() > 0
    turn = zca @ np.linalg.inv(pca)  # the two differ by a rotation
    np.testing.assert_allclose(turn @ turn.T, np.eye(6), atol=1e-4)
    assert np.linalg.norm(x @ zca.T - x) < np.linalg.norm(x @ pca.T - x)


def test_pca_is_ordered_and_its_signs_are_fixed():
    x = correlated(300, 6)
    matrix = trained(featureInputLayer(6, Normalization="pca-whitening"), x).Layers[0].WhiteningMatrix
    variances = np.var(x @ (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).T, axis=0)
    assert (np.diff(variances) < 0).all()
    largest = np.take_along_axis(matrix, np.abs(matrix).argmax(axis=1)[:, None], axis=1)
    assert (largest > 0).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("noise", [0, 1e-13, -1e-13])
def test_two_features_by_hand(sign, noise):
    """Covariance [2 1; 1 2]: eigenvalues 3 and 1, with directions (1, 1) and (1, -1)."""
    covariance = np.array([[2.0, sign + noise], [sign + noise, 2.0]])
    rows = np.array([[1, sign], [1, -sign]]) / np.sqrt(2) / np.sqrt([[3], [1]])
    np.testing.assert_allclose(whitening_matrix(covariance, 1e-30, is_symmetric=False), rows, atol=1e-10)
    zca = whitening_matrix(covariance, 1e-30, is_symmetric=True)
    np.testing.assert_allclose(zca @ covariance @ zca, np.eye(2), atol=1e-10)
    e = 0.5 * 2  # times the mean of the eigenvalues
    np.testing.assert_allclose(
        whitening_matrix(covariance, 0.5, is_symmetric=False),
        rows * np.sqrt([[3 / (3 + e)], [1 / (1 + e)]]),
        atol=1e-10,
    )


@every_kind
def test_the_scale_of_the_data_does_not_matter(kind):
    x = correlated(100, 4)
    found = [
        trained(featureInputLayer(4, Normalization=kind, WhiteningEpsilon=0.1), x * scale).activations(x * scale, 1)
        for scale in (1, 255, 1e-3)
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
    np.testing.assert_allclose(found[2], found[0], atol=1e-4)


@every_kind
def test_fewer_observations_than_elements(kind):
    x = correlated(5, 12).T.reshape(3, 4, 1, 5)
    layer = imageInputLayer([3, 4, 1], Normalization=kind, NormalizationDimension="element")
    found = columns(trained(layer, x, MiniBatchSize=5).activations(x, 1))
    check_white(columns(x), found, kind)
    assert np.linalg.matrix_rank(found - found.mean(axis=0), tol=1e-2) == 4


@every_kind
def test_constant_data_stay_finite(kind):
    x = np.full((40, 3), 4.0)
    net = trained(featureInputLayer(3, Normalization=kind), x)
    np.testing.assert_array_equal(net.activations(x, 1), 0)
    np.testing.assert_array_equal(net.Layers[0].WhiteningMatrix, np.eye(3))
    x[:, 0] = np.arange(40)
    found = trained(featureInputLayer(3, Normalization=kind), x).activations(x, 1)
    np.testing.assert_allclose(np.cov(found, bias=True), np.diag([1, 0, 0]), atol=1e-4)


def test_given_statistics_are_kept_unless_reset():
    x = correlated(50, 2)
    layer = featureInputLayer(2, Normalization="zca-whitening", Mean=[1, 2], WhiteningMatrix=[[1, 2], [0, 3]])
    net = trained(layer, x, ResetInputNormalization=False)
    assert net.Layers[0].WhiteningMatrix.tolist() == [[1, 2], [0, 3]]
    np.testing.assert_allclose(net.activations(x, 1).T, (x - [1, 2]) @ np.array([[1, 0], [2, 3]]), atol=1e-5)
    check_white(x, trained(layer, x).activations(x, 1).T, "zca-whitening")
    half = featureInputLayer(2, Normalization="zca-whitening", Mean=0)
    found = trained(half, x, ResetInputNormalization=False).Layers[0]
    assert found.Mean == 0
    np.testing.assert_allclose(found.WhiteningMatrix, trained(layer, x).Layers[0].WhiteningMatrix)


def test_a_given_matrix_for_whole_images_needs_no_dimension():
    x = correlated(40, 6).T.reshape(3, 2, 1, 40)
    matrix = np.random.default_rng(0).standard_normal((6, 6))
    layer = imageInputLayer([3, 2, 1], Normalization="pca-whitening", Mean=0, WhiteningMatrix=matrix)
    net = trained(layer, x, ResetInputNormalization=False)
    np.testing.assert_allclose(columns(net.activations(x, 1)), columns(x) @ matrix.T, atol=1e-4)


def test_trained_layers_make_a_network():
    x = correlated(40, 4)
    net = trained(featureInputLayer(4, Normalization="pca-whitening"), x)
    np.testing.assert_array_equal(assembleNetwork(net.Layers).predict(x), net.predict(x))
    missing = net.Layers
    missing[0].WhiteningMatrix = []
    with pytest.raises(NetworkError, match="WhiteningMatrix for Normalization='pca-whitening', but got an empty"):
        assembleNetwork(missing)


def test_complex_data_are_whitened_after_the_split():
    x = correlated(60, 4)
    net = trained(
        featureInputLayer(2, Normalization="zca-whitening", SplitComplexInputs=True), x[:, :2] + 1j * x[:, 2:]
    )
    assert net.Layers[0].WhiteningMatrix.shape == (4, 4)
    check_white(x, net.activations(x[:, :2] + 1j * x[:, 2:], 1).T, "zca-whitening")


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: featureInputLayer(3, Normalization="pca-whitening", NormalizationDimension="all"), "but got 'all'"),
        (
            lambda: featureInputLayer(3, Normalization="zca-whitening", WhiteningMatrix=np.ones((2, 3))),
            r"WhiteningMatrix: needs a square matrix, but got shape \(2, 3\)",
        ),
        (lambda: featureInputLayer(3, WhiteningEpsilon=0), "WhiteningEpsilon: needs a number above 0, but got 0"),
        (lambda: featureInputLayer(3, Normalization="z"), "zca-whitening"),
    ],
)
def test_mistakes_of_the_options(make, text):
    with pytest.raises(OptionError, match=text):
        make()


@pytest.mark.parametrize(
    "layer, text",
    [
        (
            imageInputLayer([65, 64], Normalization="zca-whitening", NormalizationDimension="element"),
            r"at most 4096 elements to whiten whole observations .* but got 4160",
        ),
        (
            imageInputLayer([4, 4, 3], Normalization="zca-whitening", WhiteningMatrix=np.eye(4)),
            "WhiteningMatrix of size 3x3 or 48x48, but got WhiteningMatrix of size 4x4",
        ),
        (
            featureInputLayer(3, Normalization="pca-whitening", WhiteningMatrix=np.eye(4)),
            "WhiteningMatrix of size 3x3, but got WhiteningMatrix of size 4x4",
        ),
        (
            featureInputLayer(3, Normalization="pca-whitening", Mean=[1, 2]),
            "Mean of size 3x1",
        ),
    ],
)
def test_mistakes_of_the_network(layer, text):
    with pytest.raises(NetworkError, match=text):
        resolve([layer, fullyConnectedLayer(1), regressionLayer()])


def test_largest_images_and_larger_ones_by_channel_are_taken():
    for size, dimension in (([64, 64], "element"), ([65, 64], "channel")):
        layer = imageInputLayer(size, Normalization="zca-whitening", NormalizationDimension=dimension)
        resolve([layer, fullyConnectedLayer(1), regressionLayer()])


def test_the_printed_block():
    block = repr(featureInputLayer(4, Normalization="zca-whitening"))
    assert "     WhiteningMatrix: []\n" in block and "    WhiteningEpsilon: 1.0000e-05" in block
    assert "Whitening" not in repr(featureInputLayer(4, Normalization="zscore"))
    assert featureInputLayer(4, Normalization="zca").description() == "4 features with 'zca-whitening' normalization"
