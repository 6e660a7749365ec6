"""evaluateSemanticSegmentation against closed forms and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlnet import (
    DataError,
    OptionError,
    arrayDatastore,
    categorical,
    combine,
    confusionmat,
    evaluateSemanticSegmentation,
)
from mlnet.data.boundaries import boundary, boundary_score

G = np.random.default_rng(0)
NAMES = ["sky", "sea", "sand"]
TRUTH = [categorical.from_codes(G.integers(0, 3, size), NAMES) for size in ((6, 5), (4, 7), (3, 3))]


def wrong(truth, share):
    codes = np.where(G.random(truth.shape) < share, G.integers(0, 3, truth.shape), truth.codes)
    return categorical.from_codes(codes, NAMES)


FOUND = [wrong(truth, 0.4) for truth in TRUTH]


def evaluate(found, truth, **more):
    return evaluateSemanticSegmentation(found, truth, **{"Verbose": False, **more})


def plain_boundary_score(predicted, truth):
    """Return the F1 score of outlines by a loop over all pairs of pixels."""

    def outline(mask):
        padded = np.pad(mask, 1)
        return [
            (i, j)
            for i, j in np.argwhere(mask)
            if not (padded[i, j + 1] and padded[i + 2, j + 1] and padded[i + 1, j] and padded[i + 1, j + 2])
        ]

    mine, real = outline(predicted), outline(truth)
    if not mine or not real:
        return 0.0 if mine or real else math.nan
    limit = 0.0075 * math.hypot(*truth.shape)
    near = [np.mean([min(math.dist(a, b) for b in others) <= limit for a in some])
            for some, others in ((mine, real), (real, mine))]  # fmt: skip
    return 2 * near[0] * near[1] / sum(near) if sum(near) else 0.0


def test_against_loops():
    metrics = evaluate(FOUND, TRUTH)
    truth, found = (np.concatenate([each.codes.ravel() for each in some]) for some in (TRUTH, FOUND))
    accuracy = [np.mean(found[truth == k] == k) for k in range(3)]
    iou = [np.sum((found == k) & (truth == k)) / np.sum((found == k) | (truth == k)) for k in range(3)]
    scores = [[plain_boundary_score(f.codes == k, t.codes == k) for k in range(3)]
              for f, t in zip(FOUND, TRUTH, strict=True)]  # fmt: skip
    data_set = metrics.DataSetMetrics
    assert data_set.columns == ["GlobalAccuracy", "MeanAccuracy", "MeanIoU", "WeightedIoU", "MeanBFScore"]
    weighted = sum(np.mean(truth == k) * iou[k] for k in range(3))
    expected = [np.mean(truth == found), np.mean(accuracy), np.mean(iou), weighted, np.nanmean(np.nanmean(scores, 1))]
    np.testing.assert_allclose([data_set[name][0] for name in data_set.columns], expected)
    classes = metrics.ClassMetrics
    assert classes.columns == ["Accuracy", "IoU", "MeanBFScore"] and classes.RowNames == NAMES
    np.testing.assert_allclose(classes.Accuracy, accuracy)
    np.testing.assert_allclose(classes.IoU, iou)
    np.testing.assert_allclose(classes.MeanBFScore, np.nanmean(scores, axis=0))
    counts = confusionmat(categorical.from_codes(truth, NAMES), categorical.from_codes(found, NAMES))
    matrix = metrics.ConfusionMatrix
    assert matrix.columns == matrix.RowNames == NAMES
    np.testing.assert_array_equal(np.transpose([matrix[name] for name in NAMES]), counts)
    shares = np.transpose([metrics.NormalizedConfusionMatrix[name] for name in NAMES])
    np.testing.assert_allclose(shares, counts / counts.sum(axis=1, keepdims=True))
    for number, (one, other) in enumerate(zip(FOUND, TRUTH, strict=True)):
        alone = evaluate([one], [other]).DataSetMetrics
        row = [metrics.ImageMetrics[name][number] for name in alone.columns]
        np.testing.assert_allclose([alone[name][0] for name in alone.columns], row)


def test_closed_forms():
    """Half of one class is taken for the other: everything can be told by hand."""
    truth = categorical([["a"] * 4, ["a"] * 4, ["b"] * 4, ["b"] * 4])
    found = categorical([["a"] * 4, ["b"] * 4, ["b"] * 4, ["b"] * 4])
    metrics = evaluate([found], [truth])
    assert metrics.DataSetMetrics.GlobalAccuracy == [0.75] and metrics.DataSetMetrics.MeanAccuracy == [0.75]
    assert metrics.ClassMetrics.IoU == [0.5, pytest.approx(2 / 3)] and metrics.ClassMetrics.Accuracy == [0.5, 1]
    assert metrics.DataSetMetrics.WeightedIoU == [pytest.approx((0.5 + 2 / 3) / 2)]
    # a: outline of 2 rows (8 pixels) against 1 row (4); b: 2 rows (8) against 3 rows without 2 inner pixels (10)
    scores = [2 * 1 * 0.5 / 1.5, 2 * 0.6 * 0.75 / 1.35]
    np.testing.assert_allclose(metrics.ClassMetrics.MeanBFScore, scores)
    same = evaluate([truth], [truth])
    assert all(same.DataSetMetrics[name] == [1.0] for name in same.DataSetMetrics.columns)


def test_undefined_and_missing_classes():
    truth = categorical.from_codes(np.array([[0, 0, -1], [1, 1, -1]]), NAMES)
    found = categorical.from_codes(np.array([[0, -1, 2], [1, 1, 0]]), NAMES)
    metrics = evaluate([found], [truth])
    assert metrics.DataSetMetrics.GlobalAccuracy == [0.75] and metrics.DataSetMetrics.MeanIoU == [0.75]
    assert metrics.ClassMetrics.Accuracy[:2] == [0.5, 1] and np.isnan(metrics.ClassMetrics.Accuracy[2])
    assert np.isnan(metrics.ClassMetrics.IoU[2]) and np.isnan(metrics.ClassMetrics.MeanBFScore[2])
    turned = categorical(found, ["sand", "sky", "sea"])
    assert evaluate([turned], [truth]).ClassMetrics.Accuracy[:2] == [0.5, 1]


def test_outlines():
    mask = np.zeros((40, 30), bool)
    mask[5:20, 4:17] = True
    assert boundary(mask).sum() == 2 * 15 + 2 * 13 - 4
    assert boundary_score(mask, mask) == 1 and np.isnan(boundary_score(mask & False, mask & False))
    assert boundary_score(mask, mask & False) == 0
    large = np.zeros((800, 600), bool)  # the diagonal is 1000, outlines agree up to 7.5 pixels
    large[100:500, 100:500] = True
    assert boundary_score(np.roll(large, 5, 0), large) == 1 > boundary_score(np.roll(large, 8, 0), large)


def test_some_metrics_and_what_is_printed(capsys):
    store = combine(arrayDatastore([1, 2, 3]), arrayDatastore(TRUTH))
    metrics = evaluateSemanticSegmentation(arrayDatastore(FOUND), store, "Metrics", ["iou", "Global-Accuracy"])
    assert metrics.DataSetMetrics.columns == ["GlobalAccuracy", "MeanIoU"]
    assert metrics.ClassMetrics.columns == ["IoU"] and metrics.ImageMetrics.columns == ["GlobalAccuracy", "MeanIoU"]
    accuracy, iou = (metrics.DataSetMetrics[name][0] for name in metrics.DataSetMetrics.columns)
    lines = capsys.readouterr().out.split("\n")
    assert lines[:6] == [
        "Evaluating semantic segmentation results",
        "----------------------------------------",
        "* Selected metrics: global accuracy, IoU.",
        "* Processed 3 images.",
        "* Finalizing... Done.",
        "* Data set metrics:",
    ]
    assert lines[7:9] == ["    GlobalAccuracy    MeanIoU", "    ______________    _______"]
    np.testing.assert_allclose([float(each) for each in lines[10].split()], [accuracy, iou], atol=1e-4)
    assert repr(metrics).split("\n") == [
        "  semanticSegmentationMetrics with properties:",
        "",
        "              ConfusionMatrix: [3x3 table]",
        "    NormalizedConfusionMatrix: [3x3 table]",
        "               DataSetMetrics: [1x2 table]",
        "                 ClassMetrics: [3x1 table]",
        "                 ImageMetrics: [3x2 table]",
    ]
    shown = repr(metrics.ConfusionMatrix).split("\n")
    assert shown[2].split() == NAMES and [line.split()[0] for line in shown[5:]] == NAMES
    assert shown[2].index("sky") == shown[5].index("sky") + 8 and "<td" in metrics.ClassMetrics._repr_html_()
    assert not evaluate(FOUND, TRUTH) or not capsys.readouterr().out


@pytest.mark.parametrize(
    "found, truth, more, error, text",
    [
        (FOUND[:2], TRUTH, {}, DataError, "needs as many results as true images, but got 2 and 3"),
        (FOUND[1:], TRUTH[:2], {}, DataError, r"image 1: needs labels of size \(6, 5\)"),
        ([categorical(FOUND[2], ["x", "sea", "sky"])], TRUTH[2:], {}, None, ""),
        ([categorical([["x"]])], [categorical([["sky"]])], {}, DataError, "pxdsResults: needs classes out of sky.*'x'"),
        ([], TRUTH, {}, OptionError, "pxdsResults: needs a pixelLabelDatastore"),
        (FOUND, 5, {}, OptionError, "pxdsTruth: needs a pixelLabelDatastore"),
        ([1, 2, 3], TRUTH, {}, DataError, "image 1: needs categorical labels, but got 1"),
        (FOUND, TRUTH, {"Metrics": "iuo"}, OptionError, "Metrics: needs.*'iou'"),
    ],
)
def test_what_does_not_fit(found, truth, more, error, text):
    if error is None:
        assert evaluate(found, truth, **more)
        return
    with pytest.raises(error, match=text):
        evaluate(found, truth, **more)
