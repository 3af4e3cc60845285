"""Programs that take turns: each runs for a slice of time while the others are stopped.

So a change of the machine's speed hits all alike, and the programs know nothing of it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

#: Long against what a cold cache costs at its begin; short against a machine's slow spells.
SLICE_SECONDS = 1.0


def report(mark: str, **values: Any) -> None:
    """Tell the parent that a program has come to some place, and values.

    Parameters
    ----------
    mark : str
    **values
        What JSON can hold.
    """
    print(json.dumps({"mark": mark, "cpu": time.process_time()} | values), flush=True)


class Program:
    """A Python module that runs as a program, only while it is let.

    Its time begins before Python starts.

    Parameters
    ----------
    arguments : sequence of str
        Of Python, such as ``["-m", module, path]``.
    processors : list of int
        Those that it may run on.
    variables : dict of str
        Beside those of this process's environment.

    Attributes
    ----------
    seconds : float
        That it ran.
    marks : dict of str to pair of float
        When it came to each place, in seconds that it ran, and in those of its processors.
    values : dict
        What it reported.
    """

    def __init__(
        self, arguments: Sequence[str], processors: list[int], variables: dict[str, str]
    ) -> None:
        self.seconds = 0.0
        self.marks: dict[str, tuple[float, float]] = {}
        self.values: dict[str, Any] = {}
        self._command = [sys.executable, *arguments]
        self._environment = os.environ | variables
        self._processors = processors
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._process is not None and self._process.returncode is not None

    def run(self, seconds: float) -> None:
        """Let it run for so long, or to its end.

        Raises
        ------
        RuntimeError
            If it failed.
        """
        begin = time.perf_counter()
        process = self._process
        if process is None:
            process = self._start()
        else:
            process.send_signal(signal.SIGCONT)
        if self._listen(process, begin, begin + seconds):
            if process.wait():
                command = " ".join(self._command[1:])
                raise RuntimeError(f"{command}: ended with exit code {process.returncode}")
        else:
            process.send_signal(signal.SIGSTOP)
        self.seconds += time.perf_counter() - begin

    def close(self) -> None:
        """End it, wherever it is."""
        if self._process is None:
            return
        if not self.done:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE
        )
        os.sched_setaffinity(self._process.pid, self._processors)
        return self._process

    def _listen(self, process: subprocess.Popen[bytes], begin: float, end: float) -> bool:
        """Read reports until some time; return whether there will be no more."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := end - time.perf_counter()) > 0:
                if not selector.select(left):
                    return False
                now = self.seconds + time.perf_counter() - begin
                found = os.read(process.stdout.fileno(), 65536)
                if not found:
                    return True
                *lines, self._pending = (self._pending + found).split(b"\n")
                for line in lines:
                    values = json.loads(line)
                    self.marks[values.pop("mark")] = now, values.pop("cpu")
                    self.values |= values
        return False


def in_turns(programs: Sequence[Program], seconds: float = SLICE_SECONDS) -> None:
    """Run programs to their ends, one at a time.

    Parameters
    ----------
    programs : sequence of Program
    seconds : float
        Of a slice.

    Raises
    ------
    RuntimeError
        If one failed.
    """
    try:
        while waiting := [program for program in programs if not program.done]:
            for program in waiting:
                program.run(seconds)
    finally:
        for program in programs:
            program.close()
