"""``fastrnn info``: versions, the instruction set, threads."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import numpy as np

from fastrnn import _isa, get_num_threads, ops


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("info", help="print versions, the instruction set and threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def collect() -> dict[str, Any]:
    """Return what the command prints."""
    build = ops.build_info()
    return {
        "fastrnn": build["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction_set": build["instruction_set"],
        "available_instruction_sets": list(_isa.available()),
        "float32_lanes": build["float32_lanes"],
        "float64_lanes": build["float64_lanes"],
        "fused_multiply_add": build["fused_multiply_add"],
        "compiler": build["compiler"],
        "eigen": build["eigen"],
        "threads": get_num_threads(),
    }


def run(options: argparse.Namespace) -> None:
    """Print it."""
    shown = collect()
    if options.json:
        print(json.dumps(shown))
        return
    for name, value in shown.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<28}{text}")
