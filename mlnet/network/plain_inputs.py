"""Data without labels for dlnetworks: which format they have, and results in the same form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray, is_traced
from mlnet.autodiff.labelled import stripdims
from mlnet.errors import DataError, OptionError, message
from mlnet.layers.base import Size
from mlnet.options import describe

_AUTOMATIC = {"C": "BC", "SC": "SCB", "SSC": "SSCB", "SSSC": "SSSCB"}
"""The formats of arrays by those of what an input takes."""


class Forms:
    """Gives arrays their formats, and results the form of the first of them.

    Parameters
    ----------
    formats : text, or list of texts
        InputDataFormats: 'auto', or one for each input.
    sizes : sequence of Size
        What the inputs take.
    where : text
        Beginning of messages.

    Raises
    ------
    OptionError
        Where there is not one format for each input.
    """

    def __init__(self, formats: Any, sizes: Sequence[Size], where: str) -> None:
        given = [formats] if isinstance(formats, str) else list(formats)
        self._formats = given * len(sizes) if given == ["auto"] else given
        self._sizes, self._where = sizes, where
        self._back: tuple[str, bool] | None = None
        if len(self._formats) != len(sizes):
            needed = f"one format for each of the {len(sizes)} inputs"
            raise OptionError(message(f"{where}: InputDataFormats", needed, f"{len(given)}"))

    def entering(self, number: int, X: Any, where: str) -> Any:  # noqa: N803
        """Return data of an input as a formatted dlarray; what needs a format and has none is left as it is."""
        fmt = self._formats[number]
        is_array = isinstance(X, np.ndarray) and X.dtype.kind in "fiub"
        if isinstance(X, dlarray) and X.dims():
            if fmt != "auto":
                fix = "Leave InputDataFormats out for formatted data."
                raise OptionError(message(f"{where}: InputDataFormats", f"data without labels beside '{fmt}'",
                                          f"'{X.dims()}'", fix))  # fmt: skip
            return X
        if fmt == "auto":
            if not is_array or self._sizes[number].format not in _AUTOMATIC:
                return X
            fmt = _AUTOMATIC[self._sizes[number].format]
        elif not is_array and not isinstance(X, dlarray):
            raise DataError(message(where, "an array or dlarray", describe(X)))
        if number == 0:
            self._back = fmt.upper(), is_array
        return dlarray(X, fmt)

    def leaving(self, result: dlarray) -> Any:
        """Return a result without labels, in the order of the format of the first input, where that had none.

        Where the parameters are traced it stays a dlarray: as an array it would lose the derivative.
        """
        if self._back is None:
            return result
        fmt, is_array = self._back
        labels = result.dims()
        known = [label for label in dict.fromkeys(fmt) if label in labels]
        order = "".join(label * labels.count(label) for label in [*known, *(set(labels) - set(known))])
        plain = stripdims(result, order)
        return plain.extractdata() if is_array and not is_traced(plain) else plain
