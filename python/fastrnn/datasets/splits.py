"""Splits into parts that anyone can make again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PARTS = 20


@dataclass(frozen=True)
class Split:
    """Which items are in which part.

    Attributes
    ----------
    train, validation, test : ndarray of int64, (K,)
        Positions, increasing.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_by_hash(keys: Iterable[str]) -> Split:
    """Split items by the SHA-256 of their names: about 90 % train, 5 % validation, 5 % test.

    The digest of the key in UTF-8, read as a number with the most significant byte first, modulo
    20: 0 is test, 1 is validation, anything else is train. So the part of an item follows from
    its key alone: items added or left out move no other, and equal keys are in the same part.

    Parameters
    ----------
    keys : iterable of str
        One for each item.

    Returns
    -------
    Split

    Raises
    ------
    TypeError
        If a key is not a str.

    Examples
    --------
    >>> import fastrnn as fr
    >>> split = fr.datasets.split_by_hash(["a", "d", "s", "t", "d"])
    >>> split.train.tolist(), split.validation.tolist(), split.test.tolist()
    ([0], [2], [1, 3, 4])
    """
    parts = np.array([_part(position, key) for position, key in enumerate(keys)], np.int64)
    return Split(
        train=np.flatnonzero(parts > 1),
        validation=np.flatnonzero(parts == 1),
        test=np.flatnonzero(parts == 0),
    )


def _part(position: int, key: str) -> int:
    if not isinstance(key, str):
        raise TypeError(f"keys[{position}]: expected str, got {type(key).__name__}")
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest(), "big") % _PARTS
