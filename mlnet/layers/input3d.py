"""The input layer for 3-D images."""

from __future__ import annotations

import numpy as np

from mlnet.layers.base import layer_table
from mlnet.layers.categorical_inputs import CATEGORICAL_INPUTS
from mlnet.layers.input import SPLIT_COMPLEX, ImagesLayer, image_size, normalization_options
from mlnet.options import constructs


class Image3DInputLayer(ImagesLayer):
    """Takes 3-D images."""

    type_name = "3-D Image Input"
    base_name = "image3dinput"
    table = layer_table(
        image_size(
            "height width depth",
            (28, [28, 28], [9, 9, 9, 1, 5], [0, 9, 9, 1], [9, 9.5, 9, 1], [9, 9, np.nan], [True] * 4, "9999", None),
        ),
        SPLIT_COMPLEX,
        CATEGORICAL_INPUTS,
        *normalization_options("zerocenter", ("channel", "element", "all")),
    )


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
