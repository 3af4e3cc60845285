"""Sequences without labels, as a trained model takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.arrays import read_arrays
from fastrnn.files.csv_series import read_csv_series

#: What `read_inputs` knows.
SUFFIXES = (".npz", ".npy", ".csv")


def read_inputs(
    path: str | Path, features: int, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the sequences of a file, padded, and their lengths if it has them.

    Parameters
    ----------
    path : str or Path
        .npz with ``x`` (N, T, F) or (T, F) and maybe ``lengths`` (N,); .npy with x; .csv with one
        sequence, a row per step (see `read_csv_series`).
    features : int
        F, which each step must have.
    dtype : dtype
        What the numbers are converted to.

    Returns
    -------
    x : ndarray, (N, T, F)
    lengths : ndarray, (N,), or None

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else.
    """
    path = Path(path)
    lengths = None
    if path.suffix in (".npz", ".npy"):
        arrays = read_arrays(path)
        if "x" not in arrays:
            raise ValueError(f"{path}: expected an array x, got {', '.join(arrays) or 'none'}")
        x, lengths = arrays["x"], arrays.get("lengths")
    elif path.suffix == ".csv":
        x = read_csv_series(path).values
    else:
        raise ValueError(f"{path}: expected one of {', '.join(SUFFIXES)}, got {path.suffix!r}")
    if x.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected numbers, got {x.dtype}")
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != features:
        raise ValueError(f"{path}: expected shape (N, T, {features}), got {x.shape}")
    return x.astype(dtype), lengths
