"""Squared errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray, any_float
from fastrnn.losses.places import placed, selection


@dataclass(frozen=True)
class MeanSquaredError:
    """Mean of (outputs - targets)^2 over all unmasked numbers.

    Numbers with mask 0 get a gradient of exactly zero, and what stands there does not matter.
    With nothing unmasked the value is 0 and so is the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> loss = fr.losses.MeanSquaredError()
    >>> value, gradient = loss(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
    >>> value, gradient.tolist()
    (2.5, [[1.0, 2.0]])
    """

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return the value and its gradient.

        Parameters
        ----------
        outputs : ndarray, (..., F)
            float32 or float64.
        targets : ndarray, (..., F)
            Numbers.
        mask : ndarray, (...) or (..., F), or None
            Weight of each place or number, bool or numbers of at least 0; None: all 1.

        Returns
        -------
        value : float
            Differences in the wider dtype of both; squares and their mean in float64.
        doutputs : ndarray, (..., F)
            Of the outputs' dtype.

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
        if targets.shape != outputs.shape:
            raise ValueError(
                f"targets: expected shape {outputs.shape} like outputs, got {targets.shape}"
            )
        per_number = mask is not None and np.shape(mask) == outputs.shape
        chosen, weights = selection(mask, outputs.shape if per_number else outputs.shape[:-1])
        columns = (outputs.size, 1) if per_number else (-1, max(outputs.shape[-1], 1))
        found, wanted = outputs.reshape(columns), targets.reshape(columns)
        if chosen is not None:
            found, wanted = found[chosen], wanted[chosen]
        if not found.size:
            return 0.0, np.zeros(outputs.shape, outputs.dtype)
        with np.errstate(all="ignore"):
            error = found - wanted
            if weights is None:
                share: Any = 1.0 / error.size
                value = float(np.square(error, dtype=np.float64).sum()) * share
            else:
                share = (weights / (weights.sum() * error.shape[1]))[:, None]
                value = float((np.square(error, dtype=np.float64) * share).sum())
            error *= np.asarray(2.0 * share, error.dtype)
            gradient = error.astype(outputs.dtype, copy=False)
        return value, placed(gradient, chosen, outputs)
