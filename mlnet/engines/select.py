"""Which engine computes."""

from __future__ import annotations

import os

from mlnet.engines.base import Engine
from mlnet.errors import NotSupportedError, OptionError

ENGINES = ("numpy",)
"""Names that MLNET_ENGINE takes."""


def select_engine(acceleration: str = "auto", environment: str = "auto") -> Engine:
    """Return the engine for the options Acceleration and ExecutionEnvironment.

    'auto' and 'cpu' mean the fastest CPU engine there is, Acceleration 'none' the NumPy reference. The environment
    variable MLNET_ENGINE overrides both, for debugging.

    Raises
    ------
    NotSupportedError
        For an environment other than 'auto' and 'cpu'.
    OptionError
        Where MLNET_ENGINE names no engine.
    """
    wanted = os.environ.get("MLNET_ENGINE")
    if wanted is not None and wanted not in ENGINES:
        raise OptionError(f"MLNET_ENGINE: needs one of {', '.join(ENGINES)}, but is '{wanted}'.")
    if environment not in ("auto", "cpu"):
        raise NotSupportedError(
            f"ExecutionEnvironment='{environment}': mlnet computes on the CPU of this machine only. Use 'auto', which "
            "takes the fastest there is, or 'cpu'."
        )
    return engine_named(wanted or "numpy")


def engine_named(name: str) -> Engine:
    """Return an engine by its name, one of `ENGINES`."""
    assert name in ENGINES, name
    from mlnet.engines.numpy.engine import NumpyEngine

    return NumpyEngine()
