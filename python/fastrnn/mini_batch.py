"""One mini-batch: what data sets hand out and training takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """One mini-batch, cut to its longest sequence.

    Attributes
    ----------
    x : ndarray, (N, T, F), or (N, T) integer tokens
    y : ndarray
        Targets per sequence (N,) or (N, C), or per step (N, T) or (N, T, C).
    lengths : ndarray of int64, (N,), or None
        None where all rows have T steps.
    mask : ndarray, of y's shape or without its last axis, or None
        Weights of the targets, zero where there is none; None: all count.
    reset : ndarray of bool, (N,), or None, default None
        Whether a row begins a new sequence; the others go on from the state after the batch before.
        None: all rows begin, and nothing is carried.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[np.int64] | None
    mask: NDArray[Any] | None
    reset: NDArray[np.bool_] | None = None
