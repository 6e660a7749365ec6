"""Memory for the values of plans."""

import mmap

import numpy as np
import pytest

from mlnet.engines.onednn.library import OutOfMemoryError
from mlnet.engines.onednn.rooms import Rooms, address_of

SIZES = [0, 1, 100, 1 << 20, 5, 3 << 20, 4096, (1 << 21) + 1, 77, 1 << 21, 1 << 19]


@pytest.mark.parametrize("has_large_pages", [True, False])
def test_arrays_are_zeros_even_and_apart(monkeypatch, has_large_pages):
    if not has_large_pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    rooms = Rooms()
    arrays = [rooms.zeros(size) for size in SIZES]
    del rooms
    assert [array.size for array in arrays] == SIZES
    assert all(not array.any() for array in arrays)
    assert all(address_of(array) % 64 == 0 for array in arrays if array.size)
    for number, array in enumerate(arrays):
        array[...] = number + 1
    assert all((array == number + 1).all() for number, array in enumerate(arrays))


@pytest.mark.parametrize("has_large_pages", [True, False])
def test_without_memory_a_message_says_so(monkeypatch, has_large_pages):
    if not has_large_pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    rooms = Rooms()
    with pytest.raises(OutOfMemoryError, match="no memory for 43980465111.. MiB.*Use a smaller MiniBatchSize"):
        rooms.zeros(1 << 62)
    assert rooms.zeros(1 << 21).size == 1 << 21


def test_a_system_that_refuses_large_pages(monkeypatch):
    class Refusing(mmap.mmap):
        def madvise(self, *arguments):
            raise OSError

    monkeypatch.setattr(mmap, "mmap", Refusing)
    array = Rooms().zeros(1 << 22)
    assert array.size == 1 << 22
    assert not np.any(array)
