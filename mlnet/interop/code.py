"""codeFor: layer arrays and graphs as the code that makes them again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mlnet.errors import NotSupportedError, OptionError
from mlnet.interop.matlab.layers import handle_of
from mlnet.interop.onnx.reading.function import OnnxOperatorLayer
from mlnet.labels import categorical
from mlnet.layers.base import Layer, dims
from mlnet.layers.custom import Layer as CustomLayer
from mlnet.network.dlnetwork import dlnetwork
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import Connection, LayerGraph, Port, layerGraph
from mlnet.network.trained import DAGNetwork, TrainedNetwork
from mlnet.network.wiring import where_text
from mlnet.options import Argument, Option
from mlnet.rules import choice

_LANGUAGES = choice("python", "matlab")


def codeFor(layers: Any, language: str = "python") -> str:  # noqa: N802 - the spelling of the public face
    """Return the code that makes a layer array or graph again.

    Options that have their defaults are left out. Learned values (weights, statistics of the layers) are not in the
    code; a comment names those that there are. Custom layers are made by their constructors, whose arguments are the
    properties of the same names. `exportWeights`, `exportONNXNetwork` and pickle keep them.

    Parameters
    ----------
    layers : LayerArray, list of layers, LayerGraph or network
    language : 'python' or 'matlab', default 'python'

    Returns
    -------
    str
        In Python, beginning with ``from mlnet import *``.

    Raises
    ------
    NotSupportedError
        Where options hold functions, or networks that are no chains; the message lists all of them.
    OptionError
        Where an argument is not allowed.

    Examples
    --------
    >>> from mlnet import *
    >>> print(codeFor([imageInputLayer([28, 28, 1]), convolution2dLayer(5, 20, Padding='same'), reluLayer()]))
    from mlnet import *
    <BLANKLINE>
    layers = [
        imageInputLayer([28, 28, 1]),
        convolution2dLayer([5, 5], 20, Padding='same'),
        reluLayer(),
    ]
    >>> print(codeFor([fullyConnectedLayer(10, Name='fc'), softmaxLayer()], 'matlab'))
    layers = [
        fullyConnectedLayer(10, 'Name', 'fc')
        softmaxLayer()
    ];
    """
    if not isinstance(language, str) or language.lower() not in _LANGUAGES.names:
        raise OptionError(f"codeFor: language: needs one of 'python', 'matlab', but got {language!r}.")
    writer = _Python() if language.lower() == "python" else Matlab()
    if isinstance(layers, (DAGNetwork, dlnetwork)):
        layers = layerGraph(layers)
    elif isinstance(layers, TrainedNetwork):
        layers = layers.Layers
    if isinstance(layers, LayerGraph):
        lines = graph_code(writer, layers)
    else:
        lines = writer.array("layers", list(LayerArray(layers)))
    if writer.mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in writer.mistakes)
        raise NotSupportedError(f"codeFor: there are values that code cannot hold:\n{listed}")
    return "\n".join([*writer.header(), *lines, *writer.footer()])


class _Language:
    """What both languages share: which options are written, and what cannot be."""

    array_end = ""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._left_out: list[str] = []

    def header(self) -> list[str]:
        """Return the lines before the layers."""
        return []

    def footer(self) -> list[str]:
        """Return a comment for each layer whose learned values are left out."""
        return [f"{self.comment} without values: {line}" for line in self._left_out]

    comment = "#"

    def array(self, name: str, layers: list[Layer]) -> list[str]:
        """Return the lines that make a layer array."""
        raise NotImplementedError

    def value(self, value: Any) -> str:
        """Return a value as code; raise ValueError where there is none."""
        raise NotImplementedError

    def pair(self, name: str, value: str) -> str:
        """Return an option with its value."""
        raise NotImplementedError

    def call(self, layer: Layer, number: int) -> str:
        """Return the call that makes a layer."""
        if isinstance(layer, CustomLayer):
            return self._custom(layer, number)
        arguments = []
        learned = {*(each.name for each in layer.learnables), *layer.states}
        for option in _written(layer):
            write = self.learned if option.name in learned else self.option
            text = write(layer, number, option.name)
            if text is None:
                continue
            is_required = option.argument is Argument.REQUIRED
            arguments.append(text if is_required else self.pair(option.name, text))
        return f"{layer.constructor_name}({', '.join(arguments)})"

    def _custom(self, layer: CustomLayer, number: int) -> str:
        """Return the call of the constructor of a custom layer: its arguments are properties of the same names."""
        name, where = type(layer).__name__, where_text(number, layer)
        given = {each.lower(): each for each in layer.table.entries}
        positional: list[str] = []
        named: list[str] = []
        for argument in inspect.signature(type(layer).__init__).parameters.values():
            is_optional = argument.default is not argument.empty
            if argument.name == "self" or argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
                continue
            if argument.name.lower() not in given:
                if not is_optional:
                    self.mistakes.append(f"{where}: its constructor needs {argument.name}, which it does not keep.")
                continue
            value = getattr(layer, given[argument.name.lower()])
            if is_optional and _same(value, argument.default):
                continue
            try:
                text = self.value(value)
            except ValueError:
                self.mistakes.append(f"{where}: {argument.name} is {type(value).__name__}.")
                continue
            (named if is_optional else positional).append(self.pair(argument.name, text) if is_optional else text)
        if "__init__" not in vars(type(layer)) and layer.Name:
            named.append(self.pair("Name", self.value(layer.Name)))
        learned = [*(each.name for each in layer.learnables), *layer.states]
        sizes = {each: np.shape(getattr(layer, each)) for each in learned}
        self._left_out += [f"{where}, {each} of size {dims(size)}" for each, size in sizes.items() if np.prod(size)]
        return f"{name}({', '.join([*positional, *named])})"

    def learned(self, layer: Layer, number: int, name: str) -> str | None:
        """Return a learned value as code, or None where it is left out."""
        value = getattr(layer, name)
        if np.size(value):
            self._left_out.append(f"{where_text(number, layer)}, {name} of size {dims(np.shape(value))}")
        return None

    def option(self, layer: Layer, number: int, name: str) -> str | None:
        """Return the value of an option as code, or None where it is left out or cannot be."""
        value = getattr(layer, name)
        try:
            return self.value(value)
        except ValueError:
            reason = f"{name} is {type(value).__name__}"
            if isinstance(layer, OnnxOperatorLayer):
                reason = f"{layer.computes}, for which there is no code; save keeps it"
            self.mistakes.append(f"{where_text(number, layer)}: {reason}.")
        return None


def _written(layer: Layer) -> Iterator[Option]:
    """Yield the options that the code names: required ones, then those without their defaults."""
    options = layer.table.options.values()
    required = [option for option in layer.table.positional if option.argument is Argument.REQUIRED]
    yield from required
    for option in options:
        value = getattr(layer, option.name)
        if option not in required and option.argument is not Argument.NONE and not _same(value, option.default):
            yield option


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b))
    return type(a) is type(b) and bool(a == b)


class _Python(_Language):
    """Code of mlnet."""

    _needs_numpy = False

    def header(self) -> list[str]:
        """Return the lines that import."""
        return [*(["import numpy as np", ""] if self._needs_numpy else []), "from mlnet import *", ""]

    def array(self, name: str, layers: list[Layer]) -> list[str]:
        """Return a list of one layer a line."""
        return [f"{name} = [", *(f"    {self.call(layer, number)}," for number, layer in enumerate(layers)), "]"]

    def pair(self, name: str, value: str) -> str:
        """Return a keyword argument."""
        return f"{name}={value}"

    def value(self, value: Any) -> str:
        """Return a literal."""
        if isinstance(value, (str, bool, np.bool_)) or value is None:
            return repr(bool(value)) if isinstance(value, np.bool_) else repr(value)
        if isinstance(value, (int, float, np.integer, np.floating)):
            return self._number(value)
        if isinstance(value, categorical):
            names = [str(each) for each in np.asarray(value)]
            return f"categorical({names!r}, {names!r})"
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(self.value(each) for each in value)}]"
        if isinstance(value, np.ufunc):
            self._needs_numpy = True
            return f"np.{value.__name__}"
        if isinstance(value, LayerGraph):
            return f"[{', '.join(self.call(layer, number) for number, layer in enumerate(chain_of(value)))}]"
        raise ValueError

    def _number(self, value: Any) -> str:
        number = float(str(value)) if isinstance(value, np.floating) else value
        if isinstance(value, (int, np.integer)):
            return str(int(value))
        if math.isfinite(number):
            return repr(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))
        self._needs_numpy = True
        return "np.nan" if math.isnan(number) else "np.inf" if number > 0 else "-np.inf"

    def _array(self, value: np.ndarray) -> str:
        if value.ndim == 0:
            return self._number(value[()])
        if not value.size:
            return "[]"
        return f"[{', '.join(self._array(each) if each.ndim else self._number(each) for each in value)}]"


class Matlab(_Language):
    """Code of MATLAB."""

    comment = "%"

    def array(self, name: str, layers: list[Layer]) -> list[str]:
        """Return a column of one layer a line."""
        return [f"{name} = [", *(f"    {self.call(layer, number)}" for number, layer in enumerate(layers)), "];"]

    def pair(self, name: str, value: str) -> str:
        """Return a name in quotes and a value."""
        return f"'{name}', {value}"

    def value(self, value: Any) -> str:
        """Return a literal."""
        if isinstance(value, str):
            return _matlab_text(value)
        if isinstance(value, (bool, np.bool_)):
            return "true" if value else "false"
        if value is None:
            return "[]"
        if isinstance(value, (int, float, np.integer, np.floating)):
            return self._number(value)
        if isinstance(value, categorical):
            names = f"{{{', '.join(self.value(str(each)) for each in np.asarray(value))}}}"
            return f"categorical({names}, {names})"
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
            return f"{{{', '.join(self.value(each) for each in value)}}}"
        if isinstance(value, np.ufunc):
            return handle_of(value)
        if isinstance(value, LayerGraph):
            return f"[{'; '.join(self.call(layer, number) for number, layer in enumerate(chain_of(value)))}]"
        raise ValueError

    def _number(self, value: Any) -> str:
        if isinstance(value, (int, np.integer)):
            return str(int(value))
        number = float(str(value)) if isinstance(value, np.floating) else float(value)
        if not math.isfinite(number):
            return "NaN" if math.isnan(number) else "Inf" if number > 0 else "-Inf"
        return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)

    def _array(self, value: np.ndarray) -> str:
        if value.ndim == 0:
            return self._number(value[()])
        if not value.size:
            return "[]"
        if value.ndim == 1:
            return f"[{' '.join(map(self._number, value))}]"
        if value.ndim == 2:
            return f"[{'; '.join(' '.join(map(self._number, row)) for row in value)}]"
        numbers = " ".join(map(self._number, value.ravel(order="F")))
        return f"reshape([{numbers}], [{' '.join(map(str, value.shape))}])"


def _matlab_text(text: str) -> str:
    """Return a character vector; one with control characters as numbers."""
    if text.isprintable():
        quoted = text.replace("'", "''")
        return f"'{quoted}'"
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
    return f"char([{' '.join(map(str, units))}])"


def chain_of(graph: LayerGraph) -> list[Layer]:
    """Return the layers of a graph that is a chain; raise ValueError for others."""
    layers = list(graph.Layers)
    if [(wire.source, wire.destination) for wire in graph.wires] != [_link(a, b) for a, b in _pairs(layers)]:
        raise ValueError
    return layers


def _pairs(layers: list[Layer]) -> Iterator[tuple[Layer, Layer]]:
    yield from zip(layers, layers[1:], strict=False)  # noqa: RUF007


def _link(source: Layer, destination: Layer) -> tuple[Port, Port] | None:
    """Return the wire that stands between neighbours in an array; None where there can be none."""
    if not source.outputs or not destination.inputs:
        return None
    return Port(source.Name, source.outputs[0]), Port(destination.Name, destination.inputs[0])


def graph_code(writer: _Language, graph: LayerGraph) -> list[str]:
    """Return the lines that make a graph: arrays of layers that feed one another, then the other connections."""
    wires = set(graph.wires)
    chains: list[list[tuple[int, Layer]]] = []
    for number, layer in enumerate(graph.Layers):
        link = _link(chains[-1][-1][1], layer) if chains else None
        if link is not None and Connection(*link) in wires:
            wires.discard(Connection(*link))
            chains[-1].append((number, layer))
        else:
            chains.append([(number, layer)])
    end = ";" if isinstance(writer, Matlab) else ""
    lines = [f"lgraph = layerGraph(){end}"]
    for chain in chains:
        lines += [*writer.array("layers", [layer for _, layer in chain]), f"lgraph = addLayers(lgraph, layers){end}"]
    by_name = {layer.Name: layer for layer in graph.Layers}
    text: Callable[[Any], str] = writer.value
    for wire in graph.wires:
        if wire in wires:
            source = _port(wire.source, by_name[wire.source.layer].outputs)
            destination = _port(wire.destination, by_name[wire.destination.layer].inputs)
            lines.append(f"lgraph = connectLayers(lgraph, {text(source)}, {text(destination)}){end}")
    return lines


def _port(port: Port, names: tuple[str, ...]) -> str:
    return port.layer if len(names) == 1 else f"{port.layer}/{port.name}"
