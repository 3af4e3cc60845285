"""A call timed on one thread and in ways on two, in turns: a slow spell hits all alike."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Mapping

import fastrnn as fr

#: What holds a way of running on two threads while it is entered.
Ways = Mapping[str, Callable[[], contextlib.AbstractContextManager[object]]]


def pause_from_arguments(description: str) -> float:
    """Parse the command line; return the seconds to sleep before each call."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pause", type=float, default=0.0, help="milliseconds between calls")
    return float(parser.parse_args().pause) * 1e-3


def seconds(run: Callable[[], object], pause: float, at_least: float = 0.04) -> float:
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


def compare(
    run: Callable[[], object], ways: Ways, pause: float, rounds: int = 7
) -> tuple[float, dict[str, float]]:
    """Return the median time on one thread, and each way's median ratio to it on two."""
    alone: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        fr.set_num_threads(1)
        alone.append(seconds(run, pause))
        fr.set_num_threads(2)
        for name, way in ways.items():
            with way():
                ratios[name].append(alone[-1] / seconds(run, pause))
    return statistics.median(alone), {name: statistics.median(r) for name, r in ratios.items()}
