"""Reads the arguments, runs a command, turns errors into one line and exit status 2."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from fastrnn.cli import generate, info, predict, train
from fastrnn.parallel import communicator_of_job

_COMMANDS = (train, predict, generate, info)


class _UsageError(Exception):
    """Arguments that cannot be understood; the whole line."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)  # a new option would break scripts

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{self.prog}: error: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastrnn", description="Recurrent networks for CPUs.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str or None
        None takes those of the process.

    Returns
    -------
    int
        Exit status: 0; 2 after an error, which is one line on standard error; 130 after Ctrl-C;
        141 if nobody reads the output any more. In an MPI job an error ends all processes.
    """
    try:
        status = _run(arguments)
        _flush()
    except KeyboardInterrupt:
        return _failed("fastrnn: error: interrupted", 130)
    except BrokenPipeError:  # the reader has gone, as `head` does
        _drop_output()
        return 141
    except _UsageError as error:
        return _failed(str(error))
    except (
        OSError, ValueError, TypeError, RuntimeError, ArithmeticError, ImportError, MemoryError,
    ) as error:  # fmt: skip
        return _failed(f"fastrnn: error: {str(error) or type(error).__name__}")
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:  # argparse: after --help
        return int(stop.code or 0)
    return int(options.run(options))


def _failed(message: str, status: int = 2) -> int:
    """Print one line; in a job of several processes, end them all."""
    line = " ".join(message.split())
    try:
        _flush()
    except OSError:
        _drop_output()
    communicator = None
    with contextlib.suppress(ImportError):
        communicator = communicator_of_job()
    if communicator is None:
        print(line, file=sys.stderr)
    else:
        if communicator.rank:
            time.sleep(1)  # what fails in all processes is said by the first
        communicator.abort(line)
    return status


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _drop_output() -> None:
    """Send what is not written yet nowhere: Python would fail over it once more at its end."""
    with contextlib.suppress(OSError):  # of an output that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
