"""The parent's side of a worker."""

from __future__ import annotations

import multiprocessing
from typing import Any

from bench.peers.frameworks import Unsupported
from bench.peers.worker import serve


class Absent(Exception):  # noqa: N818 - an answer, not an error
    """The framework is not installed."""


class WorkerError(Exception):
    """The framework raised, or its process ended."""


class Process:
    """One framework in a process of its own, blocked on its pipe unless a request runs.

    Parameters
    ----------
    framework : str
        A key of `frameworks.MODULES`.
    threads : int
        For the framework.
    processors : list of int
        Those the process may run on.

    Raises
    ------
    Absent
        If the framework is not installed.
    """

    def __init__(self, framework: str, threads: int, processors: list[int]) -> None:
        self.framework = framework
        # A fork would share the parent's libraries and their threads' locks.
        context = multiprocessing.get_context("spawn")
        self._pipe, remote = context.Pipe()
        self._process = context.Process(
            target=serve, args=(remote, framework, threads, processors), daemon=True
        )
        self._process.start()
        remote.close()  # so that the end of the process is the end of the pipe
        self.version: str = self._answer()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the worker's `Server` and wait for what it returns.

        Raises
        ------
        Unsupported
            If the framework has no such thing.
        WorkerError
            If the framework raised, or its process ended.
        """
        try:
            self._pipe.send((method, arguments))
        except BrokenPipeError:
            raise WorkerError(self._end()) from None
        return self._answer()

    def _answer(self) -> Any:
        try:
            status, value = self._pipe.recv()
        except EOFError:
            raise WorkerError(self._end()) from None
        if status == "absent":
            raise Absent(value)
        if status == "unsupported":
            raise Unsupported(value)
        if status == "failed":
            raise WorkerError(value)
        return value

    def _end(self) -> str:
        self._process.join(timeout=5)
        return f"{self.framework}: its process ended with exit code {self._process.exitcode}"

    @property
    def alive(self) -> bool:
        """Whether the process can still be asked."""
        return self._process.is_alive()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
