"""Name-value options: one declared table per class.

The table of a class feeds the signature of its constructor, the checks on creation and on assignment, the messages and
the printed block. Options are given as ``Padding=1`` or as the trailing pair ``'Padding', 1``; letter case does not
matter, and the beginning of a name is enough where only one option starts with it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeVar

import numpy as np

from mlnet.errors import OptionError, UnknownNameError, message, nearest, suggestion
from mlnet.rules import REFUSALS, Rule, is_empty, read_only


class Group(Enum):
    """Where the printed block shows a property; the values are the titles."""

    PLAIN = ""
    HYPERPARAMETERS = "Hyperparameters"
    LEARNABLE = "Learnable Parameters"
    STATE = "State Parameters"
    HIDDEN = "hidden"


class Argument(Enum):
    """How the constructor takes an option."""

    REQUIRED = "positional, required"
    OPTIONAL = "positional, may be left out"
    NAMED = "name-value"
    NONE = "a property only"


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Option:
    """One option of a class: its name, default, rule, place in the display and meaning."""

    name: str
    default: Any
    rule: Rule
    doc: str
    group: Group = Group.HIDDEN
    argument: Argument = Argument.NAMED
    shown: Callable[[Any], bool] = _always


@dataclass(frozen=True)
class Derived:
    """A read-only property that is computed from the options."""

    name: str
    compute: Callable[[Any], Any]
    doc: str
    group: Group = Group.HIDDEN
    shown: Callable[[Any], bool] = _always


class Table:
    """The options and derived properties of one class, in the order of its display."""

    def __init__(self, *entries: Option | Derived) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self.options = {entry.name: entry for entry in entries if isinstance(entry, Option)}
        self.positional = [o for o in self.options.values() if o.argument in (Argument.REQUIRED, Argument.OPTIONAL)]
        self.arguments = {o.name: o for o in self.options.values() if o.argument is not Argument.NONE}
        self._by_lower_case = {name.lower(): name for name in self.arguments}

    def argument_name(self, name: str) -> str | None:
        """Return the documented spelling of the argument ``name``, or None where none or several could be meant."""
        wanted = name.lower()
        if wanted in self._by_lower_case:
            return self._by_lower_case[wanted]
        found = [known for lower, known in self._by_lower_case.items() if wanted and lower.startswith(wanted)]
        return found[0] if len(found) == 1 else None

    def bind(self, where: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Sort the arguments of a constructor call into ``{option: value}``."""
        given: dict[str, Any] = {}
        rest = list(args)
        for option in self.positional:
            if not rest or self._starts_pairs(rest, option):
                break
            given[option.name] = rest.pop(0)
        for name, value in self._pairs(where, rest):
            self._add(where, given, name, value)
        for name, value in kwargs.items():
            self._add(where, given, name, value)
        for option in self.positional:
            if option.argument is Argument.REQUIRED and option.name not in given:
                raise OptionError(f"{where}: the argument {option.name} is missing. It needs {option.rule.needed}.")
        return given

    def _starts_pairs(self, rest: list[Any], option: Option) -> bool:
        """Tell whether ``rest`` starts with the name of a pair, perhaps misspelt, instead of a value of ``option``."""
        if not isinstance(rest[0], str):
            return False
        if rest[0].lower() in self._by_lower_case:
            return True
        if len(rest) % 2 or option.rule.takes(rest[0]):
            return False
        return option.argument is not Argument.REQUIRED or bool(suggestion(rest[0], self.arguments))

    def _pairs(self, where: str, rest: list[Any]) -> Iterator[tuple[str, Any]]:
        while rest:
            name = rest.pop(0)
            if not isinstance(name, str):
                limit = len(self.positional)
                taken = f"{limit} positional argument{'s' * (limit > 1)} and then name-value pairs"
                raise OptionError(
                    f"{where}: takes {taken if limit else 'name-value pairs only'}, "
                    f"but got {describe(name)} where a name was expected."
                )
            if not rest:
                if self.argument_name(name) is None:
                    raise self._unknown(where, name)
                raise OptionError(f"{where}: the option '{name}' has no value. Give it as '{name}', value.")
            yield name, rest.pop(0)

    def _add(self, where: str, given: dict[str, Any], name: str, value: Any) -> None:
        known = self.argument_name(name)
        if known is None:
            raise self._unknown(where, name)
        if known in given:
            raise OptionError(f"{where}: the option '{known}' is given twice.")
        given[known] = value

    def _unknown(self, where: str, name: str) -> UnknownNameError:
        several = [known for known in self.arguments if name and known.lower().startswith(name.lower())]
        if several:
            return UnknownNameError(f"{where}: '{name}' could be {' or '.join(several)}. Write the name in full.")
        if name in self.options:
            return UnknownNameError(f"{where}: '{name}' is a property that cannot be given. Leave it out.")
        return UnknownNameError(f"{where}: there is no option '{name}'.{nearest(name, self.arguments)}")

    def signature(self, returns: type) -> inspect.Signature:
        """Return the signature of the constructor, for ``help`` and tab completion."""
        kinds = inspect.Parameter
        parameters = []
        for option in self.arguments.values():
            if option in self.positional:
                default = kinds.empty if option.argument is Argument.REQUIRED else plain_default(option.default)
                parameters.append(kinds(option.name, kinds.POSITIONAL_OR_KEYWORD, default=default))
        for option in self.arguments.values():
            if option not in self.positional:
                parameters.append(kinds(option.name, kinds.KEYWORD_ONLY, default=plain_default(option.default)))
        return inspect.Signature(parameters, return_annotation=returns)

    def documentation(self) -> str:
        """Return the numpydoc sections of the options and of the derived properties."""
        lines = ["Parameters", "----------"]
        named = [option for option in self.arguments.values() if option not in self.positional]
        for option in [*self.positional, *named]:
            default = "" if option.argument is Argument.REQUIRED else f", default {describe(option.default)}"
            lines += [f"{option.name} : {option.rule.needed}{default}", f"    {option.doc}"]
        others = [entry for entry in self.entries.values() if entry.name not in self.arguments]
        if others:
            lines += ["", "Attributes", "----------"]
            for entry in others:
                lines += [entry.name, f"    {entry.doc}"]
        return "\n".join(lines)


def plain_default(default: Any) -> Any:
    """Return a default as one would type it."""
    if is_empty(default):
        return []
    return default.tolist() if isinstance(default, np.ndarray) else default


def describe(value: Any) -> str:
    """Return a short text of ``value``, of one line, for an error message or a docstring."""
    if isinstance(value, (Declared, Shown)):
        return _with_article(type(value).__name__)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    if isinstance(value, np.ndarray) and (value.size > 8 or value.dtype.kind == "O"):
        odd = value.dtype.kind in "fc" and not np.isfinite(value).all()
        return f"an array of shape {value.shape} and type {value.dtype}{' with NaN or Inf' if odd else ''}"
    if isinstance(value, np.ndarray) and value.size == 0:
        return "[]"
    text = repr(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value)
    if "\n" in text:
        count = f" of {len(value)} elements" if hasattr(value, "__len__") else ""
        return f"{_with_article(type(value).__name__)}{count}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "AEIOUaeiou" else f"a {noun}"


def from_one(where: str, numbers: Any, count: int) -> np.ndarray:
    """Return MATLAB's numbers, from 1 to ``count``, as indices from 0; raise IndexError for others."""
    found = np.asarray([] if numbers is None else numbers)
    is_whole = found.dtype.kind in "iu" or (found.size == 0 and numbers is not None)
    if not is_whole or (found < 1).any() or (found > count).any():
        raise IndexError(f"{where}: needs numbers from 1 to {count}, but got {describe(numbers)}.")
    return found.astype(np.int64) - 1


class _Property:
    """The descriptor behind an option or derived property."""

    def __init__(self, entry: Option | Derived) -> None:
        self.entry = entry
        self.__doc__ = entry.doc

    def __get__(self, owner: Declared | None, owner_type: type | None = None) -> Any:
        if owner is None:
            return self
        if isinstance(self.entry, Derived):
            return self.entry.compute(owner)
        value = owner._values[self.entry.name]
        return value.copy() if isinstance(value, list) else value  # a list that changes must not change its owner

    def __set__(self, owner: Declared, value: Any) -> None:
        if isinstance(self.entry, Derived):
            raise OptionError(f"{owner.where()}: the property {self.entry.name} is read-only.")
        owner._assign({self.entry.name: value})


D = TypeVar("D", bound="Declared")


class Declared:
    """An object whose properties are declared in a table.

    Subclasses set ``table`` and, where options depend on one another, override `check`.
    """

    table: ClassVar[Table] = Table()
    constructor_name: ClassVar[str] = ""
    _values: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for entry in cls.table.entries.values():
            setattr(cls, entry.name, _Property(entry))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = self.table.bind(self.constructor_name or type(self).__name__, args, kwargs)
        object.__setattr__(self, "_values", {name: option.default for name, option in self.table.options.items()})
        self._assign(given)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.table.entries:
            raise UnknownNameError(f"{self.where()}: there is no property '{name}'.{nearest(name, self.table.entries)}")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnknownNameError(f"{self.where()}: there is no property '{name}'.{nearest(name, self.table.entries)}")

    def __dir__(self) -> list[str]:
        return sorted(self.table.entries)  # what a user looks for at the prompt

    def where(self) -> str:
        """Return how messages name this object."""
        return self.constructor_name or type(self).__name__

    def check(self) -> None:
        """Raise `OptionError` where options do not go together; called after every change."""

    def _assign(self, given: dict[str, Any]) -> None:
        """Set options after checking all of them; on an error nothing has changed."""
        changed = self.replaced(**{name: self._converted(name, value) for name, value in given.items()})
        changed.check()
        object.__setattr__(self, "_values", changed._values)

    def _converted(self, name: str, value: Any) -> Any:
        rule = self.table.options[name].rule
        try:
            return rule.convert(value)
        except REFUSALS:
            fix = suggestion(value, rule.names) if isinstance(value, str) else ""
            raise OptionError(message(f"{self.where()}: {name}", rule.needed, describe(value), fix)) from None

    @classmethod
    def from_values(cls: type[D], values: Mapping[str, Any]) -> D:
        """Return an object with the given values of options, also of those that no constructor takes.

        They are checked as in an assignment; other options have their defaults.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "_values", {name: option.default for name, option in cls.table.options.items()})
        for name in values:
            if name not in cls.table.options:
                raise UnknownNameError(f"{made.where()}: there is no option '{name}'.")
        missing = [o.name for o in cls.table.positional if o.argument is Argument.REQUIRED and o.name not in values]
        if missing:
            raise OptionError(f"{made.where()}: the argument {missing[0]} is missing.")
        made._assign(dict(values))
        return made

    def copy(self: D) -> D:
        """Return an independent object with the same values."""
        twin = object.__new__(type(self))
        object.__setattr__(twin, "_values", dict(self._values))
        return twin

    def replaced(self: D, **values: Any) -> D:
        """Return a copy with other values of some options, set without the checks of assignment."""
        twin = self.copy()
        twin._values.update(values)
        return twin

    def __copy__(self: D) -> D:
        return self.copy()

    def __deepcopy__(self: D, memo: dict[int, Any]) -> D:
        return self.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore from a pickle, which forgets that arrays are read-only."""
        values = {k: read_only(v) if isinstance(v, np.ndarray) else v for k, v in state["_values"].items()}
        object.__setattr__(self, "_values", values)

    def __repr__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        return to_html(self)


class Renderer:
    """What turns an object into text; `mlnet.display` registers one for each kind of object that prints itself.

    ``loader`` brings the functions when an object is printed for the first time.
    """

    loader: ClassVar[Callable[[], object] | None] = None

    def __init__(self) -> None:
        self._functions: dict[type, Callable[[Any], str]] = {}

    def register(self, kind: type, function: Callable[[Any], str]) -> None:
        """Let ``function`` render objects of the class ``kind`` and of its subclasses."""
        self._functions[kind] = function

    def __call__(self, value: Any) -> str:
        """Return the text of ``value`` by the renderer of its nearest class."""
        if not self._functions and Renderer.loader is not None:
            Renderer.loader()
        for kind in type(value).__mro__:
            if kind in self._functions:
                return self._functions[kind](value)
        return object.__repr__(value)


to_text = Renderer()
"""Object to the block that MATLAB's prompt shows."""
to_html = Renderer()
"""Object to the HTML that a notebook shows."""
to_page = Renderer()
"""Object to an HTML page of its own."""


class Shown:
    """Base of the objects without an option table that print themselves."""

    __slots__ = ()

    def __repr__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        return to_html(self)


F = TypeVar("F", bound=Callable[..., Any])


def constructs(cls: type[D]) -> Callable[[F], Callable[..., D]]:
    """Turn a documented stub into the public constructor function of ``cls``.

    The signature and the description of the parameters (in place of ``{parameters}`` in the docstring) come from the
    table of the class.
    """

    def decorate(stub: F) -> Callable[..., D]:
        cls.constructor_name = stub.__name__

        @functools.wraps(stub)
        def construct(*args: Any, **kwargs: Any) -> D:
            return cls(*args, **kwargs)

        construct.__signature__ = cls.table.signature(cls)  # type: ignore[attr-defined]
        construct.constructs = cls  # type: ignore[attr-defined]
        indented = cls.table.documentation().replace("\n", "\n    ")
        construct.__doc__ = (stub.__doc__ or "").replace("{parameters}", indented)
        return construct

    return decorate
