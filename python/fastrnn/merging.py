"""How the outputs of two directions become one: side by side, sum, mean, product."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn._checks import FloatArray

MERGES = ("concat", "sum", "mean", "product")


def merged_size(merge: str, size: int) -> int:
    """Return the features of the merged outputs of two directions with `size` features each."""
    return 2 * size if merge == "concat" else size


def merge_into(merge: str, first: FloatArray, second: FloatArray, y: FloatArray) -> FloatArray:
    """Write the sum, mean or product into y, which may be one of the two; return it.

    Parameters
    ----------
    merge : str
        Of `MERGES`, but "concat", where both directions write into y themselves.
    first, second : ndarray, (N, T, F)
    y : ndarray, (N, T, F)
    """
    if merge == "product":
        return np.multiply(first, second, out=y)
    np.add(first, second, out=y)
    if merge == "mean":
        y *= y.dtype.type(0.5)
    return y


def split_gradient(
    merge: str, dy: Any, factors: tuple[FloatArray, FloatArray] | None
) -> tuple[Any, Any]:
    """Return the gradients of both directions' outputs; None, zero, stays None.

    Parameters
    ----------
    merge : str
    dy : ndarray, (N, T, F), or None
        Of the merged outputs; not read at invalid steps: what comes of it there is not read either.
    factors : tuple of ndarray, (N, T, F), or None
        Both directions' outputs, for the product.
    """
    if dy is None or merge == "sum":
        return dy, dy
    dy = np.asarray(dy)
    if merge == "concat":
        half = dy.shape[-1] // 2
        return dy[..., :half], dy[..., half:]
    if merge == "mean":
        halved = dy * dy.dtype.type(0.5)
        return halved, halved
    assert factors is not None
    first, second = factors
    with np.errstate(invalid="ignore"):  # infinite padding of dy times zero, of no effect
        return dy * second, dy * first
