"""Single operations as plans of the fast engine: `dlconv` and others of which a script makes its network."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.engines.program import Node, Program
from mlnet.engines.select import select_engine
from mlnet.functional.pairs import as_type, common_type
from mlnet.functional.whole import Plans, WholeRun

_QUICK = frozenset(
    {
        *("convolution2d", "convolution3d", "grouped_convolution2d"),
        *("transposed_convolution2d", "transposed_convolution3d"),
        *("batch_normalization", "max_pooling2d", "max_pooling3d", "average_pooling2d", "average_pooling3d"),
    }
)
"""Operations that a plan runs faster than NumPy although the data come in and go out in NumPy's layout."""
_FEWEST = 2**15
"""Elements of the data from which on that is so."""
_MOST = 64
"""Different calls of which plans are kept."""

_lock = threading.Lock()
_plans: OrderedDict[Hashable, Plans] = OrderedDict()


def quick_call(
    where: str, name: str, arrays: Sequence[dlarray], attributes: Mapping[str, Any]
) -> tuple[dlarray, Any] | None:
    """Return the output of an operation and its record; None where no plan suits, and NumPy is to compute.

    The record is that of the last call with the same sizes: what is needed of it has to be copied.
    """
    if name not in _QUICK or arrays[0].size < _FEWEST or common_type(arrays) != np.float32:
        return None
    if select_engine().kernels is None or any(each.dtype.kind != "f" for each in arrays):
        return None
    arrays = [as_type(each, np.dtype(np.float32)) for each in arrays]
    plans = _plans_for(where, name, [each.shape for each in arrays], attributes)
    if plans is None or not plans.has_room:
        return None
    parameters = {(where, str(number)): each for number, each in enumerate(arrays) if number}
    run = WholeRun(plans, [arrays[0]], parameters, np.random.default_rng(0))
    ((y, _),) = run.outputs()
    return y, run.saved.get(0)


def _plans_for(where: str, name: str, shapes: Sequence[tuple[int, ...]], attributes: Mapping[str, Any]) -> Plans | None:
    key = (where, name, tuple(shapes), tuple(sorted(attributes.items())))
    try:
        hash(key)
    except TypeError:
        return None
    with _lock:
        if key not in _plans:
            parameters = tuple(str(number) for number in range(1, len(shapes)))
            _plans[key] = Plans(Program((Node(where, name, (-1,), parameters, dict(attributes)),)))
            if len(_plans) > _MOST:
                _plans.popitem(last=False)
        _plans.move_to_end(key)
        return _plans[key]
