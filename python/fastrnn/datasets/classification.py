"""Labelled sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.datasets._files import read_arrays


@dataclass(frozen=True)
class ClassificationData:
    """Sequences of different lengths, each of one class.

    Attributes
    ----------
    train_x, test_x : list of ndarray, (T_n, F) float32
    train_y, test_y : ndarray of int64, (N,)
        Classes, 0..C-1.
    class_names : tuple of str
    """

    train_x: list[NDArray[np.float32]]
    train_y: NDArray[np.int64]
    test_x: list[NDArray[np.float32]]
    test_y: NDArray[np.int64]
    class_names: tuple[str, ...]


def japanese_vowels() -> ClassificationData:
    """Return Japanese Vowels: nine speakers to be told apart by one vowel sequence.

    270 utterances to train on (30 a speaker) and 370 to test on, each 7 to 29 steps of 12
    linear-prediction cepstrum coefficients, in the original order (Kudo, Toyama and Shimbo 1999,
    who reach 94.1 % on the test part). From the UCI archive, CC BY 4.0; see SOURCES.md.

    Returns
    -------
    ClassificationData
        Newly made arrays at every call.

    Examples
    --------
    >>> import fastrnn as fr
    >>> data = fr.datasets.japanese_vowels()
    >>> len(data.train_x), len(data.test_x), data.train_x[0].shape
    (270, 370, (20, 12))
    """
    arrays = read_arrays("japanese_vowels")
    speakers = int(arrays["train_y"].max()) + 1
    return ClassificationData(
        *_part(arrays, "train"),
        *_part(arrays, "test"),
        class_names=tuple(f"speaker {k + 1}" for k in range(speakers)),
    )


def _part(
    arrays: dict[str, NDArray[Any]], part: str
) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    ends = np.cumsum(arrays[f"{part}_lengths"], dtype=np.int64)
    sequences = [rows.copy() for rows in np.split(arrays[f"{part}_x"], ends[:-1])]
    return sequences, arrays[f"{part}_y"].astype(np.int64)
