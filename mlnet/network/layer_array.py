"""Layer arrays: the column of layers that a network is written as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from typing import Any, overload

import numpy as np

from mlnet.errors import OptionError
from mlnet.layers.base import Layer
from mlnet.options import Shown, describe


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

    def __init__(self, layers: Any = ()) -> None:
        self._layers = _flatten(layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...

    @overload
    def __getitem__(self, index: slice) -> LayerArray: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            try:
                return self._layers[index]
            except IndexError:
                raise IndexError(f"LayerArray: has {len(self)} layers, but index {index} was asked for.") from None
        if isinstance(index, slice):
            return LayerArray(self._layers[index])
        return LayerArray([self._layers[number] for number in _numbers(index, len(self))])

    def __call__(self, index: int | Sequence[int]) -> Any:
        """Return the layer with MATLAB's number (from 1), or the array of several numbers."""
        numbers = np.atleast_1d(np.asarray(index))
        if numbers.dtype.kind not in "iu" or (numbers < 1).any() or (numbers > len(self)).any():
            raise IndexError(f"LayerArray: needs numbers from 1 to {len(self)}, but got {describe(index)}.")
        return self[(numbers - 1).tolist()] if np.ndim(index) else self._layers[int(numbers[0]) - 1]

    def __setitem__(self, index: Any, value: Any) -> None:
        new = _flatten(value)
        if isinstance(index, slice):
            self._layers[index] = new
        elif len(new) != 1:
            raise OptionError(f"LayerArray: needs one layer for index {index}, but got {len(new)}.")
        else:
            self._layers[index] = new[0]

    def __delitem__(self, index: int | slice) -> None:
        del self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def insert(self, index: int, value: Layer) -> None:
        """Insert a copy of a layer before ``index``."""
        self._layers[index:index] = _flatten(value)

    def __add__(self, other: Any) -> LayerArray:
        return LayerArray([self, other])

    def __radd__(self, other: Any) -> LayerArray:
        return LayerArray([other, self])

    def copy(self) -> LayerArray:
        """Return an array with copies of the layers."""
        return LayerArray(self)


def _flatten(layers: Any) -> list[Layer]:
    """Return copies of all layers in a layer, a layer array or a nested list."""
    found: list[Layer] = []
    mistakes: list[str] = []
    for number, element in enumerate(_elements(layers), start=1):
        made = element() if hasattr(element, "constructs") else element
        if isinstance(made, Layer):
            found.append(made.copy())
        else:
            mistakes.append(f"element {number} is {describe(made)}")
    if mistakes:
        raise OptionError(f"LayerArray: needs layers, but {', '.join(mistakes)}.")
    return found


def _elements(layers: Any) -> Iterator[Any]:
    if isinstance(layers, (list, tuple, LayerArray, np.ndarray)):
        for element in layers:
            yield from _elements(element)
    else:
        yield layers


def _numbers(index: Iterable[Any], count: int) -> list[int]:
    """Return the positions that a list of numbers or a mask selects."""
    return np.arange(count)[np.asarray(index)].tolist()  # type: ignore[no-any-return]
