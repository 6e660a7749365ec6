"""lbfgsupdate: L-BFGS with a line search, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, OptionError, message
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import EMPTY, choice, either, empty, integer, number
from mlnet.structure import Structure
from mlnet.training.full_batch.lbfgs import LBFGS, Point
from mlnet.training.own_loops.trees import leaves, matching, rebuilt, state_of


class _StateOptions(Declared):
    constructor_name = "lbfgsState"
    table = Table(
        Option("HistorySize", 10, integer(), "Number of steps that are remembered."),
        Option("InitialInverseHessianFactor", 1, number(0, above=True), "Factor of the first inverse Hessian matrix."),
        Option(
            "InitialStepSize",
            EMPTY,
            either(empty(EMPTY), choice("auto"), number(0, above=True)),
            "Largest change of a parameter in the first step.",
        ),
    )


class _UpdateOptions(Declared):
    constructor_name = "lbfgsupdate"
    table = Table(
        Option(
            "LineSearchMethod",
            "weak-wolfe",
            choice("weak-wolfe", "strong-wolfe", "backtracking"),
            "Which conditions a step has to meet.",
        ),
        Option("MaxNumLineSearchIterations", 20, integer(), "Evaluations of the loss in a line search."),
    )


def lbfgsState(*args: Any, **options: Any) -> Structure:
    """Return the state of L-BFGS before the first step.

    Parameters
    ----------
    HistorySize : positive integer, default 10
        Number of steps that are remembered.
    InitialInverseHessianFactor : positive number, default 1
    InitialStepSize : positive number, 'auto' or [], default []
        Largest change of a parameter in the first step that is tried, as in `trainingOptions`.

    Returns
    -------
    Structure
        The options, and Loss, Gradients, GradientsNorm, StepNorm, LineSearchStatus, AdditionalLossFunctionOutputs,
        StepHistory and GradientsDifferenceHistory, which are empty until `lbfgsupdate` sets them.

    Examples
    --------
    >>> from mlnet import lbfgsState
    >>> lbfgsState(HistorySize=5).HistorySize
    5
    """
    chosen = _StateOptions(*args, **options)
    return Structure(
        HistorySize=chosen.HistorySize,
        InitialInverseHessianFactor=chosen.InitialInverseHessianFactor,
        InitialStepSize=chosen.InitialStepSize,
        Loss=EMPTY,
        Gradients=EMPTY,
        AdditionalLossFunctionOutputs=[],
        GradientsNorm=EMPTY,
        StepNorm=EMPTY,
        LineSearchStatus="",
        StepHistory=[],
        GradientsDifferenceHistory=[],
    )


def lbfgsupdate(
    params: Any,
    lossFcn: Callable[[Any], tuple[Any, ...]],
    solverState: Structure,
    *args: Any,
    **options: Any,
) -> tuple[Any, Structure]:
    """Return parameters after a step of L-BFGS (Liu and Nocedal, 1989).

    Parameters
    ----------
    params : dlnetwork, table, structure, dict, list or array
    lossFcn : callable
        ``loss, gradients = lossFcn(params)``, e.g. ``lambda net: dlfeval(modelLoss, net, X, T)``; further results are
        kept in AdditionalLossFunctionOutputs.
    solverState : structure
        `lbfgsState()`, then what the last step returned.
    LineSearchMethod : 'weak-wolfe', 'strong-wolfe' or 'backtracking', default 'weak-wolfe'
    MaxNumLineSearchIterations : positive integer, default 20

    Returns
    -------
    params, solverState
        ``net, solverState = lbfgsupdate(net, lossFcn, solverState)``. LineSearchStatus is 'completed', or 'failed'
        where no smaller loss was found; the parameters then stay as they are.

    Raises
    ------
    DataError
        Where lossFcn does not return a loss and gradients like the parameters.
    OptionError, UnknownNameError
        Where an option is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import lbfgsState, lbfgsupdate
    >>> p, state = np.array([3.0, -2.0]), lbfgsState()
    >>> for _ in range(20):
    ...     p, state = lbfgsupdate(p, lambda p: (np.sum(p**2 * [1, 10]), 2 * p * [1, 10]), state)
    >>> bool(state.Loss < 1e-12)
    True
    """
    where = "lbfgsupdate"
    chosen = _UpdateOptions(*args, **options)
    if not isinstance(solverState, Structure) or "StepHistory" not in solverState.fields():
        raise OptionError(message(f"{where}: solverState", "a state of lbfgsState", describe(solverState)))
    arrays = leaves(params, where)
    start = _flat(arrays)

    def placed(vector: np.ndarray) -> Any:
        return rebuilt(params, iter(_shaped(vector, arrays)))

    def evaluate(vector: np.ndarray) -> Point:
        result = lossFcn(placed(vector))
        if not isinstance(result, tuple) or len(result) < 2:
            raise DataError(message(f"{where}: lossFcn", "to return a loss and gradients", describe(result)))
        loss = result[0].item() if isinstance(result[0], (dlarray, np.ndarray, np.generic)) else float(result[0])
        gradient = _flat(matching(result[1], arrays, f"{where}: gradients"))
        return Point(vector, float(loss), gradient, list(result[2:]))

    if np.size(solverState.Loss) == 0:
        here = evaluate(start)
    else:
        gradient = _flat(leaves(solverState.Gradients, where))
        here = Point(start, float(solverState.Loss), gradient, solverState.AdditionalLossFunctionOutputs)
    history = zip(solverState.StepHistory, solverState.GradientsDifferenceHistory, strict=True)
    solver = LBFGS(Structure(**solverState.fields(), **chosen._values), history)
    found = solver.step(here, evaluate) if here.gradient.any() else here
    there = here if found is None else found
    new = {
        **solverState.fields(),
        "Loss": there.loss,
        "Gradients": rebuilt(state_of(params), iter(_shaped(there.gradient, arrays))),
        "AdditionalLossFunctionOutputs": there.record,
        "GradientsNorm": float(np.linalg.norm(there.gradient)),
        "StepNorm": float(np.linalg.norm(there.place - here.place)),
        "LineSearchStatus": "failed" if found is None else "completed",
        "StepHistory": [s for s, _ in solver.pairs],
        "GradientsDifferenceHistory": [y for _, y in solver.pairs],
    }
    return placed(there.place), Structure(**new)


def _flat(arrays: list[np.ndarray]) -> np.ndarray:
    """Return all arrays in one vector, in double precision."""
    return np.concatenate([np.asarray(each, np.float64).ravel() for each in arrays])


def _shaped(vector: np.ndarray, like: list[np.ndarray]) -> list[np.ndarray]:
    found, start = [], 0
    for each in like:
        part = vector[start : start + each.size].reshape(each.shape)
        found.append(part.astype(each.dtype if each.dtype.kind == "f" else np.float64))
        start += each.size
    return found
