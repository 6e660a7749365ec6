"""The resize layer for 3-D images."""

from __future__ import annotations

from mlnet.layers.resize import ResizeLayer, resize_table
from mlnet.options import constructs


class Resize3DLayer(ResizeLayer):
    """Resizes 3-D images."""

    type_name = "3-D Resize"
    base_name = "resize3d"
    dimensions = 3
    table = resize_table("trilinear", "height", "width", "depth")


@constructs(Resize3DLayer)
def resize3dLayer() -> None:
    """Create a layer that resizes 3-D images.

    One of Scale, OutputSize and EnableReferenceInput tells height, width and depth of the output; with Scale they are
    ``floor(Scale .* size)``. Positions, edges and rounding are those of resize2dLayer.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt, or more than one of the three options is given.

    Examples
    --------
    >>> from mlnet import resize3dLayer
    >>> resize3dLayer(OutputSize=[8, 8, 4], Method='trilinear', Name='up1')
      Resize3DLayer with properties:
    <BLANKLINE>
                          Name: 'up1'
                     NumInputs: 1
                    InputNames: {'in'}
    <BLANKLINE>
       Hyperparameters
                         Scale: []
                    OutputSize: [8 8 4]
          EnableReferenceInput: 0
                        Method: 'trilinear'
        GeometricTransformMode: 'half-pixel'
           NearestRoundingMode: 'round'
    """
