"""BPTT over a long sequence, by itself and under a memory budget: `python -m bench.memory_budget`.

Memory is the peak resident size (getrusage) of a process that runs two forward and backward passes,
less that of one with the same layer and the same arrays x, y, dy and dx, all written to: what a
pass itself takes. Time is that of a forward and backward pass after the first, both ways in turns
in one more process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any


def peak_resident_bytes() -> int:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one way of `arguments`, or both in turns, in this process."""
    import numpy as np

    import fastrnn as fr

    fr.set_num_threads(arguments.threads)
    hidden, steps = arguments.hidden_size, arguments.steps

    def layer_of(way: str) -> Any:
        layer = fr.LSTM(arguments.input_size, hidden, seed=0)
        budget = int(layer.training_bytes(1, steps) * arguments.share)
        return fr.Checkpointed(layer, memory_budget=budget) if way == "budget" else layer

    x = np.random.default_rng(0).standard_normal((1, steps, arguments.input_size), np.float32)
    dy = np.ones((1, steps, hidden), np.float32)

    def train(layer: Any) -> tuple[float, np.ndarray, np.ndarray]:
        start = time.perf_counter()
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, dy)
        return time.perf_counter() - start, y, dx

    if arguments.way == "turns":
        layers = {way: layer_of(way) for way in ("plain", "budget")}
        times: dict[str, list[float]] = {way: [] for way in layers}
        for _ in range(arguments.rounds + 1):
            for way, layer in layers.items():
                times[way].append(train(layer)[0])
        return {way: seconds[1:] for way, seconds in times.items()}
    layer = layer_of(arguments.way)
    if arguments.way == "arrays":
        y, dx = np.ones_like(dy), np.ones_like(x)
        return {"peak": peak_resident_bytes()}
    first, y, dx = train(layer)
    del y, dx
    _, y, dx = train(layer)
    found: dict[str, Any] = {"first": first, "peak": peak_resident_bytes()}
    found["answer"] = [hashlib.sha256(a).hexdigest() for a in (y, dx, layer.gradient_vector)]
    found["segments"] = len(layer.segments(1, steps)) if arguments.way == "budget" else 1
    found["whole"] = layer_of("plain").training_bytes(1, steps)
    return found


def run(way: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one way in a new process."""
    options = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in (vars(arguments) | {"way": way}).items()
    ]
    command = [sys.executable, "-m", "bench.memory_budget", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print time and memory of both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000, help="T")
    parser.add_argument("--input-size", type=int, default=128)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--share", type=float, default=1 / 16, help="of what plain BPTT takes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--way", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments)))
        return
    found = {way: run(way, arguments) for way in ("arrays", "plain", "budget")}
    assert found["plain"]["answer"] == found["budget"]["answer"], "y, dx or gradients differ"
    times = run("turns", arguments)
    print(
        f"LSTM, N 1, T {arguments.steps}, I {arguments.input_size}, H {arguments.hidden_size}, "
        f"threads {arguments.threads}; y, dx and all gradients are the same bits"
    )
    print(f"{'':<20}{'segments':>9}{'s':>9}{'first s':>9}{'MB':>9}")
    memory = {way: found[way]["peak"] - found["arrays"]["peak"] for way in ("plain", "budget")}
    budget = 1e-6 * arguments.share * found["plain"]["whole"]
    for way, name in (("plain", "plain"), ("budget", f"budget {budget:.1f} MB")):
        seconds, first = statistics.median(times[way]), found[way]["first"]
        line = f"{name:<20}{found[way]['segments']:>9}{seconds:>9.2f}{first:>9.2f}"
        print(f"{line}{1e-6 * memory[way]:>9.1f}")
    pairs = zip(times["budget"], times["plain"], strict=True)
    ratio = statistics.median(budget / plain for budget, plain in pairs)
    first_ratio = found["budget"]["first"] / found["plain"]["first"]
    share = memory["budget"] / memory["plain"]
    print(f"{'budget / plain':<29}{ratio:>9.2f}{first_ratio:>9.2f}{share:>9.3f}")


if __name__ == "__main__":
    main()
