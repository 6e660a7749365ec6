"""Activation layers: element-wise functions, and softmax over the channels."""

from __future__ import annotations

from typing import Any, ClassVar

from mlnet.layers.base import Call, Layer, Size, layer_table
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import number


class ActivationLayer(Layer):
    """An activation: the operation and the options that it takes as attributes."""

    operation_name: ClassVar[str]
    attribute_options: ClassVar[tuple[str, ...]] = ()

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the element-wise function with its attributes."""
        attributes: dict[str, Any] = {name.lower(): getattr(self, name) for name in self.attribute_options}
        return Call(self.operation_name, (), attributes)


class ReLULayer(ActivationLayer):
    """Sets negative elements to zero."""

    type_name = "ReLU"
    base_name = operation_name = "relu"


@constructs(ReLULayer)
def reluLayer() -> None:
    """Create a layer that sets negative elements to zero: ``y = max(x, 0)``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import reluLayer
    >>> reluLayer(Name='relu1')
      ReLULayer with properties:
    <BLANKLINE>
        Name: 'relu1'
    """


class LeakyReLULayer(ActivationLayer):
    """Multiplies negative elements by a small factor."""

    type_name = "Leaky ReLU"
    base_name = "leakyrelu"
    operation_name = "leaky_relu"
    attribute_options = ("Scale",)
    table = layer_table(
        Option("Scale", 0.01, number(), "Factor of negative elements.", Group.HYPERPARAMETERS, Argument.OPTIONAL),
    )

    def description(self) -> str:
        """Return e.g. "Leaky ReLU with scale 0.1"."""
        return f"Leaky ReLU with scale {self.Scale:g}"


@constructs(LeakyReLULayer)
def leakyReluLayer() -> None:
    """Create a layer that multiplies negative elements by Scale: ``y = x`` for x >= 0, else ``Scale * x``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import leakyReluLayer
    >>> leakyReluLayer(0.1, Name='leaky1')
      LeakyReLULayer with properties:
    <BLANKLINE>
         Name: 'leaky1'
    <BLANKLINE>
       Hyperparameters
        Scale: 0.1000
    """


class ClippedReLULayer(ActivationLayer):
    """Sets negative elements to zero and elements above the ceiling to the ceiling."""

    type_name = "Clipped ReLU"
    base_name = "clippedrelu"
    operation_name = "clipped_relu"
    attribute_options = ("Ceiling",)
    table = layer_table(
        Option("Ceiling", None, number(0, above=True), "Largest output.", Group.HYPERPARAMETERS, Argument.REQUIRED),
    )

    def description(self) -> str:
        """Return e.g. "Clipped ReLU with ceiling 10"."""
        return f"Clipped ReLU with ceiling {self.Ceiling:g}"


@constructs(ClippedReLULayer)
def clippedReluLayer() -> None:
    """Create a layer that limits elements to 0 ... Ceiling: ``y = min(max(x, 0), Ceiling)``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import clippedReluLayer
    >>> clippedReluLayer(10, Name='clip1')
      ClippedReLULayer with properties:
    <BLANKLINE>
           Name: 'clip1'
    <BLANKLINE>
       Hyperparameters
        Ceiling: 10
    """


class ELULayer(ActivationLayer):
    """Lets negative elements saturate exponentially."""

    type_name = "ELU"
    base_name = operation_name = "elu"
    attribute_options = ("Alpha",)
    shows_all_link = shows_empty_groups = True
    table = layer_table(
        Option("Alpha", 1, number(), "Factor of the exponential part.", Group.PLAIN, Argument.OPTIONAL),
    )

    def description(self) -> str:
        """Return e.g. "ELU with Alpha 1"."""
        return f"ELU with Alpha {self.Alpha:g}"


@constructs(ELULayer)
def eluLayer() -> None:
    """Create an exponential linear unit: ``y = x`` for x >= 0, else ``Alpha * (exp(x) - 1)``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Clevert, Unterthiner and Hochreiter, 2016.

    Examples
    --------
    >>> from mlnet import eluLayer
    >>> eluLayer(Name='elu1')
      ELULayer with properties:
    <BLANKLINE>
         Name: 'elu1'
        Alpha: 1
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """


class TanhLayer(ActivationLayer):
    """Takes the hyperbolic tangent."""

    type_name = "Tanh"
    base_name = operation_name = "tanh"
    shows_all_link = shows_empty_groups = True

    def description(self) -> str:
        """Return "Hyperbolic tangent"."""
        return "Hyperbolic tangent"


@constructs(TanhLayer)
def tanhLayer() -> None:
    """Create a layer that takes the hyperbolic tangent of each element.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import tanhLayer
    >>> tanhLayer(Name='tanh1')
      TanhLayer with properties:
    <BLANKLINE>
        Name: 'tanh1'
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """


class SigmoidLayer(ActivationLayer):
    """Takes the logistic function."""

    type_name = "Sigmoid"
    base_name = operation_name = "sigmoid"
    shows_all_link = shows_empty_groups = True


@constructs(SigmoidLayer)
def sigmoidLayer() -> None:
    """Create a layer that takes the logistic function of each element: ``y = 1 / (1 + exp(-x))``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import sigmoidLayer
    >>> sigmoidLayer().Name
    ''
    """


class SoftmaxLayer(ActivationLayer):
    """Turns channels into probabilities."""

    type_name = "Softmax"
    base_name = operation_name = "softmax"

    def description(self) -> str:
        """Return "softmax"."""
        return "softmax"


@constructs(SoftmaxLayer)
def softmaxLayer() -> None:
    """Create a layer that turns the channels into probabilities: ``y_c = exp(x_c) / sum_k exp(x_k)``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import softmaxLayer
    >>> softmaxLayer(Name='sm1')
      SoftmaxLayer with properties:
    <BLANKLINE>
        Name: 'sm1'
    """
