"""Gradient clipping on one flat vector, in place."""

from __future__ import annotations

import math

import numpy as np

from fastrnn import _checks, ops
from fastrnn._checks import FloatArray


def clip_by_global_norm(gradients: FloatArray, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`, in place.

    By ``max_norm / (norm + 1e-6)`` where the norm is above `max_norm`, as PyTorch's
    ``clip_grad_norm_`` (Pascanu et al. 2013, algorithm 1).

    Parameters
    ----------
    gradients : ndarray, (P,)
        float32 or float64, contiguous. Left as they are where the norm is not finite.
    max_norm : float
        More than 0; infinity to measure only.

    Returns
    -------
    float
        The norm before, summed in float64; the same bits for any number of threads.

    Raises
    ------
    TypeError, ValueError
        If `gradients` are not so or `max_norm` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.optim import clip_by_global_norm
    >>> g = np.array([3.0, 4.0])
    >>> clip_by_global_norm(g, 1.0)
    5.0
    >>> g.round(4).tolist()
    [0.6, 0.8]
    """
    _checks.flat_vector("gradients", gradients)
    max_norm = _checks.above_zero("max_norm", max_norm)
    total = ops.sum_of_squares(gradients)
    norm = math.sqrt(total)
    if not 1e-280 < total < np.inf:  # beyond float64's range, NaN, or zero
        with np.errstate(all="ignore"):
            norm = largest = float(np.abs(gradients).max(initial=0.0))
            if 0 < largest < np.inf:
                norm = largest * math.sqrt(ops.sum_of_squares(gradients / largest))
    if max_norm < norm < np.inf:
        gradients *= max_norm / (norm + 1e-6)
    return norm


def clip_by_value(gradients: FloatArray, max_value: float) -> None:
    """Clip each gradient to [-max_value, max_value], in place; NaN stays.

    Parameters
    ----------
    gradients : ndarray, (P,)
        float32 or float64, contiguous.
    max_value : float
        More than 0.

    Raises
    ------
    TypeError, ValueError
        If `gradients` are not so or `max_value` is not above 0.
    """
    _checks.flat_vector("gradients", gradients)
    max_value = _checks.above_zero("max_value", max_value)
    np.clip(gradients, -max_value, max_value, out=gradients)
