"""Quantiles: the pinball loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.losses.errors import mean_over_numbers


@dataclass(frozen=True)
class QuantileLoss:
    """Mean pinball loss, least where outputs are the targets' quantiles (Koenker, Bassett 1978).

    For quantile q and u = target - output: q u where u >= 0, (q - 1) u where u < 0; the mean is
    over all unmasked targets and all quantiles. The gradient at u = 0 is -q. With quantile 0.5
    alone it is half of `MeanAbsoluteError`. Masks are as for `MeanSquaredError`.

    Parameters
    ----------
    quantiles : sequence of float, (Q,)
        Each above 0 and below 1, ascending.

    Raises
    ------
    TypeError, ValueError
        If `quantiles` are not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> loss = fr.losses.QuantileLoss([0.1, 0.5, 0.9])
    >>> value, gradient = loss(np.zeros((1, 3)), np.array([[2.0]]))
    >>> value, (3 * gradient).round(3).tolist()
    (1.0, [[-0.1, -0.5, -0.9]])
    """

    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantiles", ascending_quantiles(self.quantiles))

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return the value and its gradient.

        Parameters
        ----------
        outputs : ndarray, (..., F * Q)
            float32 or float64; the Q quantiles of a target stand side by side, as in
            ``outputs.reshape(..., F, Q)``.
        targets : ndarray, (..., F)
            Numbers.
        mask : ndarray, (...) or (..., F), or None
            Weight of each place or target, bool or numbers of at least 0; None: all 1.

        Returns
        -------
        value : float
            Mean in float64.
        doutputs : ndarray, (..., F * Q)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above.
        """
        width = len(self.quantiles)
        return mean_over_numbers(outputs, targets, mask, self._pointwise, width=width)

    def _pointwise(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        count = error.shape[1] // len(self.quantiles)
        # error is output - target = -u
        slope: FloatArray = (error > 0) - np.tile(np.asarray(self.quantiles, error.dtype), count)
        error *= slope
        return error, slope


def ascending_quantiles(value: Any) -> tuple[float, ...]:
    """Return quantiles as a tuple, or raise unless they are ascending and between 0 and 1."""
    if isinstance(value, (str, bytes)) or np.ndim(value) != 1 or len(value) == 0:
        raise ValueError(f"quantiles: expected a sequence of at least one number, got {value!r}")
    found = tuple(_checks.number(f"quantiles[{i}]", q) for i, q in enumerate(value))
    for i, quantile in enumerate(found):
        if not 0 < quantile < 1:
            raise ValueError(f"quantiles[{i}]: expected 0 < quantile < 1, got {quantile}")
        if i and quantile <= found[i - 1]:
            raise ValueError(f"quantiles[{i}]: expected ascending quantiles, got {list(found)}")
    return found
