"""Placeholders of what an imported network has and layers do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Layer, Size, SizeError, layer_table, ports
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.trained import TrainedNetwork
from mlnet.options import Group, Option
from mlnet.rules import integer, text


class PlaceholderLayer(Layer):
    """Stands in the place of an operator that no layer computes; networks with it cannot run."""

    type_name = "PLACEHOLDER LAYER"
    base_name = "placeholder"
    constructor_name = "PlaceholderLayer"
    table = layer_table(
        Option("ONNXNode", "", text(), "The operator.", Group.PLAIN),
        Option("Reason", "", text(), "Why it was not imported.", Group.PLAIN),
        Option("Ins", 1, integer(0), "Number of inputs.", Group.HIDDEN),
        Option("Outs", 1, integer(), "Number of outputs.", Group.HIDDEN),
        *ports("input"),
        *ports("output"),
    )

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return _names("in", self.Ins)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs."""
        return _names("out", self.Outs)

    def description(self) -> str:
        """Return e.g. "Placeholder for 'Einsum' operator"."""
        return f"Placeholder for '{self.ONNXNode}' operator"

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield nothing: `output_sizes` tells what is wrong."""
        yield from ()

    def with_size(self, *sizes: Size) -> PlaceholderLayer:
        """Return a copy."""
        return self.copy()

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Raise that nothing computes the operator."""
        raise SizeError(f"a layer that computes {self.ONNXNode}", "a placeholder", "Replace it with replaceLayer.")


def _names(word: str, count: int) -> tuple[str, ...]:
    return (word,) if count == 1 else tuple(f"{word}{number}" for number in range(1, count + 1))


def findPlaceholderLayers(importedLayers: Any, *, nargout: int = 1) -> Any:  # noqa: N802, N803 - MATLAB's spelling
    """Return the placeholders in imported layers.

    Parameters
    ----------
    importedLayers : LayerArray, list of layers, LayerGraph or network
        What `importONNXLayers` has returned.
    nargout : 1 or 2, default 1
        With 2, return ``layers, indices``.

    Returns
    -------
    LayerArray
        The placeholders; empty where everything was imported.
    ndarray
        Their numbers, counted from 1, with ``nargout=2``.

    Raises
    ------
    OptionError
        Where ``importedLayers`` are no layers.
    """
    if nargout not in (1, 2) or isinstance(nargout, bool):
        raise OptionError(f"findPlaceholderLayers: nargout needs to be one of [1, 2], but is {nargout!r}.")
    has_layers = isinstance(importedLayers, (LayerGraph, TrainedNetwork))
    layers = importedLayers.Layers if has_layers else LayerArray(importedLayers)
    found = [number for number, layer in enumerate(layers, start=1) if isinstance(layer, PlaceholderLayer)]
    placeholders = LayerArray([layers[number - 1] for number in found])
    return placeholders if nargout == 1 else (placeholders, np.array(found, int))
