"""A queue of mini-batches as MATLAB prints it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.data.datastores.mini_batch_queue import MiniBatchQueue
from mlnet.display.objects import Block
from mlnet.display.values import value_text


def queue_text(queue: MiniBatchQueue) -> str:
    """Return the properties in two groups: how mini-batches are made, and what the outputs are."""
    count = queue.num_outputs
    creation = tuple((name, value_text(getattr(queue, name))) for name in queue.creation)
    outputs = []
    for name in queue.per_output:
        values = queue.each(name)
        shown: Any = values
        if isinstance(values[0], bool):
            shown = np.array(values, int) if count > 1 else values[0]
        outputs.append((name, value_text(shown)))
    header = f"minibatchqueue with {count} output{'s' * (count != 1)} and properties:"
    groups = (("Mini-batch creation:", creation), ("Outputs:", tuple(outputs)))
    return Block(header, groups).text().removeprefix("  ")
