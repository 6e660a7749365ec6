"""Functions of elements of SciPy, as `rules_elementwise` has those of NumPy.

Loaded when the first of them is called, so that mlnet does not load SciPy for others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from mlnet.autodiff.array import UFUNCS
from mlnet.autodiff.tape import Rule

DERIVATIVES: dict[np.ufunc, tuple[Callable[..., Any], ...]] = {
    special.expit: (lambda g, y, x: g * y * (1 - y),),
    special.log_expit: (lambda g, y, x: g * special.expit(-x),),
    special.logit: (lambda g, y, x: g / (x * (1 - x)),),
    special.erf: (lambda g, y, x: g * (2 / math.sqrt(math.pi)) * np.exp(-x * x),),
    special.erfc: (lambda g, y, x: -g * (2 / math.sqrt(math.pi)) * np.exp(-x * x),),
    special.ndtr: (lambda g, y, x: g * (1 / math.sqrt(2 * math.pi)) * np.exp(-0.5 * x * x),),
    special.xlogy: (lambda g, y, a, b: g * np.log(b), lambda g, y, a, b: g * a / b),
}
"""The gradients of the arguments, as in `rules_elementwise`."""


def _xlogy(a: Any, b: Any) -> Any:
    """Return ``a log(b)``, single where one of them is: SciPy's function makes doubles of Python's numbers."""
    types = {getattr(each, "dtype", None) is _SINGLE for each in (a, b)}
    return special.xlogy(*(np.asarray(each, np.float32) for each in (a, b))) if True in types else special.xlogy(a, b)


_SINGLE = np.dtype(np.float32)
_FUNCTIONS: dict[np.ufunc, Callable[..., Any]] = {special.xlogy: _xlogy}
UFUNCS.update(
    {ufunc: Rule(_FUNCTIONS.get(ufunc, ufunc), derivatives, counts=True) for ufunc, derivatives in DERIVATIVES.items()}
)
