"""Two threads against one, dense batches: `python bench/two_threads.py [--pause MILLISECONDS]`.

A pause between calls shows what it costs when the library's threads have gone to sleep.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import fastrnn as fr

SIZES = (
    (1, 100, 32, 64),
    (1, 100, 128, 256),
    (2, 100, 128, 256),
    (8, 1000, 64, 128),
    (20, 35, 650, 650),
    (32, 100, 16, 64),
    (32, 100, 128, 128),
    (64, 50, 256, 256),
    (64, 25, 1024, 1024),
)


def seconds(run: Callable[[], object], pause: float, at_least: float = 0.05) -> float:
    """Return the median time of one call, of as many as take `at_least` seconds."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < at_least:
        if pause:
            time.sleep(pause)
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(run: Callable[[], object], pause: float, rounds: int = 7) -> tuple[float, float]:
    """Return the median time on one thread and the median of the ratio, in turns."""
    alone, ratios = [], []
    for _ in range(rounds):
        fr.set_num_threads(1)
        alone.append(seconds(run, pause))
        fr.set_num_threads(2)
        ratios.append(alone[-1] / seconds(run, pause))
    return statistics.median(alone), statistics.median(ratios)


def main() -> None:
    """Print GFLOP/s on one thread and what two threads make of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pause", type=float, default=0.0, help="milliseconds between calls")
    pause = parser.parse_args().pause * 1e-3
    print(
        f"{'':<5}{'N':>4}{'T':>6}{'I':>6}{'H':>6}{'inference':>12}{'x':>6}{'training':>11}{'x':>6}"
    )
    for kind, gates in ((fr.LSTM, 4), (fr.GRU, 3)):
        for batch, steps, inputs, hidden in SIZES:
            layer = kind(inputs, hidden, seed=0)
            shape = (batch, steps, inputs)
            x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

            def train(layer: fr.LSTM | fr.GRU = layer, x: np.ndarray = x) -> None:
                y, _, tape = layer.forward(x)
                layer.backward(tape, y)

            infer, gain = compare(lambda f=layer, x=x: f(x), pause)
            training, training_gain = compare(train, pause)
            flops = 2e-9 * batch * steps * gates * hidden * (inputs + hidden)
            print(
                f"{kind.__name__:<5}{batch:>4}{steps:>6}{inputs:>6}{hidden:>6}"
                f"{flops / infer:>12.0f}{gain:>6.2f}"
                f"{3 * flops / training:>11.0f}{training_gain:>6.2f}"
            )


if __name__ == "__main__":
    main()
