"""The jobs: data, hyper-parameters, initial weights and goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrnn as fr
from bench.peers.jobs.problem_file import Arrays, Settings

EMBEDDING = 64  # numbers of a character
DAY = 24  # hours that a forecast tells


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes
    ----------
    title, score : str
        What is trained, and what its score is: of data that training has not seen.
    cell : str
        By default.
    seeds : tuple of int
        By default.
    settings : dict
        Those of `Settings` that are the job's own.
    steps : int
        Of the optimizer, by default; 0 where epochs tell.
    prepare : callable
        Of settings, steps and whether it has to be small; returns arrays and the fastrnn model.
    goals : dict
        By cell: how many times faster than PyTorch fastrnn has to be.
    """

    title: str
    score: str
    cell: str
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    steps: int
    prepare: Callable[[Settings, int, bool], tuple[Arrays, fr.Sequential]]
    goals: dict[str, float]


def recurrent(
    settings: Settings, inputs: int, rng: np.random.Generator, *, bidirectional: bool = False
) -> Any:
    """Return the job's recurrent layer in fastrnn."""
    kind: Any = {"lstm": fr.LSTM, "gru": fr.GRU, "rnn": fr.RNN}[settings.cell]
    return kind(inputs, settings.hidden_size, bidirectional=bidirectional, seed=rng)


def vowels(settings: Settings, steps: int, small: bool) -> tuple[Arrays, fr.Sequential]:
    """Return standardized utterances, end to end, and a bidirectional classifier."""
    data = fr.datasets.japanese_vowels()
    standardize = fr.Standardize.fit(data.train_x)
    arrays: dict[str, NDArray[Any]] = {}
    for part, sequences, classes in (
        ("train", data.train_x, data.train_y),
        ("test", data.test_x, data.test_y),
    ):
        if small:
            sequences, classes = sequences[::9], classes[::9]
        arrays[f"{part}_x"] = np.concatenate([standardize(x)[0] for x in sequences])
        arrays[f"{part}_lengths"] = np.array([len(x) for x in sequences])
        arrays[f"{part}_y"] = classes
    features = arrays["train_x"].shape[1]
    rng = np.random.default_rng(settings.seed)
    model = fr.Sequential(
        [
            recurrent(settings, features, rng, bidirectional=True),
            fr.Last(bidirectional=True),
            fr.Linear(2 * settings.hidden_size, len(data.class_names), seed=rng),
        ]
    )
    return arrays, model


def shakespeare(settings: Settings, steps: int, small: bool) -> tuple[Arrays, fr.Sequential]:
    """Return characters as tokens, 90 % and 5 % of the text, and a character model."""
    text = fr.datasets.shakespeare()
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    characters, tokens = np.unique(codes, return_inverse=True)
    first, second = int(0.9 * tokens.size), int(0.95 * tokens.size)
    used = settings.batch_size * settings.window * steps + 1
    if used > first:
        longest = (first - 1) // (settings.batch_size * settings.window)
        raise ValueError(f"steps: expected at most {longest}, one epoch, got {steps}")
    held_out = tokens[first : first + 20_000 if small else second]
    arrays = {"train": tokens[:used].astype(np.uint8), "validation": held_out.astype(np.uint8)}
    rng = np.random.default_rng(settings.seed)
    model = fr.Sequential(
        [
            fr.Embedding(characters.size, EMBEDDING, seed=rng),
            recurrent(settings, EMBEDDING, rng),
            fr.Linear(settings.hidden_size, characters.size, seed=rng),
        ]
    )
    return arrays, model


def temperature(settings: Settings, steps: int, small: bool) -> tuple[Arrays, fr.Sequential]:
    """Return standardized hours, the first 80 % for training, and a forecaster of a day."""
    values = fr.datasets.hourly_temperatures()["seattle"].values
    hours = int(0.8 * values.size)
    mean, scale = values[:hours].mean(), values[:hours].std()
    series = (values - mean) / scale
    if small:
        series, hours = series[: DAY + settings.window + 300], DAY + settings.window + 150
    arrays = {"train": series[:hours], "test": series[hours - settings.window :], "scale": scale}
    rng = np.random.default_rng(settings.seed)
    model = fr.Sequential(
        [
            recurrent(settings, 1, rng),
            fr.Last(),
            fr.Linear(settings.hidden_size, DAY, seed=rng),
        ]
    )
    return arrays, model


def _settings(**own: Any) -> dict[str, Any]:
    return own | {"clip_norm": 1.0}


JOBS = {
    "vowels": Job(
        "Japanese Vowels: bidirectional, 64 units a direction, final states of both into a linear "
        "layer; ragged, batches of 32, 40 epochs of 270 utterances, Adam 3e-3, clip 1",
        "test accuracy",
        "lstm",
        (0, 1, 2, 3, 4),
        _settings(hidden_size=64, batch_size=32, window=0, learning_rate=3e-3, epochs=40),
        0,
        vowels,
        {"lstm": 8.0},
    ),
    "shakespeare": Job(
        "Shakespeare, character by character: embedding 64, 256 units, linear layer; 32 streams, "
        "64 steps a batch, carried states, Adam 2e-3, clip 1",
        "bits per character of the validation part",
        "lstm",
        (0,),
        _settings(hidden_size=256, batch_size=32, window=64, learning_rate=2e-3, epochs=1),
        1500,
        shakespeare,
        {"lstm": 1.15, "gru": 1.7},
    ),
    "temperature": Job(
        "Seattle's hourly temperatures: 168 hours, 32 units, final state into a linear layer, the "
        "next 24 hours; batches of 64, 5 epochs of 6,816 windows, Adam 3e-3, clip 1",
        "root mean square error in degrees Fahrenheit",
        "gru",
        (0, 1, 2),
        _settings(hidden_size=32, batch_size=64, window=168, learning_rate=3e-3, epochs=5),
        0,
        temperature,
        {"gru": 4.0},
    ),
}  # fmt: skip
