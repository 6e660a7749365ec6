"""lbfgsupdate: L-BFGS with a line search, for training loops of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.errors import DataError, OptionError, message
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import EMPTY, choice, either, empty, integer, number
from mlnet.structure import Structure
from mlnet.training.trees import leaves, matching, rebuilt, state_of

_DECREASE, _CURVATURE = 1e-4, 0.9
"""The constants of the Wolfe conditions (Nocedal and Wright, Numerical Optimization, 2006, section 3.1)."""


class _StateOptions(Declared):
    constructor_name = "lbfgsState"
    table = Table(
        Option("HistorySize", 10, integer(), "Number of steps that are remembered."),
        Option("InitialInverseHessianFactor", 1, number(0, above=True), "Factor of the first inverse Hessian matrix."),
        Option("InitialStepSize", EMPTY, either(empty(EMPTY), number(0, above=True)), "Norm of the first step."),
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
    InitialStepSize : positive number or [], default []
        Norm of the first step; [] tries ``min(1, 1 / norm of the gradient)`` times the direction.

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
        ``net, solverState = lbfgsupdate(net, lossFcn, solverState)``. LineSearchStatus is 'completed' or 'failed';
        where it failed, the parameters are those with the lowest loss that was found.

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

    def evaluate(vector: np.ndarray) -> _Point:
        result = lossFcn(placed(vector))
        if not isinstance(result, tuple) or len(result) < 2:
            raise DataError(message(f"{where}: lossFcn", "to return a loss and gradients", describe(result)))
        loss = result[0].item() if isinstance(result[0], (dlarray, np.ndarray, np.generic)) else float(result[0])
        return _Point(vector, float(loss), _flat(matching(result[1], arrays, f"{where}: gradients")), list(result[2:]))

    if np.size(solverState.Loss) == 0:
        here = evaluate(start)
    else:
        gradient = _flat(leaves(solverState.Gradients, where))
        here = _Point(start, float(solverState.Loss), gradient, solverState.AdditionalLossFunctionOutputs)
    steps, changes = list(solverState.StepHistory), list(solverState.GradientsDifferenceHistory)
    direction = _direction(here.gradient, steps, changes, solverState.InitialInverseHessianFactor)
    if here.gradient @ direction >= 0:  # no descent: forget what was remembered
        steps, changes, direction = [], [], -solverState.InitialInverseHessianFactor * here.gradient
    size = 1.0
    if not steps:
        norm = float(np.linalg.norm(direction)) or 1.0
        first = solverState.InitialStepSize
        size = first / norm if np.size(first) else min(1.0, 1.0 / norm)
    there, status = _search(evaluate, here, direction, size, chosen)
    step, change = there.vector - here.vector, there.gradient - here.gradient
    if step @ change > 1e-10 * float(step @ step):
        keep = solverState.HistorySize
        steps, changes = [*steps, step][-keep:], [*changes, change][-keep:]
    new = {
        **solverState.fields(),
        "Loss": there.loss,
        "Gradients": rebuilt(state_of(params), iter(_shaped(there.gradient, arrays))),
        "AdditionalLossFunctionOutputs": there.more,
        "GradientsNorm": float(np.linalg.norm(there.gradient)),
        "StepNorm": float(np.linalg.norm(step)),
        "LineSearchStatus": status,
        "StepHistory": steps,
        "GradientsDifferenceHistory": changes,
    }
    return placed(there.vector), Structure(**new)


class _Point:
    """Parameters as a vector, with loss and gradient there and what else the loss function returned."""

    def __init__(self, vector: np.ndarray, loss: float, gradient: np.ndarray, more: list[Any]) -> None:
        self.vector, self.loss, self.gradient, self.more = vector, loss, gradient, more


def _direction(gradient: np.ndarray, steps: list[np.ndarray], changes: list[np.ndarray], factor: float) -> np.ndarray:
    """Return minus the product of inverse Hessian matrix and gradient, by the loop of two recursions."""
    q = gradient.copy()
    memory = []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1 / (y @ s)
        alpha = rho * (s @ q)
        q -= alpha * y
        memory.append((rho, alpha))
    q *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1]) if steps else factor
    for s, y, (rho, alpha) in zip(steps, changes, reversed(memory), strict=True):
        q += (alpha - rho * (y @ q)) * s
    return -q


def _search(
    evaluate: Callable[[np.ndarray], _Point], here: _Point, direction: np.ndarray, size: float, chosen: Declared
) -> tuple[_Point, str]:
    """Return a point along a direction that meets the conditions, found by doubling and bisection, and the status."""
    slope = float(here.gradient @ direction)
    if slope == 0:
        return here, "completed"
    low, high, best = 0.0, math.inf, here
    for _ in range(chosen.MaxNumLineSearchIterations):
        there = evaluate(here.vector + size * direction)
        along = float(there.gradient @ direction)
        if there.loss < best.loss:
            best = there
        if not there.loss <= here.loss + _DECREASE * size * slope:
            high = size
        elif chosen.LineSearchMethod == "backtracking":
            return there, "completed"
        elif along < _CURVATURE * slope:
            low = size
        elif chosen.LineSearchMethod == "strong-wolfe" and along > -_CURVATURE * slope:
            high = size
        else:
            return there, "completed"
        size = 2 * size if math.isinf(high) else (low + high) / 2
    return best, "failed"


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
