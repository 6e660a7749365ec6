"""Differentiation of NumPy code: traced arrays, the tape behind them, and derivatives of any order.

Importing the package registers the rules of all functions that can be differentiated.
"""

from __future__ import annotations

from mlnet.autodiff import (
    rules_elementwise,  # noqa: F401 - imported for what they register
    rules_linear,  # noqa: F401
    rules_reduction,  # noqa: F401
    rules_selection,  # noqa: F401
    rules_shape,  # noqa: F401
)
