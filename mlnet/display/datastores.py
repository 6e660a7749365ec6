"""Datastores as MATLAB's property blocks, with their files one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlnet.data.datastores.combined import CombinedDatastore, TransformedDatastore
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.datastores.declared import DeclaredDatastore
from mlnet.data.images.augmentation import ImageDataAugmenter
from mlnet.display.html import preformatted
from mlnet.display.objects import property_block
from mlnet.display.values import one_line, value_text
from mlnet.labels import UNDEFINED, categorical

SHOWN = 3
"""Files, folders or labels that are written out."""
LONGEST_NAME = 72
_FILES = ("Files", "Folders", "Images", "PixelLabelData")


def datastore_text(datastore: Datastore) -> str:
    """Return the block of a datastore: its class and its properties."""
    title, rows = _rows(datastore)
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"  {title} with {'properties:' if rows else 'no properties.'}"] + [""] * bool(rows)
    for name, value in rows:
        margin = " " * (4 + width + 2)
        first, *others = _value_lines(name, value)
        lines += [f"    {name:>{width}}: {first}", *(f"{margin}{line}" for line in others)]
    return "\n".join(lines)


def datastore_html(datastore: Datastore) -> str:
    """Return the block of a datastore for a notebook."""
    return preformatted(datastore_text(datastore))


def augmenter_text(augmenter: ImageDataAugmenter) -> str:
    """Return the block of an image data augmenter."""
    return property_block(
        augmenter.title(), [(name, getattr(augmenter, name)) for name in augmenter.table.options]
    ).text()


def _rows(datastore: Datastore) -> tuple[str, list[tuple[str, Any]]]:
    if isinstance(datastore, DeclaredDatastore):
        rows = [(name, getattr(datastore, name)) for name in datastore.displayed]
        skipped = getattr(datastore, "_skipped", ())
        return datastore.title(), rows + ([("SkippedFiles", list(skipped))] if skipped else [])
    if isinstance(datastore, TransformedDatastore):
        functions = [f"@{getattr(f, '__name__', type(f).__name__)}" for f in datastore.Transforms]
        own: list[tuple[str, Any]] = [("Transforms", _Plain(functions)), ("IncludeInfo", datastore.IncludeInfo)]
    else:
        own = []
    if isinstance(datastore, (CombinedDatastore, TransformedDatastore)):
        kinds = _Plain([f"[1x1 {_name(each)}]" for each in datastore.UnderlyingDatastores])
        return type(datastore).__name__, [("UnderlyingDatastores", kinds), *own]
    return type(datastore).__name__, [("NumObservations", len(datastore))]


class _Plain(list):
    """Texts that are shown without quotes."""


def _name(datastore: Datastore) -> str:
    return datastore.title() if isinstance(datastore, DeclaredDatastore) else type(datastore).__name__


def _value_lines(name: str, value: Any) -> list[str]:
    if isinstance(value, _Plain):
        return [f"{{{'  '.join(value)}}}"]
    if name in (*_FILES, "SkippedFiles"):
        return _listed(value)
    if name == "Labels":
        return [_labels(value)]
    if isinstance(value, ImageDataAugmenter):
        return [f"[1x1 {value.title()}]"]
    return [value_text(value)]


def _listed(names: Sequence[str]) -> list[str]:
    if not names:
        return ["{}"]
    shown = [f"'{_short(name)}'" for name in names[:SHOWN]]
    more = len(names) - len(shown)
    lines = [f"{name};" for name in shown[:-1]] + [shown[-1]]
    return ["{", *lines, *([f" ... and {more} more"] if more else []), "}"]


def _short(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= LONGEST_NAME else f" ...{name[len(name) - LONGEST_NAME :]}"


def _labels(labels: Any) -> str:
    if not len(labels):
        return "{}"
    if isinstance(labels, np.ndarray):
        texts = [value_text(label) for label in labels[:SHOWN].tolist()]
        kind = {"bool": "logical", "float64": "double", "float32": "single"}.get(labels.dtype.name, labels.dtype.name)
    else:
        assert isinstance(labels, categorical)
        texts, kind = [UNDEFINED if name is None else one_line(name) for name in labels[:SHOWN].names()], "categorical"
    more = len(labels) - len(texts)
    return f"[{'; '.join(texts)}{f' ... and {more} more {kind}' if more else ''}]"
