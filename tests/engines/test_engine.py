"""The seam: what an engine offers and what it says about the rest."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mlnet.engines.base import Engine, Workspace
from mlnet.engines.numpy.engine import NumpyEngine
from mlnet.errors import NotSupportedError


def test_an_unknown_operation_is_named():
    with pytest.raises(NotSupportedError, match="Engine 'numpy' has no operation 'convolution7d'"):
        NumpyEngine().operation("convolution7d")


def test_the_numpy_engine_is_an_engine():
    engine = NumpyEngine()
    assert isinstance(engine, Engine)
    assert engine.name == "numpy"
    names = {"softmax_cross_entropy", "half_mean_squared_error", "softmax_focal", "generalized_dice", "custom_loss"}
    names |= {"absolute_error", "huber_error", "sigmoid_cross_entropy", "softmax_soft_cross_entropy"}
    assert set(engine.losses) == names


def test_parts_of_a_workspace_have_their_own_arrays_and_share_scratch():
    whole = Workspace()
    first, second = whole.part("first"), whole.part("second")
    arrays = [each.empty("output", (2, 3), np.float32) for each in (whole, first, second)]
    assert not any(np.shares_memory(a, b) for a, b in ((arrays[0], arrays[1]), (arrays[1], arrays[2])))
    assert whole.part("first").empty("output", (2, 3), np.float32) is arrays[1]
    assert np.shares_memory(first.scratch("sum", (4,), np.float32), whole.scratch("sum", (4,), np.float32))


def test_tables_hold_pairs_of_the_same_name():
    for name, pair in (NumpyEngine().operations | NumpyEngine().losses).items():
        assert pair.forward.__name__ == name
        assert pair.backward.__name__ == f"{name}_backward"
        assert pair.forward.__doc__
        assert pair.backward.__doc__


def test_importing_the_engine_loads_nothing_heavy():
    script = (
        "import sys, mlnet.engines.numpy.engine; "
        "print(sorted({'scipy', 'torch', 'matplotlib'} & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
