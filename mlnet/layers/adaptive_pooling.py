"""Average pooling to a size that is given."""

from __future__ import annotations

from mlnet.layers.base import Call, Layer, Size, layer_table, need_images, spaced
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import integer, row


class AdaptiveAveragePooling2DLayer(Layer):
    """Takes the mean of as many windows as the output is to have pixels."""

    type_name = "2-D Adaptive Average Pooling"
    base_name = "adaptiveavgpool2d"
    table = layer_table(
        Option(
            "OutputSize",
            None,
            row(integer(), 2),
            "Height and width of the output; one number stands for both.",
            Group.HYPERPARAMETERS,
            Argument.REQUIRED,
        ),
    )

    def description(self) -> str:
        """Return e.g. "2-D adaptive average pooling with output size [7  7]"."""
        return f"2-D adaptive average pooling with output size {spaced(self.OutputSize)}"

    def output_size(self, size: Size) -> Size:
        """Return OutputSize with the channels of the input."""
        need_images(size)
        return Size(size.format, (*self._size(), size.channels))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the pooling."""
        return Call("adaptive_average_pooling", (), {"size": self._size()})

    def _size(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.OutputSize)


@constructs(AdaptiveAveragePooling2DLayer)
def adaptiveAveragePooling2dLayer() -> None:
    """Create a layer that takes the mean of as many windows as the output is to have pixels.

    Window i = 0, 1, ... of n covers the rows from ``floor(i H / n)`` up to, but without, ``ceil((i + 1) H / n)``,
    counted from 0, and the columns likewise; neighbours overlap where n does not divide H. An output larger than the
    input repeats pixels.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    The windows are those of PyTorch's AdaptiveAvgPool2d.

    Examples
    --------
    >>> from mlnet import adaptiveAveragePooling2dLayer
    >>> adaptiveAveragePooling2dLayer(7, Name='pool')
      AdaptiveAveragePooling2DLayer with properties:
    <BLANKLINE>
              Name: 'pool'
    <BLANKLINE>
       Hyperparameters
        OutputSize: [7 7]
    """
