"""Activation layers without a corner, the parametrized ReLU layer, and the scaling layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from mlnet.layers.activation import ActivationLayer
from mlnet.layers.base import (
    Call,
    Layer,
    Learnable,
    Size,
    SizeError,
    dims,
    layer_table,
    parameter_mistakes,
    without_ones,
)
from mlnet.layers.per_channel import channel_shape
from mlnet.options import Group, Option, constructs
from mlnet.rules import Rule, array, choice, either, is_empty, number, read_only


class SwishLayer(ActivationLayer):
    """Multiplies each element by its logistic function."""

    type_name = "Swish"
    base_name = operation_name = "swish"
    shows_all_link = shows_empty_groups = True


@constructs(SwishLayer)
def swishLayer() -> None:
    """Create a layer that multiplies each element by its logistic function: ``y = x / (1 + exp(-x))``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017.

    Examples
    --------
    >>> from mlnet import swishLayer
    >>> swishLayer(Name='swish1')
      SwishLayer with properties:
    <BLANKLINE>
        Name: 'swish1'
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """


class SoftplusLayer(ActivationLayer):
    """Takes the logarithm of one plus the exponential."""

    type_name = "Softplus"
    base_name = operation_name = "softplus"
    shows_all_link = shows_empty_groups = True


@constructs(SoftplusLayer)
def softplusLayer() -> None:
    """Create a layer that smooths a ReLU, so that its output is positive: ``y = log(1 + exp(x))``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import softplusLayer
    >>> softplusLayer().description()
    'Softplus'
    """


class GELULayer(ActivationLayer):
    """Multiplies each element by its probability under the normal distribution."""

    type_name = "GELU"
    base_name = operation_name = "gelu"
    attribute_options = ("Approximation",)
    table = layer_table(
        Option(
            "Approximation",
            "none",
            choice("none", "tanh"),
            "'tanh': use sqrt(2 / pi) (x + 0.044715 x^3) under a hyperbolic tangent in place of the error function.",
            Group.HYPERPARAMETERS,
        ),
    )


@constructs(GELULayer)
def geluLayer() -> None:
    """Create a Gaussian error linear unit: ``y = x / 2 * (1 + erf(x / sqrt(2)))``.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.

    Examples
    --------
    >>> from mlnet import geluLayer
    >>> geluLayer(Name='gelu1')
      GELULayer with properties:
    <BLANKLINE>
                 Name: 'gelu1'
    <BLANKLINE>
       Hyperparameters
        Approximation: 'none'
    """


def _filled_array() -> Rule:
    """Return the rule of a numeric array that is not empty."""
    rule = array()

    def convert(value: Any) -> np.ndarray:
        if is_empty(value):
            raise ValueError("empty")
        return rule.convert(value)

    return Rule("a number or a numeric array of finite values", convert, (*rule.bad, [], None))


_ALPHA = Learnable("Alpha", "Alpha", "", 1, "A number, or a 1 x 1 x C (images) or C x 1 (features, sequences)", ())


class PReLULayer(Layer):
    """Multiplies negative elements by a factor that is learned for each channel."""

    type_name = "PReLU"
    base_name = "prelu"
    learnables = (_ALPHA,)
    shows_all_link = shows_empty_groups = True
    table = layer_table(
        Option(
            "Alpha",
            read_only(0.25),
            _filled_array(),
            f"{_ALPHA.shape} array, single; where it starts. A number becomes one value per channel when training.",
            Group.LEARNABLE,
        ),
        Option(_ALPHA.learn_rate_option, 1, number(0), "Times the global learning rate for Alpha."),
        Option(_ALPHA.l2_option, _ALPHA.l2_factor, number(0), "Times the global L2 factor for Alpha."),
    )

    def description(self) -> str:
        """Return "PReLU", with the number of channels once there is a factor for each."""
        return f"PReLU with {self.Alpha.size} channels" if self.Alpha.ndim > 0 else "PReLU"

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield factors that do not fit the channels of the input."""
        yield from parameter_mistakes(self.with_size(size), size)

    def with_size(self, size: Size) -> PReLULayer:
        """Return a copy with a factor for each channel."""
        if self.Alpha.size > 1:
            return self.copy()
        shape = self.parameter_shape("Alpha", size)
        return self.replaced(Alpha=read_only(np.full(shape, self.Alpha.item(), self.Alpha.dtype)))

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return 1 x 1 x C for images and C x 1 for features and sequences."""
        return channel_shape(size)

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the function with its factors."""
        return Call("prelu", ("Alpha",))


@constructs(PReLULayer)
def preluLayer() -> None:
    """Create a parametrized ReLU: ``y = x`` for x >= 0, else ``Alpha * x`` with a learned factor for each channel.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015; there Alpha is not decayed, which
    ``AlphaL2Factor=0`` gives. Differs from MATLAB: Alpha has one value per channel, not one for each element.

    Examples
    --------
    >>> from mlnet import preluLayer
    >>> preluLayer(Name='prelu1')
      PReLULayer with properties:
    <BLANKLINE>
         Name: 'prelu1'
    <BLANKLINE>
       Learnable Parameters
        Alpha: 0.2500
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """


class ScalingLayer(Layer):
    """Multiplies by constants and adds constants."""

    type_name = "Scaling"
    base_name = "scaling"
    shows_all_link = shows_empty_groups = True
    _factor: ClassVar[Rule] = either(number(), _filled_array())
    table = layer_table(
        Option("Scale", 1, _factor, "What elements are multiplied by; an array expands to the input.", Group.PLAIN),
        Option("Bias", 0, _factor, "What is added afterwards; an array expands to the input.", Group.PLAIN),
    )

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield arrays that do not expand to the size of the input."""
        for name in ("Scale", "Bias"):
            value = getattr(self, name)
            if _expandable(value, size) is None:
                fix = f"Give {name} one number, one for each channel, or an array of the size of the input."
                yield SizeError(f"{name} that expands to {dims(size.dims)}", f"{name} of size {dims(value.shape)}", fix)

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the element-wise function with its constants."""
        attributes = {"scale": _expandable(self.Scale, size), "bias": _expandable(self.Bias, size)}
        return Call("scaling", (), attributes)


def _expandable(value: Any, size: Size) -> Any:
    """Return a number or array in a shape that NumPy expands to an observation, or None where there is none."""
    if np.size(value) == 1:
        return float(np.reshape(value, ()))
    if without_ones(value.shape) == without_ones((size.channels,)):
        return value.reshape(-1)
    fits = value.ndim <= len(size.dims) and all(n in (1, m) for n, m in zip(value.shape, size.dims, strict=False))
    return value.reshape(*value.shape, *[1] * (len(size.dims) - value.ndim)) if fits else None


@constructs(ScalingLayer)
def scalingLayer() -> None:
    """Create a layer that computes ``y = Scale * x + Bias`` with constants that are not learned.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Notes
    -----
    As many numbers as channels are one for each channel, however they lie; other arrays expand as in MATLAB.

    Examples
    --------
    >>> from mlnet import scalingLayer
    >>> scalingLayer(Name='scale1', Scale=0.5)
      ScalingLayer with properties:
    <BLANKLINE>
         Name: 'scale1'
        Scale: 0.5000
         Bias: 0
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """
