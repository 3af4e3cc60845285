"""``fastrnn train``: a recurrent net on a bundled data set."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastrnn as fr
from fastrnn.cli.curves import save_curves
from fastrnn.models import CELLS, sequence_model
from fastrnn.protocol import Layer

_DATA = {"japanese-vowels": fr.datasets.japanese_vowels}


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("train", help="train a recurrent net on a bundled data set")
    parser.add_argument("data", choices=sorted(_DATA), help="the data set")
    parser.add_argument("--cell", choices=sorted(CELLS), default="lstm", help="default: lstm")
    parser.add_argument("--hidden-size", type=int, default=64, metavar="H", help="default: 64")
    parser.add_argument("--layers", type=int, default=1, metavar="L", help="default: 1")
    parser.add_argument("--epochs", type=int, default=40, metavar="E", help="default: 40")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument("--threads", type=int, metavar="K", help="default: see fastrnn info")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the model; default: DATA.safetensors"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, show the result, save the model and the training curves."""
    if options.threads is not None:
        fr.set_num_threads(options.threads)
    path = options.output or Path(f"{options.data}.safetensors")
    require_writable(path)
    picture_path = path.with_suffix(".png")
    data = _DATA[options.data]()
    model = sequence_model(
        data.train_x[0].shape[1],
        len(data.class_names),
        cell=options.cell,
        hidden_size=options.hidden_size,
        num_layers=options.layers,
        standardize=fr.Standardize.fit(data.train_x),
        seed=options.seed,
    )
    train = fr.data.Dataset(data.train_x, data.train_y)
    test = fr.data.Dataset(data.test_x, data.test_y)
    trainer = fr.Trainer(model, optimizer=fr.optim.Adam(3e-3), clip_norm=1.0)
    start = time.perf_counter()
    history = trainer.fit(
        train,
        test,
        epochs=options.epochs,
        seed=options.seed,
        progress=not options.json,
    )
    seconds = time.perf_counter() - start
    errors = class_errors(model, data)
    accuracy = trainer.evaluate(test).accuracy
    metadata = {
        "task": "classification",
        "class_names": json.dumps(list(data.class_names)),
        "features": str(data.train_x[0].shape[1]),
    }
    fr.save(model, path, metadata=metadata)
    title = f"{options.data}: bidirectional {options.cell}, {options.hidden_size} units"
    pictured = save_curves(history, picture_path, title)
    result = {
        "data": options.data,
        "cell": options.cell,
        "test_accuracy": accuracy,
        "train_seconds": round(seconds, 3),
        "epochs": len(history.epochs),
        "seed": options.seed,
        "parameters": model.parameter_vector.size,
        "class_errors": {name: wrong for name, (wrong, _) in errors.items()},
        "model": str(path),
        "picture": str(picture_path) if pictured else None,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{'class':<12}{'errors':>7}{'of':>6}")
    for name, (wrong, count) in errors.items():
        print(f"{name:<12}{wrong:>7}{count:>6}")
    print(f"test accuracy {accuracy:.4f} after {len(history.epochs)} epochs in {seconds:.2f} s")
    print(f"model: {path}" + (f", curves: {picture_path}" if pictured else ""))


def class_errors(model: Layer, data: fr.datasets.ClassificationData) -> dict[str, tuple[int, int]]:
    """Return for each class how many test rows were wrong, and of how many.

    Parameters
    ----------
    model : layer
    data : ClassificationData
    """
    outputs = np.asarray(fr.predict(model, data.test_x))
    wrong = outputs.argmax(axis=1) != data.test_y
    return {
        name: (int(wrong[data.test_y == k].sum()), int((data.test_y == k).sum()))
        for k, name in enumerate(data.class_names)
    }


def require_writable(path: Path) -> None:
    """Raise OSError unless a file can be written at `path`; before work that would be lost.

    Parameters
    ----------
    path : Path
    """
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(f"--output: expected a file, got the folder {path}")
    if not folder.is_dir():
        raise FileNotFoundError(f"--output: expected an existing folder, got {folder}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--output: expected a writable folder, got {folder}")
