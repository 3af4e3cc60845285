"""Sequences of different lengths, kept end to end in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.memory_maps import is_mapped


class Ragged:
    """N sequences (T_n, ...) of one dtype in one array (sum of T_n, ...).

    Parameters
    ----------
    rows : ndarray (sum of T_n, F) or (sum of T_n,)
        All steps, sequence after sequence; not copied. It may be memory-mapped.
    lengths : ndarray of int, (N,)
        T_n, at least 0 each.

    Raises
    ------
    TypeError, ValueError
        If `rows` are no such array or `lengths` do not add up to theirs.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> x = fr.data.Ragged(np.arange(10.0).reshape(5, 2), [2, 3])
    >>> data = fr.data.Dataset(x, [0, 1])
    >>> data.batch([1]).x[0].tolist()
    [[4.0, 5.0], [6.0, 7.0], [8.0, 9.0]]
    """

    def __init__(self, rows: NDArray[Any], lengths: Any) -> None:
        if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "biuf":
            got = rows.dtype if isinstance(rows, np.ndarray) else type(rows).__name__
            raise TypeError(f"rows: expected an array of numbers, got {got}")
        if rows.ndim not in (1, 2):
            raise ValueError(f"rows: expected 1 or 2 axes (steps, F), got shape {rows.shape}")
        counts = np.asarray(lengths)
        if counts.dtype.kind not in "iu":
            raise TypeError(f"lengths: expected integers, got {counts.dtype}")
        if counts.ndim != 1 or not counts.size:
            raise ValueError(f"lengths: expected shape (N,) with N >= 1, got {counts.shape}")
        if counts.min() < 0 or counts.sum() != len(rows):
            raise ValueError(
                f"lengths: expected numbers of at least 0 with the sum {len(rows)} of rows' steps, "
                f"got {counts.min()} at least and the sum {counts.sum()}"
            )
        self.rows = rows
        self.lengths = counts.astype(np.int64, copy=False)
        self._starts = np.cumsum(self.lengths) - self.lengths

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

    def with_columns(self) -> Ragged:
        """Return the sequences with (T_n,) floats as (T_n, 1)."""
        if self.rows.ndim == 1 and self.rows.dtype.kind == "f":
            return Ragged(self.rows[:, None], self.lengths)
        return self

    def __getitem__(self, indices: NDArray[np.intp]) -> Ragged:
        if is_mapped(self.rows):  # stays where it is
            part = object.__new__(Ragged)
            part.rows = self.rows
            part.lengths, part._starts = self.lengths[indices], self._starts[indices]
            return part
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
