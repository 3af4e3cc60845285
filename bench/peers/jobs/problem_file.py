"""The file that both libraries read: settings, data and initial weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Settings:
    """What both libraries are told.

    Attributes
    ----------
    job : str
        A key of `JOBS`.
    cell : {"lstm", "gru", "rnn"}
    hidden_size, batch_size : int
    window : int
        Steps of a batch; 0: whole sequences.
    learning_rate, clip_norm : float
        Of Adam, and of the gradients together.
    epochs : int
    seed : int
        Of initial weights and of the order of batches.
    threads : int
    """

    job: str
    cell: str
    hidden_size: int
    batch_size: int
    window: int
    learning_rate: float
    clip_norm: float
    epochs: int
    seed: int
    threads: int


def write(path: Path, settings: Settings, arrays: Arrays, weights: Iterable[NDArray[Any]]) -> None:
    """Write a job's settings, arrays and initial weights.

    Parameters
    ----------
    path : Path
        A .npz file.
    settings : Settings
    arrays : dict of ndarray
    weights : iterable of ndarray
        In the order of the model's parameters, in PyTorch's shapes.
    """
    named: dict[str, Any] = {f"weight:{i}": value for i, value in enumerate(weights)}
    np.savez(path, settings=json.dumps(asdict(settings)), **named | dict(arrays))


def read(path: str) -> tuple[Settings, dict[str, NDArray[Any]], list[NDArray[Any]]]:
    """Return settings, arrays and initial weights in the order of the model's parameters."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    settings = Settings(**json.loads(str(arrays.pop("settings"))))
    count = sum(name.startswith("weight:") for name in arrays)
    return settings, arrays, [arrays.pop(f"weight:{i}") for i in range(count)]
