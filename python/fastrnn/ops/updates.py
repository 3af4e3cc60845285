"""What a training step does outside of the layers: classes' loss, gradients' norm, Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels


def sum_of_squares(vector: FloatArray) -> float:
    """Return the sum of a vector's squares in float64, in one order.

    Parameters
    ----------
    vector : ndarray, (P,)
        float32 or float64, contiguous.
    """
    return kernels.sum_of_squares(vector)


def adam(
    parameters: FloatArray,
    gradients: FloatArray,
    total: FloatArray,
    square_sum: FloatArray,
    betas: tuple[float, float],
    epsilon: float,
    rate: float,
) -> None:
    """Take a step of Adam, with sums m and s in the place of its means.

    ``m = beta1 m + g``, ``s = beta2 s + g^2``, ``p -= rate m / (sqrt(s) + epsilon)``, each
    operation rounded to the vectors' dtype.

    Parameters
    ----------
    parameters, total, square_sum : ndarray, (P,)
        p, m and s, changed in place; float32 or float64, contiguous, each with its own memory.
    gradients : ndarray, (P,)
    betas : pair of float
    epsilon, rate : float
    """
    kernels.adam(parameters, gradients, total, square_sum, *betas, epsilon, rate)


def softmax_cross_entropy(
    scores: FloatArray, labels: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> tuple[float, FloatArray]:
    """Return the mean of -log softmax(scores)[label] and its gradient (Bishop 2006, eq. 4.108).

    Parameters
    ----------
    scores : ndarray, (N, C)
        float32 or float64, contiguous.
    labels : ndarray of int64, (N,)
        0..C-1 where the weight is not 0.
    weights : ndarray of float64, (N,), or None
        At least 0; None: all 1.

    Returns
    -------
    value : float
        0 where all weights are.
    gradient : ndarray, (N, C)
        Zero where the weight is.
    """
    gradient: NDArray[Any] = np.empty_like(scores)
    return kernels.softmax_cross_entropy(scores, labels, weights, gradient), gradient
