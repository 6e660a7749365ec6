"""The input layer for 3-D images."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.layers.base import Size, layer_table
from mlnet.layers.input import _SPLIT, InputLayer, _normalization_options
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import Refused, Rule, integer, read_only, row


def _image_size(value: Any) -> np.ndarray:
    if np.size(value) not in (3, 4):
        raise Refused
    dims = row(integer(), int(np.size(value)), expand=False).convert(value)
    return read_only(np.append(dims, 1)[:4])


class Image3DInputLayer(InputLayer):
    """Takes 3-D images."""

    type_name = "3-D Image Input"
    base_name = "image3dinput"
    table = layer_table(
        Option(
            "InputSize",
            None,
            Rule(
                "[height width depth channels] or [height width depth]",
                _image_size,
                (28, [28, 28], [9, 9, 9, 1, 5], [0, 9, 9, 1], [9, 9.5, 9, 1], [9, 9, np.nan], [True] * 4, "9999", None),
            ),
            "Size of one image; [height width depth] means one channel.",
            Group.PLAIN,
            Argument.REQUIRED,
        ),
        _SPLIT,
        *_normalization_options("zerocenter", ("channel", "element", "all")),
    )

    def description(self) -> str:
        """Return e.g. "132x132x116x4 images with 'zerocenter' normalization"."""
        size = "x".join(str(n) for n in self.InputSize)
        if self.Normalization == "none":
            return f"{size} images"
        name = f"'{self.Normalization}'" if isinstance(self.Normalization, str) else "custom"
        return f"{size} images with {name} normalization"

    def size(self) -> Size:
        """Return height x width x depth x channels, with twice the channels for split complex images."""
        *spatial, channels = (int(n) for n in self.InputSize)
        return Size("SSSC", (*spatial, channels * (2 if self.SplitComplexInputs else 1)))


@constructs(Image3DInputLayer)
def image3dInputLayer() -> None:
    """Create a layer that takes 3-D images and normalizes them.

    The normalizations are those of `imageInputLayer`; statistics are 1 x 1 x 1 x C per channel, H x W x D x C per
    element, or one number for 'all'.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import image3dInputLayer
    >>> image3dInputLayer([64, 64, 32, 2])
      Image3DInputLayer with properties:
    <BLANKLINE>
                          Name: ''
                     InputSize: [64 64 32 2]
            SplitComplexInputs: 0
    <BLANKLINE>
       Hyperparameters
                 Normalization: 'zerocenter'
        NormalizationDimension: 'auto'
                          Mean: []
    """
