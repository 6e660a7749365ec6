"""Layers that users write: classes with parameters, a method predict and, where they like, forward and backward."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.containers import NestedNetwork
from mlnet.autodiff.data_layout import networkDataLayout
from mlnet.errors import DataError, MlnetError, OptionError, UnknownNameError, message, nearest
from mlnet.layers import base
from mlnet.layers.base import Call, Size, SizeError, no_lengths, same_lengths
from mlnet.layers.custom_call import LayerCall, line_of
from mlnet.layers.custom_declarations import (
    CHANGEABLE,
    ENTRIES,
    METHODS,
    Learnable,
    State,
    TableOf,
    is_set,
    ordered,
    port_options,
    property_option,
)
from mlnet.layers.lost_trace import FIX
from mlnet.layers.trial import automatic_ports, sizes_of_outputs
from mlnet.layers.unknown import UnknownSizeError
from mlnet.options import Table
from mlnet.rules import read_only

C = TypeVar("C", bound="Layer")


class _Constructed(type):
    """Marks the time in which the constructor of a layer runs, when it may set properties of any name."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = cls.__new__(cls)  # type: ignore[call-overload]
        values = {name: option.default for name, option in cls.table.options.items()}  # type: ignore[attr-defined]
        layer.__dict__.update(_values=values, _doing="__init__")
        layer.__init__(*args, **kwargs)
        del layer.__dict__["_doing"]
        layer._freeze()
        return layer


class Layer(base.Layer, metaclass=_Constructed):
    """Base of the layers that users write.

    A subclass declares its parameters with `Learnable` and `State`, may set further properties in its constructor, and
    has a method ``predict(self, X)``. That is all it needs: sizes are found by calling it with zeros, and gradients by
    automatic differentiation. The array X has the dimensions of MATLAB: (H, W, C, N) for images of height H, width W
    and C channels in a mini-batch of N, (C, N) for features, (C, N, T) for sequences, with zeros behind their ends. It
    is an unformatted dlarray, or a formatted one for classes that are `Formattable` too. Write predict with Python's
    operators and NumPy's functions.

    Learnable parameters and states line up with the first input from their first dimension on, as in MATLAB: a
    parameter of size 1 x 1 x C is one number for each channel of images, C x 1 for each feature.

    A learnable parameter may be a `dlnetwork`, whose parameters are then named 'Network/layer/Weights': predict of a
    layer that is `Formattable` calls ``self.Network.predict(X)``. For a network with states forward calls
    ``Z, state = self.Network.forward(X, nargout=2)`` and returns ``Z, state``, or sets ``self.Network.State = state``.

    Methods that a subclass may have:

    ``predict(self, X1, ..., Xn)`` returns ``Z``, or a tuple ``Z1, ..., Zm`` for m outputs.

    ``forward(self, X1, ..., Xn)`` takes its place in training. NumPy's random numbers (``np.random.rand``) repeat with
    `rng` in it. Behind the outputs it may return the new states, in the order of their declaration, and behind them
    ``memory``, anything that backward needs. States may be assigned instead: ``self.Mean = ...``.

    ``backward(self, X1, ..., Xn, Z1, ..., Zm, dLdZ1, ..., dLdZm, memory)`` returns the gradients of all inputs and then
    of all learnable parameters, as a tuple if there are several. With it predict and forward get NumPy arrays that
    cannot be written to. Layers with states get zeros for the gradient of each state before ``memory``.

    ``initialize(self, layout)`` sets parameters that need the size of the input; it gets a `networkDataLayout` for
    each input. Parameters that have values keep them.

    ``resetState(self)`` sets the states to what they are before the first data.

    Parameters
    ----------
    Name : text, default ''
        Name of the layer; given automatically when training if ''.
    Description, Type : text, default ''
        What a printed layer array shows; the name of the class if ''.
    NumInputs, NumOutputs : int, default 1
    InputNames, OutputNames : list of texts, default ['in'] and ['out']
        'in1', 'in2', ... where there are several.

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import Layer, Learnable
    >>> class myPreluLayer(Layer):
    ...     Alpha = Learnable()
    ...     def __init__(self, numChannels, Name=''):
    ...         super().__init__(Name=Name, Description=f'PReLU with {numChannels} channels')
    ...         self.Alpha = np.random.rand(1, 1, numChannels)
    ...     def predict(self, X):
    ...         return np.maximum(X, 0) + self.Alpha * np.minimum(0, X)
    >>> myPreluLayer(8, Name='prelu')
      myPreluLayer with properties:
    <BLANKLINE>
         Name: 'prelu'
    <BLANKLINE>
       Learnable Parameters
        Alpha: [1x1x8 double]
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """

    base_name = "layer"
    shows_all_link = True
    shows_empty_groups = True
    table: ClassVar[Table] = TableOf()  # type: ignore[assignment]
    _own_table: ClassVar[Table] = ordered([*ENTRIES, *port_options("Input"), *port_options("Output")])
    _tables: ClassVar[dict[tuple[str, ...], Table]] = {}
    _declared: ClassVar[dict[str, Learnable | State]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_own_table" not in vars(cls):  # a class of a user
            cls._declare()
        cls._tables = {}
        super().__init_subclass__(**kwargs)

    @classmethod
    def _declare(cls) -> None:
        """Turn what stands in the body of the class into its table."""
        entries: dict[str, Any] = dict(cls._own_table.entries)
        for parent in cls.__mro__[:0:-1]:
            if isinstance(parent, _Constructed):
                entries.update(parent.__dict__.get("_own_table", Table()).entries)  # several bases
        declared = dict(cls._declared)
        given = dict(vars(cls))
        for name, value in given.items():
            if name in CHANGEABLE:
                entries[name] = replace(entries[name], default=entries[name].rule.convert(value))
            elif name.startswith("__") or name in METHODS or name in ("_own_table", "_tables", "_declared", "_values"):
                continue
            elif name in _RESERVED:
                fix = "Give it another name."
                raise OptionError(f"{cls.__name__}: layers of mlnet have something else of the name '{name}'. {fix}")
            elif isinstance(value, (Learnable, State)):
                declared[name] = value
                entries.update((each.name, each) for each in value.options(name))
            elif hasattr(value, "__get__") or isinstance(value, type):
                continue
            else:
                entries[name] = property_option(name, value)
            delattr(cls, name)
        for kind, start in (("Input", "in"), ("Output", "out")):
            count, names = f"Num{kind}s", f"{kind}Names"
            if names in given:
                entries[count] = replace(entries[count], default=len(entries[names].default))
            elif count in given:
                several = automatic_ports(start, entries[count].default)
                entries[names] = replace(entries[names], default=several)
        cls._own_table, cls._declared = ordered(list(entries.values())), declared

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._assign(self.table.bind(type(self).__name__, args, kwargs))

    @property
    def type_name(self) -> str:  # type: ignore[override]
        """Type, or the name of the class."""
        return self._values["Type"] or type(self).__name__

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return tuple(self._values["InputNames"])

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs."""
        return tuple(self._values["OutputNames"])

    @property
    def learnables(self) -> tuple[base.Learnable, ...]:  # type: ignore[override]
        """The learnable parameters, in the order of their declaration; those of a network as 'Network/layer/name'."""
        names = [name for name, kind in self._declared.items() if isinstance(kind, Learnable)]
        return tuple(base.Learnable(each, each, "zeros", 1, "") for name in names for each in self._names_of(name))

    def _names_of(self, name: str) -> list[str]:
        value = self._values.get(name)
        if isinstance(value, NestedNetwork) and value.Initialized:
            return [f"{name}/{layer}/{parameter}" for layer, parameter in value.learnable_keys()]
        return [name]

    def factors(self, learnable: base.Learnable) -> list[tuple[float, float]]:
        """Return (learning-rate factor, L2 factor) of a parameter; for one of a network those of its layer."""
        network, key = self._place(learnable.name)
        return super().factors(learnable) if key is None else self._values[network].factors_of(key)

    @staticmethod
    def _place(name: str) -> tuple[str, tuple[str, str] | None]:
        """Return the network and the key in it that a name such as 'Network/layer/name' means."""
        if "/" not in name:
            return name, None
        network, rest = name.split("/", 1)
        layer, parameter = rest.rsplit("/", 1)
        return network, (layer, parameter)

    def replaced(self: C, **values: Any) -> C:
        """Return a copy with other values of some properties and parameters, also of those of networks."""
        nested = {self._place(name): value for name, value in values.items() if "/" in name}
        twin = super().replaced(**{name: value for name, value in values.items() if "/" not in name})
        for name in {network for network, _ in nested}:

            def changed(key: tuple[str, str], old: dlarray, name: str = name) -> dlarray:
                value = nested.get((name, key), old)
                return value if isinstance(value, dlarray) else wrap(np.array(value))

            twin._values[name] = twin._values[name].with_learnables(changed).with_states(changed)
        return twin

    @property
    def states(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the states, in the order of their declaration; those of a network as 'Network/layer/name'."""
        found: list[str] = []
        for name, kind in self._declared.items():
            value = self._values.get(name)
            if isinstance(value, NestedNetwork):
                found += [f"{name}/{layer}/{state}" for layer, state in value.state_keys()]
            elif isinstance(kind, State):
                found.append(name)
        return tuple(found)

    def state_owners(self) -> list[str]:
        """Return the names of the states, and of networks with states, in the order of their declaration."""
        return list(dict.fromkeys(name.split("/")[0] for name in self.states))

    def _states(self) -> list[str]:
        """Return the names of the states that are declared as such."""
        return [name for name, kind in self._declared.items() if isinstance(kind, State)]

    @property
    def is_formattable(self) -> bool:
        """Whether the methods take and return formatted dlarrays."""
        return isinstance(self, Formattable)

    def where(self) -> str:
        """Return how messages name the layer."""
        name = self.__dict__.get("_values", {}).get("Name", "")
        return f"{type(self).__name__} '{name}'" if name else type(self).__name__

    def description(self) -> str:
        """Return Description, or the name of the class."""
        return self._values["Description"] or type(self).__name__

    def has(self, method: str) -> bool:
        """Tell whether the class has a method."""
        return callable(getattr(type(self), method, None))

    def takes_memory(self, method: str) -> bool:
        """Tell whether backward may count on memory that ``method`` does not return: it comes from forward."""
        return method == "predict" and self.has("forward") and self.has("backward")

    def _assign(self, given: dict[str, Any]) -> None:
        """Set options after checking all of them, with the numbers and names of inputs and outputs that follow."""
        given = dict(given)
        for kind, start in (("Input", "in"), ("Output", "out")):
            number, names = f"Num{kind}s", f"{kind}Names"
            if number not in self.table.options:
                continue
            if given.get(names) and number not in given:
                given[number] = len(self._converted(names, given[names]))
            elif number in given and not given.get(names):
                given[names] = automatic_ports(start, self._converted(number, given[number]))
            elif names in given:
                given[names] = given[names] or automatic_ports(start, given.get(number, self._values[number]))
            found = self._converted(names, given.get(names, self._values[names]))
            count = self._converted(number, given.get(number, self._values[number]))
            if len(found) != count or len(set(found)) < count:
                needed = f"{count} different names, one for each of the {kind.lower()}s ({number})"
                raise OptionError(message(f"{self.where()}: {names}", needed, repr(found)))
        super()._assign(given)

    def __setattr__(self, name: str, value: Any) -> None:
        doing = self.__dict__.get("_doing", "")
        if doing not in ("", "__init__", "initialize", "resetState"):
            self._assign_while_computing(name, value, doing)
        elif name in type(self).table.entries:
            object.__setattr__(self, name, value)
        elif name in _RESERVED or name in METHODS:
            raise OptionError(f"{self.where()}: layers have something else of the name '{name}'. Give it another name.")
        elif isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        elif doing or name in self._values:
            self._values[name] = value if doing else _kept(value)
        else:
            known = [each for each in self.table.entries if not each.startswith("_")]
            raise UnknownNameError(
                f"{self.where()}: there is no property '{name}'.{nearest(name, known)} New ones are set in __init__."
            )

    def _assign_while_computing(self, name: str, value: Any, doing: str) -> None:
        if name not in self._states():
            fix = f"Declare it as a state in the class ({name} = State()), or keep it in a variable."
            raise DataError(
                message(f"{self.where()}: {doing}", "to leave the layer as it is", f"self.{name} = ...", fix)
            )
        self._values[name] = value
        self.__dict__["_changed"].add(name)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        network, key = self._place(name)
        if key is not None and isinstance(values.get(network), NestedNetwork):
            inner = values[network]
            return (inner.state_value if key in inner.state_keys() else inner.learnable_value)(key)._data
        if name.startswith("__"):
            raise AttributeError(name)
        return super().__getattr__(name)

    def __dir__(self) -> list[str]:
        own = [name for kind in type(self).__mro__ if kind not in _FOUNDATION for name in vars(kind)]
        return sorted({*super().__dir__(), *(name for name in own if not name.startswith("_"))})

    def _freeze(self) -> None:
        """Make arrays among the properties read-only copies, so that copies of the layer can share them."""
        self.__dict__["_values"] = {name: _kept(value) for name, value in self._values.items()}

    def copy(self: C) -> C:
        """Return an independent layer with the same values."""
        twin = super().copy()
        if "_doing" in self.__dict__:  # assignments while the constructor runs check a copy
            twin.__dict__["_doing"] = self.__dict__["_doing"]
        return twin

    @classmethod
    def from_values(cls: type[C], values: Mapping[str, Any]) -> C:
        """Return a layer with the given values of properties, without running its constructor."""
        layer = object.__new__(cls)
        layer.__dict__["_values"] = {name: option.default for name, option in cls.table.options.items()}
        own = cls.table.options
        layer._values.update({name: value for name, value in values.items() if name not in own})
        layer._assign({name: value for name, value in values.items() if name in own})
        layer._freeze()
        return layer

    def with_size(self: C, *sizes: Size) -> C:
        """Return a copy that `initialize` has seen; raise `SizeError` where a parameter has no value then."""
        if not all(size.is_known for size in sizes):
            raise UnknownSizeError
        twin = self.copy()
        if self.has("initialize"):
            twin = self._called("initialize", *map(layout_of, sizes))
        names = list(self._declared)
        if self.has("resetState") and any(not is_set(twin._values[name]) for name in self._states()):
            twin = twin._called("resetState")
        twin._values.update({name: self._values[name] for name in names if is_set(self._values[name])})
        missing = [name for name in names if not is_set(twin._values[name])]
        if missing:
            fix = "Set it in __init__, or in initialize(self, layout) where it depends on the size of the input."
            raise SizeError(f"a value of {' and '.join(missing)}", "none", fix)
        return twin

    def _called(self: C, method: str, *arguments: Any) -> C:
        """Return a copy that a method of the user has changed."""
        twin = copy.copy(self)
        twin.__dict__["_doing"] = method
        try:
            result = getattr(twin, method)(*arguments)
        except MlnetError as error:
            raise SizeError(
                f"a method {method} that runs", f"{str(error).rstrip('.')}{line_of(self, error)}"
            ) from error
        except Exception as error:  # whatever the user's code raises
            came = f"{type(error).__name__}: {error}".rstrip(".")
            raise SizeError(f"a method {method} that runs", came + line_of(self, error)) from error
        found = result if isinstance(result, type(self)) else twin
        found.__dict__.pop("_doing", None)
        found._freeze()
        return found

    def with_reset_state(self: C) -> C:
        """Return a copy whose states are as before the first data."""
        return self._called("resetState") if self.has("resetState") else self.copy()

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of a parameter that has a value."""
        return getattr(self, name).shape

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of the first output."""
        return self.output_sizes(*sizes)[0]

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size of each output, found by calling the methods with zeros for one and for two observations."""
        ready = self.with_size(*sizes)
        if not self.has("predict"):
            raise SizeError("a method predict(self, X)", "a class without it")
        if any(size.is_sequence for size in sizes) and not sizes[0].is_sequence:
            raise SizeError("the sequence as the first input", ", ".join(map(str, sizes)), "Exchange the inputs.")
        found = ready._tried(sizes, training=False)
        if self.has("forward"):
            other = ready._tried(sizes, training=True)
            if other != found:
                came = f"{_listed(other)} and {_listed(found)}"
                raise SizeError("the same size of output from forward and predict", came)
        return found

    def _tried(self, sizes: tuple[Size, ...], *, training: bool) -> tuple[Size, ...]:
        call = LayerCall(self, sizes, training=training)
        one, two = call.tried(1), call.tried(2)
        what = f"a method {call.method}"
        return sizes_of_outputs(one, two, sizes, formatted=self.is_formattable, what=what)

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield nothing: `output_sizes` tells what is wrong."""
        yield from ()

    def lost_trace(self, *sizes: Size, below: bool, training: bool = True) -> SizeError | None:
        """Return what is wrong where trained parameters, or inputs with something trained ``below``, lose gradients."""
        trained = [each.name for each in self.learnables if any(rate for rate, _ in self.factors(each))]
        call = LayerCall(self, sizes, training=training)
        found = call.lost_trace(trained, with_inputs=below)
        if not found:
            return None
        came = f"one that depends on {' and '.join(found)} without a gradient"
        return SizeError(f"a method {call.method} whose output can be differentiated", came, _UNTRACED)

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the call of forward or predict."""
        outputs = self.output_sizes(*sizes)
        call = LayerCall(self, sizes, training=training)
        attributes = {
            "call": call,
            "formats": tuple(size.format for size in sizes),
            "outputs": tuple((size.format, size.dims) for size in outputs),
        }
        time = None
        if sizes[0].is_sequence:
            time = same_lengths if outputs[0].is_sequence else no_lengths
        names = (*(each.name for each in self.learnables), *self.states)
        operation = "custom_layer_with_backward" if self.has("backward") else "custom_layer"
        return Call(operation, names, attributes, random=call.is_random, time=time, outputs=len(outputs))


_UNTRACED = f"{FIX}, or give the layer a method backward."


class Formattable:
    """Says that a custom layer takes and returns formatted dlarrays: ``class myLayer(Layer, Formattable)``.

    The formats are 'SSCB' for images, 'CB' for features, 'CBT' for sequences; outputs may have other formats than
    inputs. Arrays line up by their labels.
    """


class Acceleratable:
    """Says that predict and forward do the same at each call for inputs of one size.

    In MATLAB their traces are remembered then. Here nothing is computed differently for it.
    """


_FOUNDATION = (*Layer.__mro__, Formattable, Acceleratable)
_RESERVED = {name for kind in (Layer, *base.Layer.__mro__) for name in vars(kind)} - {"__doc__"}


def layout_of(size: Size) -> networkDataLayout:
    """Return a size as initialize gets it: observations and time are not known."""
    lengths = [*size.dims, math.nan, *[math.nan] * size.is_sequence]
    return networkDataLayout(lengths, size.format.replace("C", "CB"))


def _kept(value: Any) -> Any:
    return read_only(value) if isinstance(value, np.ndarray) and value.flags.writeable else value


def _listed(sizes: tuple[Size, ...]) -> str:
    return ", ".join(map(str, sizes))
