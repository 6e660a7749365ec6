"""trainNetwork: from layers, data and options to a trained network."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from mlnet.data.datastores.batch_datastore import BatchDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.columns import is_table
from mlnet.engines.select import select_engine
from mlnet.errors import OptionError
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.resolve import resolve
from mlnet.network.traces import check_traces
from mlnet.network.trained import DAGNetwork, SeriesNetwork
from mlnet.options import describe
from mlnet.randomness import spawn_generators
from mlnet.rules import is_empty
from mlnet.storage.networks import custom_classes
from mlnet.structure import Structure
from mlnet.training.checkpoints import Checkpoints, Found, find_checkpoint
from mlnet.training.data_forms import DataForms
from mlnet.training.full_batch.trainer import FullBatchTrainer
from mlnet.training.judging import CRITERION
from mlnet.training.loading import read_once
from mlnet.training.loop import Trainer
from mlnet.training.metering import Meters, Result
from mlnet.training.options import TrainingOptions, check_supported
from mlnet.training.prepare import check_mini_batch, data_set, initialized, training_data
from mlnet.training.reporter import Reporter
from mlnet.training.snapshot import as_started
from mlnet.training.statistics import with_values


def trainNetwork(*args: Any, nargout: int = 1, Layers: Any = ()) -> Any:
    """Train a network and return it; what is given does not change.

    ``net = trainNetwork(X, Y, layers, options)``, or ``net, info = trainNetwork(X, Y, layers, options, nargout=2)``.
    Data may also be one argument with the responses in it: ``trainNetwork(ds, layers, options)`` with a datastore or an
    iterable of mini-batches (see `batchDatastore`), ``trainNetwork(table, layers, options)`` or ``trainNetwork(table,
    responseNames, layers, options)`` with a DataFrame: files, images or features, and by default the last column, of
    images all other columns, as the response.

    Parameters
    ----------
    X : array
        Images (H, W, C, N) or features (N, C), of any numeric type; fetched and converted to single precision one
        mini-batch at a time; a NumPy memory map stays on its disk.
    table : DataTable, or DataFrame of pandas
        Rows are observations. Numeric columns are features, categorical ones as CategoricalInputEncoding says; columns
        of texts have to be made categorical or encoded (see `onehotencode`). Images, sequences, or names of image
        files are one column. Columns of numeric responses give a regression layer its ResponseNames.
    Y : array
        Classes: N labels, categorical or texts, integers or bools. Images of labels for segmentation: (H, W, N) or
        (H, W, 1, N), (H, W, D, N) for 3-D images; undefined labels do not count. Responses: (N, R), or (H, W, C, N)
        for images.
    layers : LayerArray, list of layers, LayerGraph, or text
        A text or path is a checkpoint, or a folder with checkpoints (the newest one that can be loaded), from which
        training goes on.
    options : result of `trainingOptions`
    nargout : 1 or 2, default 1
    Layers : class of a custom layer, or list of them, optional
        The classes of the custom layers in a checkpoint.

    Returns
    -------
    SeriesNetwork, or DAGNetwork for a LayerGraph
        The trained network. Unnamed layers have names, learnables are set, and batch-normalization layers have
        TrainedMean and TrainedVariance (see `batchNormalizationLayer`).
    Structure
        With ``nargout=2``: arrays with one value for each iteration, TrainingLoss, TrainingAccuracy (percent) or
        TrainingRMSE, ValidationLoss, ValidationAccuracy or ValidationRMSE (NaN where there was no validation),
        BaseLearnRate (or GradientNorm and StepNorm with 'lbfgs' and 'lm'); and FinalValidationLoss,
        FinalValidationAccuracy or FinalValidationRMSE, OutputNetworkIteration. Metrics have fields of the same pattern,
        such as TrainingFScore, ValidationFScore and FinalValidationFScore.
        Validation during training, its last value included, takes moving averages for batch normalization; the Final
        values take the statistics of the returned network.

    Raises
    ------
    NetworkError
        Where the layers do not make a network; the message lists every mistake.
    DataError
        Where data do not fit the network or one another, or are not finite; where a checkpoint cannot be loaded, or
        belongs to a training with other data, solver or mini-batches.
    OptionError
        Where CheckpointPath is no folder that can be written to, or a layer cannot be kept in a checkpoint.
    TrainingError
        Where the loss stops being finite.
    NotSupportedError
        For options that mlnet does not have yet.

    Notes
    -----
    A step: the gradient of the mean loss of a mini-batch; plus ``L2Regularization * L2Factor * value``; cut to
    GradientThreshold; a step of the solver with rate ``learning rate * LearnRateFactor``. The printed loss does not
    contain the L2 penalty. With fewer observations than MiniBatchSize, all of them make the mini-batch.

    The solvers 'lbfgs' and 'lm' compute with all observations in each step and in double precision. The learnables that
    they find are then stored in single precision. See `mlnet.training.full_batch.trainer`.

    ``Plots='training-progress'`` draws metric, loss and validation while training: in a window, whose stop button ends
    training after the current iteration and returns the finished network; in the current cell of a notebook; without a
    display into the file ``training-progress.html``. Nothing that goes wrong there ends training.

    ``CheckpointPath='folder'`` writes a checkpoint every CheckpointFrequency epochs or iterations, a file
    ``net_checkpoint__<iteration>__<date>__<time>.mat`` with the network so far, ``load(file).net``. The files appear
    when they are complete on the disk; older ones stay. ``trainNetwork(X, Y, file, options)`` with the same data and
    options goes on behind it and returns, bit for bit, the network that the unbroken training would have returned; a
    larger MaxEpochs goes on further. ``trainNetwork(X, Y, load(file).net.Layers, options)`` starts a new training. An
    error while writing is said once and does not end training.

    Ctrl-C ends training with KeyboardInterrupt, behind the current iteration and, with CheckpointPath, a last
    checkpoint.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import *
    >>> rng(0)
    >>> X = np.linspace(-1, 1, 256).reshape(-1, 1)
    >>> layers = [featureInputLayer(1), fullyConnectedLayer(16), tanhLayer(), fullyConnectedLayer(1), regressionLayer()]
    >>> options = trainingOptions('adam', MaxEpochs=200, InitialLearnRate=0.02, Verbose=False)
    >>> net = trainNetwork(X, X**2, layers, options)
    >>> bool(abs(predict(net, [[0.5]]) - 0.25) < 0.05)
    True
    """
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"trainNetwork: nargout needs to be 1 or 2, but is {nargout!r}.")
    X, Y, layers, options = _arguments(args)  # noqa: N806
    check_supported(options)
    found = None
    if isinstance(layers, (str, os.PathLike)):
        with custom_classes(Layers, "trainNetwork: Layers"):
            found = find_checkpoint(layers)
        layers = found.net.to_graph() if isinstance(found.net, DAGNetwork) else found.net.Layers
    elif Layers != ():
        raise OptionError("trainNetwork: Layers are the classes of custom layers in a checkpoint. Leave them out.")
    kind = DAGNetwork if isinstance(layers, LayerGraph) else SeriesNetwork
    engine = select_engine(options.Acceleration, options.ExecutionEnvironment)
    engine.in_precision(options.Precision)  # refused before anything is computed
    network = resolve(layers, for_training=True)
    if found is not None:
        network = as_started(network, found.training, found.where)
    check_traces(network)
    forms = DataForms(options, network)
    data, network = training_data(network, *forms(X, Y, "trainNetwork: "), options)
    network = forms.remembered(network)
    count = len(data.predictors)
    check_mini_batch(network, count if options.is_full_batch else min(options.MiniBatchSize, count))
    meters = Meters(options.Metrics, network.output_layer)
    meters.check(data.targets)
    validation = None
    if not is_empty(options.ValidationData):
        where = "trainNetwork: ValidationData: "
        predictors, responses = options.ValidationData
        if responses is None and is_table(predictors) and is_table(X):
            responses = Y  # the names of the columns
        validation, _ = data_set(network, *forms(predictors, responses, where), where)
        meters.check(validation.targets)
        read_once(validation)

    if options.Verbose and found is None:
        print("Training on single CPU.", flush=True)
    generators = spawn_generators()
    keeping = options if found is None else options.replaced(ResetInputNormalization=False)
    network = initialized(network, data.predictors, keeping, generators.initialization)
    reporter = Reporter(
        options,
        network.output_layer.metric,
        with_validation=validation is not None,
        per_epoch=_iterations_per_epoch(options, count),
        more=meters.names,
    )
    common = (network, engine, data, validation, options, generators, reporter)
    is_over = False
    trainer: Trainer | FullBatchTrainer
    checkpoints = Checkpoints(network, kind, options) if options.CheckpointPath else None
    trainer = FullBatchTrainer(*common, checkpoints) if options.is_full_batch else Trainer(*common, checkpoints)
    if found is not None:
        _go_on(trainer, found)
        is_over = trainer.best.waited >= options.ValidationPatience
    reason, final = None, None
    try:
        reason = reporter.start() or (CRITERION if is_over else trainer.run())
        values = trainer.final_values()
        final = trainer.validate(values)
    finally:
        reporter.close(reason, final)
    reporter.done()
    trained = kind(network.with_layers(with_values(network, values)))
    return trained if nargout == 1 else (trained, _info(trainer, final))


def _go_on(trainer: Trainer | FullBatchTrainer, found: Found) -> None:
    """Let a training go on from a checkpoint."""
    trainer.restore(found.training, found.where)
    if trainer.options.Verbose:
        print("Training on single CPU.")
        print(f"Going on behind iteration {len(trainer.history)} from {found.path.name}.", flush=True)


def _iterations_per_epoch(options: TrainingOptions, count: int) -> int | None:
    """Return the iterations of an epoch; None where all data make one, or where sequences come in uneven pieces."""
    if options.is_full_batch or not isinstance(options.SequenceLength, str):
        return None
    return count // min(options.MiniBatchSize, count)


def _arguments(args: tuple[Any, ...]) -> tuple[Any, Any, Any, TrainingOptions]:
    if len(args) == 3 and isinstance(args[2], TrainingOptions):
        data = args[0]
        if not isinstance(data, (Datastore, np.ndarray)) and not is_table(data):
            data = BatchDatastore(data)
        if not isinstance(data, np.ndarray):
            args = (data, None, *args[1:])
    if len(args) == 3:
        raise OptionError(
            "trainNetwork: needs X, Y, layers and options, or a datastore, layers and options, but got 3 arguments of "
            f"which the first is {describe(args[0])}. Are the options missing?"
        )
    if len(args) != 4:
        raise OptionError(f"trainNetwork: needs X, Y, layers and options, but got {len(args)} arguments.")
    if not isinstance(args[3], TrainingOptions):
        raise OptionError(f"trainNetwork: needs options from trainingOptions, but got {describe(args[3])}.")
    return args


def _info(trainer: Trainer | FullBatchTrainer, final: Result | None) -> Structure:
    """Return the history of training as a structure of arrays."""
    metric = trainer.network.output_layer.metric
    columns = {
        "TrainingLoss": "training_loss",
        f"Training{metric}": "training_metric",
        "ValidationLoss": "validation_loss",
        f"Validation{metric}": "validation_metric",
        "BaseLearnRate": "learn_rate",
    }
    if trainer.options.is_full_batch:
        del columns["BaseLearnRate"]
        columns |= {"GradientNorm": "gradient_norm", "StepNorm": "step_norm"}
    fields: dict[str, Any] = {
        name: np.array([getattr(progress, attribute) for progress in trainer.history], float)
        for name, attribute in columns.items()
    }
    names = trainer.objective.meters.names
    none = (np.nan,) * len(names)
    for number, name in enumerate(names):
        rows = [(progress.training_more, progress.validation_more or none) for progress in trainer.history]
        fields[f"Training{name}"] = np.array([training[number] for training, _ in rows], float)
        fields[f"Validation{name}"] = np.array([validation[number] for _, validation in rows], float)
    fields["FinalValidationLoss"] = np.nan if final is None else final.loss
    fields[f"FinalValidation{metric}"] = np.nan if final is None else final.metric
    for name, value in zip(names, none if final is None else final.more, strict=True):
        fields[f"FinalValidation{name}"] = value
    fields["OutputNetworkIteration"] = trainer.output_iteration
    return Structure(**fields)
