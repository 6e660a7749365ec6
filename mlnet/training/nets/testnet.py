"""testnet: how good a network is on data, by metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.data.datastores.batch_datastore import BatchDatastore
from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.data.datastores.queue_datastore import QueueDatastore
from mlnet.data.sources.columns import is_table
from mlnet.engines.select import select_engine
from mlnet.errors import OptionError, message, suggestion
from mlnet.network.compile import parameter_values, prediction_program
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.run import kept_steps
from mlnet.network.trained import ACCELERATION, ENVIRONMENT, MINI_BATCH
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import REFUSALS, choice, either
from mlnet.training import metrics as known
from mlnet.training.caller import called
from mlnet.training.metering import Result
from mlnet.training.nets.data import NetForms, net_data_set
from mlnet.training.nets.losses import NetLoss
from mlnet.training.nets.metering import NetMeters, Output
from mlnet.training.nets.predicting import ENCODING, FORMATS_OF_INPUTS, SEQUENCES, is_datastore
from mlnet.training.nets.targets import names_of
from mlnet.training.option_tables import DATA_FORMAT, FORMATS
from mlnet.training.options import trainingOptions
from mlnet.training.validation import put_out


class _Options(Declared):
    constructor_name = "testnet"
    table = Table(
        MINI_BATCH,
        FORMATS_OF_INPUTS,
        Option(
            "TargetDataFormats", "auto", either(choice("auto"), DATA_FORMAT, FORMATS), "Labels of the dimensions of T."
        ),
        *SEQUENCES,
        ENCODING,
        ENVIRONMENT,
        ACCELERATION,
    )


def testnet(net: dlnetwork, X: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N803
    """Return the values of metrics of a network on data.

    ``metricValues = testnet(net, X, T, metrics)``, or ``testnet(net, ds, metrics)`` with targets in the data.

    Parameters
    ----------
    net : dlnetwork
    X, T : data
        As for `trainnet`.
    metrics : text, metric, function, or list of these
        'accuracy', 'fscore', 'precision', 'recall', 'auc' where targets are classes, 'rmse', 'mape', 'rsquared' where
        they are numbers; objects such as ``fScoreMetric(Beta=2)``, for networks of several outputs with NetworkOutput;
        functions ``f(Y1, ..., T1, ...)`` of formatted dlarrays 'CB' with all observations.
    MiniBatchSize : positive integer, default 128
    InputDataFormats, TargetDataFormats : text or list of texts, default 'auto'
        Labels of the dimensions of ``X`` and ``T``.
    SequenceLength, SequencePaddingDirection, CategoricalInputEncoding, ExecutionEnvironment, Acceleration
        As for `minibatchpredict`.

    Returns
    -------
    float, or ndarray
        Accuracies are in percent. A vector for a list of metrics.

    Raises
    ------
    DataError
        Where data do not fit the network or one another.
    OptionError, UnknownNameError
        Where a metric does not fit the targets, or an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import *
    >>> rng(0)
    >>> net = dlnetwork([featureInputLayer(1), fullyConnectedLayer(1, Weights=[[2]], Bias=[0])])
    >>> testnet(net, np.ones((4, 1)), np.ones((4, 1)), 'rmse')
    1.0
    """
    with called("testnet"):
        if not isinstance(net, dlnetwork):
            raise OptionError(message("testnet", "a dlnetwork", describe(net)))
        has_targets = is_datastore(X) or (
            args and _are_metrics(args[0]) and (len(args) == 1 or isinstance(args[1], str))
        )
        needed = 1 if has_targets else 2
        if len(args) < needed:
            raise OptionError(message("testnet", "net, X, T and metrics", f"{len(args) + 2} arguments"))
        T = None if has_targets else args[0]  # noqa: N806
        asked, options = args[needed - 1], _Options(*args[needed:], **kwargs)
        if isinstance(X, MiniBatchQueue):
            X = QueueDatastore(X)  # noqa: N806
        elif has_targets and not is_datastore(X) and not is_table(X):
            X = BatchDatastore(X)  # noqa: N806
        try:
            metrics = known.RULE.convert(asked)
        except REFUSALS:
            fix = suggestion(asked, known.RULE.names) if isinstance(asked, str) else ""
            one_of = known.RULE.needed.removeprefix("[], or ")
            raise OptionError(message("testnet: metrics", one_of, describe(asked), fix)) from None
        values = _values(net, X, T, metrics, options)
    return np.array(values) if isinstance(asked, (list, tuple)) else values[0]


testnet.__test__ = False  # type: ignore[attr-defined] # pytest takes names that begin with "test" for tests


def _are_metrics(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_are_metrics, value))
    if isinstance(value, str):
        return value.lower() in known.BY_NAME
    return isinstance(value, known.Metric) or (
        callable(value) and not hasattr(value, "__len__")
    )  # labels are called too


def _values(net: dlnetwork, X: Any, T: Any, asked: Any, options: Declared) -> list[float]:  # noqa: N803
    network = net.initialized("testnet")
    metrics = known.as_metrics(asked)
    if not metrics:
        raise OptionError(message("testnet", "metrics", "none", "Give e.g. 'accuracy' or 'rmse'."))
    formats = trainingOptions(
        "adam",
        InputDataFormats=options.InputDataFormats,
        TargetDataFormats=options.TargetDataFormats,
        CategoricalInputEncoding=options.CategoricalInputEncoding,
    )
    loss = NetLoss("", lambda *outputs: None)  # targets may be of any kind
    named = NetLoss("crossentropy") if _of_classes(metrics) and len(network.output_indices) == 1 else loss
    named = NetLoss("binary-crossentropy") if named.name and network.output_size.channels == 1 else named
    forms = NetForms(formats, network, named)
    data = net_data_set(network, named, *forms(X, T, "testnet: "), None, "testnet: ", kept_steps(options))
    outputs = [
        Output(name, bool(classes) or named.is_of_classes, named.name == "binary-crossentropy")
        for name, classes in zip(net.OutputNames, names_of(data.targets), strict=True)
    ]
    meters = NetMeters(metrics, outputs)
    meters.check(data.targets)
    counts = meters.counts()
    engine = select_engine(options.Acceleration, options.ExecutionEnvironment)
    plan = engine.plan(engine.fuse(prediction_program(network)), is_training=False)
    values = parameter_values(network.layers)
    for start in range(0, len(data.predictors), options.MiniBatchSize):
        index = slice(start, min(start + options.MiniBatchSize, len(data.predictors)))
        x = data.predictors.batch(index)
        plan.forward(x, values, lengths=data.predictors.lengths(index))
        counts.add(put_out(plan, x)[0], data.targets.batch(index))
    return list(counts.result(Result(np.nan, np.nan)).more)


def _of_classes(metrics: list[Any]) -> bool:
    return all(isinstance(each, known.ClassMetric) for each in metrics)
