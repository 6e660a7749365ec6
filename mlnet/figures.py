"""The one place that imports matplotlib."""

from __future__ import annotations

from typing import Any

from mlnet.errors import MissingExtraError


def pyplot(where: str) -> Any:
    """Return ``matplotlib.pyplot``; ``where`` is the function that needs it.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot
    except ImportError:
        raise MissingExtraError(f"{where} needs matplotlib: pip install 'mlnet[plot]'") from None
    return matplotlib.pyplot
