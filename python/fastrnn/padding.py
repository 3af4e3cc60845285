"""Sequences of different lengths as one padded array, and which of its steps are valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.ragged import Ragged


def pad_sequences(
    sequences: Sequence[Any], *, dtype: Any = None, length: int | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Put sequences of different lengths into one array, zeros behind their ends.

    Parameters
    ----------
    sequences : sequence of arrays (T_n, F), (T_n,) numbers or (T_n,) integer tokens
        At least one; all of one kind.
    dtype : dtype or None, default None
        Of the result, and whether (T_n,) are tokens; None keeps that of the sequences.
    length : int or None, default None
        T of the result; None is the longest sequence's.

    Returns
    -------
    padded : ndarray, (N, T, F); (N, T) for integer tokens
    lengths : ndarray of int64, (N,)

    Raises
    ------
    TypeError, ValueError
        If the sequences are not as above, or one is longer than `length`.

    Examples
    --------
    >>> import fastrnn as fr
    >>> padded, lengths = fr.data.pad_sequences([[1.0, 2.0], [3.0]])
    >>> padded[..., 0].tolist(), lengths.tolist()
    ([[1.0, 2.0], [3.0, 0.0]], [2, 1])
    >>> fr.data.pad_sequences([[7, 8], [9]], length=3)[0].tolist()
    [[7, 8, 0], [9, 0, 0]]
    """
    if dtype is not None:
        kind = np.dtype(dtype)
        if kind.kind not in "biuf":
            raise TypeError(f"dtype: expected one of numbers, got {kind}")
        if isinstance(sequences, (list, tuple)):
            sequences = [_converted(sequence, kind) for sequence in sequences]
    ragged = Ragged.from_list("sequences", sequences)
    lengths = ragged.lengths
    if length is not None:
        length = _checks.positive_integer("length", length)
        too_long = np.flatnonzero(lengths > length)
        if too_long.size:
            n = int(too_long[0])
            raise ValueError(f"sequences[{n}]: expected at most {length} steps, got {lengths[n]}")
    padded = ragged.padded(np.arange(len(ragged)))
    if length is not None and length > padded.shape[1]:
        more = length - padded.shape[1]
        padded = np.pad(padded, [(0, 0), (0, more), *[(0, 0)] * (padded.ndim - 2)])
    return padded, lengths.copy()


def mask_from_lengths(lengths: Any, steps: int) -> NDArray[np.bool_]:
    """Return True at valid steps, (N, T).

    Parameters
    ----------
    lengths : ndarray of int, (N,)
        Each in 0..T.
    steps : int
        T.

    Raises
    ------
    TypeError, ValueError
        If `lengths` is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.data.mask_from_lengths([2, 0], 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    steps = _checks.positive_integer("steps", steps)
    if np.ndim(lengths) != 1:
        raise ValueError(f"lengths: expected shape (N,), got {np.shape(lengths)}")
    valid = _checks.lengths(lengths, len(lengths), steps)
    assert valid is not None
    return np.arange(steps) < valid[:, None]


def _converted(sequence: Any, dtype: np.dtype[Any]) -> Any:
    """Return one sequence (T_n, ...) with another dtype, or as it is if it is none."""
    try:
        array = np.asarray(sequence)
    except ValueError:  # `Ragged.from_list` says why
        return sequence
    return array.astype(dtype) if array.dtype.kind in "biuf" else array
