"""What the functions that make networks of a given size have in common: the checks of their options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.errors import OptionError
from mlnet.options import Argument, Declared, Group, Option, Table
from mlnet.rules import Refused, Rule, integer, read_only, row


def image_size(name: str, axes: str, *, needs_channels: bool = False) -> Option:
    """Return the first argument, the size of images with ``axes``, e.g. 'height width', and channels."""
    count = len(axes.split())
    counts = (count + 1,) if needs_channels else (count, count + 1)

    def convert(value: Any) -> np.ndarray:
        if np.size(value) not in counts:
            raise Refused
        dims = row(integer(), int(np.size(value)), expand=False).convert(value)
        return read_only(np.append(dims, 1)[: count + 1])

    needed = f"[{axes} channels]" if needs_channels else f"[{axes} channels] or [{axes}]"
    bad = (28, [28], [0] * (count + 1), [1] * (count + 2), [1.5] * count, "28", None)
    doc = "Size of the images." if needs_channels else f"Size of the images; [{axes}] means one channel."
    return Option(name, None, Rule(needed, convert, bad), doc, Group.PLAIN, Argument.REQUIRED)


def num_classes() -> Option:
    """Return the second argument, the number of classes."""
    return Option("numClasses", None, integer(2), "Number of classes.", Group.PLAIN, Argument.REQUIRED)


def network_function(*options: Option, outputs: int = 1) -> Callable[[Callable[[Any], Any]], Callable[..., Any]]:
    """Turn a function of checked options into the public function that takes them.

    ``{parameters}`` in its docstring becomes the description of the options. One with several ``outputs`` returns them
    as a tuple, of which the caller gets the first ``nargout``.
    """

    def decorate(build: Callable[[Any], Any]) -> Callable[..., Any]:
        name, table = build.__name__, Table(*options)
        kind: Any = type(name, (Declared,), {"constructor_name": name, "table": table})

        @functools.wraps(build)
        def construct(*args: Any, **kwargs: Any) -> Any:
            if outputs == 1:
                return build(kind(*args, **kwargs))
            wanted = kwargs.pop("nargout", 1)
            if isinstance(wanted, bool) or wanted not in range(1, outputs + 1):
                raise OptionError(f"{name}: nargout needs to be from 1 to {outputs}, but is {wanted!r}.")
            results = build(kind(*args, **kwargs))
            return results[0] if wanted == 1 else results[:wanted]

        parameters = list(table.signature(object).parameters.values())
        documentation = table.documentation()
        if outputs > 1:
            parameters.append(inspect.Parameter("nargout", inspect.Parameter.KEYWORD_ONLY, default=1))
            documentation += f"\nnargout : 1 to {outputs}, default 1\n    How many results are returned."
        construct.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        indented = documentation.replace("\n", "\n    ")
        construct.__doc__ = (build.__doc__ or "").replace("{parameters}", indented)
        return construct

    return decorate
