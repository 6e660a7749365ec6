"""dljacobian, dldivergence and dllaplacian of fields, and dlaccelerate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted
from mlnet.autodiff.differentiate import dlgradient
from mlnet.errors import DataError, message
from mlnet.options import Declared, Derived, Group, Option, Table, describe
from mlnet.rules import choice, flag, integer, number

_HIGHER = Option("EnableHigherDerivatives", True, flag(), "Whether the result can be differentiated again.")


class _Options(Declared):
    constructor_name = "dljacobian"
    table = Table(_HIGHER)


def dljacobian(u: dlarray, x: dlarray, dim: int, *args: Any, **options: Any) -> dlarray:
    """Return the Jacobian matrices of values with respect to variables; only inside `dlfeval`.

    Parameters
    ----------
    u : dlarray
        Values at points: its dimension ``dim`` counts the values, all others the points.
    x : dlarray
        The points: its dimension ``dim`` counts the variables. Values at one point depend on that point only.
    dim : positive integer
    EnableHigherDerivatives : true or false (1 or 0), default True

    Returns
    -------
    dlarray
        (values, variables, points...), unformatted.

    Raises
    ------
    DataError
        Where the arrays do not have the same points, or are not traced.

    Examples
    --------
    >>> from mlnet import dlarray, dlfeval, dljacobian
    >>> dlfeval(lambda x: dljacobian(x ** 2, x, 1), dlarray([[1, 2], [3, 4]])).extractdata()[:, :, 1]
    array([[4., 0.],
           [0., 8.]])
    """
    higher = _Options(*args, **options).EnableHigherDerivatives
    u, x, axis = _points(u, x, dim, "dljacobian")
    rows = [_gradient(u[(slice(None),) * axis + (number,)], x, higher) for number in range(u.shape[axis])]
    return np.stack([np.moveaxis(row, axis, 0) for row in rows])


def dldivergence(u: dlarray, x: dlarray, dim: int, *args: Any, **options: Any) -> dlarray:
    """Return the divergence of a vector field, the sum of the derivatives of each component by its variable.

    Arguments are those of `dljacobian`, with as many values as variables; the result has one element along ``dim``.

    Examples
    --------
    >>> from mlnet import dlarray, dldivergence, dlfeval
    >>> dlfeval(lambda x: dldivergence(x ** 2, x, 1), dlarray([[1, 2], [3, 4]])).extractdata()
    array([[ 8., 12.]])
    """
    higher = _Options(*args, **options).EnableHigherDerivatives
    u, x, axis = _points(u, x, dim, "dldivergence")
    if u.shape[axis] != x.shape[axis]:
        raise DataError(message("dldivergence", f"{x.shape[axis]} values, one for each variable", f"{u.shape[axis]}"))
    part = (slice(None),) * axis
    terms = [
        _gradient(u[(*part, number)], x, higher)[(*part, slice(number, number + 1))] for number in range(x.shape[axis])
    ]
    return functools.reduce(np.add, terms)


def dllaplacian(u: dlarray, x: dlarray, dim: int, *args: Any, **options: Any) -> dlarray:
    """Return the Laplacian of values, the sum of the second derivatives by all variables; only inside `dlfeval`.

    Arguments are those of `dljacobian`; the result has the shape of u, without labels.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, dlfeval, dllaplacian
    >>> u = lambda x: np.sum(x ** 3, axis=0, keepdims=True)
    >>> dlfeval(lambda x: dllaplacian(u(x), x, 1), dlarray([[1, 2], [3, 4]])).extractdata()
    array([[24., 36.]])
    """
    higher = _Options(*args, **options).EnableHigherDerivatives
    u, x, axis = _points(u, x, dim, "dllaplacian")
    part = (slice(None),) * axis
    results = []
    for value in range(u.shape[axis]):
        first = _gradient(u[(*part, value)], x, True)
        terms = [
            _gradient(first[(*part, number)], x, higher)[(*part, slice(number, number + 1))]
            for number in range(x.shape[axis])
        ]
        results.append(functools.reduce(np.add, terms))
    return np.concatenate(results, axis=axis)


class AcceleratedFunction(Declared):
    """A function that `dlaccelerate` has returned, with the properties that it has in MATLAB.

    Nothing is remembered here, so that there is no hit and nothing to check: whatever they are, a call gives the same.
    """

    table = Table(
        Derived("Function", lambda self: self._function, "What is called.", Group.PLAIN),
        Option("Enabled", True, flag(), "Whether MATLAB would remember traces.", Group.PLAIN),
        Option("CacheSize", 50, integer(), "How many traces MATLAB would remember.", Group.PLAIN),
        Derived("HitRate", lambda self: 0, "Share of the calls with a trace that was remembered: 0.", Group.PLAIN),
        Derived("Occupancy", lambda self: 0, "Share of CacheSize that is in use: 0.", Group.PLAIN),
        Option("CheckMode", "none", choice("none", "tolerance"), "How MATLAB would check traces.", Group.PLAIN),
        Option("CheckTolerance", 1e-4, number(0, above=True), "Tolerance of 'tolerance'.", Group.PLAIN),
    )

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        for name, value in {
            "_function": function,
            "__wrapped__": function,
            "__name__": getattr(function, "__name__", type(function).__name__),
            "__doc__": function.__doc__,
        }.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> AcceleratedFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> AcceleratedFunction:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return AcceleratedFunction, (self._function,), {"_values": dict(self._values)}

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Return what the function returns."""
        return self._function(*args, **options)


def dlaccelerate(fun: Callable[..., Any]) -> AcceleratedFunction:
    """Return a function that does what ``fun`` does.

    In MATLAB the result remembers the trace of calls with arrays of the same size. Here nothing is remembered: a call
    of the result is a call of the function, so that scripts run as they are. Its properties Enabled, CacheSize,
    CheckMode and CheckTolerance can be set as in MATLAB; HitRate and Occupancy stay 0.

    Raises
    ------
    DataError
        Where ``fun`` is not a function.

    Examples
    --------
    >>> from mlnet import dlaccelerate
    >>> accelerated = dlaccelerate(abs)
    >>> accelerated(-1)
    1
    >>> accelerated
      AcceleratedFunction with properties:
    <BLANKLINE>
              Function: @abs
               Enabled: 1
             CacheSize: 50
               HitRate: 0
             Occupancy: 0
             CheckMode: 'none'
        CheckTolerance: 1.0000e-04
    """
    if not callable(fun):
        raise DataError(message("dlaccelerate", "a function", describe(fun)))
    return AcceleratedFunction(fun)


def clearCache(accfun: AcceleratedFunction) -> None:
    """Forget the traces of a function that `dlaccelerate` has returned: there are none here, so nothing changes.

    Raises
    ------
    DataError
        Where ``accfun`` is no such function.

    Examples
    --------
    >>> from mlnet import clearCache, dlaccelerate
    >>> clearCache(dlaccelerate(abs))
    """
    if not isinstance(accfun, AcceleratedFunction):
        raise DataError(message("clearCache", "a function that dlaccelerate has returned", describe(accfun)))


def _gradient(values: dlarray, x: dlarray, higher: bool) -> dlarray:
    return dlgradient(np.sum(values), x, RetainData=True, EnableHigherDerivatives=higher)


def _points(u: Any, x: Any, dim: Any, where: str) -> tuple[dlarray, dlarray, int]:
    if not isinstance(u, dlarray) or not isinstance(x, dlarray):
        raise DataError(message(where, "dlarrays", f"{describe(u)} and {describe(x)}"))
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or not 1 <= dim <= u.ndim == x.ndim:
        needed = f"arrays of the same number of dimensions and dim from 1 to {x.ndim}"
        raise DataError(message(where, needed, f"{u.shape}, {x.shape} and dim {dim!r}"))
    axis = int(dim) - 1
    points = [[n for place, n in enumerate(each.shape) if place != axis] for each in (u, x)]
    if points[0] != points[1]:
        raise DataError(message(where, f"values at the {points[1]} points of x", f"values at {points[0]}"))
    return unformatted(u), unformatted(x), axis
