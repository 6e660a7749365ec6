"""minibatchpredict and scores2label: what a network puts out for data, and the classes of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.data.datastores.queue_datastore import QueueDatastore
from mlnet.data.sources.layout import from_engine
from mlnet.errors import DataError, OptionError, message
from mlnet.labels import categorical, categories
from mlnet.layers.base import Size
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.ends import put_out_size, source_named
from mlnet.network.resolve import Resolved
from mlnet.network.run import Run
from mlnet.network.trained import ACCELERATION, ENVIRONMENT, MINI_BATCH, TrainedNetwork
from mlnet.network.wiring import Source
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import choice, either, flag, number, text, texts
from mlnet.training.caller import called
from mlnet.training.nets.data import NetForms
from mlnet.training.nets.losses import NetLoss
from mlnet.training.option_tables import DATA_FORMAT, FORMATS
from mlnet.training.options import trainingOptions

FORMATS_OF_INPUTS = Option(
    "InputDataFormats",
    "auto",
    either(choice("auto"), DATA_FORMAT, FORMATS),
    "Labels of the dimensions of X, one text for each input.",
)
SEQUENCES = (
    Option(
        "SequenceLength",
        "longest",
        choice("longest", "shortest"),
        "'shortest' takes as many time steps as the shortest sequence of a mini-batch has.",
    ),
    Option("SequencePaddingDirection", "right", choice("right", "left"), "Which time steps 'shortest' takes."),
    Option("SequencePaddingValue", 0, number(), "Reaches no result, as sequences are packed."),
)
ENCODING = Option(
    "CategoricalInputEncoding", "integer", choice("integer", "one-hot"), "How categorical inputs become numbers."
)


class _Options(Declared):
    constructor_name = "minibatchpredict"
    table = Table(
        MINI_BATCH,
        Option("Outputs", [], either(texts(), text()), "The layers whose outputs are wanted."),
        Option("UniformOutput", True, flag(), "Whether the observations are put together into one array."),
        FORMATS_OF_INPUTS,
        *SEQUENCES,
        ENCODING,
        ENVIRONMENT,
        ACCELERATION,
    )


def minibatchpredict(net: dlnetwork, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
    """Return what a network puts out for data, computed in mini-batches.

    Parameters
    ----------
    net : dlnetwork
        A network from `trainNetwork` too.
    X : array, list of arrays, table, datastore or minibatchqueue
        As for `trainnet`; the inputs of networks of several inputs as a tuple, or one after the other.
    MiniBatchSize : positive integer, default 128
        Observations that are computed at a time; the result does not depend on it but for rounding.
    Outputs : text or list of texts, optional
        Layers, or 'layer/output', whose outputs are wanted in place of OutputNames.
    UniformOutput : true or false (1 or 0), default True
        Without it, lists with one array for each observation.
    InputDataFormats : text or list of texts, default 'auto'
        Labels of the dimensions of ``X``: S spatial, C channel, B observations, T time.
    SequenceLength : 'longest' or 'shortest', default 'longest'
    SequencePaddingDirection : 'right' or 'left', default 'right'
        Which time steps 'shortest' takes. Otherwise sequences stay as they are: nothing is padded, so that
        SequencePaddingValue reaches no result.
    CategoricalInputEncoding : 'integer' or 'one-hot', default 'integer'
    ExecutionEnvironment : 'auto' or 'cpu', default 'auto'
    Acceleration : 'auto' or 'none', default 'auto'

    Returns
    -------
    ndarray, float32
        (N, K) without spatial dimensions, (H, W, C, N) for images. Sequences of one length are an array (S, K, N),
        others a list of (S, K) arrays. Scores of attention are (keys, queries, heads, N), for sequences those of the
        longest. A tuple for several outputs.

    Raises
    ------
    DataError
        Where ``X`` does not fit the network.
    NetworkError
        Where the network is not initialized.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt, or Outputs names no layer.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import *
    >>> net = dlnetwork([featureInputLayer(3), fullyConnectedLayer(2), softmaxLayer])
    >>> minibatchpredict(net, np.ones((5, 3))).shape
    (5, 2)
    """
    with called("minibatchpredict"):
        network = _network(net, "minibatchpredict")
        count = next((place for place, each in enumerate(args) if isinstance(each, str)), len(args))
        X = (X, *args[:count]) if count else X  # noqa: N806
        options = _Options(*args[count:], **kwargs)
        wanted = [options.Outputs] if isinstance(options.Outputs, str) else list(options.Outputs)
        ends = [source_named(network, name, "minibatchpredict") for name in wanted]
        results, sizes = outputs_of(network, X, options, ends)
        made = [
            _uniform(result, size) if options.UniformOutput else _separate(result, size)
            for result, size in zip(results, sizes, strict=True)
        ]
    return made[0] if len(made) == 1 else tuple(made)


def outputs_of(
    network: Resolved, data: Any, options: Declared, ends: Sequence[Source] = ()
) -> tuple[list[Any], list[Size]]:
    """Return what a network puts out for data, in the engines' order or as sequences in MATLAB's, and its sizes."""
    if isinstance(data, MiniBatchQueue):
        data = QueueDatastore(data)
    formats = trainingOptions(
        "adam",
        InputDataFormats=options.InputDataFormats,
        CategoricalInputEncoding=options.CategoricalInputEncoding,
    )
    data = NetForms(formats, network, NetLoss("mse")).inputs(data, f"{options.constructor_name}: ")
    sources = list(ends) or [network.sources[index][0] for index in network.output_indices]
    run = Run(network, data, options, ends)
    results = run.outputs()
    run.finish()
    return results, [put_out_size(network, source) for source in sources]


def _network(net: Any, where: str) -> Resolved:
    """Return the layers of a network with all values."""
    if isinstance(net, TrainedNetwork):
        return net._network
    if not isinstance(net, dlnetwork):
        raise OptionError(message(where, "a dlnetwork", describe(net)))
    return net.initialized(where)


def _uniform(result: Any, size: Size) -> Any:
    """Return the observations in one array where they have one size."""
    if not size.is_sequence:
        return result.reshape(len(result), -1) if not size.spatial else from_engine(_shaped(result, size), size.format)
    parts = _separate(result, size)
    if len({each.shape for each in parts}) > 1:
        return parts
    return parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)


def _separate(result: Any, size: Size) -> list[np.ndarray]:
    """Return one array for each observation: (K,), (H, W, C), or for sequences (S, K), (H, W, C, S)."""
    if not size.is_sequence:
        return list(_shaped(result, size))
    parts = result if isinstance(result, list) else [result]
    if size.is_flat:
        return [each.reshape(size.channels, -1).T for each in parts]
    return list(parts)


def _shaped(result: np.ndarray, size: Size) -> np.ndarray:
    return (
        result.reshape(len(result), *size.dims) if size.is_known else result
    )  # scores of sequences have their lengths


def scores2label(scores: Any, classNames: Any, classDim: int | None = None, *, nargout: int = 1) -> Any:  # noqa: N803
    """Return the class with the highest score of each observation.

    ``labels = scores2label(scores, classNames)``, or with ``nargout=2`` also the scores of these classes.

    Parameters
    ----------
    scores : array, dlarray, or list of arrays
        (N, K) scores of K classes; images (H, W, K, N); sequences (S, K) or (S, K, N), or a list of them. A formatted
        dlarray has them along its dimension 'C'.
    classNames : list of texts, or categorical
        The classes in the order of the scores.
    classDim : int, optional
        The dimension of the classes, counted from 1. By default that of 'C', 3 for images of 4 dimensions, else 2.

    Returns
    -------
    categorical
        (N,); of other shapes as ``scores``, with length 1 along the dimension of the classes (left out where it is the
        last one). Undefined where a score is NaN. A list for a list.
    ndarray
        With ``nargout=2``.

    Raises
    ------
    DataError
        Where the number of classes is not that of the scores.
    OptionError
        Where there is no such dimension.

    Examples
    --------
    >>> from mlnet import scores2label
    >>> scores2label([[0.9, 0.1], [0.2, 0.8]], ['cat', 'dog'])
      2x1 categorical array
    <BLANKLINE>
         cat
         dog
    """
    where = "scores2label"
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"{where}: nargout needs to be 1 or 2, but is {nargout!r}.")
    if isinstance(scores, (list, tuple)) and scores and np.ndim(scores[0]) == 2:
        found = [scores2label(each, classNames, classDim, nargout=2) for each in scores]
        parts = [each[0] for each in found]
        return parts if nargout == 1 else (parts, [each[1] for each in found])
    format = scores.dims() if isinstance(scores, dlarray) else ""
    array = scores.extractdata() if isinstance(scores, dlarray) else np.asarray(scores)
    names = categories(classNames if isinstance(classNames, categorical) else _as_categories(classNames))
    if classDim is None:
        axis = format.index("C") if "C" in format else 2 if array.ndim == 4 else 1
    elif isinstance(classDim, bool) or not isinstance(classDim, (int, np.integer)) or classDim < 1:
        raise OptionError(message(where, "classDim as the number of a dimension, from 1", describe(classDim)))
    else:
        axis = int(classDim) - 1
    if axis >= array.ndim or array.dtype.kind not in "fiub":
        came = f"an array of shape {array.shape}"
        raise OptionError(message(where, f"scores with {axis + 1} dimensions", came, "Give classDim."))
    if array.shape[axis] != len(names):
        needed = f"one class for each of the {array.shape[axis]} scores along dimension {axis + 1}"
        raise DataError(message(where, needed, f"{len(names)} classNames"))
    codes = np.where(np.isnan(array).any(axis=axis), -1, array.argmax(axis=axis))
    best = array.max(axis=axis)
    if axis < array.ndim - 1 and array.ndim > 2:
        codes, best = np.expand_dims(codes, axis), np.expand_dims(best, axis)
    labels = categorical.from_codes(codes, names)
    return labels if nargout == 1 else (labels, best)


def _as_categories(classes: Any) -> categorical:
    names = [str(each) for each in categorical(classes).names().ravel()]
    if len(set(names)) != len(names):
        raise DataError(message("scores2label: classNames", "different classes", f"{names}"))
    return categorical.from_codes(np.arange(len(names)), names)


def is_datastore(data: Any) -> bool:
    """Tell whether targets may be in the data."""
    return isinstance(data, (Datastore, MiniBatchQueue))
