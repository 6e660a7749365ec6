"""analyzeNetwork: every layer with its sizes and parameters, and every mistake, without data."""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from mlnet.errors import OptionError
from mlnet.layers.base import Layer, Learnable, Size, dims
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.layers.input import InputLayer
from mlnet.layers.output import OutputLayer
from mlnet.layers.unknown import UnknownSizeError, is_known
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_graph import layerGraph
from mlnet.network.open_ends import EndLayer, open_ends
from mlnet.network.resolve import Sizes, several_outputs
from mlnet.network.wiring import Wiring, wiring_of
from mlnet.options import Declared, Option, Shown, Table, to_page
from mlnet.rules import choice
from mlnet.table import DataTable

_OPEN_INPUTS = ("Missing input layer", "nothing feeds")
_OPEN_ENDS = (*_OPEN_INPUTS, "Missing output layer", "nothing uses")
_ENDED = "{}: needs to be left out, as a dlnetwork has no output layers. Use removeLayers: the loss is a function."


class NetworkAnalysis(Shown):
    """What `analyzeNetwork` found.

    ``LayerInfo`` is a table with a row for each layer: Name, Type, Activations (sizes with dimension labels),
    LearnableProperties, States, NumLearnables, NumFrozen; ``TotalLearnables`` counts all learnable numbers, and
    ``TotalFrozen`` those of them that are frozen: their learning-rate factor is 0, so that training leaves them as they
    are. ``Mistakes`` lists what keeps the network from being trained. Sizes behind a mistake are '?', or empty
    where nothing of them is known.

    ``wires`` are the connections as pairs of rows of ``LayerInfo``, from 0, and ``marks`` the rows that each mistake
    is about. ``learnables`` is the column LearnableProperties with what is frozen marked.
    """

    def __init__(self, layers: Any, *, is_open: bool = False, for_training: bool = False, helpers: int = 0) -> None:
        wiring, mistakes = wiring_of(layers)
        shown = len(wiring.layers) - helpers  # those at the end stand for the open ends of a dlnetwork
        has_open_inputs = is_open and any(phrase in each for phrase in _OPEN_INPUTS for each in mistakes)
        if for_training:
            mistakes += several_outputs(wiring)
        if is_open:  # a dlnetwork: what nothing feeds or uses are its inputs and outputs
            mistakes = [each for each in mistakes if not any(phrase in each for phrase in _OPEN_ENDS)]
            mistakes += [_ENDED.format(wiring.where(index)) for index in wiring.order() if _is_output(wiring, index)]
        sized = Sizes(wiring)
        self.Mistakes: list[str] = [*mistakes, *sized.mistakes] or ([] if has_open_inputs else sized.open_sizes())
        self.marks = [_rows_of(mistake, wiring) for mistake in self.Mistakes]
        self.wires = [
            (source.layer, index)
            for index, row in enumerate(wiring.sources[:shown])
            for source in row
            if source is not None and source.layer < shown
        ]
        self.learnables: list[str] = []
        rows = []
        for index, layer in enumerate(wiring.layers[:shown]):
            known = sized.known(index)
            if isinstance(layer, CustomLayer):
                layer = sized.layers.get(index, layer)  # with the parameters that its class has initialized
            has_size = index in sized.sizes and (known or isinstance(layer, InputLayer))
            size = (known or sized.sizes[index])[0] if has_size else None
            learnables = _shapes(layer, [each.name for each in layer.learnables], size)
            states = _shapes(layer, list(layer.states), size)
            activations = _activations(layer, sized.sizes.get(index, ()))
            shares = {each.name: _frozen_share(layer, each) for each in layer.learnables}
            count = sum(math.prod(shape) for shape in learnables.values())
            frozen = sum(round(math.prod(shape) * shares[name]) for name, shape in learnables.items())
            texts = (_listed(learnables), _listed(states))
            rows.append((layer.Name, layer.type_name, activations, *texts, count, frozen))
            self.learnables.append(_listed(learnables, shares))
        names = ("Name", "Type", "Activations", "LearnableProperties", "States", "NumLearnables", "NumFrozen")
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        self.LayerInfo = DataTable(**dict(zip(names, map(list, columns), strict=True)))
        self.TotalLearnables: int = sum(self.LayerInfo.NumLearnables)
        self.TotalFrozen: int = sum(self.LayerInfo.NumFrozen)

    def to_html(self) -> str:
        """Return the analysis as one HTML page: the counts, the mistakes, the graph and the table of the layers.

        The page needs no other file and contains no scripts; mistakes are marked at their layers.
        """
        return to_page(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which is there in full or not at all.

        Raises
        ------
        OptionError
            Where the file cannot be written.
        """
        page = self.to_html()
        target = os.fspath(path)
        name = ""
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=os.path.dirname(target) or ".", suffix=".html", delete=False
            ) as file:
                name = file.name
                file.write(page)
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, target)
        except OSError as error:
            raise OptionError(f"save: cannot write {target!r}: {error.strerror}.") from error
        finally:
            if name and os.path.exists(name):
                os.remove(name)


class _AnalyzeOptions(Declared):
    constructor_name = "analyzeNetwork"
    table = Table(
        Option(
            "TargetUsage",
            "auto",
            choice("auto", "trainNetwork", "dlnetwork", "inference-only"),
            "What the network is for.",
        )
    )


def analyzeNetwork(layers: Any, *X: Any, **options: Any) -> NetworkAnalysis:  # noqa: N803
    """Return every layer with its sizes and parameters, and every mistake of a network.

    ``analyzeNetwork(net, X1, ..., TargetUsage=...)``

    Parameters
    ----------
    layers : LayerArray, list of layers, LayerGraph, trained network or dlnetwork
        No data are needed, and nothing is computed.
    *X : dlarray or networkDataLayout, optional
        Examples of formatted data for the inputs of a dlnetwork that nothing feeds, in the order of InputNames; only
        their sizes are used. Without them, sizes behind these inputs are not known.
    TargetUsage : 'auto', 'trainNetwork', 'dlnetwork' or 'inference-only', default 'auto'
        What the network is for: 'trainNetwork' needs a single output layer, 'dlnetwork' neither input nor output
        layers; 'auto' goes by the kind of ``layers``.

    Returns
    -------
    NetworkAnalysis
        Prints itself as a table; ``analyzeNetwork(net).save('net.html')`` writes it as a page with the graph.

    Raises
    ------
    OptionError
        Where an element is not a layer.
    DataError
        Where there is not one example for each input, or one is not formatted.

    Examples
    --------
    >>> from mlnet import *
    >>> analyzeNetwork([featureInputLayer(4), fullyConnectedLayer(3), regressionLayer()])
      Network analysis: 3 layers, 15 learnables, no mistakes
    <BLANKLINE>
            Name               Type                Activations   Learnable Properties    States
        1   input              Feature Input       4(C) x 1(B)
        2   fc                 Fully Connected     3(C) x 1(B)   Weights 3x4, Bias 3x1
        3   regressionoutput   Regression Output   3(C) x 1(B)
    """
    count = next((number for number, each in enumerate(X) if isinstance(each, str)), len(X))
    usage = _AnalyzeOptions(*X[count:], **options).TargetUsage
    graph = layers.to_graph() if hasattr(layers, "to_graph") else layers
    is_open = usage == "dlnetwork" or (usage == "auto" and (isinstance(layers, dlnetwork) or count > 0))
    if count and is_open:
        ends = open_ends(layerGraph(graph))
        closed = ends.closed(ends.example_sizes(X[:count], "analyzeNetwork"))
        return NetworkAnalysis(closed, is_open=True, helpers=len(closed.Layers) - len(ends.graph.Layers))
    if count:
        raise OptionError(f"analyzeNetwork: examples of inputs are for TargetUsage='dlnetwork', but it is '{usage}'.")
    return NetworkAnalysis(graph, is_open=is_open, for_training=usage == "trainNetwork")


def _is_output(wiring: Wiring, index: int) -> bool:
    layer = wiring.layers[index]
    return isinstance(layer, OutputLayer) and not isinstance(layer, EndLayer)


def _umask() -> int:
    """Return the permissions that new files do not get; there is no way to ask without setting."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _rows_of(mistake: str, wiring: Wiring) -> list[int]:
    """Return the numbers of the layers that a mistake is about, by what it says."""
    rows = range(len(wiring.layers))
    found = [index for index in rows if wiring.where(index) in mistake]
    named = re.findall(r"'([^']*)'", mistake) if not found and re.match(r"Network:|Layers ", mistake) else []
    return found or [index for index in rows if wiring.layers[index].Name in named]


def _shapes(layer: Layer, names: list[str], size: Size | None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of parameters as far as they are known."""
    shapes: dict[str, tuple[int, ...]] = {}
    if size is None:
        return shapes
    for name in names:
        with contextlib.suppress(UnknownSizeError):
            shapes[name] = layer.parameter_shape(name, size)
    return {name: shape for name, shape in shapes.items() if all(map(is_known, shape))}


def _frozen_share(layer: Layer, learnable: Learnable) -> Fraction:
    """Return which part of a parameter has the learning-rate factor 0."""
    factors = layer.factors(learnable)
    return Fraction(sum(learn_rate == 0 for learn_rate, _ in factors), len(factors))


def _listed(shapes: dict[str, tuple[int, ...]], frozen: Mapping[str, Fraction] = MappingProxyType({})) -> str:
    marks = {name: " (frozen)" if share == 1 else " (partly frozen)" for name, share in frozen.items() if share}
    return ", ".join(f"{name} {dims(shape)}{marks.get(name, '')}" for name, shape in shapes.items())


def _activations(layer: Layer, sizes: tuple[Size, ...]) -> str:
    """Return the size of what a layer puts out, with the names of the outputs where there are several."""
    if len(sizes) == 1:
        return _labelled(sizes[0])
    return ", ".join(f"{name}: {_labelled(size)}" for name, size in zip(layer.outputs, sizes, strict=bool(sizes)))


def _labelled(size: Size) -> str:
    """Return a size with its dimension labels: 28(S) x 28(S) x 1(C) x 1(B), sequences with 1(T) at the end."""
    labelled = [f"{n}({label})" for n, label in zip(size.dims, size.format.removesuffix("T"), strict=True)]
    return " x ".join([*labelled, "1(B)", *["1(T)"] * size.is_sequence])
