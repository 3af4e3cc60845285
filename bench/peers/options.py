"""The command line of `python -m bench.peers`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cases import CASES
from bench.peers.frameworks import PEERS
from bench.peers.points import CELLS, DTYPES, LAYOUTS, MODES

CASES_BY_NAME = {case.name: case for case in CASES}
#: Few and small: a test of the program, not of speed.
QUICK = {
    "points": ["stream16", "seq1_h64", "sensor"],
    "threads": [1],
    "dtypes": ["float32"],
    "rounds": 3,
    "seconds": 0.03,
}


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0, got {value}")
    return value


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options: of those not given, the defaults of the whole grid or of `--quick`."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description="Time fastrnn and other frameworks in turns over a grid of sizes.",
        epilog="Restrict the processors with taskset; one process per framework runs on as many of "
        "them as threads are measured.",
    )

    def some(name: str, choices: list[str], text: str) -> None:
        parser.add_argument(name, nargs="+", choices=choices, metavar="NAME", help=text)

    some("--cells", list(CELLS), f"default: {' '.join(CELLS)}")
    some("--points", list(CASES_BY_NAME), f"sizes; default: {' '.join(CASES_BY_NAME)}")
    some("--modes", list(MODES), f"default: {' '.join(MODES)}")
    some("--layouts", list(LAYOUTS), f"default: {' '.join(LAYOUTS)}; a single row is dense only")
    parser.add_argument("--threads", nargs="+", type=_positive, help="default: 1 2")
    some("--dtypes", list(DTYPES), f"default: {' '.join(DTYPES)}")
    some("--peers", list(PEERS), f"default: {' '.join(PEERS)}, those that are installed")
    parser.add_argument("--rounds", type=_positive, help="turns of each framework; default: 11")
    parser.add_argument(
        "--seconds", type=_seconds, help="per point and framework, over all rounds; default: 1"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/peers"), metavar="DIR", help="default: build/peers"
    )
    parser.add_argument("--quick", action="store_true", help="few small points: does it work?")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run stopped")
    options = parser.parse_args(arguments)
    defaults = {
        "cells": list(CELLS),
        "points": list(CASES_BY_NAME),
        "modes": list(MODES),
        "layouts": list(LAYOUTS),
        "threads": [1, 2],
        "dtypes": list(DTYPES),
        "peers": list(PEERS),
        "rounds": 11,
        "seconds": 1.0,
    } | (QUICK if options.quick else {})
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options
