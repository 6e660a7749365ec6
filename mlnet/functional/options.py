"""What the functions of this room share: options, data formats, and layers as functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from mlnet.autodiff.array import dlarray, unformatted, wrap
from mlnet.autodiff.labelled import stripdims
from mlnet.errors import DataError, MlnetError, OptionError, message
from mlnet.functional.batches import Batch, entering, formatted, size_of
from mlnet.functional.pairs import as_type, call_pair, common_type
from mlnet.functional.single import quick_call
from mlnet.layers.base import Call, Layer, Size, SizeError
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import Refused, Rule, choice

F = TypeVar("F", bound=Callable[..., Any])

DATA_FORMAT = Option(
    "DataFormat",
    "",
    Rule("a format such as 'SSCB' or 'CB'", lambda value: value if isinstance(value, str) else _refuse(), (1, None)),
    "Labels of the dimensions of unformatted data; the result is unformatted too.",
)


WEIGHTS_FORMAT = Option("WeightsFormat", "", choice("", "UC", "CU"), "'UC' (outputs, inputs), or 'CU'.")


def _refuse() -> Any:
    raise Refused


def _as_array(value: Any) -> Any:
    if isinstance(value, dlarray):
        return value
    array = np.asarray(value)
    return wrap(array) if array.dtype.kind in "fiub" else _refuse()


ARRAY = Rule("an array", _as_array, ("x", None))
"""An array or dlarray."""


def options_class(name: str, *options: Option) -> type[Declared]:
    """Return the class of the options of a function."""
    return type(f"_{name}Options", (Declared,), {"constructor_name": name, "table": Table(*options)})


def array_of(value: Any, where: str) -> dlarray:
    """Return numbers as a dlarray."""
    if isinstance(value, dlarray):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DataError(message(where, "an array of numbers", describe(value)))
    return wrap(array if array.dtype.kind == "f" else array.astype(np.float64))


def weights_of(weights: Any, fmt: str, order: str, where: str) -> dlarray:
    """Return weights without labels, with the dimensions that have labels (their own, or ``fmt``) in ``order``.

    Raises
    ------
    DataError
        Where ``fmt`` has other labels than ``order``, or the weights have labels of their own.
    """
    array = array_of(weights, f"{where}: weights")
    if fmt:
        if array.dims():
            raise DataError(message(f"{where}: WeightsFormat", "weights without labels", f"'{array.dims()}'"))
        if sorted(fmt) != sorted(order):
            raise DataError(message(f"{where}: WeightsFormat", f"the labels of '{order}' in any order", f"'{fmt}'"))
        array = dlarray(array, fmt)
    labels = array.dims()
    if sorted(labels) != sorted(order):
        return unformatted(array)
    places = {label: iter([n for n, each in enumerate(labels) if each == label]) for label in labels}
    axes = [next(places[label]) for label in order]
    array = unformatted(array)
    return array if axes == sorted(axes) else array.transpose(axes)


def with_format(X: Any, fmt: str, where: str) -> dlarray:
    """Return data with labels: their own, or those of DataFormat."""
    array = array_of(X, where)
    if fmt and array.dims():
        fix = "Leave DataFormat out for formatted data."
        raise OptionError(message(f"{where}: DataFormat", f"unformatted data beside '{fmt}'", f"'{array.dims()}'", fix))
    if not fmt and not array.dims():
        fix = "Give dlarray(X, 'CB'), or DataFormat='CB'."
        raise DataError(message(where, "formatted data or DataFormat", "an unformatted array", fix))
    return formatted(dlarray(array, fmt) if fmt else array, where)


def as_given(result: dlarray, fmt: str) -> dlarray:
    """Return a result unformatted, in the order of DataFormat, where that was given."""
    if not fmt:
        return result
    kept = "".join(label for label in fmt.upper() if label in result.dims())
    return stripdims(result, kept)


def takes_pairs(function: F) -> F:
    """Let a function take its options as pairs of name and value too: ``maxpool(X, 2, 'Stride', 2)``."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters
    count = sum(each.kind in kinds for each in parameters.values())
    own = {name.lower(): name for name, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        pairs = args[count:]
        if len(pairs) % 2 or not all(isinstance(name, str) for name in pairs[::2]):
            needed, came = "pairs of name and value as options", ", ".join(map(describe, pairs))
            raise OptionError(message(function.__name__, needed, came))
        named = [*zip(pairs[::2], pairs[1::2], strict=True), *options.items()]
        return function(*args[:count], **{own.get(name.lower(), name): value for name, value in named})

    return cast("F", called)


def positional(args: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the arrays in front, and the pairs of options behind them."""
    count = next((number for number, each in enumerate(args) if isinstance(each, str)), len(args))
    return tuple(args[:count]), tuple(args[count:])


class LayerFunction:
    """A layer computed as a function: its declaration checks sizes and options, its operation computes.

    Parameters
    ----------
    where : text
        The function that is called.
    constructor : callable
        Makes the layer; its errors get the name of the function.
    """

    def __init__(self, where: str, constructor: Any, *args: Any, **options: Any) -> None:
        self.where = where
        self._constructor = constructor.__name__
        self.layer: Layer = self._renamed(lambda: constructor(*args, **options))

    def _renamed(self, call: Any) -> Any:
        try:
            return call()
        except MlnetError as error:
            raise type(error)(str(error).replace(self._constructor, self.where)) from None

    def __call__(
        self,
        X: dlarray,
        *more: dlarray,
        parameters: Sequence[dlarray] = (),
        training: bool = True,
        generator: np.random.Generator | None = None,
    ) -> tuple[list[dlarray], Any]:
        """Return the outputs for formatted data and the record of the operation."""
        batch = entering(X)
        others = [entering(each) for each in more]
        sizes = [size_of(each, self.where) for each in (X, *more)]
        layer = self._checked(sizes)
        call: Call | None = layer.operation(*sizes, training=training)
        assert call is not None
        outputs, saved = run_call(self.where, call, [batch, *others], parameters, generator)
        found = layer.output_sizes(*sizes)
        return [batch.leaving(y, size, own) for (y, own), size in zip(outputs, found, strict=False)], saved

    def _checked(self, sizes: Sequence[Size]) -> Layer:
        try:
            for mistake in self.layer.mistakes(*sizes):
                raise mistake
            layer = self.layer.with_size(*sizes)
            layer.output_sizes(*sizes)
        except SizeError as error:
            raise DataError(message(self.where, error.needed, error.came, error.fix)) from None
        return layer


def run_call(
    where: str,
    call: Call,
    batches: Sequence[Batch],
    parameters: Sequence[dlarray],
    generator: np.random.Generator | None = None,
) -> tuple[list[tuple[dlarray, np.ndarray | None]], Any]:
    """Return what an operation of a layer makes of mini-batches, with the lengths of its sequences."""
    attributes = dict(call.attributes)
    lengths = batches[0].lengths
    arrays = [each.array for each in batches]
    if call.time is not None and lengths is not None:
        arrays = [
            each.array if each.lengths is None else each.array.reshape(len(each.lengths), -1, *each.array.shape[1:])
            for each in batches
        ]
        attributes["lengths"] = lengths
        if any(each.lengths is not None for each in batches[1:]):
            attributes["more_lengths"] = tuple(each.lengths for each in batches[1:])
        lengths = call.time(lengths)
    given = [unformatted(each) for each in parameters]
    quick = quick_call(where, call.operation, [*arrays, *given], attributes)
    if quick is not None:
        return [(quick[0], lengths)], quick[1]
    outputs, saved = call_pair(where, call.operation, [*arrays, *given], attributes, generator=generator)
    found: list[tuple[dlarray, np.ndarray | None]] = []
    for number, output in enumerate(outputs):
        own = lengths if number == 0 else None
        if call.time is not None and own is not None:
            output = output.reshape(-1, *output.shape[2:])
        found.append((output, own))
    return found, saved


def of_one_type(*arrays: dlarray) -> list[dlarray]:
    """Return arrays in one type: single where one of them is."""
    dtype = common_type(arrays)
    return [as_type(each, dtype) for each in arrays]
