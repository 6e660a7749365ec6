"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mlnet.errors import OptionError
from mlnet.layers.base import (
    WEIGHT_INITIALIZERS,
    Call,
    Learnable,
    Size,
    SizeError,
    auto_or,
    layer_table,
    parameter_mistakes,
)
from mlnet.layers.reparameterization import ReparameterizedLayer, reparameterization_options, weight_length
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import integer

_WEIGHTS = Learnable("Weights", "Weight", "glorot", 1, "OutputSize x InputSize", WEIGHT_INITIALIZERS)
_BIAS = Learnable("Bias", "Bias", "zeros", 0, "OutputSize x 1")
_LENGTH = weight_length(_BIAS.shape)


class FullyConnectedLayer(ReparameterizedLayer):
    """Multiplies all elements of an observation by a matrix and adds a bias."""

    type_name = "Fully Connected"
    base_name = "fc"
    weights_and_bias = (_WEIGHTS, _BIAS)
    length = _LENGTH
    shows_all_link: ClassVar[bool] = True
    table = layer_table(
        Option(
            "InputSize",
            "auto",
            auto_or(integer()),
            "Number of elements of the input; inferred when training if 'auto'.",
            Group.HYPERPARAMETERS,
            Argument.NONE,
        ),
        Option("OutputSize", None, integer(), "Number of outputs.", Group.HYPERPARAMETERS, Argument.REQUIRED),
        *_WEIGHTS.options(),
        *_BIAS.options(),
        *reparameterization_options(_LENGTH),
    )

    def check(self) -> None:
        """Refuse parameters that do not have one row for each output."""
        super().check()
        for name in ("Weights", "Bias", "WeightLength"):
            value = getattr(self, name)
            # for one output [1, 2, 3] is a row of weights
            is_column = name != "Weights" or (value.ndim < 2 and self.OutputSize > 1)
            rows = value.size if is_column else 1 if value.ndim < 2 else len(value)
            if value.size and rows != self.OutputSize:
                raise OptionError(f"{self.where()}: {name}: needs {self.OutputSize} rows (OutputSize), but got {rows}.")

    def description(self) -> str:
        """Return e.g. "10 fully connected layer"."""
        return f"{self.OutputSize} fully connected layer"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield an input size and parameters that do not fit the input."""
        if self.InputSize not in ("auto", size.count):
            fix = "Use a new fullyConnectedLayer, or keep the layers before it as they were."
            yield SizeError(f"{self.InputSize} inputs (InputSize)", f"{size.count} ({size.text})", fix)
        yield from parameter_mistakes(self, size)
        yield from self.reparameterization_mistakes(size)

    def output_size(self, size: Size) -> Size:
        """Return OutputSize channels; images keep two spatial dimensions of size 1."""
        return Size(size.format, (1,) * len(size.spatial) + (self.OutputSize,))

    def with_size(self, size: Size) -> FullyConnectedLayer:
        """Return a copy with InputSize set."""
        return self.replaced(InputSize=size.count)

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return OutputSize x InputSize for the weights and OutputSize x 1 for the bias and the lengths."""
        return (self.OutputSize, size.count if name == "Weights" else 1)

    def fan_in_axes(self) -> tuple[int, ...]:
        """Return the axis of the inputs."""
        return (1,)

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return InputSize and OutputSize."""
        return size.count, self.OutputSize

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the matrix product."""
        return self.reparameterized(Call("fully_connected", ("Weights", "Bias")))


@constructs(FullyConnectedLayer)
def fullyConnectedLayer() -> None:
    """Create a layer that computes ``Weights * x + Bias`` from all elements of an observation.

    Images are flattened with height fastest, then width, then channels.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Notes
    -----
    'glorot': Glorot and Bengio, 2010; 'he': He et al., 2015; 'orthogonal': Saxe et al., 2014. On
    WeightReparameterization, which MATLAB has not, see `convolution2dLayer`; the filters are the rows of Weights.

    Examples
    --------
    >>> from mlnet import fullyConnectedLayer
    >>> fullyConnectedLayer(10)
      FullyConnectedLayer with properties:
    <BLANKLINE>
              Name: ''
    <BLANKLINE>
       Hyperparameters
         InputSize: 'auto'
        OutputSize: 10
    <BLANKLINE>
       Learnable Parameters
           Weights: []
              Bias: []
    <BLANKLINE>
      Show all properties
    """
