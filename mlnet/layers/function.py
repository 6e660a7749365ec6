"""The layer that computes a function of the user."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np

from mlnet.autodiff.array import dlarray, wrap
from mlnet.autodiff.differentiate import vjp
from mlnet.errors import OptionError, message
from mlnet.layers.base import Call, Layer, Size, SizeError, auto_or, layer_table, no_lengths, same_lengths
from mlnet.layers.function_text import function_text
from mlnet.layers.lost_trace import FIX, lost
from mlnet.layers.trial import automatic_ports, sizes_of_outputs, zeros
from mlnet.options import Argument, Group, Option, constructs
from mlnet.rules import either, empty, flag, function, integer, text, texts


def _names(kind: str) -> Option:
    title = f"{kind.capitalize()}Names"
    rule = either(empty([]), texts())
    return Option(
        title, [], rule, f"Names of the {kind}s; '{kind[:-3]}', or '{kind[:-3]}1', '{kind[:-3]}2', ..., if []."
    )


class FunctionLayer(Layer):
    """Computes a function of dlarrays that a user has written."""

    type_name = "Function"
    base_name = "layer"
    shows_all_link = True
    shows_empty_groups = True
    table = layer_table(
        Option("PredictFcn", None, function(), "The function of the layer.", Group.PLAIN, Argument.REQUIRED),
        Option("Formattable", False, flag(), "Whether the function takes and returns formatted dlarrays.", Group.PLAIN),
        Option(
            "Acceleratable",
            False,
            flag(),
            "Whether the function does the same at each call for inputs of one size; a statement about the function, "
            "as nothing is computed differently for it.",
            Group.PLAIN,
        ),
        Option("Description", "", text(), "Description in a printed layer array; the text of the function if ''."),
        Option(
            "NumInputs", "auto", auto_or(integer()), "Number of inputs; that of the function's arguments if 'auto'."
        ),
        _names("input"),
        Option("NumOutputs", 1, integer(), "Number of outputs."),
        _names("output"),
    )

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the inputs."""
        return tuple(self.InputNames)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the outputs."""
        return tuple(self.OutputNames)

    def check(self) -> None:
        """Set the numbers and names of inputs and outputs that are left open; raise where they do not agree."""
        values = self._values
        if values["PredictFcn"] is None:
            return
        if values["NumInputs"] == "auto":
            values["NumInputs"] = len(values["InputNames"]) or self._arguments()
        for kind, base in (("Input", "in"), ("Output", "out")):
            count, names = values[f"Num{kind}s"], values[f"{kind}Names"]
            if len(names) != count:
                if names and names != automatic_ports(base, len(names)):
                    needed = f"{count} names, one for each of the {kind.lower()}s (Num{kind}s)"
                    raise OptionError(message(f"{self.where()}: {kind}Names", needed, repr(names)))
                values[f"{kind}Names"] = automatic_ports(base, count)
            elif len(set(names)) < count:
                raise OptionError(message(f"{self.where()}: {kind}Names", "different names", repr(names)))

    def _arguments(self) -> int:
        """Return the number of arguments of the function that have to be given."""
        called = self._values["PredictFcn"]
        if isinstance(called, np.ufunc):
            return called.nin
        try:
            parameters = inspect.signature(called).parameters.values()
        except (TypeError, ValueError):
            parameters = None
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        needed = [each for each in parameters or () if each.kind in kinds and each.default is each.empty]
        if not needed:
            came = "a function whose arguments do not tell it"
            raise OptionError(message(f"{self.where()}: NumInputs", "the number of inputs", came, "Set NumInputs."))
        return len(needed)

    def description(self) -> str:
        """Return Description, or the text of the function."""
        return self.Description or function_text(self.PredictFcn)

    def mistakes(self, *sizes: Size) -> Iterator[SizeError]:
        """Yield a sequence that comes behind an input without time."""
        if any(size.is_sequence for size in sizes) and not sizes[0].is_sequence:
            yield SizeError("the sequence as the first input", ", ".join(map(str, sizes)), "Exchange the inputs.")

    def with_size(self, *sizes: Size) -> FunctionLayer:
        """Return a copy."""
        return self.copy()

    def output_size(self, *sizes: Size) -> Size:
        """Return the size of the first output."""
        return self.output_sizes(*sizes)[0]

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size of each output, found by calling the function with zeros, for one observation and for two."""
        one, two = self._tried(sizes, 1), self._tried(sizes, 2)
        return sizes_of_outputs(one, two, sizes, formatted=self.Formattable, what="a function")

    def _tried(self, sizes: tuple[Size, ...], count: int) -> tuple[dlarray, ...]:
        """Return what the function makes of zeros for ``count`` observations."""
        given = [zeros(size, count, formatted=self.Formattable) for size in sizes]
        shapes = " and ".join("x".join(map(str, array.shape)) for array in given)
        needed = f"a function that takes {'formatted ' * self.Formattable}dlarrays of size {shapes}"
        try:
            with np.errstate(all="ignore"):
                outputs, _ = vjp(self.PredictFcn, given)
        except Exception as error:  # whatever the user's code raises
            fix = f"Try {function_text(self.PredictFcn)} with such arrays."
            raise SizeError(needed, f"{type(error).__name__}: {error}".rstrip("."), fix) from error
        if len(outputs) != self.NumOutputs:
            raise SizeError(f"a function with {self.NumOutputs} outputs (NumOutputs)", f"{len(outputs)} of them")
        return outputs

    def lost_trace(self, *sizes: Size, below: bool, training: bool = True) -> SizeError | None:
        """Return what is wrong where the inputs, with something trained ``below``, lose their gradients."""
        random = np.random.default_rng(0)
        given = [zeros(size, 2, formatted=self.Formattable, dtype=np.float64) for size in sizes]
        arrays = [wrap(random.standard_normal(x.shape), None, x.dims()) for x in given]
        if not below or not lost(lambda xs: vjp(self.PredictFcn, xs), arrays, [range(len(arrays))]):
            return None
        needed, came = (
            "a function whose output can be differentiated",
            "one that depends on its input without a gradient",
        )
        return SizeError(needed, came, f"{FIX}, or use a custom layer with a method backward.")

    def operation(self, *sizes: Size, training: bool) -> Call:
        """Return the call of the function."""
        outputs = self.output_sizes(*sizes)
        attributes = {
            "function": self.PredictFcn,
            "formats": tuple(size.format for size in sizes),
            "outputs": tuple((size.format, size.dims) for size in outputs),
            "formatted": self.Formattable,
        }
        time = None
        if sizes[0].is_sequence:
            time = same_lengths if outputs[0].is_sequence else no_lengths
        return Call("user_function", (), attributes, time=time, outputs=len(outputs))


@constructs(FunctionLayer)
def functionLayer() -> None:
    """Create a layer that computes a function.

    The function takes a dlarray for each input and returns one for each output (several as a tuple). It is written with
    Python's operators and NumPy's functions, and its derivative is found automatically. The dimensions of a dlarray
    are those of MATLAB: (H, W, C, N) for images of height H, width W and C channels in a mini-batch of N, (C, N) for
    features, (C, N, T) for sequences, all single precision; sequences have zeros behind their ends. With Formattable
    the dlarrays have the formats 'SSCB', 'CB' and 'CBT', and the outputs may have others than the inputs.

    The sizes of outputs are found by calling the function with zeros, for one observation and for two.

    Differs from MATLAB: of several outputs only the first can be a sequence, and the number of time steps has to stay.
    As NumPy lines up the last dimensions of arrays, a constant for each channel of images has the shape (C, 1).

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is missing, not allowed or misspelt, or the number of inputs cannot be known.

    Examples
    --------
    >>> from mlnet import functionLayer
    >>> functionLayer(lambda X: X / (1 + abs(X)), Name='softsign')
      FunctionLayer with properties:
    <BLANKLINE>
                 Name: 'softsign'
           PredictFcn: lambda X: X / (1 + abs(X))
          Formattable: 0
        Acceleratable: 0
    <BLANKLINE>
       Learnable Parameters
        No properties.
    <BLANKLINE>
       State Parameters
        No properties.
    <BLANKLINE>
      Show all properties
    """
