"""The places of outputs and targets that count, and gradients put back at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray


def selection(
    mask: Any, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp] | None, NDArray[np.float64] | None]:
    """Return the flat indices of the places that count, None for all; and their weights, if any."""
    if mask is None:
        return None, None
    mask = _flat_mask(mask, shape)
    chosen = np.flatnonzero(mask)
    weights = None if mask.dtype.kind == "b" else mask[chosen].astype(np.float64)
    return (None if chosen.size == mask.size else chosen), weights


def weights_of_places(mask: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Return the weight of every place, flat; None where all are 1."""
    return None if mask is None else _flat_mask(mask, shape).astype(np.float64)


def _flat_mask(mask: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biuf":
        raise TypeError(f"mask: expected booleans or numbers, got {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"mask: expected shape {shape}, got {mask.shape}")
    mask = mask.ravel()
    if mask.dtype.kind != "b" and not np.all((mask >= 0) & (mask < np.inf)):
        wrong = mask[~((mask >= 0) & (mask < np.inf))][0]
        raise ValueError(f"mask: expected finite numbers of at least 0, got {wrong}")
    return np.asarray(mask)


def placed(
    gradient: FloatArray, chosen: NDArray[np.intp] | None, outputs: FloatArray
) -> FloatArray:
    """Put the gradients of the chosen rows (or numbers) at their places among zeros."""
    if chosen is None:
        return gradient.reshape(outputs.shape)
    whole = np.zeros(outputs.shape, outputs.dtype)
    whole.reshape(-1, gradient.shape[1])[chosen] = gradient
    return whole
