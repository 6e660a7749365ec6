"""The operators of ONNX that mlnet computes: a closed table, in NumPy and with derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.interop.onnx.operators import (
    attention,
    elementwise,
    indexing,
    normalization,
    recurrent,
    reductions,
    resize,
    shapes,
    windows,
)
from mlnet.interop.onnx.operators.use import NotComputed, Operator, Use, need, settled

OPERATORS: dict[str, Operator] = {
    name: operator
    for module in (attention, elementwise, indexing, normalization, recurrent, reductions, resize, shapes, windows)
    for name, operator in module.TABLE.items()
}
"""Every operator by its name."""

VIEWS = {
    *("Expand", "Flatten", "Gather", "Identity", "Reshape", "Shape", "Size", "Slice", "Squeeze"),
    *("Transpose", "Unsqueeze"),
}
"""Operators that copy no input, or no more of it than they put out."""

OLDEST, NEWEST = 7, 24
"""Versions of the set of operators whose rules the table has."""


def computed(
    operator: str, inputs: Sequence[Any], given: Mapping[str, Any], opset: int, outputs: int = 1
) -> tuple[Any, ...]:
    """Return the outputs of an operator for arrays, None where an input is left out.

    Raises
    ------
    NotComputed
        Where the table has no such operator, or not this use of it.
    """
    if operator not in OPERATORS:
        raise NotComputed("there is no layer for this operator")
    if operator not in VIEWS:
        for each in inputs:  # an array that takes no memory would take some now
            if each is not None:
                need(np.size(each))
    with np.errstate(all="ignore"):
        made = OPERATORS[operator](Use(inputs, given, opset, outputs))
    return tuple(settled(each) for each in (made if isinstance(made, tuple) else (made,)))
