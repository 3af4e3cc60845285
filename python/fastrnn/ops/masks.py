"""Masks drawn by counters."""

from __future__ import annotations

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads


def bernoulli(
    key: int,
    stream: int,
    threshold: int,
    out: FloatArray,
    *,
    scale: float,
    first_row: int,
    first_step: int,
) -> None:
    """Write `scale` where the word of a place is below the threshold, else 0.

    Parameters
    ----------
    key : int
        0..2^64 - 1.
    stream : int
        0..2^32 - 1.
    threshold : int
        0..2^32.
    out : ndarray, (N, T, F)
        Features side by side.
    scale : float
    first_row, first_step : int
        Places of the first row and step.
    """
    kernels.bernoulli(key, stream, first_row, first_step, threshold, scale, get_num_threads(), out)
