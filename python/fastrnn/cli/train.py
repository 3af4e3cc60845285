"""``fastrnn train``: a recurrent net on data by name or on a file of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fastrnn.cli import arguments, bundled, classify, forecast, text
from fastrnn.cli.outcome import Outcome, show

_TASKS = {"classify": classify, "forecast": forecast, "text": text}

_EXAMPLES = """\
examples:
  fastrnn train japanese-vowels
  fastrnn train gestures.ts --cell gru --epochs 60 --output gestures.safetensors
  fastrnn train sales.csv --task forecast --target units --horizon 14 --quantiles 0.1,0.5,0.9
  fastrnn train diary.txt --max-seconds 600
  fastrnn train diary.txt --epochs 30 --checkpoint diary.checkpoint
  fastrnn train diary.txt --epochs 30 --resume diary.checkpoint
  mpiexec -n 2 fastrnn train japanese-vowels
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a recurrent net",
        description="Train a recurrent net, print how good it is on held-out data, save it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data",
        help=f"a name ({', '.join(bundled.BUNDLED)}) or a file (.csv, .npz, .npy, .ts, .txt)",
    )
    parser.add_argument("--task", choices=bundled.TASKS, help="default: what the file looks like")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the model; default: DATA.safetensors in this folder",
    )
    arguments.add_network(parser)
    arguments.add_training(parser)
    for task in _TASKS.values():
        task.add_arguments(parser)
    arguments.add_threads(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, show the result, save the model and the training curves."""
    task = bundled.task_of(options.data, options.task or _implied(options))
    _refuse_others(options, task)
    job = arguments.job_of(
        options, options.output or Path(f"{Path(options.data).stem}.safetensors")
    )
    outcome: Outcome = _TASKS[task].train(options, job)
    if job.first:
        show(outcome.result, outcome.lines, as_json=options.json)
    return 130 if outcome.interrupted else 0  # as a shell has it after Ctrl-C


def _implied(options: argparse.Namespace) -> str | None:
    """Return the task of a file whose columns were named."""
    if options.data in bundled.BUNDLED:
        return None
    if options.label is not None:
        return "classify"
    return None if options.target is None else "forecast"


def _refuse_others(options: argparse.Namespace, task: str) -> None:
    """Raise if an argument was given that the task does not have."""
    own = set(_TASKS[task].ARGUMENTS)
    for other, module in _TASKS.items():
        for name in module.ARGUMENTS:
            if name not in own and getattr(options, name) is not None:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag}: expected with --task {other}, got --task {task}")
