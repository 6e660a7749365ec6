"""The engine that runs whole networks on oneDNN, and on NumPy what oneDNN lacks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np

from mlnet.engines.base import Engine, Loss, Operation, Predictor
from mlnet.engines.onednn import folding, fusion
from mlnet.engines.onednn.compiled import lacking
from mlnet.engines.onednn.kernels import OneDnnKernels
from mlnet.engines.onednn.library import Library
from mlnet.engines.onednn.pieces import PredictionPlan
from mlnet.engines.onednn.plan import OneDnnPlan
from mlnet.engines.onednn.recurrent import Recurrent
from mlnet.engines.program import Key, Program, StepPlan
from mlnet.errors import NotSupportedError


class OneDnnEngine(Engine):
    """oneDNN in single precision.

    Parameters
    ----------
    library : Library
    fallback : Engine
        Computes what the library lacks: operations, double precision, sequences.
    precision : 'single' or 'mixed'
        With 'mixed', plans give convolutions and products of matrices numbers in bfloat16; sums are in float32.
    """

    name = "onednn"

    def __init__(self, library: Library, fallback: Engine, precision: str = "single") -> None:
        self.library, self._fallback, self._precision = library, fallback, precision
        recurrent = Recurrent(library, fallback.operations).operations
        self.kernels = OneDnnKernels(library)
        self._operations = {**_with_merged(fallback.operations), **recurrent}

    @property
    def description(self) -> str:
        """The name for people, with the version."""
        return f"oneDNN {self.library.version}"

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The operations that are called one by one, by name: those of the fallback and `Recurrent`."""
        return self._operations

    @property
    def losses(self) -> Mapping[str, Loss]:
        """The losses of the fallback, by name."""
        return self._fallback.losses

    def running(self) -> AbstractContextManager[None]:
        """Return a context in which a plan runs one pass."""
        return self._fallback.running()

    def lacks(self, operation: str) -> str:
        """Return why NumPy computes an operation, see `Engine.lacks`; some are NumPy's for some options only."""
        return lacking(operation)

    def fuse(self, program: Program) -> Program:
        """Return the program with ReLU merged into normalizations and convolutions."""
        return fusion.fuse(self._fallback.fuse(program))

    def predictor(self, program: Program, values: Mapping[Key, np.ndarray]) -> Predictor:
        """Return a plan with normalizations, functions and additions merged into what is before them."""
        program, values, merged = folding.fold(program, values)
        program = self._fallback.fuse(program)
        return Predictor(PredictionPlan(self, program, self.library), values, merged)

    def plan(self, program: Program, *, is_training: bool = True) -> StepPlan:
        """Return a plan that keeps the layouts of the library between its operations."""
        return OneDnnPlan(self, program, self.library, is_training, is_mixed=self._precision == "mixed")

    def in_precision(self, precision: str) -> Engine:
        """Return the engine in 'single' or 'mixed' precision, see `Engine.in_precision`."""
        if precision == "mixed" and not self.library.has_bfloat16:
            raise NotSupportedError(
                "Precision='mixed': this processor does not compute with bfloat16 (oneDNN finds no AVX-512 with BF16). "
                "Use 'single'."
            )
        return self if precision == self._precision else OneDnnEngine(self.library, self._fallback, precision)


def _with_merged(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    return {**fusion.with_rectified(operations), **folding.with_followed(operations)}
