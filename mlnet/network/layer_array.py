"""Layer arrays: the column of layers that a network is written as."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from typing import Any, overload

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Layer
from mlnet.options import Shown, describe, from_one
from mlnet.rules import is_empty


class LayerArray(Shown, MutableSequence[Layer]):
    """A column of layers.

    ``layers[0]`` and ``layers(1)`` are the first layer, ``layers[-1]`` the last; ``layers[1:4]`` and
    ``layers([2, 3, 4])`` are new arrays. The array holds copies, so that it and what it was made of do not change each
    other; ``layers[0].Name = 'in'`` changes the layer in the array.

    Parameters
    ----------
    layers : layer, or list (also nested) of layers and layer arrays
        A constructor without parentheses, such as ``reluLayer``, stands for the layer that it creates.

    Raises
    ------
    OptionError
        Where an element is not a layer; the message lists all of them.

    Examples
    --------
    >>> from mlnet import LayerArray, fullyConnectedLayer, featureInputLayer, reluLayer, regressionLayer
    >>> block = [fullyConnectedLayer(20), reluLayer]
    >>> layers = LayerArray([featureInputLayer(2), block, block, fullyConnectedLayer(1), regressionLayer])
    >>> layers
      7x1 Layer array with layers:
    <BLANKLINE>
         1   ''   Feature Input       2 features
         2   ''   Fully Connected     20 fully connected layer
         3   ''   ReLU                ReLU
         4   ''   Fully Connected     20 fully connected layer
         5   ''   ReLU                ReLU
         6   ''   Fully Connected     1 fully connected layer
         7   ''   Regression Output   mean-squared-error
    >>> layers(2).OutputSize, len(layers[1:4])
    (20, 3)
    """

    __slots__ = ("_layers",)

    def __init__(self, layers: Any = ()) -> None:
        self._layers = _flatten(layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> LayerArray: ...

    def __getitem__(self, index: Any) -> Any:
        where = self._positions(index)
        return self._layers[where] if isinstance(where, int) else LayerArray([self._layers[each] for each in where])

    def __call__(self, index: int | Sequence[int]) -> Any:
        """Return the layer with MATLAB's number (from 1), or the array of several numbers."""
        return self[from_one("LayerArray", index, len(self))]

    def __setitem__(self, index: Any, value: Any) -> None:
        new = _flatten(value)
        if isinstance(index, slice) and index.step in (None, 1):
            self._layers[index] = new  # may change the number of layers, also to none
            return
        where = self._positions(index)
        positions = [where] if isinstance(where, int) else where
        if len(new) != len(positions):
            raise OptionError(
                f"LayerArray: needs {len(positions)} layers for index {describe(index)}, but got {len(new)}."
            )
        for position, layer in zip(positions, new, strict=True):
            self._layers[position] = layer

    def __delitem__(self, index: Any) -> None:
        where = self._positions(index)
        gone = {where} if isinstance(where, int) else set(where)
        self._layers = [layer for position, layer in enumerate(self._layers) if position not in gone]

    def _positions(self, index: Any) -> int | list[int]:
        """Return the position of an integer index, or those of a slice, a list of integers or a mask."""
        numbers = np.arange(len(self))
        try:
            if isinstance(index, (str, bool, np.bool_)) or index is None:
                raise IndexError
            asked: Any = index
            if not isinstance(index, slice):
                asked = np.asarray(index, dtype=int if is_empty(index) else None)
            found = numbers[asked]
            return found.ravel().tolist() if np.ndim(found) else int(found)
        except (IndexError, TypeError, ValueError):
            raise IndexError(
                f"LayerArray: has {len(self)} layers, but index {describe(index)} was asked for. "
                "Use whole numbers, from 0 in [] and from 1 in ()."
            ) from None

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def insert(self, index: int, value: Any) -> None:
        """Insert a copy of a layer, or of several, before ``index``."""
        self._layers[index:index] = _flatten(value)

    def extend(self, values: Any) -> None:
        """Append copies of layers."""
        self._layers += _flatten(values)

    def append(self, value: Any) -> None:
        """Append a copy of a layer, or of several."""
        self.extend(value)

    @property
    def Layers(self) -> LayerArray:  # noqa: N802
        """A copy of the array, so that what takes the Layers of a network runs with a layer array as well."""
        return self.copy()

    def __add__(self, other: Any) -> LayerArray:
        return LayerArray([self, other])

    def __radd__(self, other: Any) -> LayerArray:
        return LayerArray([other, self])

    def __mul__(self, count: int) -> LayerArray:
        """Return the layers ``count`` times one after the other, as MATLAB's repmat."""
        return LayerArray(self._layers * count)

    __rmul__ = __mul__

    def copy(self) -> LayerArray:
        """Return an array with copies of the layers."""
        return LayerArray(self)

    __copy__ = copy


def _flatten(layers: Any) -> list[Layer]:
    """Return copies of all layers in a layer, a layer array or a nested list."""
    found: list[Layer] = []
    mistakes: list[str] = []
    for number, element in enumerate(_elements(layers), start=1):
        if isinstance(element, Layer):  # asked first: what a layer lacks it looks up to propose the nearest name
            found.append(element.copy())
            continue
        try:
            made = element() if hasattr(element, "constructs") else element
        except OptionError as error:
            mistakes.append(f"element {number} is a constructor without its arguments ({error})")
            continue
        if isinstance(made, Layer):
            found.append(made.copy())
        else:
            has_layers = " (take its Layers)" if hasattr(made, "Layers") else ""
            mistakes.append(f"element {number} is {describe(made)}{has_layers}")
    if mistakes:
        raise OptionError(f"LayerArray: needs layers, but {', '.join(mistakes)}.")
    return found


def _elements(layers: Any) -> Iterator[Any]:
    if isinstance(layers, np.ndarray):
        layers = layers.ravel().tolist()
    if isinstance(layers, (list, tuple, LayerArray, Iterator)):
        for element in layers:
            yield from _elements(element)
    else:
        yield layers
