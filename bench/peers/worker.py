"""A process that runs one framework and times it when told to; otherwise it sleeps.

Frameworks keep thread pools that spin and memory pools that grow, so each has a process of its
own, held to the same processors as the others.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import statistics
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from bench.peers.frameworks import MODULES, Arrays, Unsupported
from bench.peers.points import Point
from bench.peers.problem import make_problem

#: Calls before results are compared; more than one shows whether a stream carries its state.
CHECK_CALLS = 3
WARM_UP_SECONDS = 2e-3  # for caches and clocks, and threads that slept
LONG_CALL_SECONDS = 0.05  # from here on a call needs no warm-up
BATCH_SECONDS = 5e-4  # calls timed together, so that reading the clock costs below 1 in 1000
QUIET_SECONDS = 0.02  # at least this long between turns
#: ONNX Runtime's threads spin for 50 ms after a call (measured); nobody may spin in other's turns.
LONGEST_SPIN_SECONDS = 2.0


def settle() -> None:
    """Wait until this process is idle: until no thread of a framework spins any more."""
    deadline = time.perf_counter() + LONGEST_SPIN_SECONDS
    while time.perf_counter() < deadline:
        before = time.process_time()
        time.sleep(QUIET_SECONDS)
        if time.process_time() - before < 0.05 * QUIET_SECONDS:
            return


def time_calls(run: Callable[[], Any], seconds: float) -> float:
    """Return the seconds of one call: the median over batches that fill about `seconds`."""
    clock = time.perf_counter

    def call(times: int) -> float:
        start = clock()
        for _ in range(times):
            run()
        return (clock() - start) / times

    start = clock()
    sample = call(1)
    samples = [sample] if sample > LONG_CALL_SECONDS else []
    while clock() < start + WARM_UP_SECONDS:
        sample = call(1)
    calls = max(1, round(BATCH_SECONDS / sample))
    end = (start if samples else clock()) + seconds
    while not samples or clock() + samples[-1] * calls / 2 < end:
        samples.append(call(calls))
    return statistics.median(samples)


class Server:
    """What the process answers: one method per request."""

    def __init__(self, framework: str, threads: int, processors: list[int]) -> None:
        # Before the framework is loaded: some count their processors once.
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, processors)
        self._module = importlib.import_module(f"bench.peers.frameworks.{MODULES[framework]}")
        self._module.set_num_threads(threads)
        self._run: Callable[[], Any] | None = None

    def version(self) -> str:
        """Return the framework's version."""
        return str(self._module.version())

    def prepare(self, point: Point) -> Arrays:
        """Build a point and return its results, to be compared."""
        self._run = None  # free the last one's memory first
        program = self._module.prepare(make_problem(point))
        for _ in range(CHECK_CALLS):
            result = program.run()
        arrays: Arrays = program.arrays(result)
        self._run = program.run
        settle()
        return arrays

    def time(self, seconds: float) -> float:
        """Return the seconds of one call of the point."""
        assert self._run is not None
        result = time_calls(self._run, seconds)
        settle()
        return result

    def release(self) -> None:
        """Forget the point."""
        self._run = None


def serve(
    pipe: Connection, framework: str, threads: int, processors: list[int]
) -> None:  # pragma: no cover - in the child process
    """Answer requests (method, arguments) with (status, value) until the pipe closes."""
    try:
        server = Server(framework, threads, processors)
    except ImportError as error:
        pipe.send(("absent", str(error)))
        return
    pipe.send(("done", server.version()))
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            method, arguments = pipe.recv()
            try:
                pipe.send(("done", getattr(server, method)(*arguments)))
            except Unsupported as error:
                pipe.send(("unsupported", str(error)))
            except Exception:
                pipe.send(("failed", traceback.format_exc()))
