"""The errors of mlnet.

::

    MlnetError
    ├── OptionError         (also ValueError)    an option or argument has a value that its rule refuses
    ├── UnknownNameError    (also TypeError, AttributeError)  an option, property or layer name that does not exist
    ├── NetworkError        (also ValueError)    a network that cannot work; lists every mistake of it
    ├── DataError           (also ValueError)    data that do not fit the network, or are not finite
    ├── TrainingError       (also RuntimeError)  training that cannot go on
    ├── NotSupportedError   (also NotImplementedError)  an option of the toolbox that mlnet does not have yet
    └── MissingExtraError   (also ImportError)   an optional package is not installed

Every message says where, what was needed, what came, and the likely fix; :func:`message` puts them together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MlnetError(Exception):
    """Base of all errors that mlnet raises on purpose."""


class OptionError(MlnetError, ValueError):
    """An option or argument has a value that its rule refuses."""


class UnknownNameError(MlnetError, TypeError, AttributeError):
    """An option, property or layer name that does not exist."""


class NetworkError(MlnetError, ValueError):
    """A network that cannot work; the message lists every mistake of it."""


class DataError(MlnetError, ValueError):
    """Data that do not fit the network, or are not finite."""


class TrainingError(MlnetError, RuntimeError):
    """Training that cannot go on."""


class NotSupportedError(MlnetError, NotImplementedError):
    """An option of the toolbox that mlnet does not have yet."""


class MissingExtraError(MlnetError, ImportError):
    """An optional package is not installed; the message names the ``pip install`` line."""


def message(where: str, needed: str, came: str, fix: str = "") -> str:
    """Return the text of an error: where, what was needed, what came and the likely fix."""
    text = f"{where}: needs {needed}, but got {came}."
    return f"{text} {fix}" if fix else text


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" with the known name nearest to ``name``, or '' where none is near."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(str(name).lower(), list(by_lower_case), n=1, cutoff=0.6)
    return f"Did you mean '{by_lower_case[close[0]]}'?" if close else ""


def nearest(name: object, known: Iterable[str]) -> str:
    """Return, after a blank, the `suggestion` for ``name``, or a list of all known names."""
    known = list(known)
    found = suggestion(name, known) or (f"Known names: {', '.join(known)}." if known else "There are none.")
    return f" {found}"
