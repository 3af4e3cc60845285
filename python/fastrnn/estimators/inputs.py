"""What estimators take as X, y and sample_weight, and what it becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

#: Sequences (N, T, F), or a list of arrays (T_n, F).
Sequences = NDArray[Any] | list[NDArray[Any]]
_FLOATS = (np.float64, np.float32)


def is_list_of_sequences(value: Any) -> bool:
    """Whether `value` is a list (tuple, object array) of sequences rather than of rows of a table.

    A list of arrays is; a list of lists is where their lengths differ.

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.estimators.inputs import is_list_of_sequences
    >>> [is_list_of_sequences(x) for x in ([np.ones(2), np.ones(2)], [[1], [2, 3]], [[1], [2]])]
    [True, True, False]
    """
    if isinstance(value, np.ndarray):
        if value.dtype != object or value.ndim != 1:
            return False
    elif not isinstance(value, (list, tuple)):
        return False
    if len(value) == 0 or not all(_has_steps(row) for row in value):
        return False
    return any(hasattr(row, "__array__") for row in value) or len({len(row) for row in value}) > 1


def _has_steps(row: Any) -> bool:
    if hasattr(row, "__array__"):
        return np.asarray(row).ndim > 0
    return isinstance(row, (list, tuple))


def sequences(estimator: Any, x: Any, *, reset: bool, dtype: Any = None) -> Sequences:
    """Check X and bring it into the form that models take.

    Sets ``n_features_in_`` (T of a table, else F) and whether X was a table, or compares with them.

    Parameters
    ----------
    estimator : estimator
    x : array-like (n, T), (n, T, F), or a list of arrays (T_n, F) or (T_n,)
    reset : bool
        Whether to set rather than to compare.
    dtype : dtype or None, default None
        Of the result; None keeps float32, and makes everything else float64.

    Returns
    -------
    ndarray (N, T, F), or a list of arrays (T_n, F)

    Raises
    ------
    TypeError, ValueError
        If X is not as above or does not fit to what was set.
    """
    wanted = _FLOATS if dtype is None else dtype
    ragged = is_list_of_sequences(x)
    known_table = not reset and estimator._table
    if ragged and known_table and len({np.shape(row) for row in x}) == 1:
        x, ragged = np.stack([np.asarray(row) for row in x]), False
    axes = None if ragged else _axes(x)
    if known_table and (ragged or axes == 3):
        got = "sequences of different lengths" if ragged else "3 axes"
        raise ValueError(f"X: expected shape (n, {estimator.n_features_in_}) as in fit, got {got}")
    if axes != 3 and not ragged and (reset or known_table or axes != 2):
        table = validate_data(estimator, x, reset=reset, dtype=wanted)
        if reset:
            estimator._table = True
        return np.ascontiguousarray(table)[:, :, None]
    if ragged:
        listed = _listed("X", x, dtype)
        found: Sequences = listed
        features = listed[0].shape[1]
    else:
        array = check_array(x, dtype=wanted, allow_nd=True, estimator=estimator, input_name="X")
        array = array if array.ndim == 3 else array[:, :, None]
        found, features = array, array.shape[2]
    if reset:
        estimator._table, estimator.n_features_in_ = False, features
        if hasattr(estimator, "feature_names_in_"):  # of a table before
            del estimator.feature_names_in_
    elif features != estimator.n_features_in_:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} "
            f"is expecting {estimator.n_features_in_} features as input."
        )
    return found


def _axes(x: Any) -> int:
    """Return the number of axes, without a copy of what knows its shape."""
    shape = getattr(x, "shape", None)
    return len(shape) if isinstance(shape, tuple) else np.asarray(x).ndim


def _listed(name: str, rows: Any, dtype: Any) -> list[NDArray[Any]]:
    """Return sequences (T_n, F) of one dtype, finite."""
    arrays: list[NDArray[Any]] = []
    for n, row in enumerate(rows):
        try:
            array = np.asarray(row)
        except ValueError:
            raise ValueError(f"{name}[{n}]: expected an array, got a ragged list") from None
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name}[{n}]: expected numbers, got {array.dtype}")
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] == 0:
            raise ValueError(f"{name}[{n}]: expected shape (T, F) or (T,), got {array.shape}")
        if arrays and array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                f"{name}[{n}]: expected F = {arrays[0].shape[1]} features like {name}[0], "
                f"got {array.shape[1]}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name}[{n}]: expected finite numbers, got NaN or infinity")
        arrays.append(array)
    if dtype is None:
        dtype = np.float32 if all(a.dtype == np.float32 for a in arrays) else np.float64
    return [array.astype(dtype, copy=False) for array in arrays]


def steps_of(x: Sequences) -> NDArray[np.int64]:
    """Return the number of steps of each sequence, (N,).

    Parameters
    ----------
    x : ndarray (N, T, F), or a list of arrays (T_n, F)
    """
    if isinstance(x, np.ndarray):
        return np.full(len(x), x.shape[1], np.int64)
    return np.array([len(row) for row in x], np.int64)


def per_step_targets(x: Sequences, y: Any) -> list[NDArray[Any]] | None:
    """Return one array (T_n, ...) for each sequence if `y` is a list of such, else None.

    Parameters
    ----------
    x : ndarray (N, T, F), or a list of arrays (T_n, F)
    y : object

    Raises
    ------
    ValueError
        If it is a list of arrays but their number or lengths are not those of x.
    """
    if not is_list_of_sequences(y):
        return None
    if len(y) != len(x):
        raise ValueError(f"y: expected N = {len(x)} targets like X, got {len(y)}")
    rows = [np.asarray(row) for row in y]
    for n, (row, steps) in enumerate(zip(rows, steps_of(x).tolist(), strict=True)):
        if len(row) != steps:
            raise ValueError(f"y[{n}]: expected {steps} steps like X[{n}], got {len(row)}")
    return rows


def like_steps(x: Sequences, rows: NDArray[Any]) -> Any:
    """Cut values of all steps, (sum of T_n, ...), to (N, T, ...) or a list of arrays (T_n, ...).

    Parameters
    ----------
    x : ndarray (N, T, F), or a list of arrays (T_n, F)
    rows : ndarray, (sum of T_n, ...)
    """
    if isinstance(x, np.ndarray):
        return rows.reshape(*x.shape[:2], *rows.shape[1:])
    return np.split(rows, np.cumsum(steps_of(x))[:-1])


def sample_weights(value: Any, count: int) -> NDArray[np.float64] | None:
    """Check sample weights.

    Parameters
    ----------
    value : array-like (N,) or None
    count : int
        N.

    Returns
    -------
    ndarray of float64, (N,), or None

    Raises
    ------
    ValueError
        If they are not finite numbers of at least 0, or all are zero.
    """
    if value is None:
        return None
    weights = np.asarray(value, np.float64)
    if weights.shape != (count,):
        raise ValueError(f"sample_weight: expected shape ({count},), got {weights.shape}")
    if not np.all((weights >= 0) & (weights < np.inf)):
        raise ValueError("sample_weight: expected finite numbers of at least 0, got others")
    if not weights.any():
        raise ValueError("sample_weight: expected a weight above zero, got only zeros")
    return weights
