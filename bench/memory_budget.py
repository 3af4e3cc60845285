"""BPTT over a long sequence, by itself and under a memory budget: `python -m bench.memory_budget`.

Each measurement is a process of its own. Memory is the peak resident size (getrusage) less that of
a process with the same layer and the same arrays x, y, dy and dx, all written to: what the pass
itself takes. Time is that of a forward and backward pass, the median of those after the first.
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

STEPS_OF_TRAINING = 4


def peak_resident_bytes() -> int:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one way of `arguments` in this process."""
    import numpy as np

    import fastrnn as fr

    fr.set_num_threads(arguments.threads)
    hidden, steps = arguments.hidden_size, arguments.steps
    layer: Any = fr.LSTM(arguments.input_size, hidden, seed=0)
    plain = layer.training_bytes(1, steps)
    if arguments.way == "budget":
        budget = int(plain * arguments.share)
        layer = fr.Checkpointed(layer, memory_budget=budget)
    x = np.random.default_rng(0).standard_normal((1, steps, arguments.input_size), np.float32)
    dy = np.ones((1, steps, hidden), np.float32)
    found: dict[str, Any] = {"tape": plain}
    if arguments.way == "arrays":
        y, dx = np.ones_like(dy), np.ones_like(x)
        found["peak"] = peak_resident_bytes()
    else:
        y = dx = None
        seconds = []
        for _ in range(STEPS_OF_TRAINING):
            del y, dx
            start = time.perf_counter()
            y, _, tape = layer.forward(x)
            dx, _ = layer.backward(tape, dy)
            seconds.append(time.perf_counter() - start)
        found["peak"] = peak_resident_bytes()
        found["first"], found["later"] = seconds[0], statistics.median(seconds[1:])
        found["answer"] = hashlib.sha256(y.tobytes() + dx.tobytes()).hexdigest()
        found["segments"] = len(layer.segments(1, steps)) if arguments.way == "budget" else 1
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments)))
        return
    rounds = [
        {way: run(way, arguments) for way in ("arrays", "plain", "budget")}
        for _ in range(arguments.rounds)
    ]
    answers = {found[way]["answer"] for found in rounds for way in ("plain", "budget")}
    assert len(answers) == 1, "y or dx differ"
    print(
        f"LSTM, N 1, T {arguments.steps}, I {arguments.input_size}, H {arguments.hidden_size}, "
        f"threads {arguments.threads}; y and dx are the same bits"
    )
    print(f"{'':<26}{'segments':>9}{'later s':>9}{'first s':>9}{'MB':>8}")
    memory: dict[str, float] = {}
    for way in ("plain", "budget"):
        found = [results[way] for results in rounds]
        memory[way] = statistics.median(
            results[way]["peak"] - results["arrays"]["peak"] for results in rounds
        )
        later, first = (statistics.median(f[key] for f in found) for key in ("later", "first"))
        name = way
        if way == "budget":
            name = f"budget {1e-6 * arguments.share * found[0]['tape']:.1f} MB"
        line = f"{name:<26}{found[0]['segments']:>9}{later:>9.2f}{first:>9.2f}"
        print(f"{line}{1e-6 * memory[way]:>8.1f}")
    ratio = {
        key: statistics.median(r["budget"][key] / r["plain"][key] for r in rounds)
        for key in ("later", "first")
    }
    share = memory["budget"] / memory["plain"]
    print(f"{'budget / plain':<35}{ratio['later']:>9.2f}{ratio['first']:>9.2f}{share:>8.3f}")


if __name__ == "__main__":
    main()
