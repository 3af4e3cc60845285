"""``fastrnn predict``: what a saved model says about data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fastrnn.cli import arguments, classify, forecast
from fastrnn.serialization import load_with_metadata

_EXAMPLES = """\
examples:
  fastrnn predict japanese-vowels.safetensors japanese-vowels
  fastrnn predict gestures.safetensors new.npz --json
  fastrnn predict sales.safetensors this-week.csv
"""


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
        help="for classes: a bundled data set (its test part), .npz with x (N, T, F) and maybe "
        "lengths (N,), .npy (N, T, F) or (T, F), .ts, .csv with one sequence, a line per step; for "
        "forecasts: observations behind those in training, or nothing",
    )
    arguments.add_threads(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what the model says."""
    arguments.set_threads(options)
    model, metadata = load_with_metadata(options.model)
    if "fastrnn_forecaster" in metadata:
        result, lines = forecast.predict(options.model, options.data)
    elif metadata.get("task") == "classification":
        result, lines = classify.predict(model, metadata, options.data)
    else:
        raise ValueError(
            f"{options.model}: expected a classifier or a forecaster, got another model"
        )
    print(json.dumps(result) if options.json else "\n".join(lines))
    return 0
