"""The option Weights of known networks: none, or a file with the values of all parameters."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mlnet.errors import DataError, MlnetError, NotSupportedError, suggestion
from mlnet.labels import categorical
from mlnet.layers.base import Layer, Size, dims, without_ones
from mlnet.layers.input import InputLayer
from mlnet.layers.output import ClassificationOutputLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph
from mlnet.network.resolve import resolve
from mlnet.network.trained import DAGNetwork, SeriesNetwork
from mlnet.options import Declared, Option, Table, describe
from mlnet.rules import EMPTY, REFUSALS, Refused, Rule, read_only

_WORDS = ("none", "imagenet")


def _word_or_file(value: Any) -> Any:
    """Return 'none' or 'imagenet', or the path of a .npz file."""
    if isinstance(value, str) and value.lower() in _WORDS:
        return value.lower()
    if isinstance(value, (str, os.PathLike)) and Path(value).suffix.lower() == ".npz":
        return Path(value)
    raise Refused


WEIGHTS = Option(
    "Weights",
    "imagenet",
    Rule("'none', or the path of a .npz file", _word_or_file, (1, None, "", "weights.mat", ["none"]), _WORDS),
    "'none' gives layers without weights; a file fills all parameters. Trained weights, 'imagenet', are not shipped.",
)

_DESCRIPTION = """Parameters
----------
Weights : 'none', or the path of a .npz file
    'none': layers without weights, ready for training. A file: a network with the values in it. Trained weights are
    not shipped, so that the default of MATLAB, 'imagenet', is an error.

Returns
-------
{layers} with ``Weights='none'``, {network} with a file

Raises
------
NotSupportedError
    Without Weights, or with ``Weights='imagenet'``.
OptionError, UnknownNameError
    Where an argument is not allowed or misspelt.
DataError
    Where the file cannot be read, or entries are missing, unknown, of another size, or not finite; the message lists
    all of them.

Notes
-----
The file has an array for each learnable and state parameter under 'layer/parameter', e.g. 'conv1/Weights', in the
sizes of MATLAB that `analyzeNetwork` lists, and for the statistics of the input layer, 1 x 1 x 3 or height x width x 3.
The classes are optional, texts under 'output layer/Classes'; without them they are '1', '2', ... A network ``net``
that has all values is written so::

    names = ('Mean', 'StandardDeviation', 'Weights', 'Bias', 'Offset', 'Scale', 'TrainedMean', 'TrainedVariance')
    found = {f'{layer.Name}/{name}': getattr(layer, name, []) for layer in net.Layers for name in names}
    np.savez('file.npz', **{key: value for key, value in found.items() if np.size(value)})
"""

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file or an entry that it cannot read."""

Layers = TypeVar("Layers", LayerArray, LayerGraph)


def known_network(build: Callable[[], Layers]) -> Callable[..., Any]:
    """Turn a function that returns layers into the public function with the option Weights.

    ``{weights}`` in its docstring becomes the description of the option and of the results.
    """
    options: Any = type("Options", (Declared,), {"constructor_name": build.__name__, "table": Table(WEIGHTS)})

    @functools.wraps(build)
    def construct(*args: Any, **kwargs: Any) -> Any:
        weights = options(*args, **kwargs).Weights
        if weights == "imagenet":
            raise weights_not_shipped(build.__name__)
        layers = build()
        return layers if weights == "none" else with_weights(build.__name__, layers, weights)

    is_graph = inspect.signature(build).return_annotation == "LayerGraph"
    returned = ("LayerGraph", "DAGNetwork") if is_graph else ("LayerArray", "SeriesNetwork")
    text = _DESCRIPTION.replace("{layers}", returned[0]).replace("{network}", returned[1]).rstrip()
    construct.__doc__ = (build.__doc__ or "").replace("{weights}", text.replace("\n", "\n    "))
    construct.__signature__ = options.table.signature(object)  # type: ignore[attr-defined]
    return construct


def weights_not_shipped(function: str) -> NotSupportedError:
    """Return the error of a network that is asked for with trained weights."""
    return NotSupportedError(
        f"{function}: trained weights (Weights='imagenet', the default) are not shipped with mlnet. Use Weights='none' "
        f"for layers without weights, or Weights='file.npz' for values of your own; help({function}) tells what the "
        "file needs."
    )


def with_weights(function: str, layers: LayerArray | LayerGraph, path: Path) -> SeriesNetwork | DAGNetwork:
    """Return a network whose parameters are the values of a file.

    Raises
    ------
    DataError
        Where the file cannot be read, or does not fit; the message lists every entry that does not.
    """
    network = resolve(layers)
    with contextlib.ExitStack() as stack:
        try:
            file = np.load(stack.enter_context(path.open("rb")), allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is no archive of arrays")
        except _UNREADABLE as error:
            raise DataError(f"{function}: Weights: {str(path)!r} cannot be read as a .npz file: {error}.") from error
        reader = _Reader(file)
        filled = [reader.filled(layer, network.input_size(at)) for at, layer in enumerate(network.layers)]
        mistakes = reader.mistakes + reader.unknown()
    if mistakes:
        listed = "\n".join(f"  {mistake}" for mistake in mistakes)
        count = f"{len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
        raise DataError(f"{function}: Weights: {str(path)!r} does not fit the network, {count}:\n{listed}")
    kind = DAGNetwork if isinstance(layers, LayerGraph) else SeriesNetwork
    return kind(network.with_layers(filled))


class _Reader:
    """Fills layers from the entries of a file, and collects what does not fit."""

    def __init__(self, file: Any) -> None:
        self.mistakes: list[str] = []
        self._file, self._keys = file, set(file.files)
        self._known: set[str] = set()

    def filled(self, layer: Layer, size: Size) -> Layer:
        """Return ``layer``, which takes inputs of ``size``, with the values of its parameters."""
        if isinstance(layer, ClassificationOutputLayer):
            return self._with_classes(layer, size)
        names = [*(each.name for each in layer.learnables), *layer.states]
        if isinstance(layer, InputLayer):
            names += layer.statistics()
        return layer.replaced(**{name: self._value(layer, name, size) for name in names})

    def unknown(self) -> list[str]:
        """Return the mistakes of entries that no layer has."""
        more = [key for key in self._file.files if key not in self._known]
        return [f"'{key}' is no parameter of this network. {suggestion(key, self._known)}".strip() for key in more]

    def _value(self, layer: Layer, name: str, size: Size) -> np.ndarray:
        found = self._entry(layer, name)
        if found is None:
            return EMPTY
        try:
            value = layer.table.options[name].rule.convert(found)
        except REFUSALS:
            needed = layer.table.options[name].rule.needed.removesuffix(", or []")
            self.mistakes.append(f"'{layer.Name}/{name}' needs {needed}, but is {describe(found)}.")
            return EMPTY
        shapes = [size.dims, (1, 1, size.channels), (1,)]
        if not isinstance(layer, InputLayer):
            shapes = [layer.parameter_shape(name, size)]
        for shape in shapes:
            if without_ones(value.shape) == without_ones(shape):
                return read_only(value.reshape(shape), np.float32)
        sizes = " or ".join(dims(shape) for shape in shapes)
        self.mistakes.append(f"'{layer.Name}/{name}' needs size {sizes}, but has size {dims(value.shape)}.")
        return EMPTY

    def _entry(self, layer: Layer, name: str, *, is_optional: bool = False) -> Any:
        """Return an entry; None, with a mistake unless it ``is_optional``, where there is none."""
        key = f"{layer.Name}/{name}"
        self._known.add(key)
        if key in self._keys:
            try:
                return self._file[key]
            except _UNREADABLE as error:
                self.mistakes.append(f"'{key}' cannot be read: {error}.")
        elif not is_optional:
            self.mistakes.append(f"'{key}' is missing.")
        return None

    def _with_classes(self, layer: ClassificationOutputLayer, size: Size) -> Layer:
        found = self._entry(layer, "Classes", is_optional=True)
        if found is None:
            found = np.arange(1, size.channels + 1).astype(str)
        try:
            classes = layer.table.options["Classes"].rule.convert(categorical(found))
        except (*REFUSALS, MlnetError):
            classes = None
        if classes is None or len(classes) != size.channels:
            needed = f"{size.channels} different texts"
            self.mistakes.append(f"'{layer.Name}/Classes' needs {needed}, but is {describe(found)}.")
            return layer
        return layer.replaced(Classes=classes)
