"""dlarray: an array that NumPy's functions take, and that remembers how it was computed."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from mlnet.autodiff import formats
from mlnet.autodiff.operators import Operators
from mlnet.autodiff.tape import Node, Rule
from mlnet.errors import DataError, NotSupportedError, message
from mlnet.options import Shown, describe, from_one

UFUNCS: dict[np.ufunc, Rule | Callable[..., Any]] = {}
"""Functions of elements of NumPy and SciPy: their rules, or what to call in their place."""
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""All other functions of NumPy, and Python's getitem and setitem: what to call in their place."""

_USE_EXTRACTDATA = "Use NumPy's functions of the dlarray, or extractdata(x) where no derivative is wanted."


class dlarray(Operators, Shown):  # noqa: N801 - MATLAB's name
    """An array for automatic differentiation, with a label for each dimension where there is a format.

    NumPy's functions and Python's operators take it. Inside a function that `dlfeval` calls they record what is
    computed from the arguments, so that `dlgradient` can differentiate it.

    ``x[0, 1]`` counts from 0 as NumPy does; ``x(1, 2)`` counts from 1, takes ':' for a whole dimension and 'end' for
    its last element, and keeps all dimensions as MATLAB does; ``x(5)`` is the fifth element with the first dimension
    fastest.

    Single with double or whole numbers gives single, as in MATLAB; logical values count as numbers.

    Differs from MATLAB: without labels NumPy's rule holds that the last dimensions of arrays line up.

    Parameters
    ----------
    X : array of real numbers, or dlarray
        Single stays single and logical stays logical; all else becomes double. The data are copied.
    fmt : text, optional
        A label for each dimension: 'S' spatial, 'C' channel, 'B' batch, 'T' time, 'U' unspecified; 'S' and 'U' may come
        several times. Data are permuted to the order S, C, B, T, U. Dimensions of length 1 at the end may be left out.

    Raises
    ------
    DataError
        Where X is not an array of real numbers, or the format does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import dlarray
    >>> dlarray(np.ones((2, 3), 'single'), 'BC')
      3(C) x 2(B) single dlarray
    <BLANKLINE>
         1     1
         1     1
         1     1
    """

    __slots__ = ("_data", "_labels", "_node")
    __hash__ = None  # type: ignore[assignment]
    _data: np.ndarray
    _labels: str
    _node: Node | None

    def __init__(self, X: Any, fmt: str = "") -> None:  # noqa: N803
        given = X if isinstance(X, dlarray) else wrap(_numbers(X))
        if fmt:
            given = _formatted(unformatted(given), fmt)
        self._data, self._node, self._labels = given._data, given._node, given._labels

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self._data.dtype

    def dims(self) -> str:
        """Return the labels, '' for an unformatted array."""
        return self._labels

    def extractdata(self) -> np.ndarray:
        """Return a copy of the data as a NumPy array; what is computed from it is not differentiated."""
        return self._data.copy()

    def item(self) -> float:
        """Return the value of an array of one element; what is computed from it is not differentiated."""
        return self._data.item()

    def astype(self, dtype: Any) -> dlarray:
        """Return the array in another type."""
        return FUNCTIONS[np.ndarray.astype](self, dtype)

    def _call(self, ufunc: np.ufunc, *inputs: Any) -> Any:
        rule = UFUNCS.get(ufunc)
        if rule is None:
            from mlnet.autodiff import rules_special  # noqa: F401 - here, as it loads SciPy

            rule = UFUNCS.get(ufunc)
        if rule is None:
            _refuse(f"np.{ufunc.__name__}")
        return apply(rule, inputs) if isinstance(rule, Rule) else rule(*inputs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if options:
            fix = "Write e.g. x = x + y for x += y." if "out" in options else ""
            needed, came = "to be called without options for a dlarray", ", ".join(options)
            raise NotSupportedError(message(f"np.{ufunc.__name__}", needed, came, fix))
        if method != "__call__":
            _refuse(f"np.{ufunc.__name__}.{method}")
        return self._call(ufunc, *inputs)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        replacement = FUNCTIONS.get(function)
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        if replacement is None:
            _refuse(name)
        try:
            return replacement(*args, **options)
        except TypeError:
            _check_arguments(name, replacement, args, options)
            raise

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._cut("an array")
        return np.array(self._data, dtype)

    def __float__(self) -> float:
        self._cut("a number")
        return float(self._data.item())

    def __int__(self) -> int:
        self._cut("a number")
        return int(self._data.item())

    def __format__(self, spec: str) -> str:
        """Return the number as text, e.g. ``f"{loss:.4f}"``, also where it is traced: that loses no derivative."""
        if not spec:
            return str(self)
        if self.size != 1:
            fix = "Use extractdata(x) or print(x)."
            raise DataError(
                message("dlarray", f"a scalar for the format '{spec}'", f"size {'x'.join(map(str, self.shape))}", fix)
            )
        return format(self._data.item(), spec)

    def _cut(self, kind: str) -> None:
        """Raise where the array is traced: nobody would notice that a derivative is missing."""
        if is_traced(self):
            came = "a conversion that would lose the derivative"
            raise DataError(message("dlarray", f"to be traced on, not turned into {kind}", came, _USE_EXTRACTDATA))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[dlarray]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> dlarray:
        return FUNCTIONS[operator.getitem](self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        changed = FUNCTIONS[operator.setitem](self, index, value)
        self._data, self._node = changed._data, changed._node

    def __call__(self, *numbers: Any) -> dlarray:
        """Return the elements with MATLAB's numbers, counted from 1."""
        if len(numbers) == 1:
            flat = unformatted(self).reshape(-1, order="F")
            return flat[_from_one(numbers[0], self.size)]
        lengths = (*self.shape[: len(numbers) - 1], int(np.prod(self.shape[len(numbers) - 1 :])))
        lengths += (1,) * (len(numbers) - len(lengths))
        folded: dlarray = self if lengths == self.shape else self.reshape(lengths, order="F")
        for axis, each in enumerate(numbers):
            index = np.atleast_1d(_from_one(each, lengths[axis]))
            if index.size != lengths[axis] or (index != np.arange(lengths[axis])).any():
                folded = folded[(slice(None),) * axis + (index,)]
        return folded

    def __reduce__(self) -> tuple[Any, ...]:
        return dlarray, (self._data, self._labels)

    def __copy__(self) -> dlarray:
        return wrap(self._data, self._node, self._labels)

    def __deepcopy__(self, memory: Any) -> dlarray:
        return self.__copy__()


def wrap(data: np.ndarray, node: Node | None = None, labels: str = "") -> dlarray:
    """Return a dlarray of ``data`` itself."""
    array: dlarray = object.__new__(dlarray)
    array._data, array._node, array._labels = data, node, labels
    return array


def unformatted(array: dlarray) -> dlarray:
    """Return ``array`` without labels."""
    return wrap(array._data, array._node) if array._labels else array


def is_traced(array: dlarray) -> bool:
    """Tell whether what is computed from ``array`` is recorded."""
    return array._node is not None and array._node.trace.is_open


def data_of(value: Any) -> Any:
    """Return ``value`` with the data of dlarrays in their place, also inside lists, tuples and slices."""
    if isinstance(value, dlarray):
        return value._data
    if isinstance(value, slice):
        return slice(*map(data_of, (value.start, value.stop, value.step)))
    return type(value)(map(data_of, value)) if type(value) in (list, tuple) else value


_NO_OPTIONS: dict[str, Any] = {}


def apply(rule: Rule, inputs: Sequence[Any], options: dict[str, Any] = _NO_OPTIONS) -> dlarray:
    """Return what a rule makes of arrays and options, recorded where an array is traced."""
    values, kept, trace = [], [], None
    first: Any = None
    is_mixed = False
    for each in inputs:
        if type(each) is dlarray:
            if each._labels:
                return _apply_formatted(rule, inputs, options)
            node = each._node
            each = each._data
            dtype: Any = each.dtype
            values.append(each)
            if node is not None and node.trace.is_open:
                if trace is None or node.trace.number < trace.number:
                    trace = node.trace
                each = node
            kept.append(each)
        else:
            if type(each) is list:
                each = np.asarray(each)
            dtype = getattr(each, "dtype", None)
            values.append(each)
            kept.append(each)
        if dtype is not first and dtype is not None:
            is_mixed, first = first is not None, dtype
    if (is_mixed or first is _LOGICAL) and rule.takes_one_type:
        converted = _of_one_type(inputs, values, rule)
        if converted is not None:
            return apply(rule, converted, options)
    value = rule.function(*values, **options)
    if type(value) is not np.ndarray:
        value = np.asarray(value)
    if trace is None or not rule.is_differentiable:
        return wrap(value)
    return wrap(value, Node(trace, value, rule, kept, options))


_SINGLE, _DOUBLE = np.dtype("single"), np.dtype("double")
_LOGICAL, _WEAK = np.dtype(np.bool_), np.dtype(object)
"""The last one stands for Python's numbers, which take the type of what they meet."""


def _of_one_type(inputs: Sequence[Any], values: Sequence[Any], rule: Rule) -> list[Any] | None:
    """Return arguments in the type in which MATLAB would compute, or None where they are in it.

    That is single where one of them is, and double for logical ones where numbers are wanted.
    """
    types = [each.dtype if isinstance(each, (np.ndarray, np.generic)) else _WEAK for each in values]
    wanted: Any
    if _SINGLE in types:
        wanted, others = _SINGLE, {_SINGLE, _LOGICAL, _WEAK}
    elif rule.counts and set(types) <= {_LOGICAL, _WEAK}:
        wanted, others = _DOUBLE, {_WEAK}
    else:
        return None
    if others.issuperset(types):
        return None
    pairs = zip(inputs, types, strict=True)
    return [each if dtype in others else _as_type(each, wanted) for each, dtype in pairs]


def _as_type(value: Any, dtype: np.dtype) -> Any:
    return value.astype(dtype) if type(value) is dlarray else np.asarray(value, dtype)


def call(rule: Rule, *inputs: Any, **options: Any) -> Any:
    """Return what a rule makes of arrays: a dlarray where one of them is, a NumPy array otherwise."""
    if any(type(each) is dlarray for each in inputs):
        return apply(rule, inputs, options)
    return rule.function(*inputs, **options)


def _apply_formatted(rule: Rule, inputs: Sequence[Any], options: dict[str, Any]) -> dlarray:
    """Apply a rule to arrays of which some have labels."""
    labels = [each._labels if type(each) is dlarray else "" for each in inputs]
    plain = [unformatted(each) if type(each) is dlarray else each for each in inputs]
    shapes = [np.shape(each._data if type(each) is dlarray else each) for each in plain]
    if rule.labels is None:
        result, aligned = formats.matched(labels, shapes)
        plain = [
            each if shape == new else np.reshape(each, new)
            for each, shape, new in zip(plain, shapes, aligned, strict=True)
        ]
    else:
        result = rule.labels(labels, [len(shape) for shape in shapes], options)
    array = apply(rule, plain, options)
    return wrap(array._data, array._node, result)


def _formatted(array: dlarray, fmt: str) -> dlarray:
    """Return an array with labels, its dimensions in MATLAB's order."""
    labels = formats.parsed(fmt, array.shape)
    shape = (*array.shape[: len(labels)], *[1] * (len(labels) - array.ndim))
    order = formats.order_of(labels)
    if shape != array.shape:
        array = array.reshape(shape)
    if list(order) != sorted(order):
        array = array.transpose(order)
    return wrap(array._data, array._node, "".join(labels[axis] for axis in order))


def _numbers(data: Any) -> np.ndarray:
    array = np.array(data)
    if array.dtype.kind not in "fiub":
        raise DataError(message("dlarray", "an array of real numbers", describe(data)))
    return array if array.dtype in (np.float32, np.float64, np.bool_) else array.astype(np.float64)


def _from_one(numbers: Any, count: int) -> np.ndarray:
    """Return MATLAB's numbers as indices; ':' stands for all of them, 'end' for the last, logical values choose."""
    if isinstance(numbers, str):
        if numbers not in (":", "end"):
            fix = "Write a range of numbers as range(first, last + 1)."
            raise DataError(message("dlarray", "numbers from 1, ':' or 'end'", describe(numbers), fix))
        return np.arange(count) if numbers == ":" else np.arange(count)[-1:]
    given = np.asarray(data_of(numbers))
    if given.dtype == np.bool_:
        return np.flatnonzero(given)
    return from_one("dlarray", given.astype(np.int64) if (given == given.round()).all() else given, count)


def _refuse(name: str) -> NoReturn:
    raise NotSupportedError(message(name, "arrays", "a dlarray, for which it has no rule", _USE_EXTRACTDATA))


def _check_arguments(name: str, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raise where arguments do not fit the signature of what stands for a NumPy function."""
    signature = inspect.signature(function)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    signature = signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        needed = f"the arguments {signature} for a dlarray"
        raise NotSupportedError(message(name, needed, f"others ({error})")) from None
