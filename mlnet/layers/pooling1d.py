"""Pooling layers for sequences and 1-D images."""

from __future__ import annotations

from mlnet.layers.pools import GlobalPoolingLayer, PoolingLayer, padding_value, pool_table
from mlnet.options import constructs


class MaxPooling1DLayer(PoolingLayer):
    """Takes the largest element of each window."""

    type_name = "1-D Max Pooling"
    base_name = "maxpool1d"
    dimensions = 1
    kind = "max"
    table = pool_table(1)


@constructs(MaxPooling1DLayer)
def maxPooling1dLayer() -> None:
    """Create a layer that takes the largest element of each window of sequences or 1-D images.

    Padding never wins: it counts as minus infinity. The output has
    ``floor((input + padding - PoolSize) / Stride) + 1`` steps. A sequence that is shorter than the pool,
    padding included, is refused with a `DataError`.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import maxPooling1dLayer
    >>> maxPooling1dLayer(2, Stride=2)
      MaxPooling1DLayer with properties:
    <BLANKLINE>
               Name: ''
    <BLANKLINE>
       Hyperparameters
           PoolSize: 2
             Stride: 2
        PaddingMode: 'manual'
        PaddingSize: [0 0]
    """


class AveragePooling1DLayer(PoolingLayer):
    """Takes the mean of each window."""

    type_name = "1-D Average Pooling"
    base_name = "avgpool1d"
    dimensions = 1
    kind = "average"
    table = pool_table(1, padding_value())


@constructs(AveragePooling1DLayer)
def averagePooling1dLayer() -> None:
    """Create a layer that takes the mean of each window of sequences or 1-D images.

    The output has ``floor((input + padding - PoolSize) / Stride) + 1`` steps. A sequence that is shorter than the pool,
    padding included, is refused with a `DataError`.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import averagePooling1dLayer
    >>> averagePooling1dLayer(2, Stride=2)
      AveragePooling1DLayer with properties:
    <BLANKLINE>
               Name: ''
    <BLANKLINE>
       Hyperparameters
           PoolSize: 2
             Stride: 2
        PaddingMode: 'manual'
        PaddingSize: [0 0]
    """


class GlobalMaxPooling1DLayer(GlobalPoolingLayer):
    """Takes the largest element over all positions."""

    type_name = "1-D Global Max Pooling"
    base_name = "gmp1d"
    dimensions = 1
    kind = "max"


@constructs(GlobalMaxPooling1DLayer)
def globalMaxPooling1dLayer() -> None:
    """Create a layer that takes the largest element over the steps of sequences, or over 1-D images.

    Only the steps of a sequence itself count; its output has no time.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import globalMaxPooling1dLayer
    >>> globalMaxPooling1dLayer(Name='pool')
      GlobalMaxPooling1DLayer with properties:
    <BLANKLINE>
        Name: 'pool'
    """


class GlobalAveragePooling1DLayer(GlobalPoolingLayer):
    """Takes the mean over all positions."""

    type_name = "1-D Global Average Pooling"
    base_name = "gap1d"
    dimensions = 1
    kind = "average"


@constructs(GlobalAveragePooling1DLayer)
def globalAveragePooling1dLayer() -> None:
    """Create a layer that takes the mean over the steps of sequences, or over 1-D images.

    Only the steps of a sequence itself count; its output has no time.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import globalAveragePooling1dLayer
    >>> globalAveragePooling1dLayer(Name='pool')
      GlobalAveragePooling1DLayer with properties:
    <BLANKLINE>
        Name: 'pool'
    """
