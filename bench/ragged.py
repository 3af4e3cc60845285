"""Ragged batches against dense ones of the same sum of lengths: `python -m bench.ragged`.

Lengths are uniform in T / 10 .. T; the dense batch has as many rows, each of the mean length.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np

import fastrnn as fr
from bench.cases import CASES
from bench.in_turns import seconds

ROUNDS = 5


def passes(
    layer: fr.LSTM | fr.GRU, x: np.ndarray, lengths: np.ndarray | None
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return inference and a forward and backward pass."""

    def train() -> None:
        y, _, tape = layer.forward(x, lengths=lengths)
        layer.backward(tape, y)

    return lambda: layer(x, lengths=lengths), train


def ratio(ragged: Callable[[], object], dense: Callable[[], object]) -> float:
    """Return the median over rounds of the ratio of times, in turns."""
    return statistics.median(seconds(ragged, 0.0) / seconds(dense, 0.0) for _ in range(ROUNDS))


def main() -> None:
    """Print the time of a row's step, ragged by dense."""
    print(f"{'ragged / dense':<22}{'one thread':>20}{'two threads':>20}")
    print(f"{'':<22}" + 2 * f"{'inference':>11}{'training':>9}")
    rng = np.random.default_rng(0)
    for kind in (fr.LSTM, fr.GRU):
        for case in CASES:
            if case.batch == 1:
                continue
            layer = kind(case.input_size, case.hidden_size, seed=0)
            shape = (case.batch, case.steps, case.input_size)
            x = rng.standard_normal(shape).astype(np.float32)
            lengths = rng.integers(max(1, case.steps // 10), case.steps, case.batch, endpoint=True)
            mean = round(lengths.mean())
            scale = case.batch * mean / lengths.sum()
            line = f"{kind.__name__:<5}{case.name:<17}"
            for threads in (1, 2):
                fr.set_num_threads(threads)
                pairs = zip(
                    passes(layer, x, lengths), passes(layer, x[:, :mean], None), strict=True
                )
                infer, train = (scale * ratio(ragged, dense) for ragged, dense in pairs)
                line += f"{infer:>11.2f}{train:>9.2f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
