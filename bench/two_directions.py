"""Bidirectional layers on two threads against one: `python -m bench.two_directions [--pause MS]`.

Two threads share each direction, one direction after the other, or take one direction each. The
last columns, as planned, are what a call does by itself.
"""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np

import fastrnn as fr
from bench.in_turns import compare, pause_from_arguments
from fastrnn import ops

SIZES = (
    (8, 20, 12, 32),
    (32, 15, 12, 64),
    (32, 100, 16, 64),
    (1, 100, 128, 256),
    (8, 1000, 64, 128),
    (64, 50, 256, 256),
)


def forced(sides: bool) -> contextlib.AbstractContextManager[object]:
    """Run the directions side by side, or in turn, whatever the plan."""
    return mock.patch.object(ops.layer, "side_by_side", return_value=sides)


WAYS = {
    "in turn": lambda: forced(False),
    "side by side": lambda: forced(True),
    "as planned": contextlib.nullcontext,
}


def main() -> None:
    """Print times on one thread and what two threads make of them."""
    pause = pause_from_arguments(__doc__.splitlines()[0])
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
                    alone, ratios = compare(run, WAYS, pause)
                    line += f"{1e6 * alone:>15.0f}{ratios['in turn']:>9.2f}"
                    line += f"{ratios['side by side']:>7.2f}{ratios['as planned']:>9.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
