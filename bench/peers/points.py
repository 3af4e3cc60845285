"""What is measured: a point is a size with a cell, a mode, a layout, threads and a dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases import Case

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
CELLS = tuple(GATES)
MODES = ("inference", "training")
LAYOUTS = ("dense", "ragged")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Point:
    """One line of a table: what each framework is timed at."""

    cell: str
    case: Case
    mode: str
    layout: str
    threads: int
    dtype: str

    @property
    def key(self) -> str:
        """The point's name in files, the same in every run."""
        parts = (self.cell, self.case.name, self.mode, self.layout, f"{self.threads}", self.dtype)
        return "/".join(parts)

    @property
    def is_stream(self) -> bool:
        """Whether it is a single step, which is quoted in microseconds."""
        return self.case.steps == 1

    @property
    def carries_state(self) -> bool:
        """Whether each call goes on from the state that the call before it left."""
        return self.is_stream and self.mode == "inference"

    def operations(self, valid_steps: int) -> int:
        """Return the floating point operations of the products over the valid steps of all rows.

        Two for each weight and step; a training step has the products three times: forward, for
        the gradients of the inputs, and for those of the weights.
        """
        size = self.case
        weights = GATES[self.cell] * size.hidden_size * (size.input_size + size.hidden_size)
        return 2 * valid_steps * weights * (3 if self.mode == "training" else 1)


def grid(
    cells: Sequence[str],
    cases: Sequence[Case],
    modes: Sequence[str],
    layouts: Sequence[str],
    threads: Sequence[int],
    dtypes: Sequence[str],
) -> list[Point]:
    """List the points, those of one thread count together, because they share their processes.

    A single row has nothing to be ragged against, so it is measured dense only.
    """
    return [
        Point(cell, case, mode, layout, count, dtype)
        for count in threads
        for dtype in dtypes
        for mode in modes
        for layout in layouts
        for case in cases
        if layout == "dense" or case.batch > 1
        for cell in cells
    ]
