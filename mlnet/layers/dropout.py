"""The dropout layer."""

from __future__ import annotations

from mlnet.layers.base import Call, Layer, Size, layer_table
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import number


def probability(dropped: str) -> Option:
    """Return the option Probability of setting what is ``dropped``, e.g. 'a channel', to zero."""
    return Option(
        "Probability",
        0.5,
        number(0, 1, below=True),
        f"Probability of setting {dropped} to zero.",
        Group.HYPERPARAMETERS,
        Argument.OPTIONAL,
    )


class DropoutLayer(Layer):
    """Sets random elements to zero while training."""

    type_name = "Dropout"
    base_name = "dropout"
    table = layer_table(probability("an element"))

    def description(self) -> str:
        """Return e.g. "50% dropout"."""
        return f"{100 * self.Probability:g}% dropout"

    def operation(self, size: Size, *, training: bool) -> Call | None:
        """Return the random mask in training; at prediction the layer passes its input on."""
        return Call("dropout", (), {"probability": self.Probability}, random=True) if training else None


@constructs(DropoutLayer)
def dropoutLayer() -> None:
    """Create a layer that sets random elements to zero while training.

    The other elements are multiplied by ``1 / (1 - Probability)``. At prediction nothing changes.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.

    Examples
    --------
    >>> from mlnet import dropoutLayer
    >>> dropoutLayer(0.4, Name='drop1')
      DropoutLayer with properties:
    <BLANKLINE>
               Name: 'drop1'
    <BLANKLINE>
       Hyperparameters
        Probability: 0.4000
    """
