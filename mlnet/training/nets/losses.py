"""The losses that trainnet takes, by name or as a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlnet.errors import NetworkError, OptionError, message, nearest
from mlnet.functional.loss import crossentropy
from mlnet.layers.activation import SigmoidLayer, SoftmaxLayer
from mlnet.layers.base import Layer
from mlnet.network.open_ends import EndLayer, JoinedEndLayer
from mlnet.network.resolve import Resolved
from mlnet.options import describe

NAMES = {
    "crossentropy": "crossentropy",
    "indexcrossentropy": "indexcrossentropy",
    "index-crossentropy": "indexcrossentropy",
    "binary-crossentropy": "binary-crossentropy",
    "mse": "mse",
    "mean-squared-error": "mse",
    "l2loss": "mse",
    "mae": "mae",
    "mean-absolute-error": "mae",
    "l1loss": "mae",
    "huber": "huber",
}
"""The names of losses, and those that the others are other names of."""
_ENDS: dict[str, tuple[type[Layer], str]] = {
    "crossentropy": (SoftmaxLayer, "softmaxLayer"),
    "indexcrossentropy": (SoftmaxLayer, "softmaxLayer"),
    "binary-crossentropy": (SigmoidLayer, "sigmoidLayer"),
}
"""The last layer that puts out what losses of classes take, and the function that creates it."""


@dataclass(frozen=True)
class NetLoss:
    """What training makes small: one of `NAMES`, or '' and a function of the outputs and targets."""

    name: str
    function: Callable[..., Any] | None = None

    @property
    def is_of_classes(self) -> bool:
        """Whether targets are classes, or their probabilities."""
        return self.name in _ENDS

    @property
    def is_of_responses(self) -> bool:
        """Whether targets are numbers that are no classes."""
        return self.name in ("mse", "mae", "huber")

    def closed(self, network: Resolved, where: str) -> Resolved:
        """Return the network whose ends tell what the loss takes of the outputs.

        Raises
        ------
        NetworkError, OptionError
            Where the loss does not fit the outputs of the network.
        """
        outputs = len(network.output_indices)
        if self.function is not None:
            _check_signature(self.function, outputs, where)
            return network
        if outputs > 1:
            names = [f"Y{number}" for number in range(1, outputs + 1)]
            all_names = ", ".join([*names, *(name.replace("Y", "T") for name in names)])
            fix = f"Write lambda {all_names}: crossentropy(Y1, T1) + mse(Y2, T2)."
            needed = f"a function of the {outputs} outputs and their targets"
            raise OptionError(message(f"{where}: lossFcn", needed, f"'{self.name}'", fix))
        if not self.is_of_classes:
            return network
        kind, constructor = _ENDS[self.name]
        (source,) = network.sources[network.output_index]
        last = network.layers[source.layer]
        if isinstance(last, kind):
            layers = list(network.layers)
            layers[network.output_index] = JoinedEndLayer(Name=network.output_layer.Name)
            return network.with_layers(layers)
        if last.learnables:
            raise NetworkError(
                message(
                    f"{where}: {last.where()}",
                    f"a {constructor} behind it, as the loss '{self.name}' takes probabilities",
                    "the end of the network",
                    f"Put {constructor}() at the end.",
                )
            )
        return network

    def as_function(self) -> Callable[..., Any]:
        """Return the function of the outputs and targets; for a loss of classes that of probabilities."""
        if self.function is not None:
            return self.function

        def of_probabilities(y: Any, t: Any) -> Any:
            if self.name == "binary-crossentropy":
                return crossentropy(y, t, ClassificationMode="multilabel", NormalizationFactor="all-elements")
            labels = y.dims()
            return crossentropy(y, t, NormalizationFactor="none") / (y.size // y.shape[labels.index("C")])

        return of_probabilities


def is_joined(network: Resolved) -> bool:
    """Tell whether the loss computes the last softmax or sigmoid layer."""
    return isinstance(network.output_layer, JoinedEndLayer)


def open_network(network: Resolved) -> Resolved:
    """Return a network whose ends are those of a dlnetwork again."""
    layers = [EndLayer(Name=each.Name) if isinstance(each, JoinedEndLayer) else each for each in network.layers]
    return network.with_layers(layers)


def net_loss(given: Any, where: str) -> NetLoss:
    """Return the loss of a name or function.

    Raises
    ------
    OptionError
        Where it is neither.
    """
    if isinstance(given, str):
        name = given.lower()
        if name not in NAMES:
            raise OptionError(f"{where}: lossFcn: there is no loss '{given}'.{nearest(name, NAMES)}")
        return NetLoss(NAMES[name])
    if not callable(given) or isinstance(given, type):
        fix = "Write e.g. 'crossentropy', 'mse', or lambda Y, T: l1loss(Y, T)."
        raise OptionError(message(f"{where}: lossFcn", "the name of a loss or a function", describe(given), fix))
    return NetLoss("", given)


def _check_signature(function: Callable[..., Any], outputs: int, where: str) -> None:
    """Refuse a function that does not take all outputs and targets."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a compiled module
        return
    try:
        signature.bind(*[None] * (2 * outputs))
    except TypeError:
        names = [f"{letter}{number}" for letter in "YT" for number in range(1, outputs + 1)]
        ends = ", ".join(names) if outputs > 1 else "Y, T"
        raise OptionError(
            message(
                f"{where}: lossFcn",
                f"a function of {2 * outputs} arguments ({ends})",
                f"{getattr(function, '__name__', 'a function')}{signature}",
            )
        ) from None
