"""How every layer behaves as a value: copies, bad values, what it prints, and sizes that it does not take."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from mlnet.autodiff.containers import NestedNetwork
from mlnet.conformance.sizes import OTHER_SIZES
from mlnet.conformance.surroundings import network_of
from mlnet.conformance.trial import Case
from mlnet.errors import MlnetError, NetworkError
from mlnet.labels import categorical
from mlnet.layers.base import Layer
from mlnet.layers.folding import identityLayer
from mlnet.layers.input import InputLayer
from mlnet.network.layer_array import LayerArray
from mlnet.network.layer_graph import LayerGraph

_ODD_NAME = "<b>&"
"""A name that is not HTML as it stands."""


def check_value_semantics(case: Case) -> None:
    """Check that copies are equal and independent, and neither copying nor running a layer changes it."""
    layer = case.layer
    before = dict(layer._values)
    copies: dict[str, Callable[[], Layer]] = {
        "copy.copy": lambda: copy.copy(layer),
        "copy.deepcopy": lambda: copy.deepcopy(layer),
        "copy": layer.copy,
        "replaced": layer.replaced,
    }
    if _can_be_pickled([*_functions_of(layer), type(layer)]):  # not a class from inside a function
        copies["a pickle"] = lambda: pickle.loads(pickle.dumps(layer))
    for what, make in copies.items():
        twin = make()
        if not same_layers(twin, layer):
            raise AssertionError(f"{what}: needs the values of the layer, but differs:\n{twin!r}\nfrom\n{layer!r}")
        twin.Name = "another name"
        if layer.Name != before["Name"]:
            raise AssertionError(f"{what}: needs to be independent, but assigning to it has changed the layer.")
    for training in (False, True):
        case.trial(training=training).run(case.batch(2))
    for name, value in before.items():
        if layer._values[name] is not value:
            raise AssertionError(f"{name}: needs to stay as it is while networks are made and run, but has changed.")


def _functions_of(layer: Layer) -> list[Any]:
    return [value for value in layer._values.values() if callable(value) and not isinstance(value, Layer)]


def _can_be_pickled(values: Any) -> bool:
    try:
        pickle.dumps(values)
    except (pickle.PicklingError, AttributeError, TypeError):  # a lambda, a local function
        return False
    return True


def same_layers(a: Layer, b: Layer) -> bool:
    """Tell whether two layers are of one class and have equal values."""
    return type(a) is type(b) and all(_equal(value, b._values[name]) for name, value in a._values.items())


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, LayerGraph):
        return bool(a.wires == b.wires) and all(same_layers(*pair) for pair in zip(a.Layers, b.Layers, strict=True))
    if isinstance(a, NestedNetwork):
        keys = a.learnable_keys()
        values = [[each.learnable_value(key)._data for key in keys] for each in (a, b)]
        return type(a) is type(b) and keys == b.learnable_keys() and all(map(np.array_equal, *values))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, categorical):
        return isinstance(b, categorical) and pickle.dumps(a) == pickle.dumps(b)
    return type(a) is type(b) and bool(a == b)


def check_bad_values(case: Case) -> None:
    """Check that assigning a value that the rule of an option refuses raises, and changes nothing."""
    layer = case.layer.copy()
    before = layer.copy()
    for option in layer.table.options.values():
        for bad in option.rule.bad:
            what = f"{option.name} = {bad!r}"
            try:
                setattr(layer, option.name, bad)
            except MlnetError as error:
                if option.name not in str(error):
                    raise AssertionError(f"{what}: needs a message that names the option, but got: {error}") from error
            else:
                raise AssertionError(f"{what}: needs an OptionError, but was taken.")
            if not same_layers(layer, before):
                raise AssertionError(f"{what}: needs to leave the layer as it was, but has changed it.")


def check_display(case: Case) -> None:
    """Check that a layer and an array of it print themselves, in notebooks without raw characters of their names."""
    layer = case.layer.replaced(Name=_ODD_NAME)
    array = LayerArray([layer, identityLayer()])  # an array of one layer prints as the layer
    text, listed = repr(layer), repr(array)
    first = text.split("\n")[0]
    if not first.startswith(f"  {type(layer).__name__} with "):
        raise AssertionError(f"repr: needs to begin with the class {type(layer).__name__}, but begins with {first!r}.")
    for what, shown in (("repr", text), ("repr of a layer array", listed)):
        if f"'{_ODD_NAME}'" not in shown:
            raise AssertionError(f"{what}: needs the name of the layer, but is\n{shown}")
    if layer.description() not in listed:
        raise AssertionError(f"repr of a layer array: needs '{layer.description()}', but is\n{listed}")
    for what, html in (("layer", layer._repr_html_()), ("layer array", array._repr_html_())):
        if _ODD_NAME in html or "&lt;b&gt;&amp;" not in html:
            raise AssertionError(f"HTML of a {what}: needs the name '{_ODD_NAME}' escaped, but is\n{html}")


def check_other_sizes(case: Case) -> str | None:
    """Check that a size that the layer does not take is a mistake of the network, never another error."""
    if isinstance(case.layer, InputLayer):
        return "Input layers have their size."
    count = len(case.sizes)
    tried = [(size,) * count for size in OTHER_SIZES]
    tried += [
        (*case.sizes[:number], size, *case.sizes[number + 1 :])
        for number, size in itertools.product(range(count), OTHER_SIZES)
        if count > 1
    ]
    for sizes in tried:
        try:
            network_of(case.layer, sizes)
        except NetworkError:
            continue
        except Exception as error:
            listed = ", ".join(map(str, sizes))
            raise AssertionError(
                f"An input of {listed}: needs to be taken, or a SizeError, but raised {type(error).__name__}: {error}"
            ) from error
    return None
