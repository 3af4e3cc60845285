"""Nanoseconds per number of a mask, ours and NumPy's: `python bench/masks.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastrnn as fr


def nanoseconds(run: Callable[[], np.ndarray], rounds: int = 31) -> float:
    """Return the median time of one call, per number of its array."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        array = run()
        times.append((time.perf_counter() - start) / array.size * 1e9)
    return statistics.median(times)


def numpy_mask(rng: np.random.Generator, shape: tuple[int, ...], scalar: Any) -> np.ndarray:
    """Return a mask (N, T, F) of NumPy's numbers."""
    return (rng.random(shape, dtype=scalar) >= 0.1) * scalar(1)


def main() -> None:
    """Print a table: masks.bernoulli, and random(...) >= p of a NumPy generator."""
    rng = np.random.default_rng(0)
    before = fr.get_num_threads()
    print(f"{'N x T x F':<16}{'dtype':<9}{'threads':>8}{'fastrnn':>9}{'NumPy':>9}   ns per number")
    for shape in ((32, 100, 128), (64, 50, 256), (32, 100, 6), (1, 1, 128)):
        for scalar in (np.float32, np.float64):
            for threads in sorted({1, before}):
                fr.set_num_threads(threads)
                ours = nanoseconds(partial(fr.masks.bernoulli, 1, 0, *shape, 0.9, dtype=scalar))
                numpy = nanoseconds(partial(numpy_mask, rng, shape, scalar))
                name = " x ".join(map(str, shape))
                print(f"{name:<16}{scalar.__name__:<9}{threads:>8}{ours:>9.2f}{numpy:>9.2f}")
    fr.set_num_threads(before)


if __name__ == "__main__":
    main()
