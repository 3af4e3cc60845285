"""Two threads against one, dense batches: `python -m bench.two_threads [--pause MS]`.

A pause between calls shows what it costs when the library's threads have gone to sleep.
"""

from __future__ import annotations

import contextlib

import numpy as np

import fastrnn as fr
from bench.in_turns import compare, pause_from_arguments

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


def main() -> None:
    """Print GFLOP/s on one thread and what two threads make of it."""
    pause = pause_from_arguments(__doc__.splitlines()[0])
    ways = {"planned": contextlib.nullcontext}
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

            infer, gain = compare(lambda f=layer, x=x: f(x), ways, pause)
            training, training_gain = compare(train, ways, pause)
            flops = 2e-9 * batch * steps * gates * hidden * (inputs + hidden)
            print(
                f"{kind.__name__:<5}{batch:>4}{steps:>6}{inputs:>6}{hidden:>6}"
                f"{flops / infer:>12.0f}{gain['planned']:>6.2f}"
                f"{3 * flops / training:>11.0f}{training_gain['planned']:>6.2f}"
            )


if __name__ == "__main__":
    main()
