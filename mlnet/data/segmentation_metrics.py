"""evaluateSemanticSegmentation: how good images of labels are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.data.boundaries import boundary_score
from mlnet.data.datastores.datastore import Datastore
from mlnet.errors import DataError, OptionError, message
from mlnet.labels import categorical, categories
from mlnet.options import Declared, Option, Shown, Table, describe
from mlnet.rules import Refused, Rule, choice, flag
from mlnet.table import DataTable, NamedRows

_WHERE = "evaluateSemanticSegmentation"
_METRICS = {
    "global-accuracy": "global accuracy",
    "accuracy": "class accuracy",
    "iou": "IoU",
    "weighted-iou": "weighted IoU",
    "bfscore": "BF score",
}
_COLUMNS = {
    "global-accuracy": "GlobalAccuracy",
    "accuracy": "MeanAccuracy",
    "iou": "MeanIoU",
    "weighted-iou": "WeightedIoU",
    "bfscore": "MeanBFScore",
}
_CLASS_COLUMNS = {"accuracy": "Accuracy", "iou": "IoU", "bfscore": "MeanBFScore"}


def _wanted(value: Any) -> list[str]:
    one = choice("all", *_METRICS)
    given = [value] if isinstance(value, str) else list(value)
    found = [one.convert(each) for each in given]
    if not found:
        raise Refused
    return [name for name in _METRICS if name in found or "all" in found]


class _Options(Declared):
    constructor_name = _WHERE
    table = Table(
        Option(
            "Metrics",
            list(_METRICS),
            Rule(
                f"'all', {', '.join(repr(name) for name in _METRICS)}, or a list of them",
                _wanted,
                ("x", [], 1, ["iou", 2]),
                ("all", *_METRICS),
            ),
            "Metrics that are computed.",
        ),
        Option("Verbose", True, flag(), "Whether to print what is done."),
    )


class SemanticSegmentationMetrics(Shown):
    """What `evaluateSemanticSegmentation` found: tables.

    ``ConfusionMatrix`` has the numbers of pixels by true class (rows) and predicted class (columns),
    ``NormalizedConfusionMatrix`` these divided by the pixels of each true class. ``DataSetMetrics`` has one row,
    ``ClassMetrics`` one for each class, ``ImageMetrics`` one for each image.
    """

    def __init__(
        self,
        confusion: DataTable,
        normalized: DataTable,
        data_set: DataTable,
        classes: DataTable,
        images: DataTable,
    ) -> None:
        self.ConfusionMatrix, self.NormalizedConfusionMatrix = confusion, normalized
        self.DataSetMetrics, self.ClassMetrics, self.ImageMetrics = data_set, classes, images


class _Sums:
    """Pixels of images by true class (rows) and predicted class (the last column: none)."""

    def __init__(self, counts: np.ndarray) -> None:
        self.confusion, self.real = counts[:, :-1], counts.sum(axis=1).astype(float)
        self._right, self._predicted = np.diag(counts).astype(float), self.confusion.sum(axis=0)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of the pixels of each class that are found; NaN where there are none."""
        return _ratio(self._right, self.real)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class; NaN where it is neither there nor predicted."""
        return _ratio(self._right, self.real + self._predicted - self._right)

    def values(self, scores: np.ndarray) -> dict[str, float]:
        """Return each metric of all classes, with the scores of their outlines."""
        iou, there = self.iou, self.real > 0
        return {
            "global-accuracy": float(_ratio(self._right.sum(), self.real.sum())),
            "accuracy": _mean(self.accuracy),
            "iou": _mean(iou),
            "weighted-iou": float(_ratio((iou[there] * self.real[there]).sum(), self.real.sum())),
            "bfscore": _mean(scores),
        }


def evaluateSemanticSegmentation(
    pxdsResults: Any,  # noqa: N803
    pxdsTruth: Any,  # noqa: N803
    *args: Any,
    **kwargs: Any,
) -> SemanticSegmentationMetrics:
    """Compare images of labels that a network made with the true ones.

    ``metrics = evaluateSemanticSegmentation(semanticseg(imds, net, WriteLocation=folder), pxds)``.

    Parameters
    ----------
    pxdsResults, pxdsTruth : pixelLabelDatastore, another datastore of images of labels, or list of categorical (H, W)
        Predicted and true labels of the same images in the same order. Of datastores with several columns the last
        one counts. The classes are those of the true labels.
    Metrics : text or list, default 'all'
        'global-accuracy', 'accuracy', 'iou', 'weighted-iou', 'bfscore'.
    Verbose : bool, default True
        Whether to print the progress and the metrics of the data set.

    Returns
    -------
    SemanticSegmentationMetrics
        Tables DataSetMetrics, ClassMetrics, ImageMetrics, ConfusionMatrix and NormalizedConfusionMatrix. GlobalAccuracy
        is the share of right pixels, Accuracy that of the pixels of a class; IoU is ``TP / (TP + FP + FN)``;
        WeightedIoU weights it by the pixels of the classes; MeanBFScore is the mean F1 score of outlines (Csurka,
        Larlus and Perronnin, 2013). Means leave out classes that are neither there nor predicted. Pixels without a true
        label do not count, those without a predicted one are wrong.

    Raises
    ------
    DataError
        Where there are other numbers or sizes of images, or predicted labels of unknown classes.
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import categorical, evaluateSemanticSegmentation
    >>> truth = categorical([['sky', 'sky'], ['sea', 'sea']])
    >>> found = categorical([['sky', 'sky'], ['sky', 'sea']], ['sea', 'sky'])
    >>> metrics = evaluateSemanticSegmentation([found], [truth], Verbose=False)
    >>> metrics.DataSetMetrics.GlobalAccuracy
    [0.75]
    """
    options = _Options(*args, **kwargs)
    wanted = options.Metrics
    results, truths = _Labels(pxdsResults, "pxdsResults"), _Labels(pxdsTruth, "pxdsTruth")
    if len(results) != len(truths):
        raise DataError(f"{_WHERE}: needs as many results as true images, but got {len(results)} and {len(truths)}.")
    if options.Verbose:
        title = "Evaluating semantic segmentation results"
        print(f"{title}\n{'-' * len(title)}")
        print(f"* Selected metrics: {', '.join(_METRICS[name] for name in wanted)}.")
    names: list[str] = []
    counts, scores = [], []
    for number, (found, truth) in enumerate(zip(results, truths, strict=True), start=1):
        names = names or categories(truth)
        count, score = _compare(found, truth, names, f"{_WHERE}: image {number}", "bfscore" in wanted)
        counts.append(count)
        scores.append(score)
    if options.Verbose:
        print(f"* Processed {len(counts)} images.\n* Finalizing... Done.\n* Data set metrics:\n")
    made = _tables(names, counts, scores, wanted)
    if options.Verbose:
        print("\n".join(repr(made.DataSetMetrics).split("\n")[2:]), end="\n\n")
    return made


def _tables(
    names: list[str], counts: list[np.ndarray], scores: list[np.ndarray], wanted: list[str]
) -> SemanticSegmentationMetrics:
    whole = _Sums(np.sum(counts, axis=0))
    rows = [_Sums(count).values(score) for count, score in zip(counts, scores, strict=True)]
    every = np.array(scores)
    of_class = np.array([_mean(every[:, number]) for number in range(len(names))])
    values = whole.values(of_class)
    values["bfscore"] = _mean(np.array([row["bfscore"] for row in rows]))
    of_classes = {"accuracy": whole.accuracy, "iou": whole.iou, "bfscore": of_class}
    shares = _ratio(whole.confusion, whole.real[:, np.newaxis])
    return SemanticSegmentationMetrics(
        NamedRows(names, {name: whole.confusion[:, number].tolist() for number, name in enumerate(names)}),
        NamedRows(names, {name: shares[:, number].tolist() for number, name in enumerate(names)}),
        DataTable(**{_COLUMNS[name]: [values[name]] for name in wanted}),
        NamedRows(names, {_CLASS_COLUMNS[name]: of_classes[name].tolist() for name in wanted if name in of_classes}),
        DataTable(**{_COLUMNS[name]: [row[name] for row in rows] for name in wanted}),
    )


def _compare(
    found: categorical, truth: categorical, names: list[str], where: str, with_boundaries: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels by true and predicted class, and the scores of the outlines of the classes."""
    if found.shape != truth.shape:
        raise DataError(message(where, f"labels of size {truth.shape}, as the true ones", f"{found.shape}"))
    real, mine = _codes(truth, names, f"{where}: pxdsTruth"), _codes(found, names, f"{where}: pxdsResults")
    counted, count = real >= 0, len(names)
    places = np.where(mine < 0, count, mine)
    counts = np.bincount((real * (count + 1) + places)[counted], minlength=count * (count + 1))
    scores = np.full(count, np.nan)
    if with_boundaries:
        for number in range(count):
            scores[number] = boundary_score((mine == number) & counted, real == number)
    return counts.reshape(count, count + 1), scores


def _codes(labels: categorical, names: list[str], where: str) -> np.ndarray:
    own = categories(labels)
    unknown = [name for number, name in enumerate(own) if name not in names and (labels.codes == number).any()]
    if unknown:
        raise DataError(message(where, f"classes out of {', '.join(names)}", f"'{unknown[0]}'"))
    table = np.array([*(names.index(name) if name in names else -1 for name in own), -1], np.int64)
    return table[labels.codes]


class _Labels:
    """Images of labels one after the other, from a datastore or a list."""

    def __init__(self, given: Any, name: str) -> None:
        self._name = f"{_WHERE}: {name}"
        if isinstance(given, categorical):
            given = [given]
        if not isinstance(given, (Datastore, list, tuple)) or not len(given):
            needed = "a pixelLabelDatastore, or a list of images of labels"
            raise OptionError(message(self._name, needed, describe(given)))
        self._given = given

    def __len__(self) -> int:
        return len(self._given)

    def __iter__(self) -> Iterator[categorical]:
        for number in range(len(self)):
            given = self._given
            labels = given.rows([number])[0][-1] if isinstance(given, Datastore) else given[number]
            if not isinstance(labels, categorical):
                raise DataError(message(f"{self._name}: image {number + 1}", "categorical labels", describe(labels)))
            yield labels


def _ratio(part: Any, whole: Any) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(whole) > 0, np.asarray(part) / np.asarray(whole), np.nan)


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
