"""Memory that kernels work in: aligned, and used again from call to call."""

from __future__ import annotations

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
    """Byte buffers for one purpose, used again from call to call; safe to share between threads.

    It needs no lock: a list's `append` and `pop` are atomic.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return an aligned buffer of at least `size` bytes."""
        try:
            buffer = self._free.pop()
        except IndexError:
            return aligned_empty(size, np.uint8)
        if buffer.size >= size:
            return buffer
        del buffer  # outgrown: gone before there is a larger one
        return aligned_empty(size, np.uint8)

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """Take a buffer back."""
        self._free.append(buffer)


class LayerBuffers:
    """What a recurrent layer's calls work in."""

    def __init__(self) -> None:
        self.tapes = BufferPool()
        self.forward = BufferPool()
        self.backward = BufferPool()
        self.dx = BufferPool()
        self.weight_sums = BufferPool()
