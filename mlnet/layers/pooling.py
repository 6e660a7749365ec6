"""Pooling layers for images."""

from __future__ import annotations

from dataclasses import replace

from mlnet.layers.base import Call, Size, ports
from mlnet.layers.pools import GlobalPoolingLayer, PoolingLayer, padding_value, pool_table
from mlnet.options import Group, Option, constructs
from mlnet.rules import flag

_OUTPUTS = (
    Option(
        "HasUnpoolingOutputs", False, flag(), "Also put out indices and size, for a maxUnpooling2dLayer.", Group.PLAIN
    ),
    *ports("output"),
)


class MaxPooling2DLayer(PoolingLayer):
    """Takes the largest element of each window."""

    type_name = "Max Pooling"
    base_name = "maxpool"
    dimensions = 2
    kind = "max"
    table = pool_table(2, first=_OUTPUTS)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs."""
        return ("out", "indices", "size") if self.HasUnpoolingOutputs else ("out",)

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size of what comes out, with unpooling outputs also those of the indices and of the input."""
        pooled = self.output_size(sizes[0])
        return (pooled, pooled, sizes[0]) if self.HasUnpoolingOutputs else (pooled,)

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the pooling with its padding resolved."""
        call = super().operation(size, training=training)
        if not self.HasUnpoolingOutputs:
            return call
        return replace(call, operation=f"{call.operation}_with_indices", outputs=len(self.outputs))


@constructs(MaxPooling2DLayer)
def maxPooling2dLayer() -> None:
    """Create a layer that takes the largest element of each window.

    Padding never wins: it counts as minus infinity. The output has ``floor((input + padding - PoolSize) / Stride) + 1``
    rows and columns.

    With HasUnpoolingOutputs the layer has three outputs: 'out', 'indices' (where the maxima are) and 'size' (the size
    of the input). Connect the last two with the inputs of those names of a maxUnpooling2dLayer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import maxPooling2dLayer
    >>> maxPooling2dLayer(2, Stride=2)
      MaxPooling2DLayer with properties:
    <BLANKLINE>
                       Name: ''
        HasUnpoolingOutputs: 0
                 NumOutputs: 1
                OutputNames: {'out'}
    <BLANKLINE>
       Hyperparameters
                   PoolSize: [2 2]
                     Stride: [2 2]
                PaddingMode: 'manual'
                PaddingSize: [0 0 0 0]
    """


class AveragePooling2DLayer(PoolingLayer):
    """Takes the mean of each window."""

    type_name = "Average Pooling"
    base_name = "avgpool2d"
    dimensions = 2
    kind = "average"
    table = pool_table(2, padding_value())


@constructs(AveragePooling2DLayer)
def averagePooling2dLayer() -> None:
    """Create a layer that takes the mean of each window.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import averagePooling2dLayer
    >>> averagePooling2dLayer(3, Stride=2, Padding='same', Name='pool')
      AveragePooling2DLayer with properties:
    <BLANKLINE>
               Name: 'pool'
    <BLANKLINE>
       Hyperparameters
           PoolSize: [3 3]
             Stride: [2 2]
        PaddingMode: 'same'
        PaddingSize: []
    """


class GlobalAveragePooling2DLayer(GlobalPoolingLayer):
    """Takes the mean over height and width."""

    type_name = "Global Average Pooling"
    base_name = "gap"
    dimensions = 2
    kind = "average"


@constructs(GlobalAveragePooling2DLayer)
def globalAveragePooling2dLayer() -> None:
    """Create a layer that takes the mean over height and width of each channel.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import globalAveragePooling2dLayer
    >>> globalAveragePooling2dLayer(Name='gap1')
      GlobalAveragePooling2DLayer with properties:
    <BLANKLINE>
        Name: 'gap1'
    """


class GlobalMaxPooling2DLayer(GlobalPoolingLayer):
    """Takes the largest element over height and width."""

    type_name = "Global Max Pooling"
    base_name = "gmp"
    dimensions = 2
    kind = "max"


@constructs(GlobalMaxPooling2DLayer)
def globalMaxPooling2dLayer() -> None:
    """Create a layer that takes the largest element over height and width of each channel.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import globalMaxPooling2dLayer
    >>> globalMaxPooling2dLayer(Name='gmp1')
      GlobalMaxPooling2DLayer with properties:
    <BLANKLINE>
        Name: 'gmp1'
    """
