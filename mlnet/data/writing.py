"""writeall: the observations of a datastore as files."""

from __future__ import annotations

import os
import tempfile

from mlnet.errors import OptionError, message


def check_folder(folder: str, where: str) -> None:
    """Raise `OptionError` where there is no such folder, or nothing can be written into it."""
    if not os.path.isdir(folder):
        raise OptionError(message(where, "a folder that exists", repr(folder), "Make it with mkdir."))
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".mlnet", suffix=".tmp"):
            pass
    except OSError as error:
        came = f"{folder!r} ({error.strerror or error})"
        raise OptionError(message(where, "a folder that can be written to", came)) from None
