"""minibatchqueue: the mini-batches of a datastore, ready for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from mlnet.autodiff.array import dlarray
from mlnet.data.datastores.datastore import Datastore
from mlnet.data.sources.collate import cast, collated, column
from mlnet.errors import DataError, MlnetError, NotSupportedError, OptionError, message
from mlnet.options import Argument, Declared, Group, Option, Table, constructs
from mlnet.randomness import data_generator
from mlnet.rules import REFUSALS, Refused, Rule, choice, either, flag, function, integer, text

Q = TypeVar("Q", bound="MiniBatchQueue")
_CASTS = ("single", "double", "logical", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def _datastore(value: Any) -> Datastore:
    if not isinstance(value, Datastore):
        raise Refused
    return value


def _for_each(rule: Rule) -> Rule:
    """Return the rule of one value for all outputs, or of a list with one for each."""

    def convert(value: Any) -> Any:
        try:
            return rule.convert(value)
        except REFUSALS:
            if isinstance(value, str) or not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
                raise
            return [rule.convert(each) for each in value]

    return Rule(f"{rule.needed}, or a list with one for each output", convert, (None, [None]), rule.names)


def _option(name: str, default: Any, rule: Rule, doc: str, group: Group = Group.HIDDEN) -> Option:
    return Option(name, default, rule, doc, group)


class MiniBatchQueue(Declared):
    """The mini-batches that `minibatchqueue` makes; ``next(mbq)`` and a for loop give them one after the other."""

    creation = ("MiniBatchSize", "PartialMiniBatch", "MiniBatchFcn", "PreprocessingEnvironment")
    per_output = ("OutputCast", "OutputAsDlarray", "MiniBatchFormat", "OutputEnvironment")
    table = Table(
        Option(
            "ds", None, Rule("a datastore", _datastore, (1, None)), "Where the data are.", argument=Argument.REQUIRED
        ),
        Option(
            "numOutputs",
            0,
            integer(0),
            "Number of outputs, by default one for each column of the datastore.",
            argument=Argument.OPTIONAL,
        ),
        _option("MiniBatchSize", 128, integer(), "Observations in a mini-batch."),
        _option(
            "PartialMiniBatch", "return", choice("return", "discard"), "What becomes of an incomplete last mini-batch."
        ),
        _option(
            "MiniBatchFcn",
            "collate",
            either(choice("collate"), function()),
            "Takes a list for each column of the datastore (labels as a categorical array) and returns the outputs; "
            "'collate' puts the observations of each column into one array.",
        ),
        _option("DispatchInBackground", False, flag(), "Whether another thread prepares the next mini-batch."),
        _option(
            "PreprocessingEnvironment",
            "serial",
            choice("serial", "background", "parallel"),
            "'background' and 'parallel' prepare the next mini-batch in another thread.",
        ),
        _option("OutputCast", "single", _for_each(choice(*_CASTS)), "Type of each output."),
        _option("OutputAsDlarray", True, _for_each(flag()), "Whether each output is a dlarray."),
        _option("MiniBatchFormat", "", _for_each(text()), "Format of each output, such as 'SSCB'; '' for none."),
        _option("OutputEnvironment", "auto", _for_each(choice("auto", "cpu", "gpu")), "Where the outputs are."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._position = self._pass = 0
        self._outputs = 1
        self._ahead: Future[tuple[Any, ...]] | None = None
        self._pool: ThreadPoolExecutor | None = None
        super().__init__(*args, **kwargs)
        datastore = self._values["ds"]
        if not len(datastore):
            raise DataError(message(self.where(), "a datastore with observations", "an empty one"))
        self._seed = int(data_generator().integers(2**31))
        self._order: np.ndarray = np.arange(len(datastore))
        self._outputs = self._values["numOutputs"] or len(datastore.read_rows([0])[0])
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("ds", "numOutputs"):
            raise OptionError(f"{self.where()}: {name} is read-only: give it when the queue is made.")
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        super().__setattr__(name, value)
        self._forget()

    def check(self) -> None:
        """Raise where options do not fit the number of outputs."""
        if "_order" not in self.__dict__:
            return  # the number of outputs is not known yet
        for name in self.per_output:
            value = self._values[name]
            if isinstance(value, list) and len(value) != self._outputs:
                came = f"{len(value)} values"
                raise OptionError(message(f"{self.where()}: {name}", f"one value or {self._outputs} of them", came))
        if "gpu" in self.each("OutputEnvironment"):
            raise NotSupportedError(f"{self.where()}: not supported yet: OutputEnvironment='gpu'. Leave it out.")

    def copy(self: Q) -> Q:
        """Return an independent queue over the same datastore, from the first mini-batch."""
        twin = object.__new__(type(self))
        twin.__dict__.update({**self.__dict__, "_position": 0, "_ahead": None, "_pool": None})
        twin.__dict__["_values"] = dict(self._values)
        return twin

    def each(self, name: str) -> list[Any]:
        """Return the value of an option for each output."""
        value = self._values[name]
        return value if isinstance(value, list) else [value] * self._outputs

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self._outputs

    def hasdata(self) -> bool:
        """Tell whether `next` has another mini-batch."""
        left = len(self._order) - self._position
        return left >= (self.MiniBatchSize if self.PartialMiniBatch == "discard" else 1)

    def next(self) -> Any:
        """Return the next mini-batch: an array, for several outputs a tuple of them.

        Raises
        ------
        DataError
            Where there is none left; use `reset` or `shuffle`.
        """
        if not self.hasdata():
            raise DataError(f"{self.where()}: there are no more mini-batches. Use reset or shuffle.")
        found = self._prepared(self._position)
        self._position += self.MiniBatchSize
        if self.PreprocessingEnvironment != "serial" or self.DispatchInBackground:
            self._prepare_next()
        return found if self._outputs > 1 else found[0]

    def reset(self: Q) -> Q:
        """Go back to the first mini-batch, in the same order of observations, and return the queue."""
        self._position = 0
        self._pass += 1
        self._forget()
        return self

    def shuffle(self: Q) -> Q:
        """Put the observations into another random order, go back to the first mini-batch, and return the queue."""
        self._order = data_generator().permutation(len(self._order))
        return self.reset()

    def __next__(self) -> Any:
        if not self.hasdata():
            raise StopIteration
        return self.next()

    def __iter__(self) -> Iterator[Any]:
        """Return the mini-batches from the first one."""
        return self.reset()

    def _prepared(self, start: int) -> tuple[Any, ...]:
        ahead, self._ahead = self._ahead, None
        return self._make(start, self._pass) if ahead is None else ahead.result()

    def _prepare_next(self) -> None:
        if self.hasdata():
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "mlnet-mini-batches")
            self._ahead = self._pool.submit(self._make, self._position, self._pass)

    def _forget(self) -> None:
        """Leave out the mini-batch that was prepared ahead: it is not the next one any more."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()

    def _make(self, start: int, number: int) -> tuple[Any, ...]:
        """Return the mini-batch of the observations from ``start`` on; ``number`` counts the passes."""
        numbers = self._order[start : start + self.MiniBatchSize].tolist()
        return self.made_of(numbers, np.random.default_rng([self._seed, number, start]))  # not changed by reading ahead

    def made_of(self, numbers: Sequence[int], generator: np.random.Generator | None) -> tuple[Any, ...]:
        """Return the mini-batch of the observations ``numbers`` of the datastore."""
        datastore = self._values["ds"]
        rows = datastore.read_rows(numbers, generator)
        known = datastore.labels() if datastore.reads_response else None
        names = datastore.classes()
        parts = list(zip(*rows, strict=True))
        columns = [column(part, known if place == len(parts) - 1 else None, names) for place, part in enumerate(parts)]
        formats = self.each("MiniBatchFormat")
        if callable(self.MiniBatchFcn):
            outputs = self._applied(self.MiniBatchFcn, columns)
        else:
            if len(columns) < self._outputs:
                came = f"a datastore of {len(columns)}"
                raise DataError(message(self.where(), f"{self._outputs} columns (numOutputs)", came))
            pairs = zip(columns[: self._outputs], formats, strict=True)
            outputs = tuple(
                collated(part, fmt, f"{self.where()}: output {place}") for place, (part, fmt) in enumerate(pairs, 1)
            )
        kinds = zip(outputs, self.each("OutputCast"), self.each("OutputAsDlarray"), formats, strict=True)
        return tuple(self._output(place, *kind) for place, kind in enumerate(kinds, start=1))

    def _applied(self, function: Callable[..., Any], columns: Sequence[Any]) -> tuple[Any, ...]:
        name = f"{self.where()}: the MiniBatchFcn {getattr(function, '__name__', type(function).__name__)}"
        try:
            outputs = function(*columns)
        except MlnetError:
            raise
        except Exception as error:
            raise DataError(f"{name} raised {type(error).__name__}: {error}") from error
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if len(outputs) != self._outputs:
            fix = "Give minibatchqueue(ds, numOutputs, ...)."
            raise DataError(message(name, f"to return {self._outputs} outputs", f"{len(outputs)}", fix))
        return outputs

    def _output(self, place: int, data: Any, type_name: str, is_dlarray: bool, fmt: str) -> Any:
        where = f"{self.where()}: output {place}"
        labels = data.dims() if isinstance(data, dlarray) else ""
        array = cast(data.extractdata() if isinstance(data, dlarray) else data, type_name, where)
        if not is_dlarray:
            return array
        try:
            return dlarray(array, fmt or labels)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None


@constructs(MiniBatchQueue)
def minibatchqueue() -> None:
    """Create a queue of mini-batches from a datastore, for a training loop of one's own.

    ``mbq = minibatchqueue(ds, MiniBatchSize=64, MiniBatchFormat=['SSCB', ''])``, then ``X, T = next(mbq)``, or
    ``for X, T in mbq``, which starts from the first mini-batch. `hasdata` tells whether there is another one, `reset`
    goes back to the first, `shuffle` does so in another order of the observations; they change the queue.

    With ``MiniBatchFcn='collate'`` the observations of a column lie along the dimension 'B' of its MiniBatchFormat;
    without one, rows (1, K) come below each other, and all else along a new last dimension. Labels become the numbers
    of their categories, counted from 1; a function can encode them, see `onehotencode`.

    {parameters}

    Raises
    ------
    OptionError, UnknownNameError
        Where an argument is not allowed or misspelt.
    NotSupportedError
        For OutputEnvironment='gpu'.
    DataError
        Where the datastore is empty; later, where observations do not go together or do not fit the format.

    Examples
    --------
    >>> import numpy as np
    >>> from mlnet import arrayDatastore, combine, minibatchqueue
    >>> ds = combine(arrayDatastore(np.ones((5, 3))), arrayDatastore(np.zeros((5, 1))))
    >>> mbq = minibatchqueue(ds, MiniBatchSize=4, MiniBatchFormat='BC')
    >>> mbq
    minibatchqueue with 2 outputs and properties:
    <BLANKLINE>
       Mini-batch creation:
                   MiniBatchSize: 4
                PartialMiniBatch: 'return'
                    MiniBatchFcn: 'collate'
        PreprocessingEnvironment: 'serial'
    <BLANKLINE>
       Outputs:
                      OutputCast: {'single'  'single'}
                 OutputAsDlarray: [1 1]
                 MiniBatchFormat: {'BC'  'BC'}
               OutputEnvironment: {'auto'  'auto'}
    >>> [X.shape for X, T in mbq]
    [(3, 4), (3, 1)]
    """
