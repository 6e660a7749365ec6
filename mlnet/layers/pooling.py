"""Pooling layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlnet.errors import NotSupportedError, OptionError
from mlnet.layers.base import Call, Layer, Size, layer_table, need_images
from mlnet.layers.windows import padding_options, resolved_padding, window_options, window_output, window_text
from mlnet.options import Derived, Group, Option, constructs
from mlnet.rules import choice, either, flag, number


class _Pooling2DLayer(Layer):
    """A pooling window that slides over images."""

    operation_name: str
    kind: str

    def description(self) -> str:
        """Return e.g. "2x2 max pooling with stride [2  2] and padding [0  0  0  0]"."""
        return f"{self.PoolSize[0]}x{self.PoolSize[1]} {self.kind} pooling with {window_text(self)}"

    def check(self) -> None:
        """Refuse padding that is not smaller than the pool."""
        if self.PaddingMode == "manual" and np.any(self.Padding >= np.repeat(self.PoolSize, 2)):
            size, padding = self.PoolSize.tolist(), self.Padding.tolist()
            raise OptionError(f"{self.where()}: needs padding smaller than PoolSize {size}, but got {padding}.")

    def output_size(self, size: Size) -> Size:
        """Return the size of the pooled images."""
        need_images(size)
        return Size(size.format, (*window_output(self, size, self._window()), size.channels))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the pooling with its padding resolved."""
        return Call(self.operation_name, (), self._attributes(size))

    def _window(self) -> tuple[int, int]:
        return int(self.PoolSize[0]), int(self.PoolSize[1])

    def _attributes(self, size: Size) -> dict[str, Any]:
        return {
            "pool_size": self._window(),
            "stride": tuple(int(n) for n in self.Stride),
            "padding": resolved_padding(self, size.spatial, self._window()),
        }


_POOL, _STRIDE = window_options("PoolSize", "the pool")


class MaxPooling2DLayer(_Pooling2DLayer):
    """Takes the largest element of each window."""

    type_name = "Max Pooling"
    base_name = "maxpool"
    operation_name = "max_pooling2d"
    kind = "max"
    table = layer_table(
        Option("HasUnpoolingOutputs", False, flag(), "Also put out indices and size, for unpooling.", Group.PLAIN),
        Derived("NumOutputs", lambda layer: len(layer.outputs), "Number of outputs.", Group.PLAIN),
        Derived("OutputNames", lambda layer: list(layer.outputs), "Names of the outputs.", Group.PLAIN),
        _POOL,
        _STRIDE,
        *padding_options(),
    )

    def check(self) -> None:
        """Refuse what pooling cannot do, and the unpooling outputs, which need networks with several outputs."""
        super().check()
        if self.HasUnpoolingOutputs:
            raise NotSupportedError(f"{self.where()}: HasUnpoolingOutputs=True is not supported yet.")


@constructs(MaxPooling2DLayer)
def maxPooling2dLayer() -> None:
    """Create a layer that takes the largest element of each window.

    Padding never wins: it counts as minus infinity. The output has ``floor((input + padding - PoolSize) / Stride) + 1``
    rows and columns.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.
    NotSupportedError
        For HasUnpoolingOutputs=True.

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


class AveragePooling2DLayer(_Pooling2DLayer):
    """Takes the mean of each window."""

    type_name = "Average Pooling"
    base_name = "avgpool2d"
    operation_name = "average_pooling2d"
    kind = "average"
    table = layer_table(
        _POOL,
        _STRIDE,
        *padding_options(),
        Option(
            "PaddingValue",
            0,
            either(choice("mean"), number(0, 0)),
            "0 counts the padding as zeros; 'mean' leaves it out of the mean.",
            Group.HYPERPARAMETERS,
            shown=lambda layer: layer.PaddingValue != 0,
        ),
    )

    def _attributes(self, size: Size) -> dict[str, Any]:
        value = self.PaddingValue if self.PaddingValue == "mean" else 0.0
        return {**super()._attributes(size), "padding_value": value}


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


class _GlobalPooling2DLayer(Layer):
    """Pooling over all positions of an image."""

    operation_name: str

    def output_size(self, size: Size) -> Size:
        """Return 1 x 1 x C."""
        need_images(size)
        return Size(size.format, (1, 1, size.channels))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the pooling."""
        return Call(self.operation_name)


class GlobalAveragePooling2DLayer(_GlobalPooling2DLayer):
    """Takes the mean over height and width."""

    type_name = "Global Average Pooling"
    base_name = "gap"
    operation_name = "global_average_pooling"

    def description(self) -> str:
        """Return "Global average pooling"."""
        return "Global average pooling"


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


class GlobalMaxPooling2DLayer(_GlobalPooling2DLayer):
    """Takes the largest element over height and width."""

    type_name = "Global Max Pooling"
    base_name = "gmp"
    operation_name = "global_max_pooling"

    def description(self) -> str:
        """Return "Global max pooling"."""
        return "Global max pooling"


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
