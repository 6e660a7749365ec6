"""A graph as the two files of OpenVINO's IR: operations in XML, constants as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

import numpy as np

from mlnet.interop.openvino.graph import IrBody, IrBuilder, IrLayer, IrValue

_VERSION = "11"
_ALIGNMENT = 64
_PRECISIONS = {"f32": "FP32", "i64": "I64", "boolean": "BOOL"}
_LITTLE = {"f32": "<f4", "i64": "<i8"}


def to_files(build: IrBuilder) -> tuple[bytes, bytes]:
    """Return the contents of the .xml and the .bin file."""
    net = ElementTree.Element("net", name=clean(build.name), version=_VERSION)
    content = bytearray()
    _graph(net, build, content)
    ElementTree.SubElement(net, "rt_info")
    ElementTree.indent(net)
    return ElementTree.tostring(net, encoding="utf-8", xml_declaration=True), bytes(content)


def _graph(net: ElementTree.Element, build: IrBuilder, content: bytearray) -> None:
    """Add the layers and edges of a graph, and the bytes of its constants."""
    layers, edges = ElementTree.SubElement(net, "layers"), ElementTree.SubElement(net, "edges")
    for number, layer in enumerate(build.used()):
        element = ElementTree.SubElement(
            layers, "layer", id=str(number), name=clean(layer.name), type=layer.kind, version=f"opset{layer.opset}"
        )
        attributes = layer.attributes if layer.constant is None else _constant(layer.constant, layer, content)
        if attributes:
            ElementTree.SubElement(element, "data", attributes)
        _ports(element, "input", list(enumerate(layer.inputs)), {})
        names = {place: layer.names.get(value.port, []) for place, value in _places(layer)}
        _ports(element, "output", _places(layer), names)
        if layer.body is not None:
            _loop(element, layer, layer.body, content)
        for place, value in enumerate(layer.inputs):
            ends = {"from-layer": value.layer, "from-port": value.port, "to-layer": number, "to-port": place}
            ElementTree.SubElement(edges, "edge", {name: str(end) for name, end in ends.items()})


def _loop(element: ElementTree.Element, layer: IrLayer, body: IrBody, content: bytearray) -> None:
    """Add what a loop takes and puts out, what it keeps from step to step, and what it computes."""
    places: dict[str, list[str]] = {"Parameter": [], "Result": []}
    for number, inner in enumerate(body.build.used()):
        if inner.kind in places:
            places[inner.kind].append(str(number))
    start, end = ("-1", "0") if body.reverse else ("0", "-1")
    part = {"axis": "0", "start": start, "end": end, "stride": "-1" if body.reverse else "1", "part_size": "1"}
    ports = ElementTree.SubElement(element, "port_map")
    outputs = [value.port for value in layer.outputs]
    for kind, inside, outside in (
        ("input", places["Parameter"], range(len(layer.inputs))),
        ("output", places["Result"], outputs),
    ):
        for number, (inner_id, port) in enumerate(zip(inside, outside, strict=True)):
            ends = {"external_port_id": str(port), "internal_layer_id": inner_id}
            ElementTree.SubElement(ports, kind, {**ends, **(part if not number else {})})
    back = ElementTree.SubElement(element, "back_edges")
    for source, target in zip(places["Result"][1:], places["Parameter"][1:], strict=True):
        ElementTree.SubElement(back, "edge", {"from-layer": source, "to-layer": target})
    _graph(ElementTree.SubElement(element, "body"), body.build, content)


def _places(layer: IrLayer) -> list[tuple[int, IrValue]]:
    return [(value.port, value) for value in layer.outputs]


def _constant(array: np.ndarray, layer: IrLayer, content: bytearray) -> dict[str, str]:
    """Append the bytes of a constant, little end first, and return the attributes that say where they are."""
    kind = layer.outputs[0].kind
    content.extend(bytes(-len(content) % _ALIGNMENT))
    offset, data = len(content), array.astype(_LITTLE[kind], copy=False).tobytes()
    content.extend(data)
    shape = ", ".join(map(str, array.shape))
    return {"element_type": kind, "shape": shape, "offset": str(offset), "size": str(len(data))}


def _ports(
    element: ElementTree.Element, kind: str, values: Iterable[tuple[int, IrValue]], names: dict[int, list[str]]
) -> None:
    values = list(values)
    if not values:
        return
    group = ElementTree.SubElement(element, kind)
    for place, value in values:
        attributes = {"id": str(place), "precision": _PRECISIONS[value.kind]}
        if names.get(place):
            attributes["names"] = ",".join(clean(name).replace(",", "\\,") for name in names[place])
        port = ElementTree.SubElement(group, "port", attributes)
        for length in value.shape:
            ElementTree.SubElement(port, "dim").text = str(length)


def clean(text: str) -> str:
    """Return a text with a space for each character that XML cannot hold."""
    return "".join(char if char.isprintable() and not 0xD800 <= ord(char) < 0xE000 else " " for char in text)
