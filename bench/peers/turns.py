"""Timing in turns: in each round every framework runs the point once, the others asleep.

So a change of the machine's speed hits all alike, and ratios within a round keep their meaning.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from bench.peers.comparison import Mismatch, compare
from bench.peers.frameworks import OWN, Arrays, Unsupported
from bench.peers.points import Point
from bench.peers.problem import row_lengths, valid_steps
from bench.peers.process import Absent, Process, WorkerError
from bench.peers.results import Measurement

REFERENCE = OWN[0]


def processors(threads: int) -> list[int]:
    """Return as many processors as there are threads, of those this process may run on.

    Raises
    ------
    ValueError
        If there are fewer.
    """
    if hasattr(os, "sched_getaffinity"):
        available = sorted(os.sched_getaffinity(0))
    else:
        available = list(range(os.cpu_count() or 1))
    if threads > len(available):
        raise ValueError(f"threads: expected 1..{len(available)} (processors), got {threads}")
    return available[:threads]


class Team:
    """The processes of one thread count.

    Parameters
    ----------
    frameworks : iterable of str
        Keys of `frameworks.MODULES`; those not installed are left out.
    threads : int
        For each of them.
    """

    def __init__(self, frameworks: Iterable[str], threads: int) -> None:
        self._threads = threads
        self._processors = processors(threads)
        self._members: dict[str, Process] = {}
        for framework in frameworks:
            try:
                self._members[framework] = self._start(framework)
            except Absent as absence:
                print(f"{framework}: left out: {absence}", file=sys.stderr)
        if REFERENCE not in self._members:
            raise RuntimeError("fastrnn cannot be imported: install it or set PYTHONPATH")
        self.versions = {name: member.version for name, member in self._members.items()}

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members.values():
            member.close()

    def _start(self, framework: str) -> Process:
        return Process(framework, self._threads, self._processors)

    def measure(self, point: Point, rounds: int, seconds: float) -> Measurement:
        """Compare all frameworks with fastrnn, then time those that agree.

        Parameters
        ----------
        point : Point
        rounds : int
            Turns of each framework.
        seconds : float
            For each framework, all its turns together; more where a call takes longer.

        Raises
        ------
        WorkerError
            If fastrnn itself fails.
        """
        measurement = Measurement(point, point.operations(valid_steps(point)))
        ready = self._prepare(point, measurement)
        for turn in range(rounds):
            # Another one begins each round, so that no one always follows the same.
            first = turn % len(ready)
            for member in ready[first:] + ready[:first]:
                try:
                    sample = member.ask("time", seconds / rounds)
                except WorkerError as error:
                    ready.remove(member)
                    _note_failure(measurement, member.framework, error)
                else:
                    measurement.seconds.setdefault(member.framework, []).append(sample)
        for member in ready:
            member.ask("release")
        measurement.load = os.getloadavg()[0]
        return measurement

    def _prepare(self, point: Point, measurement: Measurement) -> list[Process]:
        lengths = row_lengths(point.case) if point.layout == "ragged" else None
        expected: Arrays | None = None
        ready = []
        for framework, member in self._members.items():
            if not member.alive:
                self._members[framework] = member = self._start(framework)
            try:
                arrays = member.ask("prepare", point)
                if expected is None:  # fastrnn comes first
                    expected = arrays
                error = compare(arrays, expected, lengths, point.dtype)
            except Unsupported as reason:
                measurement.unsupported[framework] = str(reason)
                continue
            except (Mismatch, WorkerError) as reason:
                _note_failure(measurement, framework, reason)
                continue
            measurement.errors[framework] = error
            ready.append(member)
        return ready


def _note_failure(measurement: Measurement, framework: str, error: Exception) -> None:
    """Say that a framework is not timed at a point; raise where it is fastrnn."""
    if framework == REFERENCE:
        raise error
    print(f"{measurement.point.key}: {framework} is not timed: {error}", file=sys.stderr)
    measurement.failures[framework] = str(error)
    measurement.seconds.pop(framework, None)
