"""Reads the arguments, runs a command, turns errors into one line and exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastrnn.cli import generate, info, predict, train

_COMMANDS = (train, predict, generate, info)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


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
        Exit status: 0; 2 after an error, which is one line on standard error; 130 after Ctrl-C.
    """
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except SystemExit as stop:  # argparse: help and usage errors
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    except BrokenPipeError:  # the reader has gone, as `head` does
        sys.stderr.close()
        return 141
    except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, ImportError) as error:
        return _failed(str(error) or type(error).__name__)


def _failed(message: str, status: int = 2) -> int:
    line = " ".join(message.split())
    print(f"fastrnn: error: {line}", file=sys.stderr)
    return status
