"""The unpooling layer."""

from __future__ import annotations

from collections.abc import Iterator

from mlnet.layers.base import Call, Layer, Size, SizeError, layer_table, need_images, ports
from mlnet.options import constructs


class MaxUnpooling2DLayer(Layer):
    """Puts values back to where a max pooling layer has found its maxima."""

    type_name = "Max Unpooling"
    base_name = "maxunpool"
    inputs = ("in", "indices", "size")
    table = layer_table(*ports("input"))

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield an input that is not as large as the indices."""
        size, indices, _ = sizes
        if size != indices:
            fix = "Connect 'in' with images that are as large as what the max pooling layer puts out."
            yield SizeError(f"images of the size {indices} of the indices", str(size), fix)

    def output_size(self, *sizes: Size) -> Size:
        """Return height and width of what the max pooling layer took, and the channels of the input."""
        for size in sizes:
            need_images(size)
        return Size(sizes[0].format, (*sizes[2].spatial, sizes[0].channels))

    def with_size(self, *sizes: Size) -> MaxUnpooling2DLayer:
        """Return a copy."""
        return self.copy()

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the unpooling."""
        return Call("max_unpooling2d", (), {"size": sizes[2].spatial})


@constructs(MaxUnpooling2DLayer)
def maxUnpooling2dLayer() -> None:
    """Create a layer that puts values back to where a max pooling layer has found its maxima; all else is zero.

    The values come in at 'in'. Connect 'indices' and 'size' with the outputs of those names of a maxPooling2dLayer
    created with ``HasUnpoolingOutputs=True``; the output is as high and wide as what that layer took. Where pools
    overlap and several have the same maximum, the value of the last of them, row by row, is put back.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import maxUnpooling2dLayer
    >>> maxUnpooling2dLayer(Name='unpool')
      MaxUnpooling2DLayer with properties:
    <BLANKLINE>
              Name: 'unpool'
         NumInputs: 3
        InputNames: {'in'  'indices'  'size'}
    """
