"""The quadratic layer."""

from __future__ import annotations

from mlnet.layers.base import Call, Layer, Size, SizeError
from mlnet.options import constructs


class QuadraticLayer(Layer):
    """Multiplies all pairs of elements."""

    type_name = "Quadratic"
    base_name = "quadratic"
    shows_all_link = shows_empty_groups = True

    def output_size(self, size: Size) -> Size:
        """Return ``n (n + 1) / 2`` elements along the one dimension that has n of them."""
        axes = [axis for axis, length in enumerate(size.dims) if length > 1]
        if len(axes) > 1:
            needed = "elements along one dimension"
            raise SizeError(needed, str(size), "Put a flattenLayer or fullyConnectedLayer before it.")
        axis = axes[0] if axes else len(size.dims) - 1
        dims = [*size.dims]
        dims[axis] = size.count * (size.count + 1) // 2
        return Size(size.format, tuple(dims))

    def operation(self, size: Size, *, training: bool) -> Call:
        """Return the products."""
        return Call("quadratic", (), {"size": self.output_size(size).dims})


@constructs(QuadraticLayer)
def quadraticLayer() -> None:
    """Create a layer that multiplies all pairs of elements of an observation.

    The elements x1, x2, x3 become ``x1*x1, x1*x2, x2*x2, x1*x3, x2*x3, x3*x3``. They lie along one dimension, e.g. the
    channels of features; of sequences each time step is taken by itself.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> from mlnet import quadraticLayer
    >>> quadraticLayer(Name='quad')
      QuadraticLayer with properties:
    <BLANKLINE>
        Name: 'quad'
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """
