"""The steps of solvers as functions, for training loops of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.errors import OptionError, message
from mlnet.options import describe
from mlnet.training.own_loops.trees import leaves, rebuilt, updated

_ARGUMENTS = """
    params : dlnetwork, table, structure, dict, list or array
        The parameters; all arrays of it, for a network its learnables.
    grad : the same
        The gradients, for a network the table of ``dlgradient(loss, net.Learnables)``.
"""


def sgdmupdate(
    params: Any, grad: Any, vel: Any = (), learnRate: float = 0.01, momentum: float = 0.9
) -> tuple[Any, Any]:
    """Return parameters after a step of gradient descent with momentum: ``v = momentum v - learnRate g``, ``p + v``.

    Parameters
    ----------
    {arguments}
    vel : the same, or []
        The velocity, [] at the beginning.
    learnRate : number, default 0.01
    momentum : number, default 0.9

    Returns
    -------
    params, vel
        ``net, vel = sgdmupdate(net, grad, vel)``; what was given does not change.

    Raises
    ------
    DataError
        Where gradients or velocity do not fit the parameters.
    OptionError
        Where a number is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import sgdmupdate
    >>> p, v = sgdmupdate(np.array([1.0]), np.array([2.0]), [], 0.1)
    >>> p, v
    (array([0.8]), array([-0.2]))
    """
    rate, share = _numbers("sgdmupdate", learnRate=learnRate, momentum=momentum)

    def step(value: np.ndarray, gradient: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, ...]:
        velocity = velocity * _as(value, share) - gradient * _as(value, rate)
        return value + velocity, velocity

    return updated("sgdmupdate", params, grad, {"vel": vel}, step)


def rmspropupdate(
    params: Any,
    grad: Any,
    averageSqGrad: Any = (),
    learnRate: float = 0.001,
    sqGradDecay: float = 0.9,
    epsilon: float = 1e-8,
) -> tuple[Any, Any]:
    """Return parameters after a step of RMSProp: ``s = d s + (1 - d) g**2``, ``p - learnRate g / (sqrt(s) + epsilon)``.

    Parameters
    ----------
    {arguments}
    averageSqGrad : the same, or []
        The moving squares, [] at the beginning.
    learnRate : number, default 0.001
    sqGradDecay : number, default 0.9
    epsilon : number, default 1e-8

    Returns
    -------
    params, averageSqGrad
        ``net, averageSqGrad = rmspropupdate(net, grad, averageSqGrad)``; what was given does not change.

    Raises
    ------
    DataError
        Where gradients or squares do not fit the parameters.
    OptionError
        Where a number is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import rmspropupdate
    >>> rmspropupdate(np.array([1.0]), np.array([2.0]), [], 0.1)[0].round(4)
    array([0.6838])
    """
    rate, decay, small = _numbers("rmspropupdate", learnRate=learnRate, sqGradDecay=sqGradDecay, epsilon=epsilon)

    def step(value: np.ndarray, gradient: np.ndarray, squared: np.ndarray) -> tuple[np.ndarray, ...]:
        squared = squared * _as(value, decay) + np.square(gradient) * _as(value, 1 - decay)
        return value - gradient * _as(value, rate) / (np.sqrt(squared) + _as(value, small)), squared

    return updated("rmspropupdate", params, grad, {"averageSqGrad": averageSqGrad}, step)


def adamupdate(
    params: Any,
    grad: Any,
    averageGrad: Any,
    averageSqGrad: Any,
    iteration: int,
    learnRate: float = 0.001,
    gradDecay: float = 0.9,
    sqGradDecay: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Any, Any, Any]:
    """Return parameters after a step of Adam with bias correction (Kingma and Ba, 2015).

    ``m = b1 m + (1 - b1) g``, ``s = b2 s + (1 - b2) g**2``,
    ``p - learnRate sqrt(1 - b2**t) / (1 - b1**t) m / (sqrt(s) + epsilon)``, as `trainNetwork` does.

    Parameters
    ----------
    {arguments}
    averageGrad, averageSqGrad : the same, or []
        The moving gradients m and squares s, [] at the beginning.
    iteration : int
        The number t of the iteration, from 1.
    learnRate : number, default 0.001
    gradDecay, sqGradDecay : number, default 0.9 and 0.999
        b1 and b2.
    epsilon : number, default 1e-8

    Returns
    -------
    params, averageGrad, averageSqGrad
        ``net, avg, avgSq = adamupdate(net, grad, avg, avgSq, iteration)``; what was given does not change.

    Raises
    ------
    DataError
        Where gradients or moving values do not fit the parameters.
    OptionError
        Where a number is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import adamupdate
    >>> adamupdate(np.array([1.0]), np.array([2.0]), [], [], 1, 0.1)[0].round(4)
    array([0.9])
    """
    where = "adamupdate"
    rate, b1, b2, small = _numbers(
        where, learnRate=learnRate, gradDecay=gradDecay, sqGradDecay=sqGradDecay, epsilon=epsilon
    )
    count = iteration.item() if isinstance(iteration, (dlarray, np.ndarray, np.generic)) else iteration
    if isinstance(count, bool) or not isinstance(count, (int, float)) or count < 1:
        raise OptionError(message(f"{where}: iteration", "a number of at least 1", describe(iteration)))
    correction = math.sqrt(1 - b2**count) / (1 - b1**count)

    def step(value: np.ndarray, gradient: np.ndarray, mean: np.ndarray, squared: np.ndarray) -> tuple[np.ndarray, ...]:
        mean = mean * _as(value, b1) + gradient * _as(value, 1 - b1)
        squared = squared * _as(value, b2) + np.square(gradient) * _as(value, 1 - b2)
        return value - mean * _as(value, rate * correction) / (np.sqrt(squared) + _as(value, small)), mean, squared

    states = {"averageGrad": averageGrad, "averageSqGrad": averageSqGrad}
    return updated(where, params, grad, states, step)


def dlupdate(fun: Callable[..., Any], params: Any, *more: Any) -> Any:
    """Return parameters with a function applied to each of their arrays.

    Parameters
    ----------
    fun : callable
        Takes an array of each argument, as dlarrays, and returns one, or a tuple of several.
    params : dlnetwork, table, structure, dict, list or array
        For a network its learnables, e.g. ``dlupdate(lambda w: w.astype('double'), net)``.
    *more : the same
        Of the same structure, e.g. gradients.

    Returns
    -------
    The parameters in their structure; a tuple where the function returns several arrays.

    Raises
    ------
    DataError
        Where the structures do not fit, or ``fun`` is not a function.

    Examples
    --------
    >>> from mlnet import dlupdate
    >>> dlupdate(lambda w, g: w - 0.5 * g, {{'a': 1.0, 'b': 2.0}}, {{'a': 1.0, 'b': 1.0}})
    {{'a': array(0.5), 'b': array(1.5)}}
    """
    where = "dlupdate"
    if not callable(fun):
        raise OptionError(message(where, "a function as its first argument", describe(fun)))
    columns = [[wrap(each) for each in leaves(value, where)] for value in (params, *more)]
    if len({len(column) for column in columns}) > 1:
        raise OptionError(message(where, "structures with as many arrays", ", ".join(str(len(c)) for c in columns)))
    results = [fun(*each) for each in zip(*columns, strict=True)]
    if all(isinstance(each, tuple) for each in results):
        return tuple(rebuilt(params, iter(column)) for column in zip(*results, strict=True))
    return rebuilt(params, iter(results))


def _as(value: np.ndarray, number: float) -> Any:
    return value.dtype.type(number)


def _numbers(where: str, **given: Any) -> list[float]:
    found = []
    for name, value in given.items():
        number = value.item() if isinstance(value, (dlarray, np.ndarray, np.generic)) and value.size == 1 else value
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
            raise OptionError(message(f"{where}: {name}", "a number of at least 0", describe(value)))
        found.append(float(number))
    return found


for _function in (sgdmupdate, rmspropupdate, adamupdate, dlupdate):
    _function.__doc__ = (
        (_function.__doc__ or "").replace("{arguments}", _ARGUMENTS.strip()).replace("{{", "{").replace("}}", "}")
    )
