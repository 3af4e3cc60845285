"""Data sets of sequences, padded or ragged, and their mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, initializers
from fastrnn.mini_batch import Batch
from fastrnn.padding import mask_from_lengths, pad_sequences
from fastrnn.parallel_streams import ParallelStreams
from fastrnn.ragged import Ragged

__all__ = [
    "Batch",
    "Dataset",
    "ParallelStreams",
    "batches",
    "mask_from_lengths",
    "pad_sequences",
    "train_validation_split",
]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences with targets, checked when it is made.

    Padded targets (N, T) are one per step where they are integers or have a mask (N, T); other
    targets with two axes are one vector per sequence.

    Parameters
    ----------
    x : ndarray (N, T, F) or (N, T) integer tokens, or a list of arrays (T_n, F) or (T_n,)
        Padded or ragged. Arrays are not copied; lists are copied once, into a `Ragged`.
    y : ndarray or list
        One target per sequence, (N,) or (N, C); or one per step, (N, T) or (N, T, C), or a list
        of arrays (T_n,) or (T_n, C) as long as those of x; floats (T_n,) become (T_n, 1).
        The dtype stays.
    lengths : ndarray of int, (N,), or None, default None
        Valid steps of padded x; not with a list.
    mask : ndarray or list, or None, default None
        Weights of the targets, bool or numbers of at least 0, of y's shape or without its last
        axis. Steps behind a sequence's end never count.

    Attributes
    ----------
    per_step : bool
        Whether there is a target for every step.

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

    x: Any
    y: Any
    lengths: Any = None
    mask: Any = None
    per_step: bool = field(init=False)

    def __post_init__(self) -> None:
        x, lengths, steps = _inputs(self.x, self.lengths)
        full = np.full(len(x), steps) if lengths is None else lengths
        y = _targets(self.y, full, ragged=lengths is not None)
        mask = _weights(self.mask, ragged=isinstance(y, Ragged))
        per_step = isinstance(y, Ragged) or _is_per_step(y, steps, mask)
        if not per_step and np.ndim(y) > 2:
            raise ValueError(
                f"y: expected shape (N,), (N, C), (N, T) or (N, T, C) with N, T = {len(x)}, "
                f"{steps}, got {y.shape}"
            )
        if mask is not None:
            _check_mask(mask, y, per_step, full, steps)
        values = {"x": x, "y": y, "lengths": lengths, "mask": mask, "per_step": per_step}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        targets = "per step" if self.per_step else "per sequence"
        return f"Dataset({len(self)} sequences, targets {targets})"

    def batch(self, indices: Any) -> Batch:
        """Return the sequences of these indices, cut to the longest of them (at least one step).

        Parameters
        ----------
        indices : array of int, (n,)
            Each in 0..N-1.

        Returns
        -------
        Batch

        Raises
        ------
        TypeError, ValueError
            If `indices` are not as above.
        """
        rows = self._rows(indices)
        lengths = None if self.lengths is None else self.lengths[rows]
        steps = self.x.shape[1] if lengths is None else max(int(lengths.max()), 1)
        x = _taken(self.x, rows, steps)
        y = _taken(self.y, rows, steps) if self.per_step else self.y[rows]
        mask = None
        if self.per_step and lengths is not None:
            mask = np.arange(steps) < lengths[:, None]
        if self.mask is not None:
            weights = _taken(self.mask, rows, steps) if self.per_step else self.mask[rows]
            if mask is not None and weights.ndim > 2:
                mask = mask[..., None]
            mask = weights if mask is None else mask * weights
        if lengths is not None and bool((lengths == steps).all()):
            lengths = None  # dense
        return Batch(x, y, lengths, mask)

    def subset(self, indices: Any) -> Dataset:
        """Return a data set of these sequences only.

        Parameters
        ----------
        indices : array of int, (n,)
            Each in 0..N-1.

        Raises
        ------
        TypeError, ValueError
            If `indices` are not as above.
        """
        rows = self._rows(indices)
        part = object.__new__(Dataset)  # what has been checked needs no second check
        for name in ("x", "y", "lengths", "mask"):
            value = getattr(self, name)
            object.__setattr__(part, name, None if value is None else value[rows])
        object.__setattr__(part, "per_step", self.per_step)
        return part

    def _rows(self, indices: Any) -> NDArray[np.intp]:
        rows = np.asarray(indices)
        if rows.ndim != 1 or rows.size == 0:
            raise ValueError(f"indices: expected shape (n,) with n >= 1, got {rows.shape}")
        if rows.dtype.kind not in "iu":
            raise TypeError(f"indices: expected integers, got {rows.dtype}")
        if rows.min() < 0 or rows.max() >= len(self):
            wrong = rows[(rows < 0) | (rows >= len(self))][0]
            raise ValueError(f"indices: expected 0..N-1 = 0..{len(self) - 1}, got {wrong}")
        return rows.astype(np.intp, copy=False)


def batches(
    dataset: Dataset,
    batch_size: int,
    rng: np.random.Generator | None = None,
    *,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Return a data set's mini-batches, one after the other.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    rng : numpy.random.Generator or None, default None
        Shuffles, in one draw made at once; None keeps the order.
    drop_last : bool, default False
        Leave out a last batch that is not full.

    Returns
    -------
    iterator of Batch

    Raises
    ------
    TypeError, ValueError
        If `batch_size` is no integer of at least 1; at once.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> data = fr.data.Dataset(np.zeros((5, 2, 1)), np.arange(5))
    >>> [batch.y.tolist() for batch in fr.data.batches(data, 2)]
    [[0, 1], [2, 3], [4]]
    """
    size = _checks.positive_integer("batch_size", batch_size)
    count = len(dataset)
    order = np.arange(count) if rng is None else rng.permutation(count)
    stop = count - count % size if drop_last else count
    return (dataset.batch(order[start : start + size]) for start in range(0, stop, size))


def train_validation_split(
    dataset: Dataset, fraction: float, seed: int | np.random.Generator | None = None
) -> tuple[Dataset, Dataset]:
    """Split at random; both parts get at least one sequence and keep the order.

    Parameters
    ----------
    dataset : Dataset
        Of at least two sequences.
    fraction : float
        Share of the second part, between 0 and 1.
    seed : int, numpy.random.Generator or None, default None

    Returns
    -------
    train, validation : Dataset

    Raises
    ------
    TypeError, ValueError
        If `fraction` or `seed` is not so or there are fewer than two sequences.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> data = fr.data.Dataset(np.zeros((10, 2, 1)), np.arange(10))
    >>> train, validation = fr.data.train_validation_split(data, 0.2, seed=0)
    >>> len(train), len(validation)
    (8, 2)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction: expected 0 < fraction < 1, got {fraction}")
    count = len(dataset)
    if count < 2:
        raise ValueError(f"dataset: expected at least 2 sequences, got {count}")
    held_out = min(max(round(count * fraction), 1), count - 1)
    order = initializers.generator(seed).permutation(count)
    return dataset.subset(np.sort(order[held_out:])), dataset.subset(np.sort(order[:held_out]))


def _taken(source: NDArray[Any] | Ragged, rows: NDArray[np.intp], steps: int) -> NDArray[Any]:
    """Return some rows of padded (N, T, ...) or ragged numbers, with so many steps."""
    if not isinstance(source, Ragged):
        return source[rows, :steps]
    padded = source.padded(rows)
    if padded.shape[1] < steps:  # all are empty: one step of zeros
        padded = np.zeros((len(rows), steps, *padded.shape[2:]), padded.dtype)
    return padded


def _inputs(x: Any, lengths: Any) -> tuple[Any, NDArray[np.int64] | None, int]:
    """Return x, an array or `Ragged`, its lengths, and T."""
    if not isinstance(x, np.ndarray) or x.dtype == object:
        if lengths is not None:
            raise ValueError("lengths: expected None with a list of sequences, got others")
        x = Ragged.from_list("x", x)
        steps = int(x.lengths.max())
        if steps == 0:
            raise ValueError("x: expected at least one step, got none")
        return x, x.lengths, steps
    if x.ndim != 3 and not (x.ndim == 2 and x.dtype.kind in "iu"):
        raise ValueError(
            f"x: expected 3 axes (N, T, F), or (N, T) integer tokens, got shape {x.shape}"
        )
    if x.dtype.kind not in "fiu":
        raise TypeError(f"x: expected numbers, got {x.dtype}")
    if 0 in x.shape[:2]:
        raise ValueError(f"x: expected at least one sequence and step, got shape {x.shape}")
    return x, _checks.lengths(lengths, *x.shape[:2]), x.shape[1]


def _targets(y: Any, lengths: NDArray[np.int64], *, ragged: bool) -> Any:
    """Return targets as an array (N, ...), or as `Ragged` where they are a list per step."""
    if ragged and isinstance(y, (list, tuple)) and any(map(np.ndim, y)):
        per_step = Ragged.from_list("y", y)
        if len(per_step) != len(lengths):
            raise ValueError(f"y: expected N = {len(lengths)} targets like x, got {len(per_step)}")
        wrong = np.flatnonzero(per_step.lengths != lengths)
        if not wrong.size:
            return per_step
        if np.ptp(per_step.lengths):
            n = int(wrong[0])
            raise ValueError(
                f"y[{n}]: expected {lengths[n]} steps like x[{n}], got {per_step.lengths[n]}"
            )
    try:
        array = np.asarray(y)
    except ValueError:
        raise ValueError("y: expected targets of one shape, got a ragged list") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"y: expected numbers, got {array.dtype}")
    if array.ndim < 1 or len(array) != len(lengths):
        got = len(array) if array.ndim else "a single number"
        raise ValueError(f"y: expected N = {len(lengths)} targets like x, got {got}")
    return array


def _is_per_step(y: NDArray[Any], steps: int, mask: Any) -> bool:
    """Whether padded targets have a time axis: three axes, a mask (N, T), or integers (N, T)."""
    if y.ndim not in (2, 3) or y.shape[1] != steps:
        return False
    return y.ndim == 3 or y.dtype.kind in "iub" or getattr(mask, "shape", None) == y.shape


def _weights(mask: Any, *, ragged: bool) -> Any:
    """Return a mask as an array, or as `Ragged` where it is a list for ragged targets."""
    if mask is None:
        return None
    try:
        listed = ragged and isinstance(mask, (list, tuple))
        found = Ragged.from_list("mask", mask, columns=False) if listed else np.asarray(mask)
    except ValueError as error:
        raise ValueError(f"mask: expected one array, got a ragged list ({error})") from None
    numbers = found.rows if isinstance(found, Ragged) else found
    if numbers.dtype.kind not in "biuf":
        raise TypeError(f"mask: expected booleans or numbers, got {numbers.dtype}")
    if not np.all((numbers >= 0) & (numbers < np.inf)):
        raise ValueError("mask: expected finite numbers of at least 0, got others")
    return found


def _check_mask(mask: Any, y: Any, per_step: bool, lengths: NDArray[np.int64], steps: int) -> None:
    """Raise unless a mask has the shape of the targets, or that without the last axis."""
    if isinstance(mask, Ragged):
        if not np.array_equal(mask.lengths, lengths):
            raise ValueError("mask: expected as many steps as x has, got other numbers")
        got, whole, axes = mask.rows.shape, y.rows.shape, 1
    else:
        outer = (len(lengths), steps)
        whole = (*outer, *y.rows.shape[1:]) if isinstance(y, Ragged) else y.shape
        got, axes = mask.shape, 2 if per_step else 1
    if got not in (whole, whole[:axes]):
        expected = " or ".join(map(str, dict.fromkeys((whole, whole[:axes]))))
        raise ValueError(f"mask: expected shape {expected} like y, got {got}")
