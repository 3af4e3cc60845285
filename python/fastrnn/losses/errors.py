"""What losses of single numbers share: errors at the places that count, their mean, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray, any_float
from fastrnn.losses.places import placed, selection

#: errors (n, F * Q) -> values of that shape, which are summed in float64, and derivatives
Pointwise = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def mean_over_numbers(
    outputs: Any, targets: Any, mask: Any, pointwise: Pointwise, *, width: int = 1
) -> tuple[float, FloatArray]:
    """Return the mean of a function of outputs - targets over what counts, and its gradient.

    Parameters
    ----------
    outputs : ndarray, (..., F * Q)
        Q = `width` numbers side by side for each target.
    targets : ndarray, (..., F)
    mask : ndarray, (...) or (..., F), or None
    pointwise : function
        Of errors (n, F * Q), or (n, Q) where a mask is per number; it may overwrite them.
    width : int, default 1

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes are not as above.
    """
    outputs = any_float("outputs", outputs)
    targets = np.asarray(targets)
    if targets.dtype.kind not in "biuf":
        raise TypeError(f"targets: expected numbers, got {targets.dtype}")
    if outputs.ndim < 1:
        raise ValueError(f"outputs: expected shape (..., F), got {outputs.shape}")
    if width == 1 and targets.shape != outputs.shape:
        raise ValueError(
            f"targets: expected shape {outputs.shape} like outputs, got {targets.shape}"
        )
    features = targets.shape[-1] if targets.ndim else 0
    expected = (*targets.shape[:-1], features * width)
    if outputs.shape != expected:
        raise ValueError(
            f"outputs: expected shape (..., F*Q) = {expected} for targets {targets.shape} and "
            f"Q = {width}, got {outputs.shape}"
        )
    per_number = mask is not None and np.shape(mask) == targets.shape
    chosen, weights = selection(mask, targets.shape if per_number else targets.shape[:-1])
    columns = 1 if per_number else max(features, 1)
    found, wanted = outputs.reshape(-1, columns * width), targets.reshape(-1, columns)
    if chosen is not None:
        found, wanted = found[chosen], wanted[chosen]
    if not found.size:
        return 0.0, np.zeros(outputs.shape, outputs.dtype)
    if width > 1:  # not by broadcasting: NumPy is slow with inner axes as short as Q
        wanted = np.repeat(wanted, width, axis=1)
    with np.errstate(all="ignore"):
        values, gradient = pointwise(found - wanted)
        if weights is None:
            share: Any = 1.0 / values.size
            value = float(values.sum(dtype=np.float64)) * share
        else:
            share = (weights / (weights.sum() * columns * width))[:, None]
            value = float((values * share).sum())
        gradient *= np.asarray(share, gradient.dtype)
        gradient = gradient.astype(outputs.dtype, copy=False)
    return value, placed(gradient, chosen, outputs)
