"""Objects with properties as blocks: layers, training options, networks and structures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlnet.autodiff.data_layout import networkDataLayout
from mlnet.data.segmentation_metrics import SemanticSegmentationMetrics
from mlnet.display.html import html_table, paragraph, titled
from mlnet.display.values import value_text
from mlnet.layers.base import Layer
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.trained import TrainedNetwork
from mlnet.options import Declared, Group
from mlnet.structure import Structure
from mlnet.training.nets.reporter import TrainingInfo

ALL_LINK = "Show all properties"
NO_PROPERTIES = "No properties."
_GROUPS = (Group.PLAIN, Group.HYPERPARAMETERS, Group.LEARNABLE, Group.STATE)
_ALSO_WHEN_EMPTY = (Group.LEARNABLE, Group.STATE)


@dataclass(frozen=True)
class Block:
    """A property block: its first line, groups of (title, rows of (name, text)), and its last line."""

    header: str
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    closing: str = ""

    def text(self) -> str:
        """Return the block as MATLAB prints it: names right-aligned, the longest after four blanks."""
        width = max((len(name) for _, rows in self.groups for name, _ in rows), default=0)
        body: list[str] = []
        for title, rows in self.groups:
            if title:
                body += ["", f"   {title}"] if body else [f"   {title}"]
            body += [f"    {name:>{width}}: {text}" for name, text in rows] or [f"    {NO_PROPERTIES}"]
        lines = [f"  {self.header}"]
        lines += ["", *body] if body else []
        lines += ["", f"  {self.closing}"] if self.closing else []
        return "\n".join(lines)

    def html(self) -> str:
        """Return the block as HTML: one table for each group."""
        parts = []
        for title, rows in self.groups:
            parts += [paragraph(title)] if title else []
            parts.append(html_table(rows, align=("right", "left")) if rows else paragraph(NO_PROPERTIES))
        return titled(self.header, *parts)


def property_block(
    class_name: str, rows: Iterable[tuple[str, Any]], *, kind: str = "properties", closing: str = ""
) -> Block:
    """Return the block of an object with one group of properties.

    Parameters
    ----------
    class_name : text
    rows : iterable of (name, value)
        The properties in their order.
    kind : 'properties' or 'fields'
    closing : text, optional
        A last line, after a blank one.

    Examples
    --------
    >>> from mlnet.display.objects import property_block
    >>> print(property_block('TrainingInfo', [('Loss', 0.5), ('Stopped', False)]).text())
      TrainingInfo with properties:
    <BLANKLINE>
           Loss: 0.5000
        Stopped: 0
    """
    texts = tuple((name, value_text(value)) for name, value in rows)
    return Block(_header(class_name, bool(texts), kind), (("", texts),) if texts else (), closing)


def metrics_block(value: SemanticSegmentationMetrics) -> Block:
    """Return the block of what evaluateSemanticSegmentation found."""
    return property_block("semanticSegmentationMetrics", vars(value).items())


def declared_block(value: Declared) -> Block:
    """Return the block of a layer or of training options: the properties of its table by groups."""
    shows_empty = isinstance(value, Layer) and value.shows_empty_groups
    groups = []
    for group in _GROUPS:
        shown = [e for e in value.table.entries.values() if e.group is group and e.shown(value)]
        if shown or (shows_empty and group in _ALSO_WHEN_EMPTY):
            rows = tuple(
                (entry.name, value_text(getattr(value, entry.name)) + _frozen(value, entry.name)) for entry in shown
            )
            groups.append((group.value, rows))
    closing = ALL_LINK if isinstance(value, Layer) and value.shows_all_link else ""
    return Block(_header(type(value).__name__, bool(groups)), tuple(groups), closing)


def _frozen(value: Declared, name: str) -> str:
    """Return " (frozen)" for a parameter whose learning-rate factors are all 0."""
    learnables = [each for each in value.learnables if each.name == name] if isinstance(value, Layer) else []
    return " (frozen)" if any(all(rate == 0 for rate, _ in value.factors(each)) for each in learnables) else ""


def network_block(network: TrainedNetwork | LayerGraph | dlnetwork) -> Block:
    """Return the block of a network or graph: its layers, connections, and the names of its inputs and outputs."""
    names: tuple[str, ...] = ("Layers", "Connections", "InputNames", "OutputNames")
    if isinstance(network, dlnetwork):
        names = ("Layers", "Connections", "Learnables", "State", "InputNames", "OutputNames", "Initialized")
    rows = [(name, getattr(network, name)) for name in names if hasattr(network, name)]
    closing = "View summary with summary." if isinstance(network, dlnetwork) else ""
    return property_block(type(network).__name__, rows, closing=closing)


def layout_block(layout: networkDataLayout) -> Block:
    """Return the block of a data layout: its size and format."""
    size = " ".join("NaN" if each != each else str(each) for each in layout.Size)
    rows = (("Size", f"[{size}]"), ("Format", f"'{layout.Format}'"))
    return Block(_header("networkDataLayout", True), (("", rows),))


def info_block(info: TrainingInfo) -> Block:
    """Return the block of what trainnet tells of a training."""
    return property_block("TrainingInfo", vars(info).items())


def structure_block(structure: Structure) -> Block:
    """Return the block of a structure: its fields."""
    return property_block("struct", structure.fields().items(), kind="fields")


def _header(class_name: str, has_rows: bool, kind: str = "properties") -> str:
    return f"{class_name} with {kind}:" if has_rows else f"{class_name} with no {kind}."
