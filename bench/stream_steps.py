"""Microseconds of one step from Python, one row: `python bench/stream_steps.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import fastrnn as fr


def microseconds(run: Callable[[], object], rounds: int = 15, repeats: int = 1000) -> float:
    """Return the median time of one call."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        times.append((time.perf_counter() - start) / repeats * 1e6)
    return statistics.median(times)


def train(layer: fr.LSTM | fr.GRU, x: np.ndarray) -> None:
    """One step of training without an optimizer; y stands for its own gradient."""
    layer.zero_grad()
    y, _, tape = layer.forward(x)
    layer.backward(tape, y)


def main() -> None:
    """Print a table: a stream's step with and without ``out``; the layer called on one step.

    Also the call with the state carried, and training: zero_grad, forward, backward.
    """
    fr.set_num_threads(1)
    columns = ("step, out=", "step", "layer call", "with state", "training")
    print(f"{'layer':<6}{'I = H':>6}" + "".join(f"{name:>12}" for name in columns) + "   us")
    for kind in (fr.LSTM, fr.GRU):
        for size in (1, 16, 64, 256):
            layer = kind(size, size, seed=0)
            stream = fr.Stream(layer)
            x, out = np.zeros((1, size), np.float32), np.empty((1, size), np.float32)
            sequence = x[:, None]
            _, state = layer(sequence)
            print(
                f"{kind.__name__:<6}{size:>6}"
                f"{microseconds(lambda s=stream, x=x, out=out: s.step(x, out)):>12.2f}"
                f"{microseconds(lambda s=stream, x=x: s.step(x)):>12.2f}"
                f"{microseconds(lambda f=layer, x=sequence: f(x), repeats=200):>12.1f}"
                f"{microseconds(lambda f=layer, x=sequence, s=state: f(x, s), repeats=200):>12.1f}"
                f"{microseconds(lambda f=layer, x=sequence: train(f, x), repeats=200):>12.1f}"
            )


if __name__ == "__main__":
    main()
