"""Bidirectional layers on two threads against one: `python bench/two_directions.py`.

Two threads share each direction, one direction after the other, or take one direction each. The
last columns, as planned, are what a call does by itself.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np

import fastrnn as fr
from fastrnn import ops

SIZES = (
    (8, 20, 12, 32),
    (32, 15, 12, 64),
    (32, 100, 16, 64),
    (1, 100, 128, 256),
    (8, 1000, 64, 128),
    (64, 50, 256, 256),
)
WAYS = ("in turn", "side by side", "as planned")


@contextlib.contextmanager
def way(name: str) -> Iterator[None]:
    """Run the directions in one way."""
    if name == "as planned":
        yield
        return

    def decide(*_: object) -> bool:
        return name == "side by side"

    with mock.patch.object(ops.layer, "side_by_side", decide):
        yield


def seconds(run: Callable[[], object], at_least: float = 0.03) -> float:
    """Return the median time of one call, of as many as take `at_least` seconds."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < at_least:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(run: Callable[[], object], rounds: int = 7) -> tuple[float, list[float]]:
    """Return the median time on one thread and the median of each way's ratio, in turns."""
    alone: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        fr.set_num_threads(1)
        alone.append(seconds(run))
        fr.set_num_threads(2)
        for name in WAYS:
            with way(name):
                ratios[name].append(alone[-1] / seconds(run))
    return statistics.median(alone), [statistics.median(ratios[name]) for name in WAYS]


def main() -> None:
    """Print times on one thread and what two threads make of them."""
    head = f"{'one thread us':>15}{'in turn':>9}{'sides':>7}{'planned':>9}"
    print(f"{'':<36}{'inference':>15}{'':>25}{'training':>15}")
    print(f"{'':<5}{'N':>4}{'T':>6}{'I':>5}{'H':>5}{'lengths':>11}{head}{head}")
    rng = np.random.default_rng(0)
    for kind in (fr.LSTM, fr.GRU):
        for batch, steps, inputs, hidden in SIZES:
            layer = kind(inputs, hidden, bidirectional=True, seed=0)
            x = rng.standard_normal((batch, steps, inputs)).astype(np.float32)
            # Dense, and uniform between half the steps and all, as in a padded batch of mixed data.
            for lengths in (None, rng.integers(steps // 2, steps, batch, endpoint=True)):

                def train(
                    layer: fr.LSTM | fr.GRU = layer,
                    x: np.ndarray = x,
                    lengths: np.ndarray | None = lengths,
                ) -> None:
                    y, _, tape = layer.forward(x, lengths=lengths)
                    layer.backward(tape, y)

                line = f"{kind.__name__:<5}{batch:>4}{steps:>6}{inputs:>5}{hidden:>5}"
                line += f"{'dense' if lengths is None else 'ragged':>11}"
                infer = lambda f=layer, x=x, lengths=lengths: f(x, lengths=lengths)  # noqa: E731
                for run in (infer, train):
                    alone, (in_turn, sides, planned) = compare(run)
                    line += f"{1e6 * alone:>15.0f}{in_turn:>9.2f}{sides:>7.2f}{planned:>9.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
