"""Reads the arguments, runs a command, turns errors into one line and exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastrnn.cli import info, predict, train

_COMMANDS = (train, predict, info)


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
        Exit status: 0, or 2 after an error, which is one line on standard error.
    """
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except SystemExit as stop:  # argparse: help and usage errors
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _failed("interrupted")
    except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, ImportError) as error:
        return _failed(str(error) or type(error).__name__)
    return 0


def _failed(message: str) -> int:
    line = " ".join(message.split())
    print(f"fastrnn: error: {line}", file=sys.stderr)
    return 2
