"""Mini-batches with which a layer is tried, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnet.engines.program import Key


class Batch(NamedTuple):
    """A mini-batch in the engines' order: an array for each input, and the lengths of its sequences or None."""

    data: tuple[np.ndarray, ...]
    lengths: tuple[np.ndarray | None, ...]

    def observation(self, number: int) -> Batch:
        """Return one observation as a mini-batch."""
        pairs = list(zip(self.data, self.lengths, strict=True))
        data = tuple(one_of(array, lengths, number) for array, lengths in pairs)
        return Batch(data, tuple(None if lengths is None else lengths[number : number + 1] for _, lengths in pairs))

    def astype(self, dtype: Any) -> Batch:
        """Return the mini-batch in another precision."""
        return Batch(tuple(array.astype(dtype) for array in self.data), self.lengths)

    def moved(self, number: int, array: np.ndarray) -> Batch:
        """Return the mini-batch with other data for one input."""
        return Batch((*self.data[:number], array, *self.data[number + 1 :]), self.lengths)


class Result(NamedTuple):
    """What a run has put out: outputs with the lengths of their sequences, and gradients; all are copies."""

    outputs: tuple[np.ndarray, ...]
    lengths: tuple[np.ndarray | None, ...]
    inputs: tuple[np.ndarray, ...]
    parameters: dict[Key, np.ndarray]

    def parts(self) -> list[tuple[str, np.ndarray]]:
        """Return every array with a name for messages."""
        outputs = [(_numbered("output", number, self.outputs), array) for number, array in enumerate(self.outputs)]
        inputs = [(_numbered("gradient of the input", n, self.inputs), array) for n, array in enumerate(self.inputs)]
        return outputs + inputs + [(f"gradient of {key[1]}", array) for key, array in self.parameters.items()]


def _numbered(what: str, number: int, among: Sequence[Any]) -> str:
    return f"{what} {number + 1}" if len(among) > 1 else what


def one_of(array: np.ndarray, lengths: np.ndarray | None, number: int) -> np.ndarray:
    """Return what belongs to one observation in a mini-batch; packed where there are lengths."""
    if lengths is None:
        return array[number : number + 1]
    start = int(lengths[:number].sum())
    return array[start : start + int(lengths[number])]


def d_outputs_for(outputs: Sequence[np.ndarray], seed: int = 7) -> list[np.ndarray]:
    """Return random gradients of outputs, the same for the same shapes; of outputs that are no floats, integers."""
    generator = np.random.default_rng(seed)
    drawn = [generator.standard_normal(output.shape) for output in outputs]
    return [
        each.astype(output.dtype if output.dtype.kind == "f" else np.int64)
        for each, output in zip(drawn, outputs, strict=True)
    ]


def of_observation(d_outputs: Sequence[np.ndarray], result: Result, number: int) -> list[np.ndarray]:
    """Return what belongs to one observation in gradients of the outputs of ``result``."""
    return [one_of(each, lengths, number) for each, lengths in zip(d_outputs, result.lengths, strict=True)]
