"""Memory that kernels work in: aligned, and used again from call to call."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 64


def aligned_empty(count: int, dtype: Any) -> NDArray[Any]:
    """Return a flat array of `count` elements at an address that kernels can load registers from.

    Parameters
    ----------
    count : int
        Elements.
    dtype : dtype
        Element type.
    """
    dtype = np.dtype(dtype)
    raw = np.empty(count * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + count * dtype.itemsize].view(dtype)


class BufferPool:
    """Byte buffers used again from call to call; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return an aligned buffer of at least `size` bytes: the smallest free one that fits."""
        with self._lock:
            if len(self._free) > 1:
                self._free.sort(key=len)
            for i, buffer in enumerate(self._free):
                if buffer.size >= size:
                    return self._free.pop(i)
            if self._free:
                self._free.pop()  # outgrown: replaced by the larger one below
        return aligned_empty(size, np.uint8)

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """Take a buffer back."""
        with self._lock:
            self._free.append(buffer)
