"""trainnet: from a network without output layers, data, a loss and options to a trained dlnetwork."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from mlnet.data.datastores.batch_datastore import BatchDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.data.datastores.queue_datastore import QueueDatastore
from mlnet.data.sources.columns import is_table
from mlnet.engines.base import Engine
from mlnet.engines.select import select_engine
from mlnet.errors import NetworkError, OptionError, message
from mlnet.layers.output import OutputLayer
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_graph import layerGraph
from mlnet.network.open_ends import OpenEnds
from mlnet.network.resolve import Resolved
from mlnet.network.run import kept_steps
from mlnet.network.traces import check_traces
from mlnet.network.trained import TrainedNetwork
from mlnet.options import describe
from mlnet.randomness import spawn_generators
from mlnet.rules import is_empty
from mlnet.storage.networks import custom_classes
from mlnet.training.caller import called
from mlnet.training.checkpoints import Checkpoints, Found, find_checkpoint
from mlnet.training.full_batch.trainer import FullBatchTrainer
from mlnet.training.judging import CRITERION
from mlnet.training.loading import read_once
from mlnet.training.loop import Trainer
from mlnet.training.nets.data import NetForms, net_data_set
from mlnet.training.nets.losses import NetLoss, net_loss, open_network
from mlnet.training.nets.objective import Ends, NetObjective, make_objective
from mlnet.training.nets.reporter import NetReporter, TrainingInfo
from mlnet.training.nets.targets import names_of
from mlnet.training.options import TrainingOptions, check_supported
from mlnet.training.prepare import check_mini_batch, initialized
from mlnet.training.snapshot import as_started
from mlnet.training.statistics import with_values
from mlnet.training.validation import DataSet

_WHERE = "trainnet"


def trainnet(*args: Any, nargout: int = 1, Layers: Any = ()) -> Any:  # noqa: N803
    """Train a network without output layers for a loss, and return it; what is given does not change.

    ``net = trainnet(X, T, layers, lossFcn, options)``, or ``net, info = trainnet(..., nargout=2)``. Data may also be
    one argument with the targets in it, ``trainnet(ds, layers, lossFcn, options)``: a datastore, a `minibatchqueue`, an
    iterable of mini-batches (see `batchDatastore`), or a table, as for `trainNetwork`.

    Parameters
    ----------
    X : array
        Images (H, W, C, N), features (N, C), sequences as a list of (C, S) arrays; in another order of dimensions with
        InputDataFormats, or as a formatted dlarray. For networks of several inputs a tuple with one entry for each.
    T : array
        Classes: N labels (images of labels, lists of them for sequences). Numbers: of the size that the network puts
        out, (N, R), (H, W, C, N), or a list of (R, S); for 'crossentropy' one-hot or probabilities. For a function, of
        any size. For networks of several outputs a tuple with one entry for each, in the order of OutputNames.
    layers : dlnetwork, LayerArray, list of layers, LayerGraph, or text
        Without output layers. A text or path is a checkpoint, or a folder of them, from which training goes on.
    lossFcn : text or function
        'crossentropy' for classes, after a softmaxLayer; 'indexcrossentropy', the same for numbers of classes from 1, 0
        where there is none; 'binary-crossentropy' for several yes or no, after a sigmoidLayer: means over all
        observations, pixels and time steps (for the last one over all elements).
        'mse' ('mean-squared-error', 'l2loss'), 'mae' ('mean-absolute-error', 'l1loss') and 'huber' are means over all
        elements. A function takes the outputs and their targets, ``lossFcn(Y1, ..., Yn, T1, ..., Tn)``, as formatted
        dlarrays, classes one-hot, and returns one number computed by functions of dlarrays; sequences are padded with
        zeros at their end.
    options : result of `trainingOptions`
    nargout : 1 or 2, default 1
    Layers : list of classes, optional
        The classes of the custom layers in a checkpoint.

    Returns
    -------
    dlnetwork
        Initialized, with the learnables and statistics of the training.
    TrainingInfo
        With ``nargout=2``: TrainingHistory and ValidationHistory (tables), OutputNetworkIteration and StopReason.

    Raises
    ------
    NetworkError
        Where the layers do not make a network, have output layers, or do not end with what the loss takes.
    DataError
        Where data do not fit the network, the loss or one another, or are not finite; where a loss that is a function
        fails, is no scalar, or does not depend on the outputs.
    OptionError
        Where the loss or an option does not fit the network.
    TrainingError
        Where the loss stops being finite.

    Notes
    -----
    A named loss is computed with the network by the engine, as `trainNetwork` does it; of a loss that is a function
    only the function goes through the derivatives of dlarrays. All options work as in `trainNetwork`, which says what a
    step is. Accuracies are in percent. OutputFcn gets a structure with the fields Epoch, Iteration, TimeElapsed
    (seconds), LearnRate, TrainingLoss, ValidationLoss, one for each metric (TrainingAccuracy, ValidationAccuracy), and
    State. The network is validated before the first iteration too.

    Differs from MATLAB: the defaults of options are those of `trainNetwork`; ``OutputNetwork='auto'`` and
    ``BatchNormalizationStatistics='auto'`` are what MATLAB's trainnet does without them. Sequences of named losses are
    not padded.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import *
    >>> rng(0)
    >>> X = np.linspace(-1, 1, 256).reshape(-1, 1)
    >>> layers = [featureInputLayer(1), fullyConnectedLayer(16), tanhLayer(), fullyConnectedLayer(1)]
    >>> options = trainingOptions('adam', MaxEpochs=200, InitialLearnRate=0.02, Verbose=False)
    >>> net, info = trainnet(X, X**2, layers, 'mse', options, nargout=2)
    >>> bool(abs(minibatchpredict(net, [[0.5]]) - 0.25) < 0.05)
    True
    >>> info
      TrainingInfo with properties:
    <BLANKLINE>
               TrainingHistory: [400x5 table]
             ValidationHistory: [0x2 table]
        OutputNetworkIteration: 400
                    StopReason: 'Max epochs completed'
    """
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"{_WHERE}: nargout needs to be 1 or 2, but is {nargout!r}.")
    with called(_WHERE):
        X, T, layers, given, options = _arguments(args)  # noqa: N806
        with custom_classes(Layers, f"{_WHERE}: Layers"):
            found = find_checkpoint(layers) if isinstance(layers, (str, os.PathLike)) else None
        if found is None and Layers != ():
            raise OptionError(f"{_WHERE}: Layers are the classes of custom layers in a checkpoint. Leave them out.")
        net, info = _trained(X, T, layers, net_loss(given, _WHERE), options, found)
    return net if nargout == 1 else (net, info)


def _trained(
    X: Any,  # noqa: N803
    T: Any,  # noqa: N803
    layers: Any,
    loss: NetLoss,
    options: TrainingOptions,
    found: Found | None,
) -> tuple[dlnetwork, TrainingInfo]:
    check_supported(options)
    layers = layers if found is None else found.net
    if isinstance(X, MiniBatchQueue):
        options = options if options.is_full_batch else options.replaced(MiniBatchSize=X.MiniBatchSize)
        X = QueueDatastore(X)  # noqa: N806
    ends, network = _without_ends(layers).to_resolved(_WHERE)
    network = loss.closed(network, _WHERE)
    if found is not None:
        network = as_started(network, found.training, found.where)
    check_traces(network)
    forms = NetForms(options, network, loss)
    keep = kept_steps(options)
    data = net_data_set(network, loss, *forms(X, T, f"{_WHERE}: "), None, f"{_WHERE}: ", keep)
    network = forms.remembered(network)
    count = len(data.predictors)
    check_mini_batch(network, count if options.is_full_batch else min(options.MiniBatchSize, count))
    validation = _validation(network, loss, forms, data, options, (X, T))
    generators = spawn_generators()
    keeping = options.replaced(Verbose=False)
    keeping = keeping if found is None else keeping.replaced(ResetInputNormalization=False)
    network = initialized(network, data.predictors, keeping, generators.initialization)
    engine = select_engine(options.Acceleration, options.ExecutionEnvironment)
    engine.in_precision(options.Precision)  # refused before anything is computed
    outputs = Ends.of(network, ends.output_names, data.targets)
    meters = make_objective(network, engine, loss, outputs, options.Metrics).meters
    more = meters.names
    for each in (data, validation):
        if each is not None:
            meters.check(each.targets)
    if validation is not None:
        read_once(validation)
    per_epoch = None
    if not options.is_full_batch and isinstance(options.SequenceLength, str):
        per_epoch = count // min(options.MiniBatchSize, count)
    reporter = NetReporter(options, with_validation=validation is not None, per_epoch=per_epoch, more=more)

    def objective(network: Resolved, engine: Engine, options: TrainingOptions) -> NetObjective:
        return make_objective(network, engine, loss, outputs, options.Metrics)

    training = options
    if options.BatchNormalizationStatistics == "auto":
        training = options.replaced(BatchNormalizationStatistics="moving")
    common = (network, engine, data, validation, training, generators, reporter)
    trainer: Trainer | FullBatchTrainer
    is_over = False
    kept = Checkpoints(network, partial(_opened, ends), options) if options.CheckpointPath else None
    kind = FullBatchTrainer if options.is_full_batch else Trainer
    trainer = kind(*common, kept, make_objective=objective)
    if found is not None:
        _go_on(trainer, found)
        is_over = trainer.best.waited >= options.ValidationPatience
    reason, final = None, None
    try:
        reason = reporter.start() or (CRITERION if is_over else trainer.run())
        values = trainer.final_values()
        final = trainer.validate(values) if options.Plots == "training-progress" else None
    finally:
        reporter.close(reason, final)
    reporter.done()
    net = _opened(ends, network.with_layers(with_values(network, values)))
    ending = {"iteration": trainer.output_iteration, "reason": reason, "is_full_batch": options.is_full_batch}
    return net, TrainingInfo(trainer.history, trainer.first, more, **ending)


def _opened(ends: OpenEnds, network: Resolved) -> dlnetwork:
    return dlnetwork.of(ends, open_network(network))


def _go_on(trainer: Trainer | FullBatchTrainer, found: Found) -> None:
    """Let a training go on from a checkpoint."""
    trainer.restore(found.training, found.where)
    if trainer.options.Verbose:
        print(f"Going on behind iteration {len(trainer.history)} from {found.path.name}.", flush=True)


def _without_ends(layers: Any) -> dlnetwork:
    """Return a network; refuse output layers."""
    if isinstance(layers, dlnetwork):
        return layers
    graph = layers.to_graph() if isinstance(layers, TrainedNetwork) else layerGraph(layers)
    closing = [layer.where() for layer in graph.Layers if isinstance(layer, OutputLayer)]
    if closing:
        fix = "Remove it (layers[:-1], or removeLayers): the argument lossFcn is the loss, e.g. 'crossentropy'."
        raise NetworkError(message(_WHERE, "a network without output layers", ", ".join(closing), fix))
    return dlnetwork(graph, Initialize=False)


def _validation(
    network: Resolved,
    loss: NetLoss,
    forms: NetForms,
    data: DataSet,
    options: TrainingOptions,
    training: tuple[Any, Any],
) -> DataSet | None:
    if is_empty(options.ValidationData):
        return None
    where = f"{_WHERE}: ValidationData: "
    X, T = options.ValidationData  # noqa: N806
    inputs, outputs = len(network.input_layers), len(network.output_indices)
    if T is not None and isinstance(X, tuple) and len(X) == inputs + outputs - 1 and outputs > 1:
        X, T = (X[0] if inputs == 1 else X[:inputs]), (*X[inputs:], T)  # noqa: N806
    if T is None and is_table(X) and is_table(training[0]):
        T = training[1]  # noqa: N806 - the names of the columns
    if isinstance(X, MiniBatchQueue):
        X = QueueDatastore(X)  # noqa: N806
    return net_data_set(network, loss, *forms(X, T, where), names_of(data.targets), where, "all")


def _arguments(args: tuple[Any, ...]) -> tuple[Any, Any, Any, Any, TrainingOptions]:
    if not args or not isinstance(args[-1], TrainingOptions) or len(args) not in (4, 5):
        needed = "X, T, layers, lossFcn and options from trainingOptions, or a datastore in place of X and T"
        came = f"{len(args)} arguments" + (f", the last one {describe(args[-1])}" if args else "")
        raise OptionError(message(_WHERE, needed, came))
    if len(args) == 5:
        return args[0], args[1], args[2], args[3], args[4]
    data = args[0]
    if isinstance(data, np.ndarray):
        raise OptionError(
            message(_WHERE, "X, T, layers, lossFcn and options", "4 arguments", "Are the targets missing?")
        )
    if not isinstance(data, (Datastore, MiniBatchQueue)) and not is_table(data):
        data = BatchDatastore(data)
    return data, None, args[1], args[2], args[3]
