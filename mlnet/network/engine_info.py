"""engineInfo: which engine computes which operation, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.engines.base import Engine
from mlnet.engines.program import Key, Program, Report, StepPlan
from mlnet.engines.select import engine_named, select
from mlnet.errors import OptionError
from mlnet.layers.base import Layer
from mlnet.layers.input import InputLayer
from mlnet.network.compile import parameter_values, prediction_program, training_program
from mlnet.network.initialize import initialize
from mlnet.network.resolve import Resolved, resolve
from mlnet.options import describe
from mlnet.table import DataTable

_STEPS = 2
"""Time steps of the sequences that are tried."""


def engineInfo(
    net: Any = None,
    *,
    MiniBatchSize: int = 128,
    Acceleration: str = "auto",
    Training: bool = False,
    Precision: str = "single",
) -> DataTable:
    """Return which engine computes which operation, of a network or of all, and why it is not a faster one.

    One mini-batch of random numbers runs through a network, as in `predict` or in one step of `trainNetwork`.

    Parameters
    ----------
    net : SeriesNetwork, DAGNetwork, LayerArray, list of layers, or LayerGraph, optional
        Learnables that are not set are drawn; the network does not change. Without one, the table has all operations
        there are.
    MiniBatchSize : int, default 128
        Engines may choose by it.
    Acceleration : 'auto' or 'none', default 'auto'
        As in `predict` and `trainingOptions`.
    Precision : 'single' or 'mixed', default 'single'
        As in `trainingOptions`; predictions are in single precision.
    Training : bool, default False
        A step of training, forward and backward, instead of a prediction.

    Returns
    -------
    DataTable
        A row for each operation: Layer, Operation, Engine, Reorders (how often values change their layout in memory
        for it in a mini-batch), Reason (why it is not computed by a faster engine; '' where it is by the fastest).
        An operation that is computed together with the one before says so. Without a network: Operation, Engine and
        Reason, each operation once; one of the faster engine's may still be NumPy's with some options.

    Raises
    ------
    NetworkError
        Where the layers do not make a network.
    OptionError
        Where MiniBatchSize is not a positive integer or Acceleration is unknown.

    Notes
    -----
    Without a model in MATLAB. The engine is the fastest one that is installed (``pip install mlnet[fast]``). The
    environment variable MLNET_ENGINE, 'numpy' or 'onednn', overrides it; MLNET_ONEDNN names the file of the library.

    Examples
    --------
    >>> from mlnet import *
    >>> info = engineInfo([featureInputLayer(4), fullyConnectedLayer(3), regressionLayer], Acceleration='none')
    >>> info.Layer, info.Operation, info.Reason[0]
    (['fc'], ['fully_connected'], "Acceleration='none'")
    """
    if isinstance(MiniBatchSize, bool) or not isinstance(MiniBatchSize, int) or MiniBatchSize < 1:
        raise OptionError(
            f"engineInfo: MiniBatchSize needs to be a positive integer, but is {describe(MiniBatchSize)}."
        )
    if Acceleration not in ("auto", "none"):
        raise OptionError(f"engineInfo: Acceleration needs to be 'auto' or 'none', but is {describe(Acceleration)}.")
    if Precision not in ("single", "mixed"):
        raise OptionError(f"engineInfo: Precision needs to be 'single' or 'mixed', but is {describe(Precision)}.")
    engine, reason = select(Acceleration)
    engine = engine.in_precision(Precision if Training else "single")
    if net is None:
        return _all_operations(engine, reason)
    network = _ready(net)
    program = training_program(network) if Training else prediction_program(network)
    known = parameter_values(network.layers)
    _add_missing(known, program, network)
    values: Mapping[Key, np.ndarray] = known
    merged: Mapping[str, str] = {}
    if Training:
        plan = engine.plan(engine.fuse(program))
    else:
        plan, values, merged = engine.predictor(program, values)
    reports = _run(plan, values, network, MiniBatchSize, training=Training)
    rows = [
        (each.name, each.operation, _engine_text(engine, each), each.reorders, each.reason or reason)
        for each in _with_merged(program, merged, reports)
    ]
    names = ("Layer", "Operation", "Engine", "Reorders", "Reason")
    return DataTable(**{name: [row[column] for row in rows] for column, name in enumerate(names)})


def _all_operations(engine: Engine, reason: str) -> DataTable:
    """Return which engine computes each operation that there is."""
    numpy = engine_named("numpy")
    operations = sorted(numpy.operations)
    reasons = [reason or engine.lacks(operation) for operation in operations]
    engines = [numpy.description if each else engine.description for each in reasons]
    return DataTable(Operation=operations, Engine=engines, Reason=reasons)


def _ready(net: Any) -> Resolved:
    """Return the network with all learnables set and no statistics of input layers missing."""
    found = resolve(net.to_graph() if hasattr(net, "to_graph") else net)
    generator = np.random.default_rng(0)
    layers: list[Layer] = []
    for index, layer in enumerate(found.layers):
        if isinstance(layer, InputLayer) and any(not getattr(layer, name).size for name in layer.statistics()):
            layer = layer.replaced(Normalization="none")
        layers.append(initialize(layer, found.input_size(index), generator))
    return found.with_layers(layers)


def _run(
    plan: StepPlan, values: Mapping[Key, np.ndarray], network: Resolved, count: int, *, training: bool
) -> list[Report]:
    """Return what a plan reports after one mini-batch of random numbers."""
    generator = np.random.default_rng(0)
    data: list[np.ndarray] = []
    lengths: list[np.ndarray | None] = []
    for layer in network.input_layers:
        size = layer.size()
        steps = max(_STEPS, int(getattr(layer, "MinLength", 1))) if size.is_sequence else 1
        data.append(generator.standard_normal((count * steps, *size.dims), np.float32))
        lengths.append(np.full(count, steps) if size.is_sequence else None)
    with np.errstate(all="ignore"):
        output = plan.forward(data, values, generator, lengths=lengths)
        if training:
            learnables = {(layer.Name, each.name) for layer in network.layers for each in layer.learnables}
            plan.backward(np.ones_like(output), learnables & values.keys())
    return plan.report()


def _add_missing(values: dict[Key, np.ndarray], program: Program, network: Resolved) -> None:
    """Put ones where the network has no statistics yet."""
    indices = {layer.Name: index for index, layer in enumerate(network.layers)}
    for node in program.nodes:
        for name in node.parameters:
            if (node.name, name) not in values:
                index = indices[node.name]
                shape = network.layers[index].parameter_shape(name, network.input_size(index))
                values[node.name, name] = np.ones(shape, np.float32)


def _with_merged(program: Program, merged: Mapping[str, str], reports: Sequence[Report]) -> list[Report]:
    """Return the reports in the order of the program, with one more for each node that was merged into another."""
    left: dict[str, list[Report]] = {}
    for each in reports:
        left.setdefault(each.name, []).append(each)
    found: dict[str, Report] = {}
    all_of_them: list[Report] = []
    for node in program.nodes:
        if left.get(node.name):
            report = replace(left[node.name].pop(0), operation=node.operation)
        else:
            name = merged.get(node.name) or program.nodes[program.owners[node.inputs[0]]].name
            owner = found.get(name) or left[name][0]
            report = Report(node.name, node.operation, owner.engine, f"together with '{name}'")
        found[node.name] = report
        all_of_them.append(report)
    return all_of_them


def _engine_text(engine: Engine, report: Report) -> str:
    """Return the names of the engines of an operation with their versions."""
    names = {"numpy": f"NumPy {np.__version__}", engine.name: engine.description + " (bfloat16)" * report.is_rounded}
    return ", ".join(names[name] for name in report.engine.split(", "))
