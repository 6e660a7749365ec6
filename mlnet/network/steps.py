"""How many time steps sequences have behind each layer, for every length with which they may start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlnet.layers.base import Layer, Size, SizeError
from mlnet.layers.input import SequenceInputLayer
from mlnet.network.wiring import Source, Wiring

_LONGEST = 4096
"""Up to here a MinLength is searched."""


@dataclass(frozen=True)
class _Steps:
    """The numbers of time steps at one place, by the length, 1, 2, ..., of the sequences of the ``inputs``."""

    counts: np.ndarray
    inputs: frozenset[int]


class TimeSteps:
    """Carries numbers of time steps through a network and collects where sequences of MinLength are too short."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._steps: dict[Source, _Steps] = {}
        self._shortest = {
            index: layer.MinLength for index, layer in enumerate(wiring.layers) if isinstance(layer, SequenceInputLayer)
        }
        self._lengths = np.arange(1, 1 + max([_LONGEST, *self._shortest.values()]))
        self._short: list[tuple[int, _Steps, int]] = []

    def visit(self, index: int, layer: Layer, known: list[Size], sizes: tuple[Size, ...]) -> None:
        """Note the steps behind layer ``index``, whose inputs and outputs have the given sizes.

        Raises
        ------
        SizeError
            Where inputs have different numbers of steps, however long the sequences are.
        """
        if index in self._shortest:
            self._steps[Source(index)] = _Steps(self._lengths, frozenset([index]))
        if not any(size.is_sequence for size in known):
            return
        sources = [source for source in self._wiring.sources[index] if source is not None]
        found = [self._steps[source] for source in sources if source in self._steps]
        if len(found) < sum(size.is_sequence for size in known):
            return  # something before has no known number
        call = layer.operation(*known, training=False)
        if call is None or call.time is None:
            self._compare(found)
            after = found[0].counts
        else:
            made = call.time(found[0].counts)
            if made is None:
                return
            after = made
            if after[self._first(found[0])] < 1:
                self._short.append((index, found[0], self._needed(after)))
        inputs = frozenset().union(*(each.inputs for each in found))
        for output, size in enumerate(sizes):
            if size.is_sequence:
                self._steps[Source(index, output)] = _Steps(after, inputs)

    def mistakes(self) -> Mapping[int, SizeError]:
        """Return the mistake at the first layer for which sequences of MinLength are too short, by its number.

        The MinLength that it proposes is enough for all layers.
        """
        if not self._short:
            return {}
        index, steps, needed = self._short[0]
        names = " and ".join(f"'{self._wiring.layers[number].Name}'" for number in sorted(steps.inputs))
        enough = max(length for _, _, length in self._short)
        if not needed:
            fix = "No MinLength is enough: use smaller windows, more padding, or fewer layers before."
            return {index: SizeError("time steps for a window", f"{steps.counts[-1]} of {len(self._lengths)}", fix)}
        fix = f"Set MinLength={enough} of sequenceInputLayer {names}"
        fix += ", which is enough for all layers," * (len(self._short) > 1) + " or use 'Padding','same' or 'causal'."
        first = self._first(steps)
        came = f"{steps.counts[first]} of sequences of {first + 1} (MinLength)"
        return {index: SizeError(f"at least {steps.counts[needed - 1]} time steps", came, fix)}

    def min_lengths(self) -> dict[int, int]:
        """Return the MinLength that the input layers need, by their numbers, where they have less."""
        found: dict[int, int] = {}
        for _, steps, needed in self._short:
            found.update({index: max(needed, found.get(index, 1)) for index in steps.inputs if needed})
        return found

    def _first(self, steps: _Steps) -> int:
        """Return the place in ``counts`` of the shortest sequences that the input layers take."""
        return int(max(self._shortest[index] for index in steps.inputs)) - 1

    @staticmethod
    def _needed(after: np.ndarray) -> int:
        """Return the length from which on there is a step in ``after``; 0 where none is enough."""
        return int(np.argmax(after >= 1)) + 1 if (after >= 1).any() else 0

    def _compare(self, found: list[_Steps]) -> None:
        for other in found[1:]:
            first = self._first(found[0])
            if other.inputs == found[0].inputs and (found[0].counts[first:] != other.counts[first:]).all():
                length = min(first + 100, len(self._lengths))
                came = f"{found[0].counts[length - 1]} and {other.counts[length - 1]} of sequences of {length}"
                raise SizeError("inputs of the same numbers of time steps", came, "Use 'Padding','same' or 'causal'.")
