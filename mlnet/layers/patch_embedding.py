"""The layer that turns images into lists of vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Layer,
    Learnable,
    Size,
    SizeError,
    auto_or,
    dims,
    layer_table,
    parameter_mistakes,
)
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import Refused, Rule, choice, integer, read_only

_WEIGHTS = Learnable("Weights", "Weight", "glorot", 1, "PatchSize x InputSize x OutputSize", WEIGHT_INITIALIZERS)
_BIAS = Learnable("Bias", "Bias", "zeros", 0, "1 x 1 x OutputSize")


def _patch_size(value: Any) -> Any:
    if np.size(value) == 1:
        return integer().convert(value)
    if np.size(value) not in (2, 3) or np.size(value) != max(np.shape(value)):
        raise Refused
    return read_only([integer().convert(each) for each in np.ravel(value).tolist()])


class PatchEmbeddingLayer(Layer):
    """Turns patches of images into vectors."""

    type_name = "Patch Embedding"
    base_name = "patch-emb"
    learnables = (_WEIGHTS, _BIAS)
    shows_all_link = True
    table = layer_table(
        Option(
            "PatchSize",
            None,
            Rule("a positive integer, or a vector of 2 or 3 of them", _patch_size, (0, "x", [], [1] * 4, [2, 0], None)),
            "Size of the patches; a number is that of all dimensions.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
        Option(
            "InputSize",
            "auto",
            auto_or(integer()),
            "Number of channels of the input; inferred when training if 'auto'.",
            Group.HYPERPARAMETERS,
            Argument.NONE,
        ),
        Option(
            "OutputSize", None, integer(), "Number of channels of the output.", Group.HYPERPARAMETERS, Argument.REQUIRED
        ),
        Option(
            "SpatialFlattenMode",
            "column-major",
            choice("column-major", "row-major"),
            "Order of the patches: with the first or with the last dimension fastest.",
            Group.HYPERPARAMETERS,
        ),
        *_WEIGHTS.options(),
        *_BIAS.options(),
    )

    def description(self) -> str:
        """Return e.g. "Patch embedding with patch size 16x16 and output size 192"."""
        size = "x".join(map(str, np.ravel(self.PatchSize)))
        return f"Patch embedding with patch size {size} and output size {self.OutputSize}"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield channels and parameters that do not fit."""
        self._patch(size)
        if self.InputSize not in ("auto", size.channels):
            fix = "Use a new patchEmbeddingLayer, or keep the layers before it as they were."
            yield SizeError(f"{self.InputSize} channels (InputSize)", f"{size.channels} ({size.text})", fix)
        yield from parameter_mistakes(self, size)

    def output_size(self, size: Size) -> Size:
        """Return a list with an element for each patch."""
        pairs = list(zip(size.spatial, self._patch(size), strict=True))
        if any(length < patch for length, patch in pairs):
            raise SizeError(f"images of at least {dims(self._patch(size))} (PatchSize)", size.text)
        count = math.prod(length // patch for length, patch in pairs)
        return Size("SCT" if size.is_sequence else "SC", (count, self.OutputSize))

    def with_size(self, size: Size) -> PatchEmbeddingLayer:
        """Return a copy with InputSize set."""
        return self.replaced(InputSize=size.channels)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return those of a convolution's weights and bias."""
        patch = self._patch(size)
        if name == "Bias":
            return (*[1] * len(patch), self.OutputSize)
        return {"Weights": (*patch, size.channels, self.OutputSize)}[name]

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return patch area times channels, and patch area times outputs."""
        area = int(np.prod(self._patch(size)))
        return area * size.channels, area * self.OutputSize

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the linear map of patches."""
        return Call("patch_embedding", ("Weights", "Bias"), {"by_rows": self.SpatialFlattenMode == "row-major"})

    def _patch(self, size: Size) -> tuple[int, ...]:
        """Return the size of the patches along each dimension of images of ``size``."""
        count = len(size.spatial)
        if not count:
            raise SizeError("images", size.text, "Start with an imageInputLayer.")
        patch = np.ravel(self.PatchSize).tolist()
        if len(patch) not in (1, count):
            raise SizeError(f"images of {len(patch)} dimensions (PatchSize)", size.text)
        return tuple(patch * count if len(patch) == 1 else patch)


@constructs(PatchEmbeddingLayer)
def patchEmbeddingLayer() -> None:
    """Create a layer that cuts images into patches and computes a vector from each.

    The map of all patches is the same, ``Weights`` and ``Bias`` of a convolution with the stride PatchSize: what is
    behind the last whole patch is left out. The output is a 1-D image with an element for each patch.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021.

    Examples
    --------
    >>> from mlnet import patchEmbeddingLayer
    >>> patchEmbeddingLayer([16, 16], 192)
      PatchEmbeddingLayer with properties:
    <BLANKLINE>
                      Name: ''
    <BLANKLINE>
       Hyperparameters
                 PatchSize: [16 16]
                 InputSize: 'auto'
                OutputSize: 192
        SpatialFlattenMode: 'column-major'
    <BLANKLINE>
       Learnable Parameters
                   Weights: []
                      Bias: []
    <BLANKLINE>
      Show all properties
    """
