"""``fastrnn info``: versions, the instruction set, threads."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fastrnn import configuration


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("info", help="print versions, the instruction set and threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print it."""
    if options.json:
        print(json.dumps(configuration.collect()))
    else:
        configuration.show_config()
    return 0
