"""Pooling layers for 3-D images."""

from __future__ import annotations

from mlnet.layers.pools import GlobalPoolingLayer, PoolingLayer, padding_value, pool_table
from mlnet.options import constructs


class MaxPooling3DLayer(PoolingLayer):
    """Takes the largest element of each window."""

    type_name = "3-D Max Pooling"
    base_name = "maxpool3d"
    dimensions = 3
    kind = "max"
    table = pool_table(3)


@constructs(MaxPooling3DLayer)
def maxPooling3dLayer() -> None:
    """Create a layer that takes the largest element of each window of 3-D images.

    Padding never wins: it counts as minus infinity. The output has
    ``floor((input + padding - PoolSize) / Stride) + 1`` elements in each dimension.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import maxPooling3dLayer
    >>> maxPooling3dLayer(2, Stride=2)
      MaxPooling3DLayer with properties:
    <BLANKLINE>
               Name: ''
    <BLANKLINE>
       Hyperparameters
           PoolSize: [2 2 2]
             Stride: [2 2 2]
        PaddingMode: 'manual'
        PaddingSize: [2x3 double]
    """


class AveragePooling3DLayer(PoolingLayer):
    """Takes the mean of each window."""

    type_name = "3-D Average Pooling"
    base_name = "avgpool3d"
    dimensions = 3
    kind = "average"
    table = pool_table(3, padding_value())


@constructs(AveragePooling3DLayer)
def averagePooling3dLayer() -> None:
    """Create a layer that takes the mean of each window of 3-D images.

    The output has ``floor((input + padding - PoolSize) / Stride) + 1`` elements in each dimension.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import averagePooling3dLayer
    >>> averagePooling3dLayer(2, Stride=2)
      AveragePooling3DLayer with properties:
    <BLANKLINE>
               Name: ''
    <BLANKLINE>
       Hyperparameters
           PoolSize: [2 2 2]
             Stride: [2 2 2]
        PaddingMode: 'manual'
        PaddingSize: [2x3 double]
    """


class GlobalMaxPooling3DLayer(GlobalPoolingLayer):
    """Takes the largest element over all positions."""

    type_name = "3-D Global Max Pooling"
    base_name = "gmp3d"
    dimensions = 3
    kind = "max"


@constructs(GlobalMaxPooling3DLayer)
def globalMaxPooling3dLayer() -> None:
    """Create a layer that takes the largest element over height, width and depth of each channel.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import globalMaxPooling3dLayer
    >>> globalMaxPooling3dLayer(Name='pool')
      GlobalMaxPooling3DLayer with properties:
    <BLANKLINE>
        Name: 'pool'
    """


class GlobalAveragePooling3DLayer(GlobalPoolingLayer):
    """Takes the mean over all positions."""

    type_name = "3-D Global Average Pooling"
    base_name = "gap3d"
    dimensions = 3
    kind = "average"


@constructs(GlobalAveragePooling3DLayer)
def globalAveragePooling3dLayer() -> None:
    """Create a layer that takes the mean over height, width and depth of each channel.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import globalAveragePooling3dLayer
    >>> globalAveragePooling3dLayer(Name='pool')
      GlobalAveragePooling3DLayer with properties:
    <BLANKLINE>
        Name: 'pool'
    """
