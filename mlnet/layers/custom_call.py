"""Runs the methods of layers that users have written, and tells what goes wrong in them."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.containers import NestedNetwork
from mlnet.autodiff.differentiate import Pullback, vjp
from mlnet.errors import DataError, MlnetError, message
from mlnet.layers.base import Size, SizeError, without_ones
from mlnet.layers.lost_trace import lost
from mlnet.layers.trial import times, zeros
from mlnet.options import describe

if TYPE_CHECKING:
    from mlnet.layers.custom import Layer

_HINTS = {
    "read-only": "Compute new arrays instead of changing those that are given, e.g. Z = X.copy().",
    "truth value": "In place of if, max and min use np.where, np.maximum and np.minimum.",
    "could not be broadcast": "Arrays line up by their last dimensions: one for each channel of images is (C, 1).",
}


class Ran(NamedTuple):
    """What a method has put out, what carries gradients back to inputs and parameters, and the new states."""

    outputs: tuple[dlarray, ...]
    pullback: Pullback
    states: dict[str, np.ndarray]


class LayerCall:
    """Calls forward or predict of a layer for inputs of certain sizes.

    ``parameters`` that it is given are learnables and then states, in the order of their declaration.
    """

    def __init__(self, layer: Layer, sizes: Sequence[Size], *, training: bool) -> None:
        self.layer, self.sizes = layer, tuple(sizes)
        self.method = "forward" if training and layer.has("forward") else "predict"
        self.is_random = self.method == "forward"
        self.formatted = layer.is_formattable
        self._learnables = [each.name for each in layer.learnables]
        self._names = [*self._learnables, *layer.states]
        self._has_backward = layer.has("backward")
        self.gradient_types: list[np.dtype] = []  # of what the user's backward has returned last

    @property
    def where(self) -> str:
        """How messages name the method."""
        name = self.layer.Name
        return f"Layer '{name}' ({type(self.layer).__name__}.{self.method})" if name else self.layer.where()

    def tried(self, count: int) -> tuple[dlarray, ...]:
        """Return what the method makes of zeros for ``count`` observations; raise `SizeError` for what is wrong."""
        given = [zeros(size, count, formatted=self.formatted) for size in self.sizes]
        shapes = " and ".join(times(array.shape) for array in given)
        kind = "formatted dlarrays" if self.formatted else "arrays"
        parameters = [wrap(np.asarray(getattr(self.layer, name), np.float32)) for name in self._names]
        try:
            with np.errstate(all="ignore"):
                ran = self.run(given, parameters, np.random.default_rng(0))
                if self._has_backward and not self.layer.takes_memory(self.method):
                    wanted = (True,) * (len(given) + len(parameters))
                    ran.pullback(*(np.zeros_like(y._data) for y in ran.outputs), wanted=wanted)
        except WrongMethodError as error:
            raise SizeError(f"a method {error.method} {error.needed}", error.came, error.fix) from error.__cause__
        except RaisedError as error:
            needed = f"a method {error.method} that takes {kind} of size {shapes}"
            raise SizeError(needed, error.came, error.fix) from error.__cause__
        return ran.outputs

    def run(
        self,
        inputs: Sequence[dlarray],
        parameters: Sequence[dlarray],
        generator: np.random.Generator | None = None,
    ) -> Ran:
        """Return what the method makes of inputs in MATLAB's order, formatted where the layer is `Formattable`.

        Raises
        ------
        DataError
            Where something is wrong in the method.
        """
        with self.seeded(generator):
            return self._with_backward(inputs, parameters) if self._has_backward else self._traced(inputs, parameters)

    @staticmethod
    @contextmanager
    def seeded(generator: np.random.Generator | None) -> Iterator[None]:
        """Let NumPy's global random numbers come from ``generator`` for a while."""
        if generator is None:
            yield
            return
        before = np.random.get_state()
        np.random.seed(int(generator.integers(2**32)))
        try:
            yield
        finally:
            np.random.set_state(before)

    def _traced(self, inputs: Sequence[dlarray], parameters: Sequence[dlarray]) -> Ran:
        states: dict[str, np.ndarray] = {}

        def method(*arrays: dlarray) -> tuple[dlarray, ...]:
            outputs, found, _ = self.call(arrays[: len(inputs)], arrays[len(inputs) :])
            states.update(found)
            return outputs

        outputs, pullback = vjp(method, [*inputs, *parameters])
        return Ran(outputs, pullback, states)

    def call(
        self, inputs: Sequence[Any], parameters: Sequence[Any]
    ) -> tuple[tuple[dlarray, ...], dict[str, np.ndarray], Any]:
        """Return outputs, states and memory of one call, with the arrays as they are given."""
        live = self._live(parameters)
        before = self._watched(inputs, live)
        try:
            result = getattr(live, self.method)(*inputs)
        except Exception as error:  # whatever the user's code raises
            raise RaisedError(self, self.method, error) from error
        self._check_unchanged(before, live)
        found = list(result) if isinstance(result, (tuple, list)) else [result]
        count, names = len(live.outputs), live.state_owners()
        states = {name: live._values[name] for name in live.__dict__["_changed"]}
        rest = found[count:]
        if names and not states and len(rest) >= len(names):
            states, rest = dict(zip(names, rest, strict=False)), rest[len(names) :]
        states = self._all_states(live, states)
        if len(found) < count or len(rest) > (self.method == "forward"):
            needed = f"that returns {count} output{'s' * (count > 1)} (NumOutputs)"
            needed += f", then the states {', '.join(names)} if they change" if names else ""
            needed += ", then memory if backward needs any" if self.method == "forward" else ""
            raise WrongMethodError(
                self, self.method, needed, f"{len(found)} values" if len(found) != 1 else "one value"
            )
        outputs = tuple(self._output(each) for each in found[:count])
        shapes = {name: value.shape for name, value in zip(self._names, parameters, strict=True)}
        kept = {name: self._state(name, each, shapes[name]) for name, each in states.items()}
        return outputs, kept, rest[0] if rest else None

    def _all_states(self, live: Layer, changed: dict[str, Any]) -> dict[str, Any]:
        """Return the new states by name, with those of a network by the names of its layers."""
        found: dict[str, Any] = {}
        for name in live.state_owners():
            network = live._values[name]
            if not isinstance(network, NestedNetwork):
                found.update({name: changed[name]} if name in changed else {})
                continue
            if name in changed:
                try:
                    network = network.with_state_table(changed[name])
                except MlnetError as error:
                    needed = f"that returns the state of {name}, as {name}.forward(X, nargout=2) does"
                    raise WrongMethodError(self, self.method, needed, describe(changed[name])) from error
            for key in network.state_keys():
                found["/".join((name, *key))] = network.state_value(key)
        return found

    def _watched(self, inputs: Sequence[Any], live: Layer) -> list[tuple[str, str, dlarray, np.ndarray]]:
        """Return the dlarrays that the method is given, with how messages name them, and their data."""
        several = len(inputs) > 1
        given = [(f"input {n}" if several else "its input", "", x) for n, x in enumerate(inputs, start=1)]
        given += [(f"self.{name}", name, live._values[name]) for name in self._names if "/" not in name]
        return [(what, name, x, x._data) for what, name, x in given if isinstance(x, dlarray)]

    def _check_unchanged(self, before: list[tuple[str, str, dlarray, np.ndarray]], live: Layer) -> None:
        """Raise where elements of an input or learnable were assigned; those of a state make its new value."""
        for what, name, array, data in before:
            if array._data is data:
                continue
            if name in live.state_owners():
                live.__dict__["_changed"].add(name)
                continue
            fix = f"Change a copy: Z = {f'self.{name}' if name else 'X'}.copy(), then Z[...] = ..."
            raise WrongMethodError(self, self.method, f"that leaves {what} as it is", "one that assigns to it", fix)

    def lost_trace(self, learnables: Sequence[str], *, with_inputs: bool) -> list[str]:
        """Return what the outputs depend on without a gradient: names of learnables, and "the input".

        ``learnables`` are those that are trained; ``with_inputs`` tells whether anything below the layer is.
        """
        if self._has_backward:
            return []
        random, count = np.random.default_rng(0), len(self.sizes)
        given = [zeros(size, 2, formatted=self.formatted, dtype=np.float64) for size in self.sizes]
        arrays = [wrap(random.standard_normal(x.shape), None, x._labels) for x in given]
        arrays += [wrap(np.asarray(getattr(self.layer, name), np.float64)) for name in self._names]

        def function(arrays: Sequence[dlarray]) -> tuple[Sequence[dlarray], Pullback]:
            return self.run(arrays[:count], arrays[count:], np.random.default_rng(0))[:2]

        groups = {name: [count + self._names.index(name)] for name in learnables}
        if with_inputs:
            groups["its inputs" if count > 1 else "its input"] = list(range(count))
        names = list(groups)
        return [names[number] for number in lost(function, arrays, list(groups.values()))]

    def _state(self, name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return the new value of a state, without the ones behind its shape that lined it up with the input."""
        found = np.asarray(value._data if isinstance(value, dlarray) else value)
        if found.dtype.kind not in "fiub":
            raise WrongMethodError(self, self.method, f"that gives the state {name} numbers", describe(value))
        fits = without_ones(found.shape) == without_ones(shape)
        return found.reshape(shape) if fits else found.reshape(*found.shape, *[1] * (2 - found.ndim))

    def _live(self, parameters: Sequence[Any]) -> Layer:
        """Return the layer with the parameters of this moment, which line up with the first input from the left."""
        nested = {
            name: value if isinstance(value, dlarray) else wrap(value)
            for name, value in zip(self._names, parameters, strict=True)
            if "/" in name
        }
        live = self.layer.replaced(**nested)
        for name, value in zip(self._names, parameters, strict=True):
            if "/" in name:
                continue
            shape = self._lined_up(value.shape)
            live._values[name] = value if shape == value.shape else value.reshape(shape)
        live.__dict__.update(_doing=self.method, _changed=set())
        return live

    def _lined_up(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with ones behind it where it is 1 or the same as the first input along each dimension."""
        size = self.sizes[0]
        full = (*size.dims, 1, *[1] * size.is_sequence)
        fits = len(shape) < len(full) and all(n in (1, m) for n, m in zip(shape, full, strict=False))
        return (*shape, *[1] * (len(full) - len(shape))) if fits else shape

    def _output(self, value: Any) -> dlarray:
        array = value if isinstance(value, dlarray) else None
        if array is None and isinstance(value, np.ndarray):
            array = wrap(value)
        if array is None:
            raise WrongMethodError(self, self.method, "that returns arrays", describe(value))
        if array.dtype.kind != "f":
            fix = "Convert it with .astype('single')."
            raise WrongMethodError(
                self, self.method, "that returns single or double numbers", f"numbers of type {array.dtype}", fix
            )
        return array

    def _with_backward(self, inputs: Sequence[dlarray], parameters: Sequence[dlarray]) -> Ran:
        """Call the method with plain arrays, and the user's backward for gradients."""
        given = [self._plain(each) for each in inputs]
        values = [_guarded(each._data) for each in parameters]
        outputs, states, memory = self.call(given, values)
        put_out = [self._plain(each) for each in outputs]

        def pullback(*d_outputs: np.ndarray | None, wanted: Sequence[bool]) -> tuple[np.ndarray | None, ...]:
            seeds = [
                np.zeros(y.shape, y.dtype) if d_y is None else np.asarray(d_y, y.dtype)
                for y, d_y in zip(outputs, d_outputs, strict=True)
            ]
            d_put_out = [
                wrap(d_y, None, y.dims()) if self.formatted else _guarded(d_y)
                for d_y, y in zip(seeds, outputs, strict=True)
            ]
            none = [np.zeros_like(values[len(self._learnables) + n]) for n in range(len(self.layer.states))]
            live = self._live(values)
            try:
                found = live.backward(*given, *put_out, *d_put_out, *none, memory)
            except Exception as error:  # whatever the user's code raises
                raise RaisedError(self, "backward", error) from error
            return self._gradients(found, [*inputs, *parameters], wanted)

        return Ran(outputs, pullback, states)

    def _gradients(
        self, found: Any, arrays: Sequence[dlarray], wanted: Sequence[bool]
    ) -> tuple[np.ndarray | None, ...]:
        results = list(found) if isinstance(found, (tuple, list)) else [found]
        count = len(self.sizes) + len(self._learnables)
        names = [f"input {n + 1}" if len(self.sizes) > 1 else "the input" for n in range(len(self.sizes))]
        names += self._learnables
        if len(results) not in (count, len(arrays)):
            needed = f"that returns {count} gradients, of {', '.join(names)}"
            raise WrongMethodError(self, "backward", needed, f"{len(results)}")
        gradients: list[np.ndarray | None] = []
        self.gradient_types = []
        for name, result, array, wish in zip(names, results, arrays, wanted, strict=False):
            if not wish:
                gradients.append(None)
                continue
            value = np.asarray(result._data if isinstance(result, dlarray) else result)
            same = without_ones(value.shape) == without_ones(array.shape)
            if value.dtype.kind != "f" or not same:
                needed = f"that returns a gradient of {name} of size {times(array.shape)}"
                came = f"size {times(value.shape)}" if value.dtype.kind == "f" else f"numbers of type {value.dtype}"
                raise WrongMethodError(self, "backward", needed, came)
            self.gradient_types.append(value.dtype)
            gradients.append(value.reshape(array.shape).astype(array.dtype, copy=False))
        return (*gradients, *[None] * (len(arrays) - len(gradients)))

    def _plain(self, array: dlarray) -> Any:
        """Return an array that cannot be written to; a dlarray with its labels for a layer that is `Formattable`."""
        data = _guarded(array._data)
        return wrap(data, None, array.dims()) if self.formatted else data


class WrongMethodError(DataError):
    """A method of the user does not do what it has to."""

    def __init__(self, call: Any, method: str, needed: str, came: str, fix: str = "") -> None:
        place = call.where.replace(f".{call.method})", ")")
        super().__init__(message(place, f"a method {method} {needed}", came, fix))
        self.method, self.needed, self.came, self.fix = method, needed, came, fix


class RaisedError(DataError):
    """A method of the user has raised an error."""

    def __init__(self, call: Any, method: str, error: Exception) -> None:
        self.method = method
        text = str(error) if isinstance(error, MlnetError) else f"{type(error).__name__}: {error}"
        self.came = text.rstrip(".") + line_of(call.layer, error)
        self.fix = next((fix for sign, fix in _HINTS.items() if sign in text), "")
        place = call.where.replace(f".{call.method})", ")")
        super().__init__(f"{place}: {method} has raised {self.came}. {self.fix}".rstrip())


def line_of(layer: Any, error: BaseException) -> str:
    """Return " at line 7 of file.py: `...`" for the last line of the user's code that an error went through."""
    here = os.path.dirname(os.path.dirname(__file__)) + os.sep
    inside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(here) and f"site-packages{os.sep}" not in frame.filename
    ]
    if not inside:
        return ""
    last = inside[-1]
    source = linecache.getline(last.filename, last.lineno or 0).strip()
    return f" (line {last.lineno} of {os.path.basename(last.filename)}{': ' + source if source else ''})"


def _guarded(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
