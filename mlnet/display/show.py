"""Public functions that show objects: ``disp`` and ``properties``."""

from __future__ import annotations

from typing import Any

from mlnet.errors import OptionError
from mlnet.options import Declared, Shown, describe, to_text


def disp(value: Any) -> None:
    """Print a value without the name of a variable.

    Parameters
    ----------
    value : object
        Layers, layer arrays, networks, options and categorical arrays print their block; other objects are
        printed as ``print`` does.

    Examples
    --------
    >>> from mlnet import disp, dropoutLayer
    >>> disp(dropoutLayer(0.4, Name='drop1'))
      DropoutLayer with properties:
    <BLANKLINE>
               Name: 'drop1'
    <BLANKLINE>
       Hyperparameters
        Probability: 0.4000
    >>> disp('Training finished')
    Training finished
    """
    print(to_text(value) if isinstance(value, (Declared, Shown)) else value)


def properties(value: Declared) -> list[str]:
    """Return the names of all properties of a layer or of training options, printed or not.

    Parameters
    ----------
    value : layer or training options

    Raises
    ------
    OptionError
        Where ``value`` has no table of properties.

    Examples
    --------
    >>> from mlnet import properties, reluLayer
    >>> properties(reluLayer())
    ['Name', 'NumInputs', 'InputNames', 'NumOutputs', 'OutputNames']
    """
    if not isinstance(value, Declared):
        raise OptionError(f"properties: needs a layer or training options, but got {describe(value)}.")
    return list(value.table.entries)
