"""The spatial dropout layer."""

from __future__ import annotations

from mlnet.layers.base import Call, Layer, Size, layer_table, same_lengths
from mlnet.layers.dropout import probability
from mlnet.options import constructs


class SpatialDropoutLayer(Layer):
    """Sets random channels to zero while training."""

    type_name = "Spatial Dropout"
    base_name = "spatialdropout"
    table = layer_table(probability("a channel"))

    def description(self) -> str:
        """Return e.g. "50% spatial dropout"."""
        return f"{100 * self.Probability:g}% spatial dropout"

    def operation(self, size: Size, *, training: bool) -> Call | None:
        """Return the random mask in training, one for all time steps; at prediction the layer passes its input on."""
        if not training:
            return None
        time = same_lengths if size.is_sequence else None
        return Call("spatial_dropout", (), {"probability": self.Probability}, random=True, time=time)


@constructs(SpatialDropoutLayer)
def spatialDropoutLayer() -> None:
    """Create a layer that sets random channels to zero while training.

    All pixels and all time steps of a channel of an observation are set to zero, or none; what stays is multiplied by
    ``1 / (1 - Probability)``. At prediction nothing changes.

    Differs from MATLAB: Probability can also be given without its name.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Tompson, Goroshin, Jain, LeCun and Bregler, "Efficient Object Localization Using Convolutional Networks", 2015.

    Examples
    --------
    >>> from mlnet import spatialDropoutLayer
    >>> spatialDropoutLayer(Probability=0.25, Name='spat1')
      SpatialDropoutLayer with properties:
    <BLANKLINE>
               Name: 'spat1'
    <BLANKLINE>
       Hyperparameters
        Probability: 0.2500
    """
