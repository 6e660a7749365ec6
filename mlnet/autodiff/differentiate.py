"""dlfeval and dlgradient, and `vjp`, with which layers differentiate the functions of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.array import apply, dlarray, is_traced, wrap
from mlnet.autodiff.containers import mapped
from mlnet.autodiff.tape import Node, Rule, Trace, gradients, release
from mlnet.errors import DataError, message
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import flag

Pullback = Callable[..., tuple[np.ndarray | None, ...]]


def dlfeval(fun: Callable[..., Any], *x: Any) -> Any:
    """Call a function so that derivatives can be computed inside it.

    Parameters
    ----------
    fun : callable
    *x : any values
        Arguments of the function. The dlarrays among them, also those inside lists, tuples, dicts, structures and
        tables, are traced while the function runs.

    Returns
    -------
    What the function returns; its dlarrays are no longer traced.

    Raises
    ------
    DataError
        Where ``fun`` is not a function.

    Examples
    --------
    >>> from mlnet import dlarray, dlfeval, dlgradient
    >>> def rosenbrock(x):
    ...     y = 100 * (x(2) - x(1) ** 2) ** 2 + (1 - x(1)) ** 2
    ...     return y, dlgradient(y, x)
    >>> value, gradient = dlfeval(rosenbrock, dlarray([-1, 2]))
    >>> gradient
      1x2 dlarray
    <BLANKLINE>
       396   200
    """
    if not callable(fun):
        raise DataError(message("dlfeval", "a function as its first argument", describe(fun)))
    trace = Trace()
    try:
        result = fun(*[mapped(each, lambda array: _variable(array, trace)) for each in x])
    finally:
        trace.is_open = False
    return mapped(result, _untraced)


class _DerivativeOptions(Declared):
    """The options of dlgradient."""

    constructor_name = "dlgradient"
    table = Table(
        Option("RetainData", False, flag(), "Whether the values in between are kept for a later derivative."),
        Option("EnableHigherDerivatives", False, flag(), "Whether the gradients can be differentiated again."),
    )


def dlgradient(y: Any, *x: Any, **options: Any) -> Any:
    """Return the gradients of a scalar; only inside a function that `dlfeval` calls.

    Parameters
    ----------
    y : dlarray of one element
        What is differentiated.
    *x : dlarray, or list, tuple, dict, structure or table of them
        With respect to what. Each has to be traced: an argument of the function that dlfeval calls, or computed from
        one. After them options may come as pairs.
    RetainData : true or false (1 or 0), default False
        Whether the values in between are kept for a later derivative. Without it they are released, and computed
        once more where a later derivative needs them.
    EnableHigherDerivatives : true or false (1 or 0), default False
        Whether the gradients are traced, so that they can be differentiated again.

    Returns
    -------
    The gradient for ``x``, in its structure; a tuple for several. Where ``y`` does not depend on an array it is 0.

    Raises
    ------
    DataError
        Where ``y`` is not a scalar, or something is not traced.
    OptionError, UnknownNameError
        Where an option has a bad value or does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray, dlfeval, dlgradient
    >>> def third(x):
    ...     dx = dlgradient(np.sum(np.sin(x)), x, EnableHigherDerivatives=True)
    ...     return dlgradient(np.sum(dx), x)
    >>> dlfeval(third, dlarray([0.5])).extractdata().round(4)
    array([-0.4794])
    """
    first = next((number for number, each in enumerate(x) if isinstance(each, str)), len(x))
    chosen = _DerivativeOptions(*x[first:], **options)
    structures = x[:first]
    if not structures:
        raise DataError(message("dlgradient", "y and at least one array", "only y"))
    node = _checked(y)
    variables: list[dlarray] = []
    for each in structures:
        mapped(each, lambda array: variables.append(array) or array)  # type: ignore[func-returns-value]
        _check_traced(each, variables)
    nodes = [each._node for each in variables if each._node is not None]
    higher = chosen.EnableHigherDerivatives
    one = np.ones_like(y._data)
    found = gradients([(node, wrap(one) if higher else one)], nodes, wrap=_traced if higher else None)
    if not (higher or chosen.RetainData):
        release([node])

    def gradient(array: dlarray) -> dlarray:
        assert array._node is not None
        result = found.get(array._node, np.zeros_like(array._data))
        if not isinstance(result, dlarray):
            result = wrap(np.array(result))
        if higher and result._node is None:  # a constant: its derivative is 0, not an error
            result = _variable(result, node.trace)
        return wrap(result._data, result._node, array._labels)

    results = tuple(mapped(each, gradient) for each in structures)
    return results[0] if len(results) == 1 else results


def vjp(function: Callable[..., Any], arrays: Sequence[dlarray]) -> tuple[tuple[dlarray, ...], Pullback]:
    """Call a function, and return its results with the function that carries gradients back.

    Parameters
    ----------
    function : callable
        Takes dlarrays and returns one, or a tuple or list of them.
    arrays : sequence of dlarray
        Its arguments.

    Returns
    -------
    outputs : tuple of dlarray
    pullback : callable
        ``pullback(*gradients, wanted=None)``, with an array or None for each output in its shape, returns the gradients
        of all arguments, or None for those for which ``wanted`` is False.

    Raises
    ------
    DataError
        Where the function returns something else than arrays.
    """
    trace = Trace()
    variables = [_variable(array, trace) for array in arrays]
    nodes = [each._node for each in variables]  # before the function assigns to elements of its arguments
    try:
        result = function(*variables)
    finally:
        trace.is_open = False
    outputs = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if any(not isinstance(each, (dlarray, np.ndarray)) for each in outputs):
        raise DataError(message("the function", "to return arrays", describe(result)))
    found = tuple(each if isinstance(each, dlarray) else wrap(each) for each in outputs)

    def pullback(
        *given: np.ndarray | None, wanted: Sequence[bool] = (True,) * len(nodes)
    ) -> tuple[np.ndarray | None, ...]:
        seeds = [
            (output._node, gradient)
            for output, gradient in zip(found, given, strict=True)
            if output._node is not None and gradient is not None
        ]
        chosen = [node if wish else None for node, wish in zip(nodes, wanted, strict=True)]
        parts = gradients(seeds, [node for node in chosen if node is not None])
        return tuple(
            None if node is None else np.asarray(parts.get(node, np.zeros_like(node.value))) for node in chosen
        )

    return found, pullback


_SAME = Rule(lambda x: x, (lambda g, y, x: g,), formats.keep)


def traced_gradients(
    function: Callable[..., dlarray], wanted: Sequence[bool], g: Any, arrays: Sequence[Any]
) -> list[dlarray | None]:
    """Return the gradients of the arguments of a function, recorded so that they can be differentiated again.

    Parameters
    ----------
    function : callable
        Takes dlarrays and returns one.
    wanted : sequence of bool
        For which arguments.
    g : dlarray or ndarray
        The gradient of what the function returns.
    arrays : sequence of dlarray or ndarray
        Its arguments, of which some are traced.
    """
    inputs = [apply(_SAME, (each,)) if isinstance(each, dlarray) else wrap(each) for each in arrays]
    nodes = [each._node for each in inputs]
    y = function(*inputs)
    variables = [node for node, wish in zip(nodes, wanted, strict=True) if wish and node is not None]
    if y._node is None or not variables:
        return [None] * len(inputs)
    since = min(node.number for node in nodes if node is not None)
    found = gradients([(y._node, g)], variables, wrap=_traced, since=since)
    return [found.get(node) if wish and node is not None else None for node, wish in zip(nodes, wanted, strict=True)]


def _variable(array: dlarray, trace: Trace) -> dlarray:
    """Return an array from which what is computed is recorded."""
    return array if is_traced(array) else wrap(array._data, Node(trace, array._data), array._labels)


def _untraced(array: dlarray) -> dlarray:
    """Return an array without its history, unless it belongs to an evaluation around this one."""
    return array if is_traced(array) else wrap(array._data, None, array._labels)


def _traced(node: Node) -> dlarray:
    return wrap(node.value, node)


def _checked(y: Any) -> Node:
    """Return the node of what is differentiated."""
    where = "dlgradient: y"
    if not isinstance(y, dlarray):
        raise DataError(message(where, "a traced dlarray", describe(y)))
    if y.size != 1:
        size = "x".join(map(str, y.shape if y.ndim > 1 else (1, *y.shape)))
        raise DataError(message(where, "a scalar", f"size {size}", "Differentiate e.g. np.sum(y) or np.mean(y)."))
    if y._node is None or not is_traced(y):
        fix = "Call dlgradient inside a function that dlfeval calls, and compute y there from its arguments."
        raise DataError(message(where, "a traced dlarray", "one that is not", fix))
    return y._node


def _check_traced(x: Any, variables: list[dlarray]) -> None:
    where = "dlgradient: x"
    if not variables:
        raise DataError(message(where, "dlarrays", describe(x)))
    if not all(map(is_traced, variables)):
        fix = "Give it to the function as an argument of dlfeval, or compute it there from one."
        raise DataError(message(where, "a traced dlarray", "one that is not", fix))
