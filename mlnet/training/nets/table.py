"""The table of progress that trainnet prints."""

from __future__ import annotations

from collections.abc import Sequence

from mlnet.training.full_batch.table import FullBatchTable, number_text
from mlnet.training.progress import Progress


class NetTable(FullBatchTable):
    """Prints a row for iterations 0 and 1, every ``frequency`` iterations, each validation and the last iteration."""

    def __init__(self, frequency: int, *, with_validation: bool, more: Sequence[str] = ()) -> None:
        super().__init__("", frequency, with_validation=with_validation, more=more)
        self._titles = [title for title in self._titles if title not in ("GradientNorm", "StepNorm")]
        self._titles[1:2] = ["Epoch", "TimeElapsed", "LearnRate"]

    def _cells(self, progress: Progress) -> dict[str, str]:
        rate = number_text(progress.learn_rate)
        return super()._cells(progress) | {"Epoch": str(progress.epoch), "LearnRate": rate}
