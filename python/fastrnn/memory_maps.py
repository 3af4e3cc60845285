"""Arrays that stay in a file and are read where they are needed, not as a whole."""

from __future__ import annotations

import math
import mmap
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bytes that a checksum reads of an array, in so many stretches: files are read by pages.
_SAMPLE = 4_000_000
_STRETCHES = 16


def is_mapped(array: Any) -> bool:
    """Return whether an array is, or is a view of, a memory-mapped file.

    Parameters
    ----------
    array : ndarray of any shape, or MappedRows
    """
    while array is not None:
        if isinstance(array, (np.memmap, mmap.mmap, MappedRows)):
            return True
        array = array.obj if isinstance(array, memoryview) else getattr(array, "base", None)
    return False


def checksum(*arrays: Any) -> int:
    """Return a CRC-32 of arrays: of all of small ones, of rows throughout large ones.

    Parameters
    ----------
    *arrays : ndarray (N, ...), or MappedRows, or None
    """
    found = 0
    for array in arrays:
        if array is None:
            continue
        rows = sampled(len(array), array.dtype.itemsize * math.prod(array.shape[1:]))
        found = zlib.crc32(np.ascontiguousarray(array[rows]).data.cast("B"), found)
    return found


def sampled(count: int, row_bytes: int) -> NDArray[np.intp]:
    """Return indices of rows that take a few megabytes at most: all, or stretches of neighbours.

    Parameters
    ----------
    count : int
        Of rows.
    row_bytes : int
    """
    most = max(_SAMPLE // max(row_bytes, 1), 1)
    if count <= most:
        return np.arange(count)
    stretches = min(_STRETCHES, most)
    length = most // stretches
    begins = np.linspace(0, count - length, stretches).astype(np.intp)
    return np.asarray((begins[:, None] + np.arange(length)).ravel(), np.intp)


class MappedRows:
    """Some rows of a memory-mapped array, read when they are indexed.

    Parameters
    ----------
    source : ndarray, (N, ...)
    indices : ndarray of int, (n,)
        The rows that this one consists of.
    """

    def __init__(self, source: NDArray[Any], indices: NDArray[np.intp]) -> None:
        self.source = source
        self.indices = indices
        self.shape = (len(indices), *source.shape[1:])
        self.dtype = source.dtype

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        rows, *others = key if isinstance(key, tuple) else (key,)
        found: NDArray[Any] = self.source[(self.indices[rows], *others)]
        return found


def selected(array: Any, rows: NDArray[np.intp]) -> Any:
    """Return rows of an array: a copy, or `MappedRows` of one that is in a file.

    Parameters
    ----------
    array : ndarray (N, ...), or MappedRows, or what selects rows by itself
    rows : ndarray of int, (n,)
    """
    if isinstance(array, MappedRows):
        return MappedRows(array.source, array.indices[rows])
    if isinstance(array, np.ndarray) and is_mapped(array):
        return MappedRows(array, rows)
    return array[rows]
