"""checkLayer: the suite for one layer, with MATLAB's arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlnet.autodiff.data_layout import networkDataLayout
from mlnet.conformance.report import CheckReport
from mlnet.conformance.suite import run_suite, without_trial
from mlnet.conformance.trial import Case
from mlnet.engines.select import select_engine
from mlnet.errors import NetworkError, OptionError, message
from mlnet.functional.batches import size_of
from mlnet.layers.base import Layer, Size
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.output import OutputLayer
from mlnet.options import Argument, Declared, Option, Table, describe
from mlnet.rules import Refused, Rule, either, empty, integer

_FORMATS = {1: "C", 3: "SSC", 4: "SSSC"}
"""The format of an input by the length of its size, where none is given."""
_PREFACE = "Skipping GPU tests. No compatible GPU device found."
_TAKEN = ("C", "SC", "SSC", "SSSC", "CT", "SCT", "SSCT", "SSSCT")


def _size(value: Any) -> tuple[int, ...]:
    if np.ndim(value) > 1:
        raise Refused
    return tuple(integer().convert(number) for number in np.ravel(np.asarray(value, dtype=object)).tolist())


def _sizes(value: Any) -> tuple[tuple[int, ...], ...]:
    if isinstance(value, (list, tuple)) and value and any(np.ndim(each) for each in value):
        return tuple(_size(each) for each in value)
    found = _size(value)
    if not found:
        raise Refused
    return (found,)


def _formats(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else list(value)
    found = tuple(each.upper() for each in given if isinstance(each, str))
    if len(found) != len(given) or not set(found) <= set(_TAKEN):
        raise Refused
    return found


_NEEDED_SIZE = "the size of an observation such as [24, 24, 20], or a list with one for each input"
_NEEDED_FORMAT = f"one of {', '.join(_TAKEN)}, or a list with one for each input"
_DIMENSION = Rule("a positive integer, or a list with one for each input", lambda value: _size(value), (0, 1.5, "x"))


class _CheckOptions(Declared):
    constructor_name = "checkLayer"
    table = Table(
        Option(
            "validInputSize",
            None,
            Rule(_NEEDED_SIZE, _sizes, (0, "x", None, [], [2, 0], [1.5])),
            "Size of one observation, or time step.",
            argument=Argument.REQUIRED,
        ),
        Option("ObservationDimension", (), either(empty(()), _DIMENSION), "The dimension of the observations."),
        Option(
            "InputFormat",
            (),
            either(empty(()), Rule(_NEEDED_FORMAT, _formats, ("B", "CB", 1, ["C", 1]))),
            "The dimensions of the size.",
        ),
    )


def checkLayer(layer: Any, validInputSize: Any, *args: Any, nargout: int = 0, **kwargs: Any) -> Any:
    """Check that a layer works as layers have to, and print a report.

    The checks: outputs have the sizes that the layer declares, also for few observations and for other sizes; gradients
    agree with central differences; single precision agrees with double; arguments stay unchanged; buffers can be used
    again; a mini-batch gives what its observations and sequences give one by one, and nothing behind the end of a
    sequence is seen; the gradient of a loss agrees with differences; training and prediction differ only where they
    may; random layers repeat with their seed; all engines agree; copies are independent; bad values of options are
    refused; the layer prints itself; sizes that it does not take are mistakes of the network. For custom layers also:
    their methods run, and return arrays of the type that they are given.

    Parameters
    ----------
    layer : layer
        It does not change.
    validInputSize : sequence of int, or list of them
        The size of one observation: [24, 24, 20] for images, [10] for features, the size of a time step for sequences;
        a list with one entry for each input of the layer. Not used for input layers, which have their size.
        A `networkDataLayout`, or a list with one for each input, gives size and format.
    ObservationDimension : int, or list of int, optional
        The dimension along which MATLAB's arrays hold observations: 4 for 2-D images, 2 for features and sequences of
        vectors. It has to agree with the format.
    InputFormat : text, or list of texts, optional
        The dimensions of each size and, with T, sequences: 'SSC', 'C', 'CT', 'SSCT', 'SC', ... By default a size of one
        number is 'C', of three 'SSC', of four 'SSSC'. MATLAB has no such option.
    nargout : 0 or 1, default 0
        With 1, return the report instead of printing it.

    Returns
    -------
    CheckReport
        With ``nargout=1``: the tables Passed, Failed, Incomplete and Skipped.

    Raises
    ------
    NetworkError
        Where the layer does not take the size; for custom layers that is a failed check.
    OptionError, UnknownNameError
        Where an argument has a wrong value or is misspelt.

    Examples
    --------
    >>> from mlnet import checkLayer, reluLayer
    >>> checkLayer(reluLayer(), [5, 4, 3], ObservationDimension=4)  # doctest: +ELLIPSIS
    Running checkLayer: ReLULayer, 5x4x3
    .......... .......
    Done checkLayer: ReLULayer, 5x4x3
    __________
    <BLANKLINE>
    Test Summary:
         1... Passed, 0 Failed, 0 Incomplete, ... Skipped.
         Time elapsed: ... seconds.
    """
    if nargout not in (0, 1) or isinstance(nargout, bool):
        raise OptionError(f"checkLayer: nargout needs to be 0 or 1, but is {nargout!r}.")
    if hasattr(layer, "constructs"):  # a constructor without parentheses
        return checkLayer(layer(), validInputSize, *args, nargout=nargout, **kwargs)
    if not isinstance(layer, Layer):
        raise OptionError(message("checkLayer: layer", "a layer", describe(layer)))
    if isinstance(validInputSize, networkDataLayout) or _are_layouts(validInputSize):
        validInputSize, formats = _from_layouts(validInputSize)  # noqa: N806
        if any(name.lower() == "inputformat" for name in [*kwargs, *args[::2]]):
            raise OptionError("checkLayer: InputFormat: the layout has a format. Leave the option out.")
        kwargs["InputFormat"] = formats
    report = _report(layer, _CheckOptions(validInputSize, *args, **kwargs))
    if nargout == 1:
        return report
    print(report)
    return None


def _are_layouts(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and bool(value) and all(isinstance(each, networkDataLayout) for each in value)
    )


def _from_layouts(value: Any) -> tuple[list[list[int]], list[str]]:
    """Return the sizes and formats of one observation of layouts."""
    layouts = [value] if isinstance(value, networkDataLayout) else list(value)
    sizes = [size_of(each, "checkLayer: layout") for each in layouts]
    return [list(each.dims) for each in sizes], [each.format for each in sizes]


def _report(layer: Layer, options: Declared) -> CheckReport:
    custom = isinstance(layer, CustomLayer)
    sizes = (layer.size(),) if isinstance(layer, InputLayer) else _sizes_of(layer, options)
    listed = ", ".join(map(str, sizes))
    case = Case(layer, sizes, select_engine())
    title = _title(layer) if isinstance(layer, CustomLayer) else f"checkLayer: {type(layer).__name__}, {listed}"
    try:
        case.network  # noqa: B018 - raises where the layer does not take the sizes
        case.trial(training=False)
    except NetworkError as error:
        if custom:
            reason = str(error).split("\n")[-1].strip()
            return replace(without_trial(case, title, reason), preface=_PREFACE)
        fix = "" if options.InputFormat else " For sequences and 1-D images, give InputFormat: 'CT', 'SSCT', 'SC', ..."
        raise NetworkError(f"checkLayer: the layer does not take inputs of {listed}: {error}{fix}") from error
    if isinstance(layer, CustomLayer):  # what its method initialize draws has to be the same in all checks
        case = replace(case, layer=layer.with_size(*sizes))
    report = run_suite(case, title)
    return replace(report, preface=_PREFACE) if custom else report


def _title(layer: CustomLayer) -> str:
    """Return the name that MATLAB gives to the checks of a layer of the user."""
    is_output = isinstance(layer, OutputLayer)
    kind = "With" if layer.has("backwardLoss" if is_output else "backward") else "Without"
    return f"nnet.checklayer.Test{'Output' * is_output}Layer{kind}Backward"


def _sizes_of(layer: Layer, options: Declared) -> tuple[Size, ...]:
    """Return the sizes of the inputs of the layer."""
    dims, count = options.validInputSize, len(layer.inputs)
    if len(dims) != count:
        needed = f"one size for each of the {count} inputs {', '.join(layer.inputs)}" if count > 1 else "one size"
        raise OptionError(message("checkLayer: validInputSize", needed, f"{len(dims)} sizes"))
    formats = options.InputFormat or tuple(_format(each) for each in dims)
    if len(formats) != count:
        raise OptionError(message("checkLayer: InputFormat", f"{count}, one for each input", f"{len(formats)}"))
    sizes = tuple(Size(labels, each) for labels, each in zip(formats, dims, strict=True))
    dimensions = options.ObservationDimension
    if len(dimensions) not in (0, 1, count):
        needed = f"one number, or one for each of the {count} inputs" if count > 1 else "one number"
        raise OptionError(message("checkLayer: ObservationDimension", needed, f"{len(dimensions)}"))
    for size in sizes:
        if len(size.format.removesuffix("T")) != len(size.dims):
            needed = f"{len(size.format.removesuffix('T'))} numbers for the format '{size.format}'"
            raise OptionError(message("checkLayer: validInputSize", needed, f"{list(size.dims)}"))
    for size, dimension in zip(sizes, dimensions * count if len(dimensions) == 1 else dimensions, strict=False):
        if dimension != len(size.dims) + 1:
            needed = f"{len(size.dims) + 1} for inputs of {size}, whose arrays hold observations behind the channels"
            raise OptionError(message("checkLayer: ObservationDimension", needed, str(dimension)))
    return sizes


def _format(dims: tuple[int, ...]) -> str:
    if len(dims) not in _FORMATS:
        fix = "Give InputFormat, e.g. 'SC' for 1-D images."
        raise OptionError(message("checkLayer: validInputSize", "1, 3 or 4 numbers", f"{list(dims)}", fix))
    return _FORMATS[len(dims)]
