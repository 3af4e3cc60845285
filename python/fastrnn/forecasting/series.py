"""Series as arrays: one or several, with or without gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def is_panel(value: Any) -> bool:
    """Whether this is several series: a list or tuple of arrays (not of numbers or rows).

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.forecasting.series import is_panel
    >>> is_panel([np.ones(3), np.ones(2)]), is_panel([1.0, 2.0])
    (True, False)
    """
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(hasattr(entry, "__array__") and np.ndim(entry) > 0 for entry in value)


def checked(name: str, value: Any, columns: int | None = None) -> Numbers:
    """Return a series as float64 (T, F), a copy; NaN stays.

    Parameters
    ----------
    name : str
        For messages.
    value : array-like, (T,) or (T, F)
    columns : int or None, default None
        F, where it is known.

    Raises
    ------
    TypeError, ValueError
        If the shape is not as above, or numbers are infinite or none.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":  # None where nothing was measured
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected numbers of one shape, got others") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers, got {array.dtype}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name}: expected shape (T,) or (T, F), got {array.shape}")
    array = array.reshape(len(array), -1 if array.size else max(array.shape[1:], default=1))
    array = array.astype(np.float64)
    if columns is not None and array.shape[1] != columns:
        raise ValueError(f"{name}: expected F = {columns} columns, got {array.shape[1]}")
    if array.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one column, got shape {array.shape}")
    infinite = np.argwhere(np.isinf(array))
    if len(infinite):
        row, column = infinite[0].tolist()
        raise ValueError(
            f"{name}[{row}, {column}]: expected finite numbers or NaN, got {array[row, column]}"
        )
    return array


def checked_covariates(name: str, value: Any, rows: int, columns: int | None = None) -> Numbers:
    """Return covariates as float64 (T, F); they have no gaps.

    Parameters
    ----------
    name : str
        For messages.
    value : array-like, (T,) or (T, F)
    rows : int
        T.
    columns : int or None, default None
        F, where it is known.

    Raises
    ------
    TypeError, ValueError
        If they are not so.
    """
    array = checked(name, value, columns)
    if len(array) != rows:
        raise ValueError(f"{name}: expected {rows} rows, got {len(array)}")
    gaps = np.argwhere(np.isnan(array))
    if len(gaps):
        row, column = gaps[0].tolist()
        raise ValueError(
            f"{name}[{row}, {column}]: expected a number, got NaN; fill gaps of covariates first"
        )
    return array


def filled(values: Numbers) -> Numbers:
    """Return a series (T, F) with its gaps filled by the last number before them.

    Gaps at the beginning get the first number there is; a column of nothing but gaps stays.

    Parameters
    ----------
    values : ndarray, (T, F)

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.forecasting.series import filled
    >>> filled(np.array([[np.nan], [1.0], [np.nan], [3.0]])).ravel().tolist()
    [1.0, 1.0, 1.0, 3.0]
    """
    there = ~np.isnan(values)
    if there.all():
        return values
    last = np.maximum.accumulate(np.where(there, np.arange(len(values))[:, None], -1), axis=0)
    source = np.where(last < 0, there.argmax(axis=0), last)
    return np.take_along_axis(values, source, axis=0)
