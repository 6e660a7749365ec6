"""What a minibatchqueue makes of its datastore, as a datastore of observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.errors import DataError, message


class QueueDatastore(Datastore):
    """The observations of the mini-batches of a queue, each run through its MiniBatchFcn when it is read.

    Outputs need a dimension 'B' in their MiniBatchFormat, or observations along their last dimension.
    """

    def __init__(self, queue: MiniBatchQueue) -> None:
        super().__init__()
        self._queue = queue
        self._count = len(queue._order)
        self.forkable = queue._values["ds"].forkable

    def __len__(self) -> int:
        return self._count

    def rows(self, numbers: Sequence[int], generator: np.random.Generator | None = None) -> list[tuple[Any, ...]]:
        """Return the outputs of the observations ``numbers``."""
        outputs = self._queue.made_of([int(each) for each in self._queue._order[list(numbers)]], generator)
        return list(zip(*[_observations(each, len(numbers)) for each in outputs], strict=True))


def _observations(output: Any, count: int) -> list[Any]:
    """Return an output of a queue by observations, each in the order of dimensions that networks take."""
    labels = output.dims() if isinstance(output, dlarray) else ""
    array = output.extractdata() if isinstance(output, dlarray) else np.asarray(output)
    axis = labels.index("B") if "B" in labels else array.ndim - 1
    if array.ndim == 0 or array.shape[axis] != count:
        needed = f"{count} observations along 'B', or along the last dimension"
        raise DataError(message("minibatchqueue", needed, f"shape {array.shape}", "Set MiniBatchFormat."))
    return list(np.moveaxis(array, axis, 0))
