"""The two checks of an operation on a case: its output against the formula, its gradients against differences."""

from __future__ import annotations

import numpy as np

from mlnet.engines.base import Operation, Workspace

from . import reference
from .cases import Case
from .gradients import check_gradients


def check_formula(operation: Operation, case: Case) -> None:
    """Fail where the output is not that of the formula in `reference`."""
    arrays = case.arrays()
    expected = getattr(reference, case.operation)(*arrays, **case.attributes)
    found, _ = operation.forward(*arrays, workspace=Workspace(), **case.attributes)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def check_backward(operation: Operation, case: Case) -> None:
    """Fail where a gradient differs from the difference quotient."""
    arrays = case.arrays(1)
    check_gradients(operation, arrays, case.attributes, (True,) * len(arrays), np.random.default_rng(2))
