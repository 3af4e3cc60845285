"""What stands in a layer's outputs behind the ends of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray

Padding = str | float


def checked(value: Any) -> Padding:
    """Return ``"zero"``, ``"repeat"`` or a number; zero as ``"zero"``."""
    if isinstance(value, str):
        return _checks.choice("pad_output", value, ("zero", "repeat"))
    number = _checks.number("pad_output", value)
    return number if number else "zero"


def fill(y: FloatArray, lengths: Any, padding: Padding) -> None:
    """Write the padding behind the ends of rows, in place; rows without a valid step stay zero.

    Parameters
    ----------
    y : ndarray, (N, T, F)
        Zero at invalid steps.
    lengths : ndarray of int, (N,)
    padding : "repeat" or float
    """
    for row, steps in zip(y, np.asarray(lengths).tolist(), strict=True):
        if padding != "repeat":
            row[steps:] = padding
        elif steps:
            row[steps:] = row[steps - 1]


def gathered(dy: FloatArray, lengths: Any) -> FloatArray:
    """Return dy with the gradients of repeated outputs added to the outputs that were repeated.

    Parameters
    ----------
    dy : ndarray, (N, T, F)
    lengths : ndarray of int, (N,)
    """
    dy = dy.copy()
    for row, steps in zip(dy, np.asarray(lengths).tolist(), strict=True):
        if 0 < steps < len(row):
            row[steps - 1] += row[steps:].sum(axis=0)
    return dy
