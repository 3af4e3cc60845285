"""Training and prediction of classes of sequences."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrnn as fr
from fastrnn.cli import bundled
from fastrnn.cli.arguments import Job, given
from fastrnn.cli.outcome import Outcome, outcome
from fastrnn.files import LabelledSequences, read_inputs, read_labelled
from fastrnn.files.inputs import SUFFIXES
from fastrnn.models import sequence_model
from fastrnn.protocol import Layer

ARGUMENTS = ("label", "test")
_HELD_OUT = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only this task has."""
    group = parser.add_argument_group("classification")
    group.add_argument("--label", metavar="COLUMN", help="the column of classes in a .csv")
    group.add_argument(
        "--test", type=Path, metavar="FILE", help="held-out data; default: a fifth of the sequences"
    )


def train(options: argparse.Namespace, job: Job) -> Outcome:
    """Train a bidirectional net whose final states enter a linear layer.

    Parameters
    ----------
    options : Namespace
    job : Job
    """
    data = _data(options)
    model = classifier(data, options)
    settings = {"epochs": 40, "batch_size": 32} | given(
        options, epochs="epochs", batch_size="batch_size"
    )
    rate = 3e-3 if options.learning_rate is None else options.learning_rate
    trainer = fr.Trainer(
        model,
        optimizer=fr.optim.Adam(rate),
        clip_norm=1.0,
        callbacks=job.callbacks,
        communicator=job.communicator,
    )
    test = fr.data.Dataset(data.test_x, data.test_y)
    start = time.perf_counter()
    history = trainer.fit(
        fr.data.Dataset(data.train_x, data.train_y),
        test,
        seed=options.seed,
        progress=job.progress,
        resume=job.resume,
        **settings,
    )
    seconds = time.perf_counter() - start
    accuracy = trainer.evaluate(test).accuracy
    errors = class_errors(model, data)
    metadata = {
        "task": "classification",
        "class_names": json.dumps(list(data.class_names)),
        "features": str(data.train_x[0].shape[1]),
    }
    if job.first:
        fr.save(model, job.output, metadata=metadata)
    result = {
        "data": options.data,
        "task": "classify",
        "cell": options.cell or "lstm",
        "test_accuracy": accuracy,
        "train_seconds": round(seconds, 3),
        "seed": options.seed,
        "parameters": model.parameter_vector.size,
        "class_errors": {name: wrong for name, (wrong, _) in errors.items()},
    }
    width = max(12, *(len(name) + 1 for name in errors))
    lines = [f"{'class':<{width}}{'errors':>7}{'of':>6}"]
    lines += [f"{name:<{width}}{wrong:>7}{count:>6}" for name, (wrong, count) in errors.items()]
    lines.append(
        f"test accuracy {accuracy:.4f} after {len(history.epochs)} epochs in {seconds:.2f} s"
    )
    title = f"{options.data}: bidirectional {result['cell']}, {options.hidden_size or 64} units"
    return outcome(history, job, result, lines, title=title, loss="cross-entropy")


def classifier(data: fr.datasets.ClassificationData, options: argparse.Namespace) -> fr.Sequential:
    """Return a new network for these classes, inputs standardized by the training part.

    Parameters
    ----------
    data : ClassificationData
    options : Namespace
    """
    return sequence_model(
        data.train_x[0].shape[1],
        len(data.class_names),
        standardize=fr.Standardize.fit(data.train_x),
        seed=options.seed,
        **given(
            options, cell="cell", hidden_size="hidden_size", num_layers="layers", dropout="dropout"
        ),
    )


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


def predict(
    model: Layer, metadata: dict[str, str], data: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the class of each sequence and its probability, as JSON values and as lines.

    Parameters
    ----------
    model : layer
    metadata : dict
        Of the model's file.
    data : str
        A name or a path.
    """
    if data is None:
        raise ValueError("data: expected sequences to classify, got none")
    names = json.loads(metadata["class_names"])
    x, lengths = read_sequences(data, int(metadata["features"]), model.dtype)
    outputs = np.asarray(fr.predict(model, x, lengths), dtype=np.float64)
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    rows = [
        {"row": n, "class": names[k], "probability": round(float(probabilities[n, k]), 6)}
        for n, k in enumerate(probabilities.argmax(axis=1))
    ]
    lines = [f"{row['row']}\t{row['class']}\t{row['probability']:.4f}" for row in rows]
    return {"predictions": rows}, lines


def read_sequences(
    source: str, features: int, dtype: np.dtype[Any]
) -> tuple[Any, NDArray[np.int64] | None]:
    """Return sequences and lengths from data by name (its test part) or a file.

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
    if source in bundled.BUNDLED:
        bundled.task_of(source, "classify")
        return bundled.BUNDLED[source][1]().test_x, None
    if Path(source).suffix not in (*SUFFIXES, ".ts"):
        known = ", ".join([*sorted(bundled.BUNDLED), *SUFFIXES, ".ts"])
        raise ValueError(f"data: expected one of {known}, got {source}")
    if Path(source).suffix != ".ts":
        return read_inputs(source, features, dtype)
    sequences = read_labelled(source).sequences
    if sequences[0].shape[1] != features:
        raise ValueError(f"{source}: expected {features} features, got {sequences[0].shape[1]}")
    return [sequence.astype(dtype) for sequence in sequences], None


def _data(options: argparse.Namespace) -> fr.datasets.ClassificationData:
    """Return the parts to train and to test on, by name or from files."""
    if options.data in bundled.BUNDLED:
        found: fr.datasets.ClassificationData = bundled.BUNDLED[options.data][1]()
        return found
    train = read_labelled(options.data, label=options.label)
    if options.test is not None:
        test = read_labelled(options.test, label=options.label)
        if unknown := set(test.labels) - set(train.class_names):
            raise ValueError(
                f"{options.test}: expected the classes of {options.data}, got {min(unknown)}"
            )
        return _parts(options.data, train, train, test)
    rng = np.random.default_rng(options.seed)
    count = len(train.sequences)
    held_out = round(_HELD_OUT * count)
    if not 0 < held_out < count:
        raise ValueError(f"{options.data}: expected at least 3 sequences, got {count}")
    order = rng.permutation(count)
    parts = (np.sort(order[held_out:]), np.sort(order[:held_out]))
    return _parts(options.data, train, *(_some(train, rows) for rows in parts))


def _some(data: LabelledSequences, rows: NDArray[np.int64]) -> LabelledSequences:
    sequences = [data.sequences[n] for n in rows]
    labels = tuple(data.labels[n] for n in rows)
    return LabelledSequences(sequences, labels, data.class_names, data.feature_names)


def _parts(
    path: str, whole: LabelledSequences, train: LabelledSequences, test: LabelledSequences
) -> fr.datasets.ClassificationData:
    for data in (train, test):
        for n, sequence in enumerate(data.sequences):
            if np.isnan(sequence).any():
                raise ValueError(f"{path}: expected numbers without gaps, got one in sequence {n}")
    position = {name: k for k, name in enumerate(whole.class_names)}
    x, y = zip(
        *(
            (
                [sequence.astype(np.float32) for sequence in data.sequences],
                np.array([position[label] for label in data.labels], np.int64),
            )
            for data in (train, test)
        ),
        strict=True,
    )
    return fr.datasets.ClassificationData(x[0], y[0], x[1], y[1], tuple(whole.class_names))
