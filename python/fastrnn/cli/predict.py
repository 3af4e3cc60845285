"""``fastrnn predict``: what a saved model says about data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fastrnn.cli import arguments, classify, forecast
from fastrnn.cli.outcome import show
from fastrnn.serialization import load_with_metadata

_EXAMPLES = """\
examples:
  fastrnn predict japanese-vowels.safetensors japanese-vowels
  fastrnn predict gestures.safetensors new.npz --json
  fastrnn predict sales.safetensors this-week.csv
"""


_IS_TEXT = "fastrnn_char_lm"  # as CharLM.save marks its files


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="run a saved model on data",
        description="Print the class of each sequence, or the forecasts behind a series.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a file that fastrnn train has written")
    parser.add_argument(
        "data",
        nargs="?",
        help="for classes: japanese-vowels (its test part) or a file like those for training, "
        "with or without classes; an .npy, or a .csv with one sequence, a row per step. For "
        "forecasts: the observations that came after those in training; or nothing",
    )
    arguments.add_threads(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what the model says."""
    arguments.set_threads(options)
    model, metadata = load_with_metadata(options.model)
    if "fastrnn_forecaster" in metadata:
        result, lines = forecast.predict(options.model, metadata, options.data)
    elif metadata.get("task") == "classification":
        result, lines = classify.predict(options.model, model, metadata, options.data)
    else:
        raise ValueError(
            f"{options.model}: expected a classifier or a forecaster from fastrnn train, got "
            + ("a model of text: see fastrnn generate" if _IS_TEXT in metadata else "another model")
        )
    show(result, lines, as_json=options.json)
    return 0
