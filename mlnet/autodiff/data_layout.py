"""networkDataLayout: size and format of data before there are any."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from mlnet.autodiff.formats import ORDER, parsed
from mlnet.errors import DataError, message
from mlnet.options import Shown, describe, from_one


class SizeVector(tuple):
    """Lengths of dimensions, NaN where they are not known; ``size(3)`` counts from 1."""

    __slots__ = ()

    def __call__(self, numbers: Any) -> Any:
        """Return the length with a number from 1; a tuple of lengths for several numbers."""
        found = [self[index] for index in np.atleast_1d(from_one("Size", numbers, len(self)))]
        return found[0] if len(found) == 1 else tuple(found)


class networkDataLayout(Shown):  # noqa: N801 - MATLAB's name
    """Size and format of the data that a layer or network takes.

    Custom layers get one for each input in ``initialize(self, layout)``.

    Parameters
    ----------
    Size : sequence of numbers
        The length of each dimension; NaN where it is not known, as that of the observations.
    Format : text, optional
        A label for each dimension, see `dlarray`.

    Raises
    ------
    DataError
        Where the format does not fit the size.

    Examples
    --------
    >>> from mlnet import finddim, networkDataLayout
    >>> layout = networkDataLayout([28, 28, 3, float('nan')], 'SSCB')
    >>> layout.Size(finddim(layout, 'C'))
    3
    >>> layout
      networkDataLayout with properties:
    <BLANKLINE>
          Size: [28 28 3 NaN]
        Format: 'SSCB'
    """

    def __init__(self, Size: Iterable[float], Format: str = "") -> None:  # noqa: N803
        try:
            lengths = [float(each) for each in np.ravel(np.asarray(list(Size), float))]
        except (TypeError, ValueError):
            raise DataError(message("networkDataLayout: Size", "whole numbers or NaN", describe(Size))) from None
        if any(each < 0 or (math.isfinite(each) and each != int(each)) or math.isinf(each) for each in lengths):
            raise DataError(message("networkDataLayout: Size", "whole numbers or NaN", describe(Size)))
        self.Size = SizeVector(math.nan if math.isnan(each) else int(each) for each in lengths)
        self.Format = ""
        if Format:
            labels = parsed(Format, self.Size)
            order = sorted(range(len(labels)), key=lambda place: ORDER.index(labels[place]))
            filled = [*self.Size, *[1] * (len(labels) - len(self.Size))]
            self.Size = SizeVector(filled[place] for place in order)
            self.Format = "".join(labels[place] for place in order)

    def dims(self) -> str:
        """Return the labels, '' where there is no format."""
        return self.Format
