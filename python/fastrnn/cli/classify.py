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
from fastrnn.files import LabelledSequences, read_arrays, read_inputs, read_labelled
from fastrnn.files.inputs import SUFFIXES, require_complete
from fastrnn.models import sequence_model
from fastrnn.protocol import Layer

ARGUMENTS = ("label", "test")
#: Those of `RNNClassifier`.
DEFAULTS: dict[str, Any] = {"epochs": 100, "batch_size": 32, "learning_rate": 3e-3}
_HELD_OUT = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only this task has."""
    group = parser.add_argument_group("classification")
    group.add_argument("--label", metavar="COLUMN", help="the column of classes in a .csv")
    group.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="held-out data; default: test_x and test_y of an .npz that has them, else a fifth of "
        "the sequences",
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
    epochs = bundled.EPOCHS.get(options.data, DEFAULTS["epochs"])
    settings = DEFAULTS | {"epochs": epochs} | given(options, **{name: name for name in DEFAULTS})
    rate = settings.pop("learning_rate")
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
    } | given(options, label="label")
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
    path: Path, model: Layer, metadata: dict[str, str], data: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the class of each sequence and its probability, as JSON values and as lines.

    Parameters
    ----------
    path : Path
        Of the model's file.
    model : layer
    metadata : dict
        Of the model's file.
    data : str or None
        A name or a path.
    """
    if data is None:
        raise ValueError("data: expected sequences to classify, got none")
    try:
        names, features = json.loads(metadata["class_names"]), int(metadata["features"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: expected a classifier from fastrnn train") from error
    x, lengths = read_sequences(data, features, model.dtype, metadata.get("label"))
    probabilities = fr.losses.softmax(fr.predict(model, x, lengths))
    rows = [
        {"row": n, "class": names[k], "probability": round(float(probabilities[n, k]), 6)}
        for n, k in enumerate(probabilities.argmax(axis=1))
    ]
    lines = [f"{row['row']}\t{row['class']}\t{row['probability']:.4f}" for row in rows]
    return {"predictions": rows}, lines


def read_sequences(
    source: str, features: int, dtype: np.dtype[Any], label: str | None = None
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
    label : str or None, default None
        The column with the class of a .csv.

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
    if Path(source).suffix.lower() not in SUFFIXES:
        known = [name for name, (task, _) in bundled.BUNDLED.items() if task == "classify"]
        raise ValueError(f"data: expected one of {', '.join([*known, *SUFFIXES])}, got {source}")
    return read_inputs(source, features, dtype, label=label)


def _data(options: argparse.Namespace) -> fr.datasets.ClassificationData:
    """Return the parts to train and to test on, by name or from files."""
    if options.data in bundled.BUNDLED:
        for argument, value in given(options, label="label", test="test").items():
            raise ValueError(f"--{argument}: expected none for {options.data}, got {value}")
        found: fr.datasets.ClassificationData = bundled.BUNDLED[options.data][1]()
        return found
    train = read_labelled(options.data, label=options.label)
    test_path = Path(options.test or options.data)
    if options.test is not None or _has_test_part(test_path):
        test = read_labelled(
            test_path,
            label=options.label if test_path.suffix.lower() == ".csv" else None,
            part="test" if _has_test_part(test_path) else None,
        )
        return _parts(train.class_names, (options.data, train), (test_path, test))
    rng = fr.initializers.generator(options.seed)
    count = len(train.sequences)
    held_out = round(_HELD_OUT * count)
    if not 0 < held_out < count:
        raise ValueError(f"{options.data}: expected at least 3 sequences, got {count}")
    order = rng.permutation(count)
    parts = (np.sort(order[held_out:]), np.sort(order[:held_out]))
    return _parts(train.class_names, *((options.data, _some(train, rows)) for rows in parts))


def _has_test_part(path: str | Path) -> bool:
    """Return whether a file holds arrays of both parts, ``train_x`` and ``test_x``."""
    if Path(path).suffix.lower() != ".npz":
        return False
    names = read_arrays(path).keys()
    return "test_x" in names and "x" not in names


def _some(data: LabelledSequences, rows: NDArray[np.int64]) -> LabelledSequences:
    sequences = [data.sequences[n] for n in rows]
    labels = tuple(data.labels[n] for n in rows)
    return LabelledSequences(sequences, labels, data.class_names, data.feature_names)


def _parts(
    names: tuple[str, ...], *parts: tuple[str | Path, LabelledSequences]
) -> fr.datasets.ClassificationData:
    """Return the parts to train and to test on, each with the file it is from."""
    features = parts[0][1].sequences[0].shape[1]
    position = {name: k for k, name in enumerate(names)}
    x: list[list[NDArray[np.float32]]] = []
    y: list[NDArray[np.int64]] = []
    for path, part in parts:
        if unknown := set(part.labels) - set(names):
            raise ValueError(f"{path}: expected the classes in training, got {min(unknown)}")
        if part.sequences[0].shape[1] != features:
            raise ValueError(
                f"{path}: expected {features} features as in training, got "
                f"{part.sequences[0].shape[1]}"
            )
        require_complete(path, part.sequences)
        x.append([sequence.astype(np.float32) for sequence in part.sequences])
        y.append(np.array([position[label] for label in part.labels], np.int64))
    return fr.datasets.ClassificationData(x[0], y[0], x[1], y[1], tuple(names))
