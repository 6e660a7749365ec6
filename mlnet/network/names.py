"""Automatic names of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mlnet.layers.base import Layer


def automatic_names(layers: Iterable[Layer]) -> list[str]:
    """Return a name for every layer: its own, or one made from its kind.

    A base name that is needed once is used as it is; one that is needed several times is followed by _1, _2, ... in the
    order of the layers. Names that layers already have are left out.
    """
    layers = list(layers)
    taken = {layer.Name for layer in layers if layer.Name}
    needed = Counter(layer.base_name for layer in layers if not layer.Name)
    counters: Counter[str] = Counter()
    names = []
    for layer in layers:
        name = layer.Name
        if not name:
            base = layer.base_name
            name = base if needed[base] == 1 else ""
            while not name or name in taken:
                counters[base] += 1
                name = f"{base}_{counters[base]}"
        names.append(name)
    return names
