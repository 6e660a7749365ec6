"""Layers that users have written: `mlnet.layers.custom_call.LayerCall` runs their methods.

The methods have MATLAB's order of dimensions, the engine has observations first and channels last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.autodiff.array import wrap
from mlnet.autodiff.differentiate import Pullback
from mlnet.engines.base import Workspace
from mlnet.engines.numpy.user_function import labels_of, to_engine, to_user
from mlnet.errors import DataError, message


class CustomLayerSaved(NamedTuple):
    """What carries gradients back, the formats of inputs and outputs, and the new values of states by name."""

    pullback: Pullback
    formats: tuple[str, ...]
    outputs: tuple[str, ...]
    states: dict[str, np.ndarray]
    lengths: np.ndarray | None


def custom_layer(
    *arrays: np.ndarray,
    call: Any,
    formats: tuple[str, ...],
    outputs: tuple[tuple[str, tuple[int, ...]], ...],
    workspace: Workspace,
    lengths: np.ndarray | None = None,
    more_lengths: Sequence[np.ndarray | None] = (),
    generator: np.random.Generator | None = None,
) -> tuple[np.ndarray | tuple[np.ndarray, ...], CustomLayerSaved]:
    """Return what the method of a layer makes of inputs, and parameters behind them.

    ``call`` is a `LayerCall`; ``formats`` are those of one observation of each input, ``outputs`` the format and size
    of each output, without observations and time. Sequences come padded, and have zeros behind their ends. NumPy's
    random numbers come from ``generator`` while the method runs.
    """
    steps = (lengths, *(more_lengths or [lengths] * (len(formats) - 1)))
    inputs = [
        _cut(x, own) if format.endswith("T") else x
        for x, own, format in zip(arrays[: len(formats)], steps, formats, strict=True)
    ]
    parameters = arrays[len(formats) :]
    given = [
        wrap(to_user(x, format), None, labels_of(format) if call.formatted else "")
        for x, format in zip(inputs, formats, strict=True)
    ]
    ran = call.run(given, [wrap(each) for each in parameters], generator)
    results = []
    for number, (array, (format, dims)) in enumerate(zip(ran.outputs, outputs, strict=True)):
        expected = (*dims, len(inputs[0]), *inputs[0].shape[1:2] * format.endswith("T"))
        if array._data.shape != expected:
            raise DataError(message(call.where, f"an output of size {_text(expected)}", _text(array._data.shape)))
        y = to_engine(array._data, format)
        result = workspace.empty(f"y{number}", y.shape, inputs[0].dtype)
        np.copyto(result, y, casting="unsafe")
        results.append(result)
    saved = CustomLayerSaved(ran.pullback, formats, tuple(format for format, _ in outputs), ran.states, lengths)
    return results[0] if len(results) == 1 else tuple(results), saved


def custom_layer_backward(
    saved: CustomLayerSaved,
    d_output: np.ndarray | tuple[np.ndarray | None, ...],
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of the inputs and parameters."""
    d_outputs = d_output if isinstance(d_output, tuple) else (d_output,)
    seeds = [
        None if each is None else to_user(_cut(each, saved.lengths) if format.endswith("T") else each, format)
        for each, format in zip(d_outputs, saved.outputs, strict=True)
    ]
    results: list[np.ndarray | None] = []
    for number, gradient in enumerate(saved.pullback(*seeds, wanted=wanted)):
        if gradient is None:
            results.append(None)
            continue
        view = to_engine(gradient, saved.formats[number]) if number < len(saved.formats) else gradient
        d_x = workspace.empty(f"d_x{number}", view.shape, gradient.dtype)
        np.copyto(d_x, view)
        results.append(d_x)
    return tuple(results)


def custom_layer_with_backward(
    *arrays: np.ndarray, **options: Any
) -> tuple[np.ndarray | tuple[np.ndarray, ...], CustomLayerSaved]:
    """Return what `custom_layer` returns, for layers with a method backward: no second derivative goes through them."""
    return custom_layer(*arrays, **options)


def custom_layer_with_backward_backward(
    saved: CustomLayerSaved,
    d_output: np.ndarray | tuple[np.ndarray | None, ...],
    *,
    wanted: tuple[bool, ...],
    workspace: Workspace,
) -> tuple[np.ndarray | None, ...]:
    """Return the gradients of the inputs and parameters that the method has returned."""
    return custom_layer_backward(saved, d_output, wanted=wanted, workspace=workspace)


def _cut(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Return padded sequences (N, T, ...) with zeros behind their ends."""
    if lengths is None or lengths.min(initial=x.shape[1]) == x.shape[1]:
        return x
    inside = np.arange(x.shape[1]) < lengths[:, None]
    return np.where(inside.reshape(*inside.shape, *[1] * (x.ndim - 2)), x, x.dtype.type(0))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
