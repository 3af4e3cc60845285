"""Losses: a number to be made small, and its gradient with respect to the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray, any_float


@runtime_checkable
class Loss(Protocol):
    """What a loss is: called with outputs, targets and a mask, it returns value and gradient."""

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return (value, gradient of the value with respect to outputs)."""


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Mean of -log softmax(outputs)[target] (Bishop 2006, eq. 4.108, with its gradient p - t).

    The mean is over target places, weighted by the mask. Places with mask 0 get a gradient of
    exactly zero, and what stands there (NaN, a target out of range) does not matter. With nothing
    unmasked the value is 0.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> loss = fr.losses.SoftmaxCrossEntropy()
    >>> value, gradient = loss(np.zeros((2, 4), np.float32), np.array([0, 3]))
    >>> round(value, 4), gradient[0].tolist()
    (1.3863, [-0.375, 0.125, 0.125, 0.125])
    """

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return the value and its gradient.

        Parameters
        ----------
        outputs : ndarray, (..., C)
            float32 or float64 scores before the softmax.
        targets : ndarray of int, (...)
            Classes, 0..C-1.
        mask : ndarray, (...), or None
            Weight of each place, bool or numbers of at least 0; None: all 1.

        Returns
        -------
        value : float
        doutputs : ndarray, (..., C)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above or a class is out of range.
        """
        outputs = any_float("outputs", outputs)
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu":
            raise TypeError(f"targets: expected integer classes, got {targets.dtype}")
        if outputs.ndim < 1 or targets.shape != outputs.shape[:-1]:
            raise ValueError(
                f"targets: expected shape {outputs.shape[:-1]} for outputs {outputs.shape}, "
                f"got {targets.shape}"
            )
        classes = outputs.shape[-1]
        scores = outputs.reshape(-1, classes)
        labels = targets.ravel()
        weights = _weights(mask, targets.shape)
        chosen = None
        if weights is not None:
            chosen = np.flatnonzero(weights)
            scores, labels, weights = scores[chosen], labels[chosen], weights[chosen]
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            wrong = labels[(labels < 0) | (labels >= classes)][0]
            raise ValueError(f"targets: expected classes in 0..{classes - 1}, got {wrong}")
        rows = np.arange(len(labels))
        shifted = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
        exponentials = np.exp(shifted)
        sums = exponentials.sum(axis=1, keepdims=True)
        each = np.log(sums[:, 0].astype(np.float64)) - shifted[rows, labels]
        gradient = exponentials / sums
        gradient[rows, labels] -= 1
        if weights is None:
            total = float(max(len(labels), 1))
            value = float(each.sum()) / total
            gradient *= outputs.dtype.type(1 / total)
        else:
            total = float(weights.sum()) or 1.0
            value = float(each @ weights) / total
            gradient *= (weights / total).astype(outputs.dtype)[:, None]
        return value, _placed(gradient, chosen, outputs)


@dataclass(frozen=True)
class MeanSquaredError:
    """Mean of (outputs - targets)^2 over all unmasked numbers.

    Numbers with mask 0 get a gradient of exactly zero, and what stands there does not matter.
    With nothing unmasked the value is 0.

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
        doutputs : ndarray, (..., F)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above.
        """
        outputs = any_float("outputs", outputs)
        targets = np.asarray(targets)
        if targets.dtype.kind not in "fiu":
            raise TypeError(f"targets: expected numbers, got {targets.dtype}")
        if targets.shape != outputs.shape:
            raise ValueError(
                f"targets: expected shape {outputs.shape} like outputs, got {targets.shape}"
            )
        per_number = mask is not None and np.shape(mask) == outputs.shape
        weights = _weights(mask, outputs.shape if per_number else outputs.shape[:-1])
        if weights is None:
            error = outputs - targets.astype(outputs.dtype, copy=False)
            total = float(max(error.size, 1))
            value = float(np.square(error, dtype=np.float64).sum()) / total
            return value, error * outputs.dtype.type(2 / total)
        if not per_number:
            weights = np.repeat(weights, outputs.shape[-1])
        chosen = np.flatnonzero(weights)
        weights = weights[chosen]
        error = outputs.ravel()[chosen] - targets.ravel()[chosen].astype(outputs.dtype, copy=False)
        total = float(weights.sum()) or 1.0
        value = float(np.square(error, dtype=np.float64) @ weights) / total
        gradient = error * (2 * weights / total).astype(outputs.dtype)
        return value, _placed(gradient, chosen, outputs)


def _weights(mask: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biuf":
        raise TypeError(f"mask: expected booleans or numbers, got {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"mask: expected shape {shape}, got {mask.shape}")
    weights: NDArray[np.float64] = mask.ravel().astype(np.float64)
    if not (weights >= 0).all() or not np.isfinite(weights).all():
        raise ValueError("mask: expected finite numbers of at least 0, got others")
    return weights


def _placed(
    gradient: FloatArray, chosen: NDArray[np.intp] | None, outputs: FloatArray
) -> FloatArray:
    """Put the gradients of the chosen rows (or numbers) at their places among zeros."""
    if chosen is None:
        return gradient.reshape(outputs.shape)
    whole = np.zeros(outputs.shape, outputs.dtype)
    whole.reshape(-1, *gradient.shape[1:])[chosen] = gradient
    return whole


_NAMED: dict[str, Loss] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    "mean_squared_error": MeanSquaredError(),
}


def get(loss: str | Loss) -> Loss:
    """Return a loss by name, or `loss` itself.

    Parameters
    ----------
    loss : {"softmax_cross_entropy", "mean_squared_error"} or loss

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `loss` is neither a name nor callable.
    """
    if isinstance(loss, str):
        if loss not in _NAMED:
            raise ValueError(f"loss: expected one of {', '.join(_NAMED)}, got {loss!r}")
        return _NAMED[loss]
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(f"loss: expected a name or a loss, got {type(loss).__name__}")
    return loss
