"""Sequences without labels, as a trained model takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.arrays import (
    check_lengths,
    is_end_to_end,
    read_arrays,
    require_numbers,
    required,
    split,
)
from fastrnn.files.csv_inputs import read_csv_inputs
from fastrnn.files.ts import read_ts

#: What `read_inputs` knows.
SUFFIXES = (".npz", ".npy", ".csv", ".ts")


def read_inputs(
    path: str | Path, features: int, dtype: np.dtype[Any], *, label: str | None = None
) -> tuple[Any, NDArray[Any] | None]:
    """Return the sequences of a file, padded with their lengths, or as a list.

    The files are those of `read_labelled`, with or without classes, and those of one sequence.

    Parameters
    ----------
    path : str or Path
        .npz with ``x`` (else ``test_x``) (N, T, F), end to end with ``lengths``, or one sequence
        (T, F), or (N, T) for one feature; .npy with x; .csv (see `read_csv_inputs`); .ts.
    features : int
        F, which each step must have.
    dtype : dtype
        What the numbers are converted to.
    label : str or None, default None
        The column with the class of a .csv, which is left aside.

    Returns
    -------
    x : ndarray (N, T, F), or list of ndarray (T_n, F)
    lengths : ndarray of int, (N,), or None

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else, or a value is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        x, lengths = _of_arrays(path, features)
        if isinstance(x, np.ndarray):
            _refuse_missing(path, x, lengths)
            return x.astype(dtype), lengths
    elif suffix == ".csv":
        x = read_csv_inputs(path, features, label=label)
    elif suffix == ".ts":
        x = read_ts(path).sequences
    else:
        raise ValueError(f"{path}: expected one of {', '.join(SUFFIXES)}, got {path.suffix!r}")
    for sequence in x:
        if sequence.shape[1] != features:
            raise ValueError(f"{path}: expected {features} features, got {sequence.shape[1]}")
    require_complete(path, x)
    return [sequence.astype(dtype) for sequence in x], None


def require_complete(path: str | Path, sequences: list[NDArray[Any]]) -> None:
    """Raise ValueError if a value is missing or infinite.

    Parameters
    ----------
    path : str or Path
        For messages.
    sequences : list of ndarray, (T_n, F)
    """
    for n, sequence in enumerate(sequences):
        missing = ~np.isfinite(sequence)
        if missing.any():
            step = int(missing.any(axis=1).argmax())
            raise ValueError(
                f"{path}: expected numbers without gaps, got one in sequence {n} at step {step}"
            )


def _of_arrays(path: Path, features: int) -> tuple[Any, NDArray[Any] | None]:
    arrays = read_arrays(path)
    prefix = "test_" if "x" not in arrays and "test_x" in arrays else ""
    x = required(path, arrays, f"{prefix}x")
    require_numbers(path, f"{prefix}x", x)
    lengths = arrays.get(f"{prefix}lengths")
    if lengths is not None and lengths.ndim == 1 and is_end_to_end(x, lengths):
        check_lengths(path, f"{prefix}lengths", lengths, len(lengths))
        return split(x, lengths), None
    if features == 1 and (x.ndim == 1 or (x.ndim == 2 and x.shape[1] != 1)):
        x = np.atleast_2d(x)[..., None]
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != features:
        raise ValueError(f"{path}: {prefix}x: expected shape (N, T, {features}), got {x.shape}")
    if lengths is not None:
        check_lengths(path, f"{prefix}lengths", lengths, len(x))
    return x, lengths


def _refuse_missing(path: Path, x: NDArray[Any], lengths: NDArray[Any] | None) -> None:
    """Raise if a valid step has a missing value; padding may hold anything."""
    steps = np.full(len(x), x.shape[1]) if lengths is None else lengths
    require_complete(path, [row[:length] for row, length in zip(x, steps, strict=True)])
