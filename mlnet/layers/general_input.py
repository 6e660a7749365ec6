"""The input layer for data of any format."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.errors import NotSupportedError, OptionError
from mlnet.layers import input
from mlnet.layers.base import Size, layer_table
from mlnet.layers.categorical_inputs import CATEGORICAL_INPUTS
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import Refused, Rule, read_only

_ORDER = "SCBT"


def _size(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)) or (np.ndim(value) > 1 and 1 not in np.shape(value)):
        raise Refused
    try:
        sizes = np.ravel(np.asarray(value, float))
    except (TypeError, ValueError):
        raise Refused from None
    known = sizes[~np.isnan(sizes)]
    if not sizes.size or not np.isfinite(known).all() or (known < 1).any() or (known != np.floor(known)).any():
        raise Refused
    return read_only(sizes, float)


def _format(value: Any) -> str:
    if not isinstance(value, str):
        raise Refused
    text = value.upper()
    counts = {label: text.count(label) for label in _ORDER}
    if sum(counts.values()) != len(text) or counts["C"] != 1 or max(counts["B"], counts["T"]) > 1 or counts["S"] > 3:
        raise Refused
    return text


_NEEDED = "a vector of positive integers, NaN where a size is not known"
_FORMAT = "a text of up to three S and one each of C, B and T, such as 'SSCB'"


class InputLayer(input.InputLayer):
    """Takes data of any format as they are."""

    type_name = "Input"
    base_name = "input"
    Normalization = "none"
    SplitComplexInputs = False
    MinLength = 1
    table = layer_table(
        Option(
            "InputSize",
            None,
            Rule(_NEEDED, _size, (0, -1, 1.5, "x", None, [], [2, 0], [2, np.inf], [[1, 2], [3, 4]])),
            "Size along each dimension of InputFormat; NaN for B and T.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        Option(
            "InputFormat",
            None,
            Rule(_FORMAT, _format, ("", "SSB", "CC", "XCB", "SSSSC", "CBB", 1, None)),
            "Labels of the dimensions of the data: S spatial, C channel, B observations, T time.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        CATEGORICAL_INPUTS,
    )

    def check(self) -> None:
        """Refuse sizes that are not one for each dimension, or not known where they have to be."""
        if len(self.InputSize) != len(self.InputFormat):
            raise OptionError(
                f"{self.where()}: InputSize needs one size for each of the {len(self.InputFormat)} dimensions of "
                f"InputFormat '{self.InputFormat}', but has {len(self.InputSize)}. For B and T give NaN."
            )
        unknown = [label for label, size in zip(self.InputFormat, self.InputSize, strict=True) if np.isnan(size)]
        if set(unknown) & set("SC"):
            raise NotSupportedError(
                f"{self.where()}: InputSize: NaN is supported for B and T only, but '{unknown[0]}' has no size."
            )

    def description(self) -> str:
        """Return e.g. "28x28x1xNaN array with format 'SSCB'"."""
        sizes = "x".join("NaN" if np.isnan(size) else str(int(size)) for size in self.InputSize)
        return f"{sizes} array with format '{self.InputFormat}'"

    def size(self) -> Size:
        """Return the size of one observation, or time step."""
        sizes: dict[str, tuple[int, ...]] = {"S": (), "C": ()}
        for label in sizes:
            pairs = zip(self.InputFormat, self.InputSize, strict=True)
            sizes[label] = tuple(int(size) for name, size in pairs if name == label)
        time = "T" if "T" in self.InputFormat else ""
        return Size("S" * len(sizes["S"]) + "C" + time, sizes["S"] + sizes["C"])

    def arranged(self, data: Any) -> Any:
        """Return data in the order that the other input layers take.

        That is (S..., C, N) with spatial dimensions, (N, C) without, and a list of (S..., C, T) for sequences; an array
        with the dimensions B and T becomes such a list.
        """
        labels = self.InputFormat
        if "T" in labels:
            if isinstance(data, (list, tuple)) or np.ndim(data) < len(labels):
                each = data if isinstance(data, (list, tuple)) else [data]
                return [_ordered(one, labels.replace("B", ""), "SCT") for one in each]
            ordered = _ordered(data, labels, "SCTB")
            return list(np.moveaxis(ordered, -1, 0)) if "B" in labels else ordered
        return _ordered(data, labels, "SCB" if "S" in labels else "BC")


def _ordered(data: Any, labels: str, order: str) -> Any:
    """Return an array with its dimensions sorted by ``order``; of another number of dimensions as it is."""
    if np.ndim(data) != len(labels):
        return data
    return np.transpose(data, sorted(range(len(labels)), key=lambda axis: order.index(labels[axis])))


@constructs(InputLayer)
def inputLayer() -> None:
    """Create a layer that takes data of any format and does not normalize them.

    Arrays have their dimensions in the order of InputFormat: with 'CB' features x observations, with 'SCB'
    positions x channels x observations. Sequences are a list with an array for each observation, without the dimension
    B, or one array where all have the same length.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or sizes and format do not belong together.
    NotSupportedError
        Where the size of a spatial or channel dimension is NaN.

    Examples
    --------
    >>> import math
    >>> from mlnet import inputLayer
    >>> inputLayer([28, 28, 1, math.nan], 'SSCB', Name='in')
      InputLayer with properties:
    <BLANKLINE>
               Name: 'in'
          InputSize: [28 28 1 NaN]
        InputFormat: 'SSCB'
    """
