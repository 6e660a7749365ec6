"""What a segmentation network says about each pixel."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.pixel_datastore import PixelLabelDatastore
from mlnet.data.datastores.writing import check_folder
from mlnet.data.images.files import write_image
from mlnet.data.sources.layout import from_engine
from mlnet.data.sources.streams import is_stream
from mlnet.errors import DataError, NetworkError, NotSupportedError, OptionError
from mlnet.labels import categorical, categories
from mlnet.layers.output import CLASSES, ClassesOutputLayer
from mlnet.network.resolve import Resolved
from mlnet.network.run import Run
from mlnet.network.trained import ACCELERATION, ENVIRONMENT, MINI_BATCH, TrainedNetwork
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import choice, flag, text


class _Options(Declared):
    constructor_name = "semanticseg"
    table = Table(
        Option("WriteLocation", "", text(), "Folder for the files of labels; '' for the current one."),
        Option("NamePrefix", "pixelLabel", text(), "Beginning of the names of the files."),
        Option("Verbose", True, flag(), "Whether to print the progress, for datastores."),
        Option("OutputType", "categorical", choice("categorical", "double", "uint8"), "Type of the labels."),
        CLASSES,
        MINI_BATCH,
        ENVIRONMENT,
        ACCELERATION,
    )


def semanticseg(X: Any, net: TrainedNetwork, *args: Any, nargout: int = 1, **kwargs: Any) -> Any:  # noqa: N803
    """Return the class with the highest score for each pixel.

    ``C = semanticseg(X, net)``, ``C, score = semanticseg(X, net, nargout=2)``, or
    ``C, score, allScores = semanticseg(X, net, nargout=3)``.

    Parameters
    ----------
    X : array
        An image (H, W, C) or (H, W), or images (H, W, C, N); for 3-D networks (H, W, D, C), (H, W, D), (H, W, D, C, N).
        An iterable of mini-batches of them. Or a datastore: the labels go into files then.
    net : SeriesNetwork or DAGNetwork
        A network that puts out an image of scores for each class, e.g. with a `pixelClassificationLayer`.
    OutputType : 'categorical', 'double' or 'uint8', default 'categorical'
        Type of the labels; numbers count the classes from 1. Undefined labels are NaN in 'double' and 0 in 'uint8'.
    Classes : 'auto', categorical array or list of texts, default 'auto'
        Names for the classes, in the order of the scores; those of the network if 'auto'.
    MiniBatchSize : positive integer, default 128
        Images that are computed at a time.
    ExecutionEnvironment, Acceleration
        As for `predict`.
    WriteLocation, NamePrefix : text, default '' (the current folder) and 'pixelLabel'
        Of a datastore, image number N gives the file ``pixelLabel_N.png`` in this folder, with numbers of classes from
        1 and 0 where undefined. Files of these names are replaced.
    Verbose : bool, default True
        Whether to print the progress, for a datastore.
    nargout : 1, 2 or 3, default 1

    Returns
    -------
    pixelLabelDatastore
        For a datastore: of the files.
    categorical or ndarray
        (H, W) labels for one image, (H, W, N) where ``X`` has a dimension for observations; (H, W, D), (H, W, D, N).
        Undefined where a score is NaN.
    ndarray, float32
        The score of the label of each pixel, of the same shape.
    ndarray, float32
        The scores of all classes, (H, W, K) or (H, W, K, N); (H, W, D, K), (H, W, D, K, N).

    Raises
    ------
    NetworkError
        Where the network does not put out images of scores.
    DataError
        Where ``X`` does not fit the input layer.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.
    """
    options = _Options(*args, **kwargs)
    if nargout not in (1, 2, 3) or isinstance(nargout, bool):
        raise OptionError(f"semanticseg: nargout needs to be 1, 2 or 3, but is {nargout!r}.")
    network, names = _segmenter(net, options)
    if isinstance(X, Datastore):
        return _into_files(X, network, names, options, nargout)
    (all_scores,) = Run(network, X, options).outputs()  # (N, ..., K)
    codes, score = _best(all_scores)
    if not is_stream(X) and np.ndim(X) < len(network.input_layers[0].size().dims) + 1:
        codes, score, all_scores = codes[0], score[0], all_scores[0]
    else:
        codes, score, all_scores = (from_engine(array, "SSC") for array in (codes, score, all_scores))
    labels = _labels(codes, names, options.OutputType)
    return labels if nargout == 1 else (labels, score, all_scores)[:nargout]


def _best(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel the class with the highest score, -1 where one is NaN, and that score."""
    score = scores.max(axis=-1)
    return np.where(np.isnan(score), -1, scores.argmax(axis=-1)), score


def _into_files(
    datastore: Datastore, network: Resolved, names: list[str], options: Declared, nargout: int
) -> PixelLabelDatastore:
    """Write the labels of each image into a file, 1 for the first class, and return their datastore."""
    where = "semanticseg"
    if nargout != 1:
        raise OptionError(f"{where}: nargout needs to be 1 for a datastore, but is {nargout}.")
    if len(names) > 255 or network.output_size.format != "SSC":
        raise NotSupportedError(f"{where}: files of labels are for images (H, W) of up to 255 classes.")
    folder = os.path.abspath(options.WriteLocation or ".")
    check_folder(folder, f"{where}: WriteLocation")
    if os.path.basename(options.NamePrefix) != options.NamePrefix:
        raise OptionError(f"{where}: NamePrefix: needs a name without folders, but got {options.NamePrefix!r}.")
    if options.Verbose:
        title = "Running semantic segmentation network"
        print(f"{title}\n{'-' * len(title)}", flush=True)
    files: list[str] = []
    digits = len(str(len(datastore)))
    for ((scores, _),) in Run(network, datastore, options).mini_batches():
        for codes in _best(scores)[0]:
            files.append(os.path.join(folder, f"{options.NamePrefix}_{len(files) + 1:0{digits}}.png"))
            try:
                write_image(files[-1], (codes + 1).astype(np.uint8))
            except OSError as error:
                raise DataError(f"{where}: {files[-1]!r} cannot be written ({error.strerror or error}).") from None
    if options.Verbose:
        print(f"* Processed {len(files)} images.\n", flush=True)
    return PixelLabelDatastore(files, names, np.arange(1, len(names) + 1))


def _segmenter(net: Any, options: Declared) -> tuple[Resolved, list[str]]:
    """Return the network and the names of its classes."""
    if not isinstance(net, TrainedNetwork):
        raise OptionError(f"semanticseg: needs a trained network (from trainNetwork), but got {describe(net)}.")
    network = net._network
    counts = len(network.input_layers), len(network.output_indices)
    if counts != (1, 1):
        needed = "a network with one input and one output"
        raise NetworkError(f"semanticseg: needs {needed}, but it has {counts[0]} and {counts[1]}.")
    layer = network.output_layer
    if not isinstance(layer, ClassesOutputLayer) or not layer.is_pixelwise(network.output_size):
        fix = " Use classify." if isinstance(layer, ClassesOutputLayer) else ""
        raise NetworkError(
            f"semanticseg: needs a network that puts out an image of scores for each class, but it ends with "
            f"{layer.where()}, which takes {network.output_size.text}.{fix}"
        )
    names = layer.class_names()
    if isinstance(options.Classes, str):
        return network, names
    given = categories(options.Classes)
    if len(given) != len(names):
        raise OptionError(f"semanticseg: Classes: needs {len(names)} names, one for each class, but got {len(given)}.")
    return network, given


def _labels(codes: np.ndarray, names: list[str], kind: str) -> categorical | np.ndarray:
    if kind == "categorical":
        return categorical.from_codes(codes, names)
    if kind == "uint8" and len(names) > 255:
        raise OptionError(f"semanticseg: OutputType: needs 'categorical' or 'double' for {len(names)} classes.")
    return (codes + 1).astype(np.uint8) if kind == "uint8" else np.where(codes < 0, np.nan, codes + 1.0)
