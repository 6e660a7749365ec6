"""gpuArray and its relatives, where there is no GPU."""

from __future__ import annotations

from typing import Any, NoReturn

from mlnet.errors import NotSupportedError, message


def canUseGPU() -> bool:
    """Return whether arrays can be computed on a GPU: they cannot.

    Examples
    --------
    >>> from mlnet import canUseGPU
    >>> canUseGPU()
    False
    """
    return False


def gpuDeviceCount(kind: str = "all") -> int:
    """Return the number of GPUs that arrays can be computed on: 0.

    Examples
    --------
    >>> from mlnet import gpuDeviceCount
    >>> gpuDeviceCount('available')
    0
    """
    return 0


def gpuArray(X: Any) -> NoReturn:
    """Raise an error, as in MATLAB without a GPU; scripts ask `canUseGPU` before.

    Raises
    ------
    NotSupportedError
        Always.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import canUseGPU, gpuArray
    >>> X = np.ones(3)
    >>> X = gpuArray(X) if canUseGPU() else X
    """
    fix = "Leave gpuArray out, or write it behind canUseGPU()."
    raise NotSupportedError(message("gpuArray", "a GPU", "none that can be used", fix))


def gather(*X: Any) -> Any:
    """Return arrays as they are: they are in memory.

    Examples
    --------
    >>> from mlnet import gather
    >>> gather(3)
    3
    """
    return X[0] if len(X) == 1 else X
