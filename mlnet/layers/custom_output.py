"""Output layers that users write: a loss of their own, and its gradient where they like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.differentiate import vjp
from mlnet.layers.base import Call, Size, SizeError
from mlnet.layers.custom import Layer
from mlnet.layers.custom_call import RaisedError, WrongMethodError
from mlnet.layers.custom_declarations import ENTRIES, ordered
from mlnet.layers.lost_trace import FIX
from mlnet.layers.output import (
    CLASS_NAMES,
    CLASSES,
    OUTPUT_SIZE,
    ClassesOutputLayer,
    RegressionOutputLayer,
)
from mlnet.layers.trial import STEPS, labels_of, times
from mlnet.options import Group, Option, Table, describe
from mlnet.rules import texts


class LossCall:
    """Calls forwardLoss and backwardLoss of an output layer with arrays in MATLAB's order."""

    method = "forwardLoss"

    def __init__(self, layer: Layer) -> None:
        self.layer, self.formatted = layer, layer.is_formattable

    @property
    def where(self) -> str:
        """How messages name the layer."""
        name = self.layer.Name
        return f"Layer '{name}' ({type(self.layer).__name__})" if name else self.layer.where()

    def run(self, y: np.ndarray, t: np.ndarray, format: str) -> tuple[float, Any]:
        """Return the loss, and what gives the gradient of ``y``.

        Raises
        ------
        DataError
            Where something is wrong in a method.
        """
        labels = labels_of(Size(format, ())) if self.formatted else ""
        given, target = (wrap(_guarded(each), None, labels) for each in (y, t))
        live = self.layer.copy()
        live.__dict__.update(_doing=self.method, _changed=set())
        has_backward = live.has("backwardLoss")

        def loss(y: dlarray) -> dlarray:
            try:
                if has_backward and not self.formatted:
                    found = live.forwardLoss(y._data, target._data)
                else:
                    found = live.forwardLoss(y, target)
            except Exception as error:  # whatever the user's code raises
                raise RaisedError(self, "forwardLoss", error) from error
            array = found if isinstance(found, dlarray) else wrap(np.asarray(found))
            if array.size != 1 or array.dtype.kind != "f":
                came = f"size {times(array.shape)}" if array.dtype.kind in "fiub" else describe(found)
                fix = "Use np.sum or np.mean."
                raise WrongMethodError(self, "forwardLoss", "that returns one number, the loss", came, fix)
            return array

        if has_backward:
            return loss(given).item(), lambda: self._backward(live, given, target)
        (value,), pullback = vjp(loss, [given])
        if value._node is None:
            fix = f"{FIX}, or give the layer a method backwardLoss."
            needed = "that returns a loss with a gradient of Y"
            raise WrongMethodError(self, "forwardLoss", needed, "one without it", fix)
        return value.item(), lambda: pullback(np.ones_like(value._data))[0]

    def _backward(self, live: Layer, y: dlarray, t: dlarray) -> np.ndarray:
        try:
            arrays = (y, t) if self.formatted else (y._data, t._data)
            found = live.backwardLoss(*arrays)
        except Exception as error:  # whatever the user's code raises
            raise RaisedError(self, "backwardLoss", error) from error
        value = np.asarray(found._data if isinstance(found, dlarray) else found)
        if value.shape != y.shape or value.dtype.kind != "f":
            needed = f"that returns a gradient of size {times(y.shape)}"
            raise WrongMethodError(self, "backwardLoss", needed, describe(value))
        return value

    def try_with(self, size: Size, *, is_classification: bool) -> None:
        """Call the methods once for two observations; raise `SizeError` for what is wrong."""
        shape = (*size.dims, 2, *[STEPS] * size.is_sequence)
        channel = len(size.dims) - 1
        y = np.full(shape, 1 / size.channels if is_classification else 0, np.float32)
        t = np.zeros(shape, np.float32)
        if is_classification:
            t[(slice(None),) * channel + (0,)] = 1
        try:
            with np.errstate(all="ignore"):
                self.run(y, t, size.format)[1]()
        except WrongMethodError as error:
            raise SizeError(f"a method {error.method} {error.needed}", error.came, error.fix) from error.__cause__
        except RaisedError as error:
            needed = f"a method {error.method} that takes Y and T of size {times(shape)}"
            raise SizeError(needed, error.came, error.fix) from error.__cause__


class _LossLayer(Layer):
    """Base of the output layers of users."""

    loss: ClassVar[str] = "custom_loss"
    takes_lengths: ClassVar[bool] = True
    inputs = ("in",)
    outputs = ()
    _own_table: ClassVar[Table] = ordered([*ENTRIES])

    def loss_attributes(self) -> dict[str, Any]:
        """Return the call of the methods of the layer."""
        return {"call": LossCall(self)}

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size of what the layer takes, after trying its methods."""
        if not self.has("forwardLoss"):
            raise SizeError("a method forwardLoss(self, Y, T)", "a class without it")
        ready = self.with_size(*sizes)
        LossCall(ready).try_with(sizes[0], is_classification=isinstance(self, ClassesOutputLayer))
        return (sizes[0],)

    def operation(self, *sizes: Size, training: bool) -> Call | None:  # type: ignore[override]
        """Return None: the layer passes its input on."""
        return None


class ClassificationLayer(_LossLayer, ClassesOutputLayer):
    """Base of the classification output layers that users write.

    A subclass has a method ``forwardLoss(self, Y, T)`` that returns the loss of a mini-batch, a number. Y are the
    scores and T the classes as vectors of zeros with a one (zeros where an observation has no class), both of size
    1 x 1 x K x N behind images, K x N for features, K x N x T for sequences, H x W x K x N for images of labels. Where
    there is no ``backwardLoss(self, Y, T)``, which returns the gradient of Y, it is found by automatic
    differentiation, and Y and T are dlarrays.

    ``Classes`` are set by training.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import ClassificationLayer
    >>> class sseLayer(ClassificationLayer):
    ...     def forwardLoss(self, Y, T):
    ...         return np.sum((Y - T) ** 2) / Y.shape[-1]
    >>> sseLayer(Name='sse', Description='Sum of squared errors')
      sseLayer with properties:
    <BLANKLINE>
              Name: 'sse'
           Classes: 'auto'
        OutputSize: 'auto'
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """

    takes_activation: ClassVar[bool] = False
    _own_table: ClassVar[Table] = ordered([*ENTRIES, CLASSES, OUTPUT_SIZE, CLASS_NAMES])

    def is_pixelwise(self, size: Size) -> bool:
        """Tell whether scores of ``size`` are compared with an image of labels."""
        return not size.is_flat

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield scores that are not one for each class."""
        yield from ClassesOutputLayer.mistakes(self, *sizes)


class RegressionLayer(_LossLayer, RegressionOutputLayer):  # type: ignore[override]
    """Base of the regression output layers that users write.

    A subclass has a method ``forwardLoss(self, Y, T)`` that returns the loss of a mini-batch, a number. Y are the
    predictions and T the responses, both of size 1 x 1 x R x N behind images, R x N for features, R x N x T for
    sequences. Where there is no ``backwardLoss(self, Y, T)``, which returns the gradient of Y, it is found by automatic
    differentiation, and Y and T are dlarrays.

    ``ResponseNames`` are set by training.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import RegressionLayer
    >>> class maeLayer(RegressionLayer):
    ...     def forwardLoss(self, Y, T):
    ...         return np.mean(np.abs(Y - T))
    >>> maeLayer(Description='Mean absolute error')
      maeLayer with properties:
    <BLANKLINE>
                 Name: ''
        ResponseNames: {}
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """

    _own_table: ClassVar[Table] = ordered(
        [*ENTRIES, Option("ResponseNames", [], texts(), "Names of the responses.", Group.PLAIN)]
    )

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield names that are not one for each response."""
        yield from RegressionOutputLayer.mistakes(self, *sizes)


def _guarded(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
