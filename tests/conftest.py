"""What holds for every test."""

import functools

import numpy as np
import pytest

from fastrnn.ops.buffers import BufferPool


@pytest.fixture(autouse=True)
def unwritten_memory_is_nan(monkeypatch):
    """Memory starts as NaN, also where buffers are used again, so that reading it is seen."""
    empty, give = np.empty, BufferPool.give

    def poisoned(*args, **kwargs):
        array = empty(*args, **kwargs)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        elif array.dtype == np.uint8:
            array.fill(0xFF)
        return array

    @functools.wraps(give)
    def give_poisoned(pool, buffer):
        buffer.fill(0xFF)
        give(pool, buffer)

    monkeypatch.setattr(np, "empty", poisoned)
    monkeypatch.setattr(BufferPool, "give", give_poisoned)
