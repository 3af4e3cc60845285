"""Data sets of sequences, padded or ragged, and their mini-batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, initializers
from fastrnn.ragged import Ragged

__all__ = [
    "Batch",
    "Dataset",
    "batches",
    "mask_from_lengths",
    "pad_sequences",
    "train_validation_split",
]


def pad_sequences(
    sequences: Sequence[Any], *, dtype: Any = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Put sequences of different lengths into one array, zeros behind their ends.

    Parameters
    ----------
    sequences : sequence of arrays (T_n, F), (T_n,) numbers or (T_n,) integer tokens
        At least one; all of one kind.
    dtype : dtype or None
        Of the result; None keeps that of the sequences.

    Returns
    -------
    padded : ndarray, (N, T, F); (N, T) for integer tokens
    lengths : ndarray of int64, (N,)

    Raises
    ------
    TypeError, ValueError
        If the sequences are not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> padded, lengths = fr.data.pad_sequences([[1.0, 2.0], [3.0]])
    >>> padded[..., 0].tolist(), lengths.tolist()
    ([[1.0, 2.0], [3.0, 0.0]], [2, 1])
    """
    ragged = Ragged.from_list("sequences", sequences)
    padded = ragged.padded(np.arange(len(ragged)))
    return (padded if dtype is None else padded.astype(dtype)), ragged.lengths.copy()


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
    valid = _checks.lengths(lengths, np.shape(lengths)[0] if np.ndim(lengths) else 0, steps)
    assert valid is not None
    return np.arange(steps) < valid[:, None]


@dataclass(frozen=True)
class Batch:
    """One mini-batch, cut to its longest sequence.

    Attributes
    ----------
    x : ndarray, (N, T, F), or (N, T) integer tokens
    y : ndarray
        Targets per sequence (N, ...) or per step (N, T, ...).
    lengths : ndarray of int64, (N,), or None
        None where all rows have T steps.
    mask : ndarray, (N, T), or None
        Weights of the targets per step: zero where there is no target.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[np.int64] | None
    mask: NDArray[Any] | None


class Dataset:
    """Sequences with targets.

    Parameters
    ----------
    x : ndarray (N, T, F) or (N, T) integer tokens, or a list of arrays (T_n, F) or (T_n,)
        Padded or ragged. Arrays are not copied; lists are copied once.
    y : ndarray or list
        One target per sequence, (N,) or (N, C); or one per step, (N, T) or (N, T, C), or a list
        of arrays (T_n,) or (T_n, C) as long as those of x.
    lengths : ndarray of int, (N,), or None
        Valid steps of padded x; not with a list.
    mask : ndarray, (N, T), or None
        Further weights of targets per step, for padded targets.

    Raises
    ------
    TypeError, ValueError
        If counts, shapes, dtypes or lengths do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> data = fr.data.Dataset([np.ones((3, 2)), np.ones((5, 2))], [0, 1])
    >>> len(data)
    2
    >>> batch = data.batch([1, 0])
    >>> batch.x.shape, batch.lengths.tolist(), batch.y.tolist()
    ((2, 5, 2), [5, 3], [1, 0])
    """

    def __init__(self, x: Any, y: Any, lengths: Any = None, mask: Any = None) -> None:
        if isinstance(x, np.ndarray) and x.dtype != object:
            self._x: NDArray[Any] | Ragged = _padded_input(x)
            steps = x.shape[1]
            self._lengths = _checks.lengths(lengths, len(x), steps)
        else:
            if lengths is not None:
                raise ValueError("lengths: expected None with a list of sequences, got an array")
            self._x = Ragged.from_list("x", x)
            self._lengths = self._x.lengths
            steps = int(self._lengths.max())
        self._count = len(self._x)
        if self._count == 0:
            raise ValueError("x: expected at least one sequence, got none")
        self._y: NDArray[Any] | Ragged = self._targets(y)
        self.per_step = isinstance(self._y, Ragged) or self._is_per_step(self._y, steps, mask)
        self._mask = None
        if mask is not None:
            self._mask = np.asarray(mask)
            if isinstance(self._y, Ragged) or self._mask.shape != (self._count, steps):
                raise ValueError(
                    f"mask: expected shape (N, T) = ({self._count}, {steps}) with padded targets, "
                    f"got {self._mask.shape}"
                )
            if self._mask.dtype.kind not in "biuf":
                raise TypeError(f"mask: expected booleans or numbers, got {self._mask.dtype}")

    def __len__(self) -> int:
        return self._count

    def _targets(self, y: Any) -> NDArray[Any] | Ragged:
        if isinstance(self._x, Ragged) and isinstance(y, (list, tuple)) and any(map(np.ndim, y)):
            ragged = Ragged.from_list("y", y, columns=False)
            if len(ragged) != self._count:
                raise ValueError(f"y: expected {self._count} targets like x, got {len(ragged)}")
            wrong = np.flatnonzero(ragged.lengths != self._x.lengths)
            if not wrong.size:
                return ragged
            if len({len(row) for row in y}) > 1:
                n = int(wrong[0])
                raise ValueError(
                    f"y[{n}]: expected {self._x.lengths[n]} steps like x[{n}], "
                    f"got {ragged.lengths[n]}"
                )
        try:
            array = np.asarray(y)
        except ValueError:
            raise ValueError("y: expected targets of one shape, got a ragged list") from None
        if array.dtype.kind not in "biuf":
            raise TypeError(f"y: expected numbers, got {array.dtype}")
        if array.ndim < 1 or len(array) != self._count:
            got = len(array) if array.ndim else "a single number"
            raise ValueError(f"y: expected {self._count} targets like x, got {got}")
        return array

    def _is_per_step(self, y: NDArray[Any], steps: int, mask: Any) -> bool:
        """Whether padded targets have a time axis: three axes, a mask, or integers (N, T)."""
        if y.ndim < 2 or y.shape[1] != steps or isinstance(self._x, Ragged):
            return False
        return y.ndim > 2 or mask is not None or y.dtype.kind in "iu"

    def batch(self, indices: Any) -> Batch:
        """Return the sequences of these indices, cut to the longest of them.

        Parameters
        ----------
        indices : array of int, (N,)
        """
        rows = np.asarray(indices, dtype=np.intp)
        lengths = None if self._lengths is None else self._lengths[rows]
        if isinstance(self._x, Ragged):
            x = self._x.padded(rows)
        else:
            x = self._x[rows] if lengths is None else self._x[rows, : lengths.max(initial=0)]
        steps = x.shape[1]
        if isinstance(self._y, Ragged):
            y = self._y.padded(rows)
        else:
            y = self._y[rows, :steps] if self.per_step else self._y[rows]
        mask = None
        if self.per_step and lengths is not None:
            mask = np.arange(steps) < lengths[:, None]
        if self._mask is not None:
            extra = self._mask[rows, :steps]
            mask = extra if mask is None else mask * extra
        if lengths is not None and bool((lengths == steps).all()):
            lengths = None  # dense
        return Batch(x, y, lengths, mask)

    def subset(self, indices: Any) -> Dataset:
        """Return a data set of these sequences only.

        Parameters
        ----------
        indices : array of int, (N,)
        """
        rows = np.asarray(indices, dtype=np.intp)
        if rows.size == 0:
            raise ValueError("indices: expected at least one, got none")
        part = object.__new__(Dataset)
        part._x = self._x[rows]
        part._y = self._y[rows]
        part._lengths = None if self._lengths is None else self._lengths[rows]
        part._mask = None if self._mask is None else self._mask[rows]
        part._count = rows.size
        part.per_step = self.per_step
        return part


def batches(
    dataset: Dataset,
    batch_size: int,
    rng: np.random.Generator | None = None,
    *,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Yield a data set in mini-batches.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    rng : numpy.random.Generator or None
        Shuffles; None keeps the order.
    drop_last : bool, default False
        Leave out a last batch that is not full.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> data = fr.data.Dataset(np.zeros((5, 2, 1)), np.arange(5))
    >>> [batch.y.tolist() for batch in fr.data.batches(data, 2)]
    [[0, 1], [2, 3], [4]]
    """
    size = _checks.positive_integer("batch_size", batch_size)
    order = np.arange(len(dataset)) if rng is None else rng.permutation(len(dataset))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        if drop_last and len(rows) < size:
            return
        yield dataset.batch(rows)


def train_validation_split(
    dataset: Dataset, fraction: float, seed: int | np.random.Generator | None = None
) -> tuple[Dataset, Dataset]:
    """Split at random; both parts get at least one sequence.

    Parameters
    ----------
    dataset : Dataset
        Of at least two sequences.
    fraction : float
        Share of the second part, between 0 and 1.
    seed : int, numpy.random.Generator or None

    Returns
    -------
    train, validation : Dataset

    Raises
    ------
    ValueError
        If `fraction` is not so or there are fewer than two sequences.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction: expected 0 < fraction < 1, got {fraction}")
    count = len(dataset)
    if count < 2:
        raise ValueError(f"dataset: expected at least 2 sequences, got {count}")
    held_out = min(max(round(count * fraction), 1), count - 1)
    order = initializers.generator(seed).permutation(count)
    return dataset.subset(order[held_out:]), dataset.subset(order[:held_out])


def _padded_input(x: NDArray[Any]) -> NDArray[Any]:
    tokens = x.ndim == 2 and x.dtype.kind in "iu"
    if x.ndim != 3 and not tokens:
        raise ValueError(
            f"x: expected 3 axes (N, T, F), or (N, T) integer tokens, got shape {x.shape}"
        )
    if x.dtype.kind not in "fiu":
        raise TypeError(f"x: expected numbers, got {x.dtype}")
    return x
