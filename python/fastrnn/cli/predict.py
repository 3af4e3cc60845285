"""``fastrnn predict``: what a saved model says about data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrnn as fr
from fastrnn.cli.train import _DATA
from fastrnn.files.inputs import SUFFIXES, read_inputs
from fastrnn.serialization import load_with_metadata


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("predict", help="run a saved model on data")
    parser.add_argument("model", type=Path, help="a file that fastrnn train has written")
    parser.add_argument(
        "data",
        help="a bundled data set (its test part); .npz with x (N, T, F) and maybe lengths (N,); "
        ".npy (N, T, F) or (T, F); .csv with one sequence, a line per step",
    )
    parser.add_argument("--threads", type=int, metavar="K", help="default: see fastrnn info")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the class of each sequence and its probability."""
    if options.threads is not None:
        fr.set_num_threads(options.threads)
    model, metadata = load_with_metadata(options.model)
    if metadata.get("task") != "classification":
        raise ValueError(f"{options.model}: expected a classifier, got another model")
    names = json.loads(metadata["class_names"])
    x, lengths = read_sequences(options.data, int(metadata["features"]), model.dtype)
    outputs = np.asarray(fr.predict(model, x, lengths), dtype=np.float64)
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    best = probabilities.argmax(axis=1)
    rows = [
        {"row": n, "class": names[k], "probability": round(float(probabilities[n, k]), 6)}
        for n, k in enumerate(best)
    ]
    if options.json:
        print(json.dumps({"predictions": rows}))
        return
    for row in rows:
        print(f"{row['row']}\t{row['class']}\t{row['probability']:.4f}")


def read_sequences(
    source: str, features: int, dtype: np.dtype[Any]
) -> tuple[Any, NDArray[np.int64] | None]:
    """Return sequences and lengths from a bundled data set or a file.

    Parameters
    ----------
    source : str
        Name or path.
    features : int
        F, which each step must have.
    dtype : dtype
        Of the model; files are converted to it.

    Returns
    -------
    x : ndarray (N, T, F) or list of arrays (T_n, F)
    lengths : ndarray of int64, (N,), or None

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else.
    """
    if source in _DATA:
        return _DATA[source]().test_x, None
    if Path(source).suffix not in SUFFIXES:
        known = ", ".join([*sorted(_DATA), *SUFFIXES])
        raise ValueError(f"data: expected one of {known}, got {source}")
    return read_inputs(source, features, dtype)
