"""Splits into parts that anyone can make again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def split_by_hash(keys: Iterable[str], parts: int = 20) -> Split:
    """Split items by the SHA-256 of their names, 90 % train, 5 % validation and 5 % test.

    The digest of the key in UTF-8, read as a number with the most significant byte first, modulo
    `parts`: 0 is test, 1 is validation, anything else is train. So the part of an item follows from
    its key alone: items added or left out move no other, and equal keys are in the same part.

    Parameters
    ----------
    keys : iterable of str
        One for each item.
    parts : int, default 20
        At least 3.

    Returns
    -------
    Split

    Raises
    ------
    TypeError
        If a key is not a str.
    ValueError
        If `parts` is below 3.

    Examples
    --------
    >>> import fastrnn as fr
    >>> split = fr.datasets.split_by_hash(["a", "d", "s", "t", "d"])
    >>> split.train.tolist(), split.validation.tolist(), split.test.tolist()
    ([0], [2], [1, 3, 4])
    """
    if parts < 3:
        raise ValueError(f"parts: expected at least 3, got {parts}")
    found = np.array([_part(n, key, parts) for n, key in enumerate(keys)], np.int64)
    return Split(
        train=np.flatnonzero(found > 1),
        validation=np.flatnonzero(found == 1),
        test=np.flatnonzero(found == 0),
    )


def _part(position: int, key: str, parts: int) -> int:
    if not isinstance(key, str):
        raise TypeError(f"keys[{position}]: expected str, got {type(key).__name__}")
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest(), "big") % parts
