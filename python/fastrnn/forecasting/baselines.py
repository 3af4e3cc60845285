"""What every forecast has to beat, and by how much it does."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn.forecasting.series import Numbers, checked, filled


def seasonal_naive(y: Any, horizon: int, period: int = 1) -> Numbers:
    """Forecast each step by the last observation of the same season; period 1: by the last one.

    Parameters
    ----------
    y : array-like, (T,) or (T, F)
        At least `period` observations; gaps (NaN) are filled by the number before them.
    horizon : int
        H.
    period : int, default 1

    Returns
    -------
    ndarray of float64, (H,) or (H, F)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.forecasting.seasonal_naive([1.0, 2.0, 3.0, 4.0], 3, period=2).tolist()
    [3.0, 4.0, 3.0]
    """
    values = filled(checked("y", y))
    steps = _checks.positive_integer("horizon", horizon)
    length = _checks.positive_integer("period", period)
    if len(values) < length:
        raise ValueError(f"y: expected at least period = {length} observations, got {len(values)}")
    forecast = values[len(values) - length :][np.arange(steps) % length]
    return forecast[:, 0] if np.ndim(y) == 1 else forecast


def mean_absolute_scaled_error(actual: Any, forecast: Any, training: Any, period: int = 1) -> float:
    """Return the MASE (Hyndman and Koehler 2006, International Journal of Forecasting 22).

    The mean absolute error, divided by that of the (seasonal) naive forecast one period ahead
    over the training series; the mean over columns. Places where `actual` is NaN do not count.

    Parameters
    ----------
    actual, forecast : array-like, (H,) or (H, F)
    training : array-like, (T,) or (T, F)
    period : int, default 1

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or nothing counts.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.forecasting.mean_absolute_scaled_error([5.0, 6.0], [4.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    1.5
    """
    wanted = checked("actual", actual)
    found = checked("forecast", forecast, wanted.shape[1])
    if found.shape != wanted.shape:
        raise ValueError(f"forecast: expected shape {wanted.shape} like actual, got {found.shape}")
    length = _checks.positive_integer("period", period)
    errors = naive_errors(checked("training", training, wanted.shape[1]), length)
    if np.isnan(errors).any():
        raise ValueError(
            f"training: expected observations period = {length} steps apart in each column"
        )
    return scaled_error(np.abs(found - wanted), errors)


def naive_errors(values: Numbers, period: int) -> Numbers:
    """Return the mean absolute error of the naive forecast, one a column; NaN where there is none.

    Parameters
    ----------
    values : ndarray, (T, F)
    period : int
    """
    changes = np.abs(values[period:] - values[:-period])
    counts = (~np.isnan(changes)).sum(axis=0)
    sums = np.where(counts, np.nansum(changes, axis=0), np.nan)
    return np.asarray(sums / np.maximum(counts, 1))


def scaled_error(errors: Numbers, naive: Numbers) -> float:
    """Return the mean over columns of errors (..., F) as multiples of naive errors (F,).

    Parameters
    ----------
    errors : ndarray, (..., F)
        At least 0; NaN does not count.
    naive : ndarray, (F,)
    """
    flat = errors.reshape(-1, errors.shape[-1])
    if np.isnan(flat).all(axis=0).any():
        raise ValueError("actual: expected at least one observation in each column, got none")
    means = np.nanmean(flat, axis=0)
    with np.errstate(all="ignore"):
        ratios = np.where(means == 0, 0.0, means / naive)  # infinite where the naive one is perfect
    return float(ratios.mean())
