"""Structures that exportToMlnet.m has written -> layers, graphs and training options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mlnet.errors import DataError, MlnetError
from mlnet.interop.matlab.layers import function_of
from mlnet.layers.base import Layer, dims
from mlnet.network.layer_graph import Connection, LayerGraph, Port, layerGraph
from mlnet.network.run import STATE_FIELDS
from mlnet.options import Argument, Declared, describe
from mlnet.storage.kinds import Kinds
from mlnet.storage.networks import check_whole, checked_graph
from mlnet.structure import Structure

_OLD_NAMES = {
    "Mean": "AverageImage",
    "Classes": "ClassNames",
    "NumHiddenUnits": "OutputSize",
    "PaddingSize": "Padding",
    "CroppingSize": "Cropping",
    "cropLocation": "Location",
}
"""Names of properties in earlier releases of MATLAB, or in others, by those that are looked for first."""

_FOLLOWING = (
    "Type Description NumInputs InputNames NumOutputs OutputNames OutputSize InputSize LossFunction NumChannels "
)
_OTHERS = "PaddingMode PaddingSize CroppingMode CroppingSize Mode Vocabulary AverageImage ClassNames Learnables State"
_KNOWN = frozenset((_FOLLOWING + _OTHERS).split())
"""Properties that follow from others, or that nothing is computed from."""


class Records:
    """Makes layers, and collects what cannot be made and what was left out.

    Parameters
    ----------
    custom : mapping
        Functions of properties by classes of MATLAB that are not mlnet's; each returns a layer.
    """

    def __init__(self, custom: Mapping[str, Callable[[Structure], Layer]]) -> None:
        self._custom = custom
        self._kinds = {kind.__name__.lower(): kind for kind in Kinds.table().values()}
        self.mistakes: list[str] = []
        self.left_out: list[str] = []

    def graph(self, record: Structure, prefix: str = "") -> LayerGraph | list[Layer]:
        """Return the layers of a record: as a graph where it has connections.

        Raises
        ------
        DataError
            Where the record is damaged.
        """
        layers = [
            self._layer(each, f"{prefix}Layer {number}") for number, each in enumerate(_list(record, "layers"), start=1)
        ]
        if self.mistakes:
            return []
        made = [layer for layer in layers if layer is not None]
        if not _field(record, "has_connections"):
            return made
        by_name = {layer.Name: layer for layer in made}
        ends = [_list(record, name) for name in ("sources", "destinations")]
        try:
            wires = [
                Connection(_port(source, by_name, "outputs"), _port(destination, by_name, "inputs"))
                for source, destination in zip(*ends, strict=True)
            ]
            return checked_graph(made, wires)
        except (KeyError, TypeError, ValueError):
            raise DataError("its connections do not fit its layers") from None

    def _layer(self, record: Any, where: str) -> Layer | None:
        kind, properties = _class_of(record)
        name = properties.get("Name")
        where = f"{where} '{name}'" if isinstance(name, str) and name else where
        short = kind.rpartition(".")[2]
        custom = self._custom.get(kind) or self._custom.get(short)
        found = self._kinds.get(short.lower())
        try:
            if custom is not None:
                made = custom(record.properties)
                if not isinstance(made, Layer):
                    raise DataError(f"CustomLayers gave {describe(made)} for it, which is no layer")
                return made
            if found is None or not issubclass(found, Layer):
                raise DataError(f"there is no layer for the class {kind}")
            return self._known(found, properties, where)
        except MlnetError as error:
            self.mistakes.append(f"{where}: {error}")
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            self.mistakes.append(f"{where}: its properties are damaged ({type(error).__name__}: {error})")
        return None

    def _known(self, kind: type[Layer], properties: dict[str, Any], where: str) -> Layer:
        values = dict(self._values(kind, properties, where))
        made = kind.from_values(values)
        check_whole(made)
        unknown = [
            name
            for name, value in properties.items()
            if name not in kind.table.entries and name not in _KNOWN and np.size(value)
        ]
        self.left_out += [f"{where}: {name}" for name in unknown]
        return made

    def _values(self, kind: type[Layer], properties: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
        """Yield the options of a layer that its properties tell."""
        for name in kind.table.options:
            if name in ("Padding", "Cropping"):
                mode = properties.get(f"{name}Mode", "manual")
                value = mode if mode != "manual" else _first(properties, f"{name}Size", name)
            elif name in ("Location", "cropLocation"):
                value = "centercrop" if properties.get("Mode") == "centercrop" else _first(properties, name, "Location")
                value = "centercrop" if value is None and name == "Location" else value
            else:
                value = _first(properties, name, _OLD_NAMES.get(name, name))
            if value is None or (isinstance(value, np.ndarray) and not value.size):
                continue
            if isinstance(value, Structure):
                value = self._special(name, value, where)
            if name in STATE_FIELDS and np.ndim(value) == 2 and np.shape(value)[1] > 1:
                self.left_out.append(f"{where}: {name}, which is of {np.shape(value)[1]} sequences")
                continue
            if name.endswith("Initializer") and not isinstance(value, str):
                continue
            yield name, value

    def _special(self, name: str, value: Structure, where: str) -> Any:
        """Return what a structure in the place of an option stands for."""
        fields = value.fields()
        if "mlnet_function" in fields and not name.endswith("Initializer"):
            text = fields["mlnet_function"]
            function = function_of(text) if isinstance(text, str) else None
            if function is None:
                raise DataError(f"{name} is the function {text}, which Python cannot run. Give CustomLayers for it")
            return function
        if "layers" in fields:
            graph = self.graph(value, f"{where}, ")
            if self.mistakes:
                raise DataError("its network was not made")
            return layerGraph(graph)
        return value

    def options(self, record: Any) -> Declared | None:
        """Return training options, or None where they cannot be made; what does not fit is left out."""
        if not isinstance(record, Structure):
            return None
        kind, properties = _class_of(record)
        found = self._kinds.get(kind.rpartition(".")[2].lower())
        if found is None or issubclass(found, Layer):
            self.left_out.append(f"options of the class {kind}")
            return None
        settings = properties.pop("LearnRateScheduleSettings", None)
        if isinstance(settings, Structure):
            names = {"Method": "", "DropRateFactor": "LearnRateDropFactor", "DropPeriod": "LearnRateDropPeriod"}
            properties |= {names.get(name, name): value for name, value in settings.fields().items()}
        made = found.from_values({})
        for name, value in properties.items():
            is_option = name in found.table.options and found.table.options[name].argument is not Argument.NONE
            if not name or (isinstance(value, (np.ndarray, list)) and not np.size(value)):
                continue
            try:
                if not is_option:
                    raise DataError("unknown")
                setattr(made, name, value)
            except MlnetError:
                self.left_out.append(f"options: {name}")
        return made


def _field(record: Any, name: str) -> Any:
    fields = record.fields() if isinstance(record, Structure) else {}
    if name not in fields:
        raise DataError(f"its structure has no field {name}")
    return fields[name]


def _list(record: Any, name: str) -> list[Any]:
    value = _field(record, name)
    if isinstance(value, np.ndarray) and not value.size:
        return []
    if not isinstance(value, list):
        raise DataError(f"its field {name} is no cell")
    return value


def _class_of(record: Any) -> tuple[str, dict[str, Any]]:
    kind, properties = _field(record, "class"), _field(record, "properties")
    if not isinstance(kind, str) or not isinstance(properties, Structure):
        raise DataError("it has a layer without class and properties")
    return kind, properties.fields()


def _first(properties: dict[str, Any], *names: str) -> Any:
    return next((properties[name] for name in names if name in properties), None)


def _port(text: Any, layers: Mapping[str, Layer], kind: str) -> Port:
    """Return the port that 'layer' or 'layer/port' means."""
    if text in layers:
        return Port(text, getattr(layers[text], kind)[0])
    layer, _, port = text.rpartition("/")
    if port not in getattr(layers[layer], kind):
        raise ValueError
    return Port(layer, port)


def difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference between results of both sides over the largest number of MATLAB's, at least 1.

    Raises
    ------
    DataError
        Where they are not of the same size.
    """
    if isinstance(ours, (list, tuple)):
        theirs = theirs if isinstance(theirs, list) else [theirs]
        if len(ours) != len(theirs):
            raise DataError(f"{len(ours)} results here, {len(theirs)} in MATLAB")
        return max((difference(one, other) for one, other in zip(ours, theirs, strict=True)), default=0.0)
    here, there = np.asarray(ours), np.asarray(theirs)
    shapes = [tuple(n for n in each.shape if n != 1) for each in (here, there)]
    if shapes[0] != shapes[1] or there.dtype.kind not in "fiub":
        raise DataError(f"results of size {dims(here.shape)} here, {dims(there.shape)} in MATLAB")
    there = there.astype(np.float64).reshape(here.shape)
    largest = float(np.abs(here - there).max(initial=0)) / max(1.0, float(np.abs(there).max(initial=0)))
    return math.inf if math.isnan(largest) else largest
