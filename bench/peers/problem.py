"""The arrays of a point: the same numbers in every process, drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cases import Case
from bench.peers.points import GATES, Point

Array = NDArray[Any]
SEED = 0


@dataclass(frozen=True)
class Problem:
    """A point with its weights and inputs."""

    point: Point
    weights: dict[str, Array]  # PyTorch's names, shapes and gate order: i f g o; r z n
    x: Array  # (N, T, I)
    dy: Array  # (N, T, H), zero behind a row's length
    lengths: NDArray[np.int64] | None  # (N,), 1..T; None: dense

    @property
    def has_cell_state(self) -> bool:
        """Whether the state is a pair (h, c)."""
        return self.point.cell == "lstm"


def row_lengths(case: Case) -> NDArray[np.int64]:
    """Return the valid steps of each row of a ragged batch, (N,): uniform in T/10..T."""
    rng = np.random.default_rng(SEED)
    return rng.integers(max(1, case.steps // 10), case.steps, case.batch, endpoint=True)


def valid_steps(point: Point) -> int:
    """Return the valid steps of all rows together."""
    if point.layout == "ragged":
        return int(row_lengths(point.case).sum())
    return point.case.batch * point.case.steps


def make_problem(point: Point) -> Problem:
    """Draw the arrays of a point."""
    case = point.case
    I, H, G = case.input_size, case.hidden_size, GATES[point.cell]  # noqa: E741
    rng = np.random.default_rng(SEED)
    # float64 first, so that both dtypes compute the same problem.
    bound = 1 / np.sqrt(H)
    weights = {
        name: rng.uniform(-bound, bound, shape).astype(point.dtype)
        for name, shape in (
            ("weight_ih_l0", (G * H, I)),
            ("weight_hh_l0", (G * H, H)),
            ("bias_ih_l0", (G * H,)),
            ("bias_hh_l0", (G * H,)),
        )
    }
    x = rng.standard_normal((case.batch, case.steps, I)).astype(point.dtype)
    dy = rng.standard_normal((case.batch, case.steps, H)).astype(point.dtype)
    if point.layout == "dense":
        return Problem(point, weights, x, dy, None)
    lengths = row_lengths(case)
    dy[np.arange(case.steps) >= lengths[:, None]] = 0
    return Problem(point, weights, x, dy, lengths)
