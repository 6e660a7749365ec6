"""Which engine computes."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple

from mlnet.engines.base import Engine
from mlnet.errors import MissingExtraError, NotSupportedError, OptionError

ENGINES = ("numpy", "onednn")
"""Names that MLNET_ENGINE takes."""


class Selection(NamedTuple):
    """An engine, and why it is not a faster one; '' where it is the fastest that there is."""

    engine: Engine
    reason: str


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
    MissingExtraError
        Where MLNET_ENGINE names one that cannot be used.
    """
    return select(acceleration, environment).engine


def select(acceleration: str = "auto", environment: str = "auto") -> Selection:
    """Return the engine with the reason for it, see `select_engine`."""
    wanted = os.environ["MLNET_ENGINE"] if "MLNET_ENGINE" in os.environ else None  # noqa: SIM401 - quicker
    if wanted is not None and wanted not in ENGINES:
        raise OptionError(f"MLNET_ENGINE: needs one of {', '.join(ENGINES)}, but is '{wanted}'.")
    if environment not in ("auto", "cpu"):
        raise NotSupportedError(
            f"ExecutionEnvironment='{environment}': mlnet computes on the CPU of this machine only. Use 'auto', which "
            "takes the fastest there is, or 'cpu'."
        )
    if wanted == "numpy":
        return Selection(engine_named("numpy"), "MLNET_ENGINE=numpy")
    if wanted is None and acceleration == "none":
        return Selection(engine_named("numpy"), "Acceleration='none'")
    try:
        return Selection(engine_named("onednn"), "")
    except MissingExtraError as error:
        if wanted is not None:
            raise
        return Selection(engine_named("numpy"), str(error))


def engine_named(name: str) -> Engine:
    """Return an engine by its name, one of `ENGINES`.

    Raises
    ------
    MissingExtraError
        Where it cannot be used.
    """
    assert name in ENGINES, name
    if name == "numpy":
        return _numpy()
    finding = _finding()
    try:
        library = finding.load()
    except finding.UnusableError as error:
        raise MissingExtraError(f"oneDNN: {error}. Try: pip install mlnet[fast]") from None
    return _onednn(library)


@lru_cache(maxsize=1)
def _numpy() -> Engine:
    from mlnet.engines.numpy.engine import NumpyEngine

    return NumpyEngine()


@lru_cache(maxsize=8)
def _onednn(library: Any) -> Engine:
    from mlnet.engines.onednn.engine import OneDnnEngine

    return OneDnnEngine(library, _numpy())


@lru_cache(maxsize=1)
def _finding() -> Any:
    from mlnet.engines.onednn import finding

    return finding
