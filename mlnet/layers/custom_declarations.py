"""What the body of a class of custom layers declares, and the tables of options that are made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlnet.autodiff.array import dlarray
from mlnet.autodiff.containers import NestedNetwork
from mlnet.options import Derived, Group, Option, Table
from mlnet.rules import EMPTY, Rule, anything, array, either, empty, integer, number, text, texts

if TYPE_CHECKING:
    from mlnet.layers.custom import Layer

METHODS = ("predict", "forward", "backward", "initialize", "resetState", "forwardLoss", "backwardLoss")
"""What users may write."""


def _parameter(value: Any) -> Any:
    """Return a parameter as it is kept: numbers as matrices, vectors as columns; networks as they are."""
    if isinstance(value, NestedNetwork):
        return value
    found = array().convert(value._data if isinstance(value, dlarray) else value)
    if found.ndim < 2:
        found = found.reshape(-1, 1)
        found.flags.writeable = False
    return found


_NEEDED = f"{array().needed}, or a dlnetwork"
_ARRAY = Rule(_NEEDED, _parameter, array().bad)


def is_set(value: Any) -> bool:
    """Tell whether a parameter has a value: an array that is not empty, or an initialized network."""
    return bool(value.Initialized if isinstance(value, NestedNetwork) else value.size)


class Learnable:
    """Declares a learnable parameter of a custom layer: ``Alpha = Learnable()`` in the body of its class.

    Parameters
    ----------
    value : array, optional
        The first value, the same for all layers of the class. Most layers set it in ``__init__`` or ``initialize``.
    LearnRateFactor, L2Factor : number of at least 0, default 1
        Times the global learning rate and L2 factor; `setLearnRateFactor` and `setL2Factor` change them for one layer.

    Examples
    --------
    >>> from mlnet import Layer, Learnable
    >>> class gainLayer(Layer):
    ...     Gain = Learnable(1, L2Factor=0)
    ...     def predict(self, X):
    ...         return self.Gain * X
    >>> gainLayer(Name='gain').Gain
    array([[1.]])
    """

    def __init__(self, value: Any = EMPTY, *, LearnRateFactor: float = 1, L2Factor: float = 1) -> None:  # noqa: N803
        self.value, self.learn_rate_factor, self.l2_factor = value, LearnRateFactor, L2Factor

    def options(self, name: str) -> tuple[Option, ...]:
        """Return the options that belong to the parameter."""
        rate, l2 = number(0).convert(self.learn_rate_factor), number(0).convert(self.l2_factor)
        return (
            Option(name, _ARRAY.convert(self.value), _ARRAY, "A learnable parameter.", Group.LEARNABLE),
            Option(f"{name}LearnRateFactor", rate, number(0), f"Times the global learning rate for {name}."),
            Option(f"{name}L2Factor", l2, number(0), f"Times the global L2 factor for {name}."),
        )


class State:
    """Declares a state of a custom layer, which forward and predict may change: ``Mean = State()``.

    Parameters
    ----------
    value : array, optional
        The first value.
    """

    def __init__(self, value: Any = EMPTY) -> None:
        self.value = value

    def options(self, name: str) -> tuple[Option, ...]:
        """Return the option of the state."""
        return (Option(name, _ARRAY.convert(self.value), _ARRAY, "A state.", Group.STATE),)


def port_options(kind: str) -> tuple[Option, Option]:
    """Return number and names of the inputs or outputs of a layer; ``kind`` is 'Input' or 'Output'."""
    base_name, title = {"Input": "in", "Output": "out"}[kind], f"{kind.lower()}s"

    def is_other(layer: Any) -> bool:
        return getattr(layer, f"{kind}Names") != [base_name]

    return (
        Option(f"Num{kind}s", 1, integer(), f"Number of {title}.", Group.PLAIN, shown=is_other),
        Option(
            f"{kind}Names",
            [base_name],
            either(empty([]), texts()),
            f"Names of the {title}; automatic if [].",
            Group.PLAIN,
            shown=is_other,
        ),
    )


ENTRIES: tuple[Option, ...] = (
    Option("Name", "", text(), "Name of the layer; given automatically when training if ''.", Group.PLAIN),
    Option("Description", "", text(), "Description in a printed layer array; the name of the class if ''."),
    Option("Type", "", text(), "Type in a printed layer array; the name of the class if ''."),
)
CHANGEABLE = {"Name", "Description", "Type", "NumInputs", "InputNames", "NumOutputs", "OutputNames"}


class TableOf:
    """The table of a class, and of a layer: with the properties that it has set in its constructor."""

    def __get__(self, owner: Layer | None, kind: type[Layer]) -> Table:
        own = kind.__dict__.get("_own_table") or kind._own_table
        if owner is None:
            return own
        extras = tuple(name for name in owner.__dict__.get("_values", ()) if name not in own.entries)
        if not extras:
            return own
        tables = kind.__dict__["_tables"]
        if extras not in tables:
            tables[extras] = ordered([*own.entries.values(), *map(property_option, extras)])
        return tables[extras]


def property_option(name: str, default: Any = None) -> Option:
    """Return the option of a property that users have named; those that begin with '_' are not shown."""
    group = Group.HIDDEN if name.startswith("_") else Group.PLAIN
    return Option(name, default, anything(), "A property of the class.", group)


def ordered(entries: list[Option | Derived]) -> Table:
    """Return a table in which the names of inputs and outputs stand behind the properties, as they are printed."""
    ends = [each for each in entries if each.name.startswith(("NumIn", "NumOut", "InputN", "OutputN"))]
    return Table(*[each for each in entries if each not in ends], *ends)
