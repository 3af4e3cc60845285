"""Metrics: numbers to be looked at, not trained on; sums over target places and their weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks

#: (outputs, targets, mask) -> (sum, weight), or the mean over a batch as one number.
Metric = Callable[[Any, Any, Any], "tuple[float, float] | float"]


def accuracy(outputs: Any, targets: Any, mask: Any = None) -> tuple[float, float]:
    """Return how many classes with the largest score are right, and of how many.

    Parameters
    ----------
    outputs : ndarray, (..., C)
        Scores.
    targets : ndarray of int, (...)
        Classes.
    mask : ndarray, (...), or None
        Places with 0 do not count; the others count once each.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> fr.metrics.accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    (1.0, 2.0)
    """
    chosen = _counted(mask, np.shape(targets))
    right = (np.argmax(outputs, axis=-1) == targets) & chosen
    return float(right.sum()), float(chosen.sum())


def mean_absolute_error(outputs: Any, targets: Any, mask: Any = None) -> tuple[float, float]:
    """Return the sum of absolute errors, weighted by the mask, and the sum of weights.

    Parameters
    ----------
    outputs, targets : ndarray, (..., F)
    mask : ndarray, (...) or (..., F), or None
        Weights.
    """
    return _errors(np.abs, outputs, targets, mask)


def mean_squared_error(outputs: Any, targets: Any, mask: Any = None) -> tuple[float, float]:
    """Return the sum of squared errors, weighted by the mask, and the sum of weights.

    Parameters
    ----------
    outputs, targets : ndarray, (..., F)
    mask : ndarray, (...) or (..., F), or None
        Weights.
    """
    return _errors(np.square, outputs, targets, mask)


def _counted(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.ones(shape, bool) if mask is None else np.asarray(mask) > 0


def _errors(
    measure: Callable[[Any], Any], outputs: Any, targets: Any, mask: Any
) -> tuple[float, float]:
    error = measure(np.subtract(outputs, targets, dtype=np.float64))
    if mask is None:
        return float(error.sum()), float(error.size)
    weights = np.asarray(mask, np.float64)
    weights = np.broadcast_to(
        weights if weights.shape == error.shape else weights[..., None], error.shape
    )
    counted = weights > 0  # what stands at other places may be NaN
    return float((error[counted] * weights[counted]).sum()), float(weights.sum())


_NAMED: dict[str, Metric] = {
    "accuracy": accuracy,
    "mean_absolute_error": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
}


def by_name(metrics: Iterable[str | Metric]) -> dict[str, Metric]:
    """Return metrics under their names.

    Parameters
    ----------
    metrics : iterable of str or callables (outputs, targets, mask) -> float or (sum, weight)
        Names of this module's functions; a callable is named by its ``__name__``.

    Raises
    ------
    TypeError, ValueError
        If one is neither, or two have one name.
    """
    if isinstance(metrics, str):
        raise TypeError(f"metrics: expected a sequence of metrics, got the text {metrics!r}")
    found: dict[str, Metric] = {}
    for i, metric in enumerate(metrics):
        if isinstance(metric, str):
            _checks.choice(f"metrics[{i}]", metric, tuple(_NAMED))
            name, function = metric, _NAMED[metric]
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        else:
            raise TypeError(
                f"metrics[{i}]: expected a name or a callable, got {type(metric).__name__}"
            )
        if name == "loss":  # would stand for the loss in `Epoch.flat` and in logs
            raise ValueError(f"metrics[{i}]: expected another name than loss, got a metric of it")
        if name in found:
            raise ValueError(f"metrics[{i}]: expected another name than {name}, got it twice")
        found[name] = function
    return found
