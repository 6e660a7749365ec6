"""What every layer has: a table of options, learnable parameters, a size rule and the operation that computes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from mlnet.errors import UnknownNameError, nearest
from mlnet.layers.unknown import UNKNOWN, is_known
from mlnet.options import Declared, Derived, Group, Option, Table
from mlnet.rules import EMPTY, Rule, array, choice, either, function, integer, number, text


@dataclass(frozen=True)
class Size:
    """The size of one observation: ``dims`` labelled by ``format``, 'SSC' for an image, 'C' for features.

    Sequences have a 'T' at the end of the format, 'CT' or 'SSCT', and no entry for it in ``dims``: time is not fixed.
    Behind a mistake, and where sizes differ from mini-batch to mini-batch, entries are `UNKNOWN`.
    """

    format: str
    dims: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.dims[-1]

    @property
    def spatial(self) -> tuple[int, ...]:
        """Height and width of an image; empty for features."""
        return self.dims[:-1]

    @property
    def count(self) -> int:
        """Number of elements of one observation."""
        return math.prod(self.dims)

    @property
    def text(self) -> str:
        """What follows "an input of" in a message."""
        return f"size {self}" if self.spatial else str(self)

    @property
    def is_flat(self) -> bool:
        """Whether there is one element for each channel; not where a spatial length is unknown, as all equal those."""
        return all(is_known(length) and length == 1 for length in self.spatial)

    @property
    def is_sequence(self) -> bool:
        """Whether observations are sequences."""
        return self.format.endswith("T")

    @property
    def is_known(self) -> bool:
        """Whether all entries are."""
        return all(map(is_known, self.dims))

    def with_unknown(self, *, channels: bool) -> Size:
        """Return the size without its spatial entries, or without all of them (``channels``)."""
        return Size(self.format, (UNKNOWN,) * len(self.spatial) + ((UNKNOWN,) if channels else self.dims[-1:]))

    def __str__(self) -> str:
        text = "x".join(map(str, self.dims)) if self.spatial else f"{self.channels} features"
        return f"{text} over time" if self.is_sequence else text


class SizeError(Exception):
    """A layer cannot take the size of its input: what it needs, what came and the likely fix."""

    def __init__(self, needed: str, came: str, fix: str = "") -> None:
        super().__init__(needed, came, fix)
        self.needed, self.came, self.fix = needed, came, fix


TimeRule = Callable[[np.ndarray], np.ndarray | None]
"""What an operation along time makes of the lengths of sequences; None where it puts out one step for each."""


@dataclass(frozen=True)
class Call:
    """The operation that computes a layer, with the names of its parameters and its attributes.

    ``random`` operations take a generator; for statistics, the layer's operation at prediction takes their place.
    Operations along time have a rule ``time``, which tells what becomes of the lengths of sequences: `same_lengths`,
    `no_lengths`, or a function; all others are computed step by step. An operation with several ``outputs`` returns a
    tuple of that many arrays. ``derived`` is an operation on parameters alone, whose output this one takes between its
    inputs and its parameters.
    """

    operation: str
    parameters: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    random: bool = False
    time: TimeRule | None = None
    outputs: int = 1
    derived: Call | None = None


def same_lengths(lengths: np.ndarray) -> np.ndarray:
    """Return the lengths: the operation puts out as many steps as it takes."""
    return lengths


def no_lengths(lengths: np.ndarray) -> None:
    """Return None: the operation puts out one step for each observation."""


CONSTANT_INITIALIZERS = ("zeros", "ones", "narrow-normal")
WEIGHT_INITIALIZERS = ("glorot", "he", "orthogonal", *CONSTANT_INITIALIZERS)


@dataclass(frozen=True)
class Learnable:
    """A learnable parameter and the options that come with it.

    ``name`` is the parameter ('Weights'), ``factor`` the beginning of its factor options ('Weight' in
    'WeightLearnRateFactor'), ``initializer`` and ``l2_factor`` are defaults, ``shape`` tells the size in words,
    ``initializers`` are the names that may be given; a function of the size that returns an array of that size may be
    given as well.
    """

    name: str
    factor: str
    initializer: str
    l2_factor: int
    shape: str
    initializers: tuple[str, ...] = CONSTANT_INITIALIZERS

    @property
    def learn_rate_option(self) -> str:
        """Name of the option that multiplies the global learning rate."""
        return f"{self.factor}LearnRateFactor"

    @property
    def l2_option(self) -> str:
        """Name of the option that multiplies the global L2 factor."""
        return f"{self.factor}L2Factor"

    @property
    def initializer_option(self) -> str:
        """Name of the option that says how the parameter starts."""
        return f"{self.name}Initializer"

    def options(self) -> tuple[Option, ...]:
        """Return the options that belong to this parameter."""
        rule = either(choice(*self.initializers), function())
        start = f"{self.shape} array, single; used as the initial value if given."
        return (
            Option(self.name, EMPTY, array(), start, Group.LEARNABLE),
            Option(self.initializer_option, self.initializer, rule, f"How {self.name} starts."),
            Option(self.learn_rate_option, 1, number(0), f"Times the global learning rate for {self.name}."),
            Option(self.l2_option, self.l2_factor, number(0), f"Times the global L2 factor for {self.name}."),
        )


def auto_or(rule: Rule) -> Rule:
    """Return the rule of 'auto' or what ``rule`` takes."""
    return either(choice("auto"), rule)


def num_channels(group: Group) -> Option:
    """Return the option NumChannels."""
    doc = "Number of channels of the input; inferred from the network when training if 'auto'."
    return Option("NumChannels", "auto", auto_or(integer()), doc, group)


def ports(kind: str, group: Group = Group.PLAIN) -> tuple[Derived, Derived]:
    """Return number and names of the inputs or outputs of a layer; ``kind`` is 'input' or 'output'."""

    def names(layer: Any) -> list[str]:
        return list(getattr(layer, f"{kind}s"))

    title = kind.capitalize()
    return (
        Derived(f"Num{title}s", lambda layer: len(names(layer)), f"Number of {kind}s.", group),
        Derived(f"{title}Names", names, f"Names of the {kind}s.", group),
    )


def layer_table(*entries: Option | Derived) -> Table:
    """Return the table of a layer: its name, ``entries``, and the names of its inputs and outputs."""
    name = Option("Name", "", text(), "Name of the layer; given automatically when training if ''.", Group.PLAIN)
    given = {entry.name for entry in entries}
    hidden = (*ports("input", Group.HIDDEN), *ports("output", Group.HIDDEN))
    return Table(name, *entries, *(port for port in hidden if port.name not in given))


L = TypeVar("L", bound="Layer")


class Layer(Declared):
    """Base of all layers: a declaration that holds options and, once set, parameters; it computes nothing.

    Layers behave as values: networks and training copy them and never change the ones that they are given.
    """

    table: ClassVar[Table] = layer_table()
    type_name: ClassVar[str] = ""
    """What the second column of a printed layer array shows."""
    base_name: ClassVar[str] = "layer"
    """Beginning of the automatic name."""
    learnables: ClassVar[tuple[Learnable, ...]] = ()
    states: ClassVar[tuple[str, ...]] = ()
    inputs: ClassVar[tuple[str, ...]] = ("in",)
    outputs: ClassVar[tuple[str, ...]] = ("out",)
    whole_inputs: ClassVar[Mapping[str, tuple[int, int]]] = {}
    """The inputs that take whole numbers, such as numbers of words, with the first and last of them."""
    shows_all_link: ClassVar[bool] = False
    """Whether the printed block ends with 'Show all properties'."""
    shows_empty_groups: ClassVar[bool] = False
    """Whether the printed block lists the learnable and state groups although they are empty."""

    def where(self) -> str:
        """Return the constructor and, if there is one, the name of the layer."""
        name = self._values["Name"] if "_values" in self.__dict__ else ""
        return f"{self.constructor_name} '{name}'" if name else self.constructor_name

    def description(self) -> str:
        """Return the one-line description that a printed layer array shows."""
        return self.type_name

    def mistakes(self, size: Size) -> Iterator[SizeError]:
        """Yield what in this layer does not fit inputs of ``size``, as far as the output size does not depend on it."""
        yield from ()

    def output_size(self, size: Size) -> Size:
        """Return the size of the output for inputs of ``size``; raise `SizeError` where there is none."""
        return size

    def output_sizes(self, *sizes: Size) -> tuple[Size, ...]:
        """Return the size of each output for inputs of ``sizes``; of what it takes for a layer without outputs."""
        return (self.output_size(*sizes),) * max(1, len(self.outputs))

    def with_size(self: L, size: Size) -> L:
        """Return a copy in which the options that are 'auto' are set for inputs of ``size``."""
        return self.copy()

    def parameter_shape(self, name: str, size: Size) -> tuple[int, ...]:
        """Return the shape of a learnable or state parameter for inputs of ``size``."""
        raise KeyError(name)

    def fans(self, name: str, size: Size) -> tuple[int, int]:
        """Return the numbers of inputs and outputs that the initializers 'glorot' and 'he' use."""
        shape = self.parameter_shape(name, size)
        return math.prod(shape), math.prod(shape)

    def draw(self, name: str, initializer: str, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        """Return the first value of a parameter by an initializer that only this layer has, or None for all others.

        Learnables that come before this one have their values already.
        """
        return None

    def check_initialized(self) -> None:
        """Raise `OptionError` where the layer cannot compute with its first values."""

    def factors(self, learnable: Learnable) -> list[tuple[float, float]]:
        """Return (learning-rate factor, L2 factor) for each block of rows of a parameter; most have one block."""
        given = [np.ravel(getattr(self, name)) for name in (learnable.learn_rate_option, learnable.l2_option)]
        count = max(len(factors) for factors in given)
        learn_rate, l2 = (np.broadcast_to(factors, count).tolist() for factors in given)
        return list(zip(learn_rate, l2, strict=True))

    def separate_parts(self, name: str) -> int:
        """Return how many blocks of rows of a parameter are drawn one after the other."""
        return 1

    def operation(self, size: Size, *, training: bool) -> Call | None:
        """Return the operation for inputs of ``size``, or None where the layer passes its input on."""
        return None

    def learnable(self, name: str) -> Learnable:
        """Return the learnable parameter ``name``."""
        for learnable in self.learnables:
            if learnable.name == name:
                return learnable
        names = [learnable.name for learnable in self.learnables]
        raise UnknownNameError(f"{self.where()}: there is no learnable parameter '{name}'.{nearest(name, names)}")


def channel_mistakes(layer: Any, size: Size) -> Iterator[SizeError]:
    """Yield a mistake where NumChannels was given and differs from the channels of the input."""
    if layer.NumChannels not in ("auto", size.channels):
        fix = "Leave NumChannels out, or give it the number of channels of the layer before."
        yield SizeError(f"{layer.NumChannels} channels (NumChannels)", f"an input of {size.text}", fix)


def group_mistakes(groups: int, size: Size) -> Iterator[SizeError]:
    """Yield a mistake where NumGroups does not divide the channels of the input."""
    if size.channels % groups:
        divisors = ", ".join(str(n) for n in range(1, size.channels + 1) if size.channels % n == 0)
        fix = f"Use one of these numbers of groups: {divisors}."
        yield SizeError(f"channels that {groups} groups (NumGroups) divide", f"{size.channels} channels", fix)


def need_images(size: Size) -> None:
    """Raise `SizeError` where the input has no two spatial dimensions."""
    if not size.format.startswith("SSC"):
        raise SizeError("images (height x width x channels)", str(size), "Start with an imageInputLayer.")


def parameter_mistakes(layer: Layer, size: Size) -> Iterator[SizeError]:
    """Yield a mistake for each parameter that was given with another shape than inputs of ``size`` need."""
    for name in [learnable.name for learnable in layer.learnables] + list(layer.states):
        value, shape = getattr(layer, name), layer.parameter_shape(name, size)
        if value.size and all(map(is_known, shape)) and without_ones(value.shape) != without_ones(shape):
            yield SizeError(f"{name} of size {dims(shape)}", f"{name} of size {dims(value.shape)}")


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``shape`` without its ones, so that 1x1x8, 8x1 and NumPy's 8 compare as equal."""
    return tuple(n for n in shape if n != 1)


def dims(shape: tuple[int, ...]) -> str:
    """Return sizes as MATLAB writes them: 3x3x1x16."""
    return "x".join(str(int(n) if is_known(n) else n) for n in (shape if len(shape) > 1 else (*shape, 1)))


def spaced(vector: Any) -> str:
    """Return a vector as descriptions show it: [1  1]."""
    return "[" + "  ".join(str(int(n)) for n in np.ravel(vector)) + "]"
