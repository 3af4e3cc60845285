"""The jobs in fastrnn: `python -m bench.peers.jobs.with_fastrnn FILE`, as `slices` starts it."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrnn as fr
from bench.peers.jobs.problem_file import Settings, read
from bench.peers.jobs.slices import report

CELLS: dict[str, Any] = {"lstm": fr.LSTM, "gru": fr.GRU, "rnn": fr.RNN}
Arrays = dict[str, NDArray[Any]]
Weights = list[NDArray[Any]]


def trainer_of(
    settings: Settings, layers: list[Any], weights: Weights, loss: str = "softmax_cross_entropy"
) -> fr.Trainer:
    """Return a trainer of these layers, which get the initial weights."""
    model = fr.Sequential(layers)
    for parameter, value in zip(model.parameters.values(), weights, strict=True):
        parameter[...] = value
    optimizer = fr.optim.Adam(settings.learning_rate)
    return fr.Trainer(model, loss, optimizer, clip_norm=settings.clip_norm)


def train(trainer: fr.Trainer, data: Any, settings: Settings) -> None:
    """Train, and say before and after that it is so."""
    report("ready")
    trainer.fit(
        data,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        progress=False,
    )
    report("trained")


def vowels(settings: Settings, arrays: Arrays, weights: Weights) -> float:
    """Classify utterances; return the accuracy."""
    parts = {}
    for part in ("train", "test"):
        ends = np.cumsum(arrays[f"{part}_lengths"])[:-1]
        parts[part] = fr.data.Dataset(np.split(arrays[f"{part}_x"], ends), arrays[f"{part}_y"])
    features, classes = arrays["train_x"].shape[1], int(arrays["train_y"].max()) + 1
    layers = [
        CELLS[settings.cell](features, settings.hidden_size, bidirectional=True),
        fr.Last(bidirectional=True),
        fr.Linear(2 * settings.hidden_size, classes),
    ]
    trainer = trainer_of(settings, layers, weights)
    train(trainer, parts["train"], settings)
    accuracy = trainer.evaluate(parts["test"]).accuracy
    assert accuracy is not None
    return accuracy


def shakespeare(settings: Settings, arrays: Arrays, weights: Weights) -> float:
    """Predict the next character; return the bits per character."""

    def streams(text: NDArray[Any]) -> fr.data.ParallelStreams:
        return fr.data.ParallelStreams(text[:-1], text[1:], settings.batch_size, settings.window)

    characters, embedding = weights[0].shape
    layers = [
        fr.Embedding(characters, embedding),
        CELLS[settings.cell](embedding, settings.hidden_size),
        fr.Linear(settings.hidden_size, characters),
    ]
    trainer = trainer_of(settings, layers, weights)
    train(trainer, streams(arrays["train"]), settings)
    return trainer.evaluate(streams(arrays["validation"])).loss / math.log(2)


def temperature(settings: Settings, arrays: Arrays, weights: Weights) -> float:
    """Predict a day's temperatures; return the root mean square error in degrees."""
    hours = weights[-1].size

    def windows(series: NDArray[Any]) -> fr.data.Dataset:
        rows = np.lib.stride_tricks.sliding_window_view(series, settings.window + hours)
        return fr.data.Dataset(rows[:, : settings.window, None], rows[:, settings.window :])

    layers = [
        CELLS[settings.cell](1, settings.hidden_size),
        fr.Last(),
        fr.Linear(settings.hidden_size, hours),
    ]
    trainer = trainer_of(settings, layers, weights, "mean_squared_error")
    train(trainer, windows(arrays["train"]), settings)
    error = trainer.evaluate(windows(arrays["test"])).loss
    return math.sqrt(error) * float(arrays["scale"])


JOBS = {"vowels": vowels, "shakespeare": shakespeare, "temperature": temperature}


def main(path: str) -> None:
    """Run the job in a file."""
    settings, arrays, weights = read(path)
    fr.set_num_threads(settings.threads)
    score = JOBS[settings.job](settings, arrays, weights)
    from bench.peers.frameworks.layer_call import version  # not part of what is timed

    report("scored", library=f"fastrnn {version()}", score=score)


if __name__ == "__main__":
    main(sys.argv[1])
