"""Writing where there is no room: one error, the old file stays, and nothing else is left."""

from __future__ import annotations

import os
from contextlib import contextmanager

import numpy as np
import pytest

from mlnet import DataError
from storage.saving import write
from storage.test_killed_saving import EXTRAS, numbers_in

resource = pytest.importorskip("resource")
LIMIT = 2**16


@contextmanager
def little_room():
    """Let no file become longer than 64 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["-v6", "-v7", "-v7.3", "npz", "ONNX", "OpenVINO", "MATLAB"])
def test_a_full_disk(kind, tmp_path):
    if kind in EXTRAS:
        pytest.importorskip(EXTRAS[kind])
    write(kind, tmp_path, 1.0, is_random=False)
    names = sorted(os.listdir(tmp_path))
    with little_room(), pytest.raises(DataError, match="cannot be written"):
        write(kind, tmp_path, 2.0, is_random=True)
    assert sorted(os.listdir(tmp_path)) == names
    assert numbers_in(kind, tmp_path).tolist() == [1.0]
    write(kind, tmp_path, 3.0, is_random=False)
    assert np.array_equal(numbers_in(kind, tmp_path), [3.0])
