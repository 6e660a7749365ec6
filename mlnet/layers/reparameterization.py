"""Weights that are computed from other parameters: an option of convolutions and of the fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Call, Layer, Learnable, Size, SizeError, dims
from mlnet.layers.unknown import is_known
from mlnet.options import Group, Option
from mlnet.rules import choice

NORMALIZED, STANDARDIZED = "weight-normalization", "weight-standardization"
EPSILON = 1e-5
"""Added to the variance of standardized weights, as the authors do (Qiao et al., 2019)."""

_DOC = (
    "How the weights that are applied come from Weights, for each filter: 'none': as they are; "
    "'weight-normalization': WeightLength .* Weights / norm(Weights) (Salimans and Kingma, 2016); "
    "'weight-standardization': less their mean, divided by sqrt(variance + 1e-5) (Qiao et al., 2019)."
)
REPARAMETERIZATION = Option(
    "WeightReparameterization",
    "none",
    choice("none", NORMALIZED, STANDARDIZED),
    _DOC,
    Group.HYPERPARAMETERS,
    shown=lambda layer: layer.WeightReparameterization != "none",
)


def weight_length(shape: str) -> Learnable:
    """Return the learnable lengths of filters, ``shape`` in words; 'norm' starts with the length of the weights.

    L2Factor is 1: since the applied filter has this length, the penalty is that of the plain layer.
    """
    return Learnable("WeightLength", "WeightLength", "norm", 1, shape, ("norm", "ones"))


def reparameterization_options(length: Learnable) -> tuple[Option, ...]:
    """Return WeightReparameterization and the options of the learnable ``length``."""

    def changed(option: Option) -> Option:
        doc = f"{option.doc[:-1]}; used with 'weight-normalization'."
        if option.name == length.initializer_option:
            doc = f"{doc[:-1]}; 'norm' is the length of the first Weights."
        is_shown = _is_normalized if option.name == length.name else option.shown
        return replace(option, doc=doc, shown=is_shown)

    return (REPARAMETERIZATION, *map(changed, length.options()))


def _is_normalized(layer: Any) -> bool:
    return layer.WeightReparameterization == NORMALIZED


class ReparameterizedLayer(Layer):
    """A layer with Weights and Bias, whose weights may be computed from Weights and WeightLength."""

    weights_and_bias: ClassVar[tuple[Learnable, ...]]
    length: ClassVar[Learnable]

    @property
    def learnables(self) -> tuple[Learnable, ...]:  # type: ignore[override]
        """The learnable parameters; WeightLength is one with 'weight-normalization' only."""
        return (*self.weights_and_bias, self.length) if _is_normalized(self) else self.weights_and_bias

    def check(self) -> None:
        """Refuse lengths that nothing would use."""
        super().check()
        if self.WeightLength.size and not _is_normalized(self):
            raise OptionError(
                f"{self.where()}: WeightLength needs WeightReparameterization 'weight-normalization', but that is "
                f"'{self.WeightReparameterization}'. Give both, or WeightLength=[]."
            )

    def fan_in_axes(self) -> tuple[int, ...]:
        """Return the axes of Weights along which a filter lies; the others number the filters."""
        raise NotImplementedError

    def reparameterized(self, call: Call) -> Call:
        """Return the operation with Weights replaced by what is computed from them."""
        kind, axes = self.WeightReparameterization, self.fan_in_axes()
        if kind == "none":
            return call
        if kind == NORMALIZED:
            derived = Call("weight_normalization", ("Weights", "WeightLength"), {"axes": axes})
        else:
            derived = Call("weight_standardization", ("Weights",), {"axes": axes, "epsilon": EPSILON})
        assert call.parameters[0] == "Weights"
        return replace(call, parameters=call.parameters[1:], derived=derived)

    def reparameterization_mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield a mistake where there is a single weight to standardize."""
        shape = self.parameter_shape("Weights", size)
        lengths = [shape[axis] for axis in self.fan_in_axes()]
        if self.WeightReparameterization == STANDARDIZED and all(is_known(n) and n == 1 for n in lengths):
            needed = "filters of at least 2 weights (WeightReparameterization='weight-standardization')"
            fix = "A single weight less its mean is 0: use 'weight-normalization' or 'none'."
            yield SizeError(needed, f"Weights of size {dims(shape)}", fix)

    def draw(self, name: str, initializer: str, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        """Return the length of each filter of Weights for the initializer 'norm', or None for all others."""
        return self._lengths().reshape(shape) if (name, initializer) == ("WeightLength", "norm") else None

    def check_initialized(self) -> None:
        """Refuse filters of zeros, which have no direction."""
        if _is_normalized(self) and not self._lengths().all():
            number = int(np.argmin(self._lengths().ravel())) + 1
            raise OptionError(
                f"{self.where()}: WeightReparameterization: 'weight-normalization' needs filters whose Weights are not "
                f"all zero, but those of filter {number} are. Use another WeightsInitializer."
            )

    def _lengths(self) -> np.ndarray:
        return np.sqrt(np.sum(self.Weights.astype(np.float64) ** 2, axis=self.fan_in_axes()))
