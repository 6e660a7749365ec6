"""The tape: which rule made each traced value from which others, and the pass back through it.

A `Rule` is a function with its vector-Jacobian products, written in NumPy. The pass back calls them with plain arrays,
or, where higher derivatives are wanted, with traced arrays, so that it is recorded as any other computation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any

import numpy as np

from mlnet.parallel.kernels import suiting

Labels = Callable[[list[str], list[int], dict[str, Any]], str]
"""Labels of a result, from the labels and numbers of dimensions of the inputs and the options; '' for none."""


class Rule:
    """A function of arrays and its derivatives.

    Parameters
    ----------
    function : callable
        ``function(*arrays, **options) -> array``; changes none of its arguments.
    derivatives : tuple of callables, or callable
        One for each array, ``derivative(g, y, *arrays, **options)``: the gradient of that array, given the gradient
        ``g`` of the result ``y``; None for an array without a gradient. It may have the shape of ``y`` where the array
        was repeated to it. A callable ``derivative(position, g, y, *arrays, **options)`` stands for any number of
        arrays; an empty tuple for a function whose result has no gradient at all.
    labels : callable, optional
        Labels of the result, see `Labels`; by default dimensions of the same label are matched, as in MATLAB.
    counts : bool
        Whether logical arguments count as the numbers 0 and 1 in double precision.
    """

    __slots__ = ("_each", "counts", "derivatives", "function", "is_differentiable", "labels")
    takes_one_type = True
    """Whether single arrays make single ones of the other arguments, as in MATLAB."""

    def __init__(
        self,
        function: Callable[..., Any],
        derivatives: Sequence[Callable[..., Any] | None] | Callable[..., Any] = (),
        labels: Labels | None = None,
        *,
        counts: bool = False,
    ) -> None:
        self.function, self.derivatives, self.labels = function, derivatives, labels
        self.counts = counts
        self._each = None if callable(derivatives) else tuple(derivatives)
        self.is_differentiable = callable(derivatives) or any(derivatives)

    def gradient(self, position: int, *given: Any, **options: Any) -> Any:
        """Return the gradient of the array at ``position``, or None where it has none."""
        if self._each is None:
            return self.derivatives(position, *given, **options)  # type: ignore[operator]
        derivative = self._each[position]
        return None if derivative is None else derivative(*given, **options)

    def gradients(self, wanted: Sequence[bool], *given: Any, **options: Any) -> Sequence[Any]:
        """Return the gradient of each array, None for those that are not wanted."""
        return [self.gradient(place, *given, **options) if wish else None for place, wish in enumerate(wanted)]


class JointRule(Rule):
    """A function whose gradients are computed together: ``derivatives(wanted, g, y, *arrays, **options)``.

    It returns one gradient for each array, or None, and computes those for which ``wanted`` is true.
    """

    __slots__ = ()
    takes_one_type = False

    def gradients(self, wanted: Sequence[bool], *given: Any, **options: Any) -> Sequence[Any]:
        """Return the gradient of each array, None for those that are not wanted."""
        return self.derivatives(wanted, *given, **options)  # type: ignore[operator]


class Trace:
    """One evaluation that records; what it made is a constant once it is over."""

    __slots__ = ("is_open", "number")
    _numbers = count()

    def __init__(self) -> None:
        self.is_open, self.number = True, next(Trace._numbers)


class Node:
    """One traced value: the rule that made it and its inputs, nodes or constants; ``rule`` is None for a variable.

    Nodes are numbered as they are made, so that inputs have lower numbers. ``value`` is None after `release`.
    """

    __slots__ = ("inputs", "number", "options", "rule", "trace", "value")
    _numbers = count()

    def __init__(
        self,
        trace: Trace,
        value: np.ndarray,
        rule: Rule | None = None,
        inputs: Sequence[Any] = (),
        options: dict[str, Any] | None = None,
    ) -> None:
        self.trace, self.value, self.rule, self.inputs, self.options = trace, value, rule, inputs, options or {}
        self.number = next(Node._numbers)

    def parents(self) -> list[Node]:
        """Return the inputs that are traced."""
        return [each for each in self.inputs if type(each) is Node]

    def restore(self) -> None:
        """Compute the value again after it was released."""
        if self.value is None and self.rule is not None:
            values = [each.value if type(each) is Node else each for each in self.inputs]
            self.value = np.asarray(self.rule.function(*values, **self.options))


def release(outputs: Collection[Node]) -> None:
    """Forget the values between variables and ``outputs``; a later pass back computes them again."""
    for node in history(outputs):
        if node.rule is not None:
            node.value = None  # type: ignore[assignment]


def history(outputs: Collection[Node], since: int = 0) -> list[Node]:
    """Return all nodes with numbers from ``since`` on which ``outputs`` depend, inputs before results."""
    found: set[Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in found and node.number >= since:
            found.add(node)
            waiting += node.parents()
    return sorted(found, key=lambda node: node.number)


def gradients(
    outputs: Sequence[tuple[Node, Any]],
    wanted: Collection[Node],
    wrap: Callable[[Node], Any] | None = None,
    since: int = 0,
) -> dict[Node, Any]:
    """Return the gradients of the nodes in ``wanted`` on which the outputs depend.

    Parameters
    ----------
    outputs : sequence of (Node, array)
        Results and their gradients.
    wanted : collection of Node
    wrap : callable, optional
        Makes a traced array of a node; given where the pass back is to be recorded.
    since : int, default 0
        The lowest number that a node in ``wanted`` has: what was made before is not gone through.
    """
    order = history([node for node, _ in outputs], since)
    wanted = set(wanted)
    needed = set(wanted)
    for node in order:
        node.restore()
        if node not in needed and any(parent in needed for parent in node.parents()):
            needed.add(node)
    found: dict[Node, Any] = {}
    own: set[Node] = set()
    for node, seed in outputs:
        _add(found, own, node, seed)
    value_of: Callable[[Node], Any] = wrap or (lambda node: node.value)
    for node in reversed(order):
        if node.rule is None or node not in needed or node not in found:
            continue
        gradient = found[node] if node in wanted else found.pop(node)
        arrays = [value_of(each) if type(each) is Node else each for each in node.inputs]
        y = value_of(node)
        wishes = [type(parent) is Node and parent in needed for parent in node.inputs]
        parts = node.rule.gradients(wishes, gradient, y, *arrays, **node.options)
        for parent, wish, part in zip(node.inputs, wishes, parts, strict=True):
            if wish and part is not None:
                _add(found, own, parent, _fitted(part, parent.value))
    return found


def _add(found: dict[Node, Any], own: set[Node], node: Node, gradient: Any) -> None:
    """Add to the gradient of a node; what is in ``own`` are sums that nobody else has, into which is added."""
    before = found.get(node)
    if before is None:
        found[node] = gradient
    elif type(before) is np.ndarray and type(gradient) is np.ndarray:
        found[node] = _sum(before, gradient, node in own)
        own.add(node)
    else:
        found[node] = before + gradient


def _sum(a: np.ndarray, b: np.ndarray, into: bool) -> np.ndarray:
    """Return ``a + b``, in the place of a if ``into``."""
    kernels = suiting(a, b)
    if kernels is None:
        return np.add(a, b, out=a) if into else a + b
    out = a if into else np.empty_like(a)
    kernels.add(a, b, out)
    return out


def _fitted(gradient: Any, value: np.ndarray) -> Any:
    """Return ``gradient`` summed over the axes along which ``value`` was repeated, in its type."""
    shape = value.shape
    if gradient.shape != shape:
        added = gradient.ndim - len(shape)
        repeated = [added + axis for axis, length in enumerate(shape) if length != gradient.shape[added + axis]]
        gradient = np.reshape(np.sum(gradient, axis=(*range(added), *repeated)), shape)
    return gradient if gradient.dtype == value.dtype else gradient.astype(value.dtype)
