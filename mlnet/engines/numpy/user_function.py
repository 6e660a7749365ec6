"""A function that a user has written, differentiated by `mlnet.autodiff`.

The function has MATLAB's order of dimensions, S..., C, N and then T; the engine has N, T, S..., C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.autodiff.array import wrap
from mlnet.autodiff.differentiate import Pullback, vjp
from mlnet.engines.base import Workspace
from mlnet.errors import DataError, message


class UserFunctionSaved(NamedTuple):
    """What carries gradients back, with the formats of inputs and outputs and the shapes and type of the outputs.

    ``parts`` are those of observations of equal length, with their numbers and that length, where they are computed
    apart; ``pullback`` is None then.
    """

    pullback: Pullback | None
    formats: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...] = ()
    parts: tuple[tuple[np.ndarray, int, UserFunctionSaved], ...] = ()


def user_function(
    *inputs: np.ndarray,
    function: Callable[..., Any],
    formats: tuple[str, ...],
    outputs: tuple[tuple[str, tuple[int, ...]], ...],
    formatted: bool,
    workspace: Workspace,
    apart: bool = False,
    traced: bool = True,
    lengths: np.ndarray | None = None,
    more_lengths: Sequence[np.ndarray | None] = (),
) -> tuple[np.ndarray | tuple[np.ndarray, ...], UserFunctionSaved]:
    """Return what ``function`` makes of the inputs, dlarrays with labels if ``formatted``.

    ``formats`` are those of one observation of each input; ``outputs`` the format and size of each output, without
    observations and time. Sequences come padded; their lengths play no part here unless ``apart``: sequences of
    different lengths are cut to them and computed apart then. What is not ``traced`` has no backward.
    """
    if apart and lengths is not None and np.any(lengths != inputs[0].shape[1]):
        rest = {"function": function, "formats": formats, "outputs": outputs, "formatted": formatted, "traced": traced}
        return _each_apart(inputs, np.asarray(lengths), rest, workspace)
    given = [
        wrap(to_user(x, format), None, labels_of(format) if formatted else "")
        for x, format in zip(inputs, formats, strict=True)
    ]
    if traced:
        found, pullback = vjp(function, given)
    else:
        made = function(*given)
        found, pullback = made if isinstance(made, tuple) else (made,), None
    results = []
    for number, (array, (format, dims)) in enumerate(zip(found, outputs, strict=True)):
        y = to_engine(array._data, format)
        expected = (len(inputs[0]), *inputs[0].shape[1:2] * format.endswith("T"), *dims)
        if y.shape != expected:
            shape = to_user(np.empty(expected, bool), format).shape
            raise DataError(message("functionLayer", f"an output of shape {shape}", f"{array.shape}"))
        result = workspace.empty(f"y{number}", y.shape, inputs[0].dtype)
        np.copyto(result, y, casting="unsafe")
        results.append(result)
    saved = UserFunctionSaved(pullback, formats, tuple(format for format, _ in outputs))
    return results[0] if len(results) == 1 else tuple(results), saved


def user_function_backward(
    saved: UserFunctionSaved,
    d_output: np.ndarray | tuple[np.ndarray | None, ...],
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of the inputs."""
    d_outputs = d_output if isinstance(d_output, tuple) else (d_output,)
    if saved.parts:
        return _back_through_each(saved, d_outputs, wanted, workspace)
    assert saved.pullback is not None
    seeds = [
        None if each is None else to_user(each, format) for each, format in zip(d_outputs, saved.outputs, strict=True)
    ]
    results: list[np.ndarray | None] = []
    for number, gradient in enumerate(saved.pullback(*seeds, wanted=wanted)):
        if gradient is None:
            results.append(None)
            continue
        view = to_engine(gradient, saved.formats[number])
        d_x = workspace.empty(f"d_x{number}", view.shape, gradient.dtype)
        np.copyto(d_x, view)
        results.append(d_x)
    return tuple(results)


def _each_apart(
    inputs: Sequence[np.ndarray], lengths: np.ndarray, rest: dict[str, Any], workspace: Workspace
) -> tuple[np.ndarray | tuple[np.ndarray, ...], UserFunctionSaved]:
    """Return the outputs of sequences of each length in turn, zeros behind their ends."""
    formats, outputs = rest["formats"], rest["outputs"]
    results = [
        np.zeros((len(inputs[0]), *inputs[0].shape[1:2] * format.endswith("T"), *dims), inputs[0].dtype)
        for format, dims in outputs
    ]
    parts = []
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        given = [_cut(x, chosen, length, format) for x, format in zip(inputs, formats, strict=True)]
        made, saved = user_function(*given, **rest, workspace=Workspace())
        for result, y, (format, _) in zip(results, made if isinstance(made, tuple) else (made,), outputs, strict=True):
            result[(chosen, slice(length)) if format.endswith("T") else chosen] = y
        parts.append((chosen, int(length), saved))
    shapes = tuple(x.shape for x in inputs)
    kept = UserFunctionSaved(None, formats, tuple(format for format, _ in outputs), shapes, tuple(parts))
    return results[0] if len(results) == 1 else tuple(results), kept


def _cut(x: np.ndarray, chosen: np.ndarray, length: int, format: str) -> np.ndarray:
    return x[chosen, :length] if format.endswith("T") else x[chosen]


def _back_through_each(
    saved: UserFunctionSaved, d_outputs: tuple[np.ndarray | None, ...], wanted: tuple[bool, ...], workspace: Workspace
) -> tuple[np.ndarray | None, ...]:
    first = next(each for each in d_outputs if each is not None)
    results = [np.zeros(shape, first.dtype) if want else None for shape, want in zip(saved.shapes, wanted, strict=True)]
    for chosen, length, part in saved.parts:
        seeds = tuple(
            None if each is None else _cut(each, chosen, length, format)
            for each, format in zip(d_outputs, saved.outputs, strict=True)
        )
        for result, gradient, format in zip(
            results,
            user_function_backward(part, seeds, wanted=wanted, workspace=Workspace()),
            saved.formats,
            strict=True,
        ):
            if result is not None:
                result[(chosen, slice(length)) if format.endswith("T") else chosen] = gradient
    return tuple(results)


def labels_of(format: str) -> str:
    """Return the labels of a mini-batch: 'SSCB' for the format 'SSC' of an observation, 'CBT' for 'CT'."""
    return format.replace("C", "CB")


def to_user(x: np.ndarray, format: str) -> np.ndarray:
    """Return a view with observations, and time, behind all other dimensions."""
    leading = 2 if format.endswith("T") else 1
    return x.transpose(*range(leading, x.ndim), *range(leading))


def to_engine(x: np.ndarray, format: str) -> np.ndarray:
    """Return a view with observations, and time, first: the reverse of `to_user`."""
    last = x.ndim - (2 if format.endswith("T") else 1)
    return x.transpose(*range(last, x.ndim), *range(last))
