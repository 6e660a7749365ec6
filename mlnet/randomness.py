"""Random numbers: one seed, and one generator for each purpose.

`rng` sets the seed. Each training spawns its own generators from it (initial values, order of the data, dropout,
augmentation), so that, say, another dropout layer does not change the order of the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from mlnet.errors import OptionError
from mlnet.options import describe

_DEFAULT_SEED = 0
_root = np.random.SeedSequence(_DEFAULT_SEED)
_inner: ContextVar[np.random.SeedSequence | None] = ContextVar("_inner", default=None)
"""What takes the place of ``_root`` inside `seeded`."""
_DATA = 0x64617461
"""What tells the seed of the data functions from those of trainings, which are spawned one after the other."""
_data: np.random.Generator | None = None


class Generators(NamedTuple):
    """The generators of one training."""

    initialization: np.random.Generator
    shuffle: np.random.Generator
    dropout: np.random.Generator
    augmentation: np.random.Generator


def rng(seed: int | str) -> None:
    """Set the seed of everything random, so that a run can be repeated bit for bit.

    Parameters
    ----------
    seed : int of at least 0, 'default' or 'shuffle'
        'default' is the state at start (seed 0); 'shuffle' takes a seed from the operating system.

    Raises
    ------
    OptionError
        For another seed.

    Examples
    --------
    >>> from mlnet import rng
    >>> rng(42)
    """
    global _root, _data
    if isinstance(seed, str) and seed == "default":
        seed = _DEFAULT_SEED
    if isinstance(seed, str) and seed == "shuffle":
        _root = np.random.SeedSequence()
    elif isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and seed >= 0:
        _root = np.random.SeedSequence(int(seed))
    else:
        raise OptionError(f"rng: needs an integer of at least 0, 'default' or 'shuffle', but got {describe(seed)}.")
    _data = None


def data_generator() -> np.random.Generator:
    """Return the generator of the functions of data (`shuffle`, `splitEachLabel`, `augment`, `read`), which goes on.

    It is another one than those of trainings, so that looking at data does not change a training.
    """
    global _data
    if _data is None:
        _data = np.random.default_rng(np.random.SeedSequence(_root.entropy, spawn_key=(_DATA,)))
    return _data


def spawn_generators() -> Generators:
    """Return the generators of the next training."""
    root = _inner.get() or _root
    return Generators(*(np.random.default_rng(sequence) for sequence in root.spawn(1)[0].spawn(4)))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let trainings inside start from ``seed``; the seed of `rng`, and other threads, do not notice it."""
    token = _inner.set(np.random.SeedSequence(seed))
    try:
        yield
    finally:
        _inner.reset(token)
