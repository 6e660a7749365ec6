"""What every layer computes as all others do: one small check for each statement.

A check takes a `Case`. It raises AssertionError where the layer is wrong, and returns why it says nothing where it is
not applicable. `CHECKS` of `mlnet.conformance.suite` lists them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from mlnet.conformance.batches import Batch, Result, d_outputs_for, of_observation
from mlnet.conformance.differences import NextToKink, compare_gradient
from mlnet.conformance.probes import guarding, littering, scattering
from mlnet.conformance.sizes import OTHER_SIZES, smaller
from mlnet.conformance.trial import Case, Trial
from mlnet.engines.base import Engine
from mlnet.engines.program import Key
from mlnet.engines.select import ENGINES, engine_named
from mlnet.errors import MissingExtraError
from mlnet.layers.base import Size, without_ones
from mlnet.layers.output import OutputLayer

Check = Callable[[Case], "str | None"]

MODES = {"prediction": False, "training": True}
_SEEDS = 5
EXACT = 1e-9
SINGLE = 2e-3
"""How far results may be apart, as parts of the largest element, in double and in single precision."""


def computing(check: Check) -> Check:
    """Return a check that is not applicable to output layers, which compute a loss and put nothing out."""

    @functools.wraps(check)
    def applied(case: Case) -> str | None:
        return "Output layers put nothing out." if isinstance(case.layer, OutputLayer) else check(case)

    return applied


@computing
def check_output_sizes(case: Case) -> None:
    """Check that outputs have the declared sizes and finite values, for 1, 2 and 5 observations and for other sizes."""
    for mode in MODES:
        for count in (1, 2, 5):
            _check_sizes(case, mode, count)
    for sizes in _others(case):
        other = replace(case, sizes=sizes)
        try:
            other.network  # noqa: B018 - raises where the layer does not take the sizes
        except Exception:  # `check_other_sizes` tells about errors that are none of the network
            continue
        _check_sizes(other, "prediction", 2)


def _check_sizes(case: Case, mode: str, count: int) -> None:
    batch = case.batch(count)
    result = case.trial(training=MODES[mode]).run(batch)
    where = f"{mode} with {count} observation{'s' * (count > 1)} of {_listed(case.sizes)}"
    for number, (size, output, lengths) in enumerate(
        zip(case.declared, result.outputs, result.lengths, strict=True), start=1
    ):
        what = f"{where}: output {number}"
        if size.is_sequence != (lengths is not None):
            kinds = ("one value for each observation", "sequences")
            raise AssertionError(
                f"{what}: the size rule says {kinds[size.is_sequence]}, but got {kinds[lengths is not None]}."
            )
        rows = count if lengths is None else int(lengths.sum())
        same = (
            output.shape[1:] == size.dims
            if not size.is_known
            else without_ones(output.shape[1:]) == without_ones(size.dims)
        )
        if len(output) != rows or not same:
            expected = "x".join(map(str, (rows, *size.dims)))
            raise AssertionError(f"{what}: the size rule says {expected}, but got {'x'.join(map(str, output.shape))}.")
    for what, array in result.parts():
        if not np.isfinite(array).all():
            raise AssertionError(f"{where}: {what}: needs finite values, but has NaN or Inf.")


def _others(case: Case) -> Iterator[tuple[Size, ...]]:
    """Yield sizes other than those of the case, of which a layer may take some."""
    if case.layer.inputs:
        yield from smaller(case.sizes)
        yield from ((size,) * len(case.sizes) for size in OTHER_SIZES)


def _listed(sizes: tuple[Size, ...]) -> str:
    return ", ".join(map(str, sizes))


@computing
def check_gradients(case: Case) -> None:
    """Check that gradients of inputs and learnable parameters agree with central differences in double precision."""
    for mode, training in MODES.items():
        for seed in range(_SEEDS):
            try:
                _check_gradients(case.reseeded(case.seed + seed).trial(training=training), mode)
                break
            except NextToKink:
                if seed == _SEEDS - 1:
                    raise


def _check_gradients(trial: Trial, mode: str) -> None:
    if not trial.has_gradients:
        return
    batch = trial.case.batch(4)
    result = trial.run(batch)
    d_outputs = d_outputs_for(result.outputs)
    generator = np.random.default_rng(2)

    def value(batch: Batch, parameters: dict[Key, np.ndarray] | None = None) -> float:
        outputs = trial.forward(batch, parameters)
        pairs = zip(outputs, d_outputs, strict=True)
        return float(sum(np.sum(output * d_output) for output, d_output in pairs if output.dtype.kind == "f"))

    for number, (x, gradient) in enumerate(zip(batch.data, result.inputs, strict=True)):
        if trial.case.whole(number) is not None:
            continue
        what = f"{mode}: gradient of input {number + 1}"
        compare_gradient(what, lambda x, n=number: value(batch.moved(n, x)), x, gradient, generator)  # type: ignore[misc]
    for key, gradient in result.parameters.items():

        def at(moved: np.ndarray, key: Key = key) -> float:
            return value(batch, {**trial.parameters, key: moved})

        compare_gradient(f"{mode}: gradient of {key[1]}", at, trial.parameters[key], gradient, generator)


@computing
def check_single_precision(case: Case) -> None:
    """Check that single precision stays single and agrees with double precision."""
    for mode, training in _modes_without_chance(case):
        batch, trial = case.batch(4), case.trial(training=training)
        double = trial.run(batch)
        single = trial.run(batch.astype(np.float32))
        for (what, expected), (_, found) in zip(double.parts(), single.parts(), strict=True):
            for array, dtype in ((expected, np.float64), (found, np.float32)):
                if array.dtype.kind == "f" and array.dtype != dtype:
                    raise AssertionError(f"{mode}: {what}: needs {np.dtype(dtype)}, but has {array.dtype}.")
        _agree(f"{mode} in single precision", single, double, SINGLE)


def _modes_without_chance(case: Case) -> list[tuple[str, bool]]:
    return [(mode, training) for mode, training in MODES.items() if not (training and case.is_random)]


@computing
def check_unchanged_arguments(case: Case) -> None:
    """Check that operations leave inputs, parameters and the gradients that they are given as they are."""
    for training in MODES.values():
        case.trial(training=training).wrapped(guarding).run(case.batch(3))


@computing
def check_memory_order(case: Case) -> None:
    """Check that arrays whose elements do not lie next to one another give the same."""
    for mode, training in MODES.items():
        trial, batch = case.trial(training=training), case.batch(3)
        _agree(f"{mode} of non-contiguous arrays", trial.wrapped(scattering).run(batch), trial.run(batch))


@computing
def check_repeated_runs(case: Case) -> None:
    """Check that buffers that are used again give what fresh ones give, whatever ran before."""
    for mode, training in MODES.items():
        trial = case.trial(training=training)
        batches = [case.reseeded(case.seed + n).batch(count) for n, count in enumerate((3, 5, 1, 3, 3))]
        plans = trial.plans()
        for number, batch in enumerate(batches):
            if number == 2:
                trial.forward(batches[0], plan=plans[0])  # a run whose backward never comes
            _agree(f"{mode}, run {number + 1} in the same buffers", trial.run(batch, plans=plans), trial.run(batch))


@computing
def check_observations(case: Case) -> str | None:
    """Check that a mini-batch gives what its observations give one by one, and the sum of their gradients."""
    batch = case.batch(4, uneven=False)
    for mode, training in _modes_of_single_observations(case):
        _agree_one_by_one(f"{mode} of a mini-batch against single observations", case.trial(training=training), batch)
    return None


def _modes_of_single_observations(case: Case) -> list[tuple[str, bool]]:
    return [pair for pair in _modes_without_chance(case) if not (pair[1] and case.normalizes_by_mini_batch)]


def _agree_one_by_one(what: str, trial: Trial, batch: Batch, together: Result | None = None) -> None:
    found = trial.run(batch) if together is None else together
    d_outputs = d_outputs_for(found.outputs)
    count = len(batch.data[0]) if batch.lengths[0] is None else len(batch.lengths[0])
    alone = [trial.run(batch.observation(n), of_observation(d_outputs, found, n)) for n in range(count)]
    expected = Result(
        tuple(np.concatenate(parts) for parts in zip(*(each.outputs for each in alone), strict=True)),
        found.lengths,
        tuple(np.concatenate(parts) for parts in zip(*(each.inputs for each in alone), strict=True)),
        {key: np.sum([each.parameters[key] for each in alone], axis=0) for key in found.parameters},
    )
    _agree(what, found, expected)


@computing
def check_sequences(case: Case) -> str | None:
    """Check that sequences of uneven lengths give what each gives alone, and nothing behind the end of one is seen."""
    if not case.has_sequences:
        return "The layer is tried without sequences."
    batch = case.batch(4)
    for mode, training in MODES.items():
        trial = case.trial(training=training)
        found, littered = trial.run(batch), trial.wrapped(littering).run(batch)
        _agree(f"{mode} with other values behind the ends of sequences", littered, found)
        if (mode, training) in _modes_of_single_observations(case):
            _agree_one_by_one(f"{mode} of sequences of uneven lengths against each alone", trial, batch, found)
    return None


@computing
def check_modes(case: Case) -> str | None:
    """Check that training computes what prediction does, unless random or normalizing by the mini-batch."""
    if case.is_random:
        return "The layer is random in training."
    if case.normalizes_by_mini_batch:
        return "The layer normalizes by the mini-batch in training."
    batch = case.batch(3)
    predicted, trained = (case.trial(training=training).run(batch) for training in MODES.values())
    _agree("training against prediction", trained, predicted)
    return None


@computing
def check_randomness(case: Case) -> str | None:
    """Check that the same seed gives the same, and prediction needs no generator."""
    if any(node.random for node in case.trial(training=False).program.nodes):
        raise AssertionError("prediction: needs to be without random numbers, but draws them.")
    if not case.is_random:
        return "The layer is not random."
    trial, batch = case.trial(training=True), case.batch(3)
    _agree("training with the same seed", trial.run(batch, seed=1), trial.run(batch, seed=1))
    return None


@computing
def check_engines(case: Case) -> str | None:
    """Check that every engine computes what the NumPy engine computes."""
    others, reason = _other_engines()
    needed = {node.operation for training in MODES.values() for node in case.trial(training=training).program.nodes}
    others = {name: engine for name, engine in others.items() if needed <= set(engine.operations)}
    if not others:
        return f"There is no engine but the NumPy reference{reason}."
    for name, engine in others.items():
        for mode, training in _modes_without_chance(case):
            trial, batch = case.trial(training=training), case.batch(4).astype(np.float32)
            expected, found = (trial.on(each).run(batch) for each in (engine_named("numpy"), engine))
            _agree(f"{mode} on the engine '{name}'", found, expected, SINGLE)
    return None


def _other_engines() -> tuple[dict[str, Engine], str]:
    """Return the engines but the reference that can be used, by name, and why others cannot."""
    found, reason = {}, ""
    for name in ENGINES:
        if name != "numpy":
            try:
                found[name] = engine_named(name)
            except MissingExtraError as error:
                reason += f"; {error}".removesuffix(".")
    return found, reason


def _agree(what: str, found: Result, expected: Result, tolerance: float = EXACT) -> None:
    """Raise AssertionError where two results differ by more than ``tolerance`` times their largest element."""
    for (name, array), (_, right) in zip(found.parts(), expected.parts(), strict=True):
        if array.shape != right.shape:
            raise AssertionError(f"{what}: {name}: needs shape {right.shape}, but has {array.shape}.")
        if not array.size:
            continue
        error = np.abs(array.astype(np.float64) - right)
        place = np.unravel_index(int(np.argmax(error)), error.shape)
        if not error[place] <= tolerance * max(1.0, float(np.abs(right).max())):
            raise AssertionError(f"{what}: {name}: needs {right[place]:.6g}, but is {array[place]:.6g}.")
