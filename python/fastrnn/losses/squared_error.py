"""Squared errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn.losses.errors import mean_over_numbers


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
        return mean_over_numbers(outputs, targets, mask, _squares)


def _squares(error: FloatArray) -> tuple[FloatArray, FloatArray]:
    values = np.square(error, dtype=np.float64)
    error *= 2
    return values, error
