"""Sequences of different lengths, kept end to end in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Ragged:
    """N sequences (T_n, ...) of one dtype in one array (sum of T_n, ...).

    Parameters
    ----------
    rows : ndarray, (sum of T_n, ...)
        All steps, sequence after sequence.
    lengths : ndarray of int64, (N,)
    """

    def __init__(self, rows: NDArray[Any], lengths: NDArray[np.int64]) -> None:
        self.rows = rows
        self.lengths = lengths
        self._starts = np.cumsum(lengths) - lengths

    @classmethod
    def from_list(cls, name: str, sequences: Any, *, columns: bool = True) -> Ragged:
        """Copy a list of arrays.

        Parameters
        ----------
        name : str
            Of the argument, for messages.
        sequences : list of arrays (T_n, F) or (T_n,)
        columns : bool, default True
            Whether a (T_n,) sequence of floats stands for (T_n, 1).

        Raises
        ------
        TypeError, ValueError
            If the sequences are not of one kind.
        """
        if not isinstance(sequences, (list, tuple, np.ndarray)):
            kind = type(sequences).__name__
            raise TypeError(f"{name}: expected an array or a list of arrays, got {kind}")
        if len(sequences) == 0:
            raise ValueError(f"{name}: expected at least one sequence, got none")
        arrays: list[NDArray[Any]] = []
        for n, sequence in enumerate(sequences):
            try:
                array = np.asarray(sequence)
            except ValueError:
                raise ValueError(f"{name}[{n}]: expected an array, got a ragged list") from None
            if array.dtype.kind not in "biuf":
                raise TypeError(f"{name}[{n}]: expected numbers, got {array.dtype}")
            if columns and array.ndim == 1 and array.dtype.kind == "f":
                array = array[:, None]
            first = arrays[0] if arrays else array
            if array.ndim not in (1, 2):
                raise ValueError(
                    f"{name}[{n}]: expected 1 or 2 axes (T, F), got shape {array.shape}"
                )
            if array.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"{name}[{n}]: expected shape (T, ...) like {name}[0] = {first.shape}, "
                    f"got {array.shape}"
                )
            if array.dtype != first.dtype:
                raise TypeError(
                    f"{name}[{n}]: expected {first.dtype} like {name}[0], got {array.dtype}"
                )
            arrays.append(array)
        lengths = np.array([len(array) for array in arrays], np.int64)
        return cls(np.concatenate(arrays), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, indices: NDArray[np.intp]) -> Ragged:
        parts = [self.rows[self._starts[n] : self._starts[n] + self.lengths[n]] for n in indices]
        return Ragged(np.concatenate(parts), self.lengths[indices])

    def padded(self, indices: NDArray[np.intp]) -> NDArray[Any]:
        """Return some sequences as one array (N, T, ...), zeros behind their ends.

        Parameters
        ----------
        indices : ndarray of int, (N,)
        """
        return self.pieces(indices, np.zeros(len(indices), np.int64), self.lengths[indices])

    def pieces(
        self, indices: NDArray[np.intp], begin: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Return some steps of some sequences as one array (N, T, ...), zeros behind their ends.

        Parameters
        ----------
        indices : ndarray of int, (N,)
        begin, counts : ndarray of int64, (N,)
            First step and number of steps of each.
        """
        starts, lengths = (self._starts[indices] + begin).tolist(), counts.tolist()
        shape = (len(lengths), max(lengths, default=0), *self.rows.shape[1:])
        padded = np.zeros(shape, self.rows.dtype)
        for row, start, steps in zip(padded, starts, lengths, strict=True):
            row[:steps] = self.rows[start : start + steps]
        return padded
