"""A simple structure: named fields, as MATLAB's ``struct``."""

from __future__ import annotations

from typing import Any

from mlnet.errors import UnknownNameError, nearest
from mlnet.options import Shown


class Structure(Shown):
    """Named fields that are read and set as attributes, in a fixed order.

    Examples
    --------
    >>> from mlnet.structure import Structure
    >>> Structure(Epoch=1, State='iteration')
      struct with fields:
    <BLANKLINE>
        Epoch: 1
        State: 'iteration'
    """

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnknownNameError(f"structure: there is no field '{name}'.{nearest(name, self.__dict__)}")

    def fields(self) -> dict[str, Any]:
        """Return the fields in their order."""
        return dict(self.__dict__)
