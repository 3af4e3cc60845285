"""Absolute errors, and Huber's compromise with squared ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.losses.errors import mean_over_numbers


@dataclass(frozen=True)
class MeanAbsoluteError:
    """Mean of abs(outputs - targets) over all unmasked numbers; its gradient at 0 is 0.

    Masks are as for `MeanSquaredError`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> value, gradient = fr.losses.MeanAbsoluteError()(np.array([[1.0, -3.0]]), np.zeros((1, 2)))
    >>> value, gradient.tolist()
    (2.0, [[0.5, -0.5]])
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
            Mean in float64.
        doutputs : ndarray, (..., F)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above.
        """
        return mean_over_numbers(outputs, targets, mask, _absolutes)


@dataclass(frozen=True)
class Huber:
    """Mean of Huber's function of outputs - targets (Huber 1964, Annals of Math. Statistics 35).

    error^2 / 2 where abs(error) <= delta, delta (abs(error) - delta / 2) beyond: as PyTorch's
    ``HuberLoss``. Masks are as for `MeanSquaredError`.

    Parameters
    ----------
    delta : float, default 1.0
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If `delta` is no number above 0.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> value, gradient = fr.losses.Huber()(np.array([[0.5, -3.0]]), np.zeros((1, 2)))
    >>> value, gradient.tolist()
    (1.3125, [[0.25, -0.5]])
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", _checks.above_zero("delta", self.delta))

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
            Mean in float64.
        doutputs : ndarray, (..., F)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above.
        """
        return mean_over_numbers(outputs, targets, mask, self._pointwise)

    def _pointwise(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        clipped = np.clip(error, -self.delta, self.delta)  # is the derivative
        # clipped (error - clipped / 2) is both cases of the equation
        return clipped * (error - 0.5 * clipped), clipped


def _absolutes(error: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.abs(error), np.sign(error)
