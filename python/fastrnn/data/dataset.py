"""Data sets of sequences that are in memory or mapped to it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, initializers
from fastrnn.data import checking
from fastrnn.data.order import batch_rows
from fastrnn.memory_maps import checksum, is_mapped, sampled, selected
from fastrnn.mini_batch import Batch
from fastrnn.ragged import Ragged


@dataclass(frozen=True, eq=False)
class Dataset:
    """Sequences with targets, checked when it is made.

    Padded targets (N, T) are one per step where they are integers or have a mask (N, T); other
    targets with two axes are one vector per sequence.

    Parameters
    ----------
    x : ndarray (N, T, F) or (N, T) integer tokens, or a list of arrays (T_n, F) or (T_n,)
        Padded or ragged, or a `Ragged`. Arrays are not copied; lists are copied once, into a
        `Ragged`. Arrays may be memory-mapped: only what batches need is read.
    y : ndarray or list
        One target per sequence, (N,) or (N, C); or one per step, (N, T) or (N, T, C), or a list
        of arrays (T_n,) or (T_n, C) as long as those of x; floats (T_n,) become (T_n, 1).
        The dtype stays.
    lengths : ndarray of int, (N,), or None, default None
        Valid steps of padded x; not with a list.
    mask : ndarray or list, or None, default None
        Weights of the targets, bool or numbers of at least 0, of y's shape or without its last
        axis. Steps behind a sequence's end never count.
    sample_weight : ndarray (N,) or list, or None, default None
        Weights of the sequences, numbers of at least 0; in batches they multiply the mask.

    Attributes
    ----------
    per_step : bool
        Whether there is a target for every step.
    carries_state : bool
        False: every sequence begins anew.

    Raises
    ------
    TypeError, ValueError
        If counts, shapes, dtypes or lengths do not fit. Numbers of a memory-mapped mask are
        checked batch by batch.

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
    sample_weight: Any = None
    per_step: bool = field(init=False)
    carries_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        x, lengths, steps = checking.inputs(self.x, self.lengths)
        full = np.full(len(x), steps) if lengths is None else lengths
        y = checking.targets(self.y, full, ragged=lengths is not None)
        mask = checking.weights(self.mask, ragged=isinstance(y, Ragged))
        per_step = isinstance(y, Ragged) or checking.is_per_step(y, steps, mask)
        if not per_step and np.ndim(y) > 2:
            raise ValueError(
                f"y: expected shape (N,), (N, C), (N, T) or (N, T, C) with N, T = {len(x)}, "
                f"{steps}, got {y.shape}"
            )
        if mask is not None:
            checking.check_mask(mask, y, per_step, full, steps)
        values = {"x": x, "y": y, "lengths": lengths, "mask": mask, "per_step": per_step}
        values["sample_weight"] = checking.sample_weight(self.sample_weight, len(x))
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
        steps = self._steps(lengths)
        x = _taken(self.x, rows, steps)
        y, mask = self._targets(rows, lengths, steps)
        if lengths is not None and bool((lengths == steps).all()):
            lengths = None  # dense
        return Batch(x, y, lengths, mask)

    def batches(
        self,
        rng: np.random.Generator | None = None,
        *,
        batch_size: int,
        start: int = 0,
        bucket_by_length: bool = False,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Return mini-batches, one after the other.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Shuffles, by draws made at once; None keeps the order.
        batch_size : int
        start : int, default 0
            Batches to leave out at the front.
        bucket_by_length : bool, default False
            Shuffle so that sequences in a batch have about the same length: 50 batches at a time
            are sorted by length, and then the batches shuffled. Needs `rng`.
        drop_last : bool, default False
            Leave out the sequences, the last of the order, that do not fill a batch.

        Returns
        -------
        iterator of Batch

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; at once.
        """
        size = _checks.positive_integer("batch_size", batch_size)
        first = _checks.count("start", start)
        rows = batch_rows(
            len(self), size, rng, lengths=self.lengths, bucket_by_length=bucket_by_length,
            drop_last=drop_last,
        )  # fmt: skip
        return map(self.batch, rows[first:])

    def num_batches(self, batch_size: int) -> int:
        """Return the number of batches, the last, smaller one among them.

        Parameters
        ----------
        batch_size : int
        """
        return -(-len(self) // _checks.positive_integer("batch_size", batch_size))

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal to resume training, as JSON values: sizes and a checksum."""
        # Of sequences rather than arrays: what is in a file keeps indices where others are copied.
        steps = len(self) * self.x.shape[1] if self.lengths is None else int(self.lengths.sum())
        ragged = isinstance(self.x, Ragged)
        features = math.prod(self.x.rows.shape[1:] if ragged else self.x.shape[2:])
        some = self.batch(sampled(len(self), 8 * features * steps // len(self)))
        return {
            "kind": "Dataset",
            "sequences": len(self),
            "steps": steps,
            "per_step": self.per_step,
            "checksum": checksum(some.x, some.y, some.mask, some.lengths),
            **checking.kind(self.x, self.y, self.per_step),
        }

    def targets(self) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Yield all targets once, some at a time, each with its mask (None: all count)."""
        for begin in range(0, len(self), 256):
            rows = np.arange(begin, min(begin + 256, len(self)))
            lengths = None if self.lengths is None else self.lengths[rows]
            yield self._targets(rows, lengths, self._steps(lengths))

    def subset(self, indices: Any) -> Dataset:
        """Return a data set of these sequences only; what is memory-mapped stays so.

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
        for name in ("x", "y", "lengths", "mask", "sample_weight"):
            value = getattr(self, name)
            object.__setattr__(part, name, None if value is None else selected(value, rows))
        object.__setattr__(part, "per_step", self.per_step)
        return part

    def _steps(self, lengths: NDArray[np.int64] | None) -> int:
        return int(self.x.shape[1]) if lengths is None else max(int(lengths.max()), 1)

    def _targets(
        self, rows: NDArray[np.intp], lengths: NDArray[np.int64] | None, steps: int
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return the targets of some sequences and their weights."""
        y = _taken(self.y, rows, steps) if self.per_step else self.y[rows]
        mask = None
        if self.per_step and lengths is not None:
            mask = np.arange(steps) < lengths[:, None]
        if self.mask is not None:
            weights = _taken(self.mask, rows, steps) if self.per_step else self.mask[rows]
            if is_mapped(getattr(self.mask, "rows", self.mask)):
                _checks.weights("mask", weights)
            if mask is not None and weights.ndim > 2:
                mask = mask[..., None]
            mask = weights if mask is None else mask * weights
        if self.sample_weight is not None:
            each = self.sample_weight[rows]
            if mask is None:
                mask = np.ones(y.shape[: 2 if self.per_step else 1], bool)
            mask = mask * each.reshape(-1, *(1,) * (mask.ndim - 1))
        return y, mask

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
    bucket_by_length: bool = False,
) -> Iterator[Batch]:
    """Return a data set's mini-batches, one after the other.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    rng : numpy.random.Generator or None, default None
        Shuffles, by draws made at once; None keeps the order.
    drop_last : bool, default False
        Leave out a last batch that is not full.
    bucket_by_length : bool, default False
        Shuffle so that sequences in a batch have about the same length; see `Dataset.batches`.

    Returns
    -------
    iterator of Batch

    Raises
    ------
    TypeError, ValueError
        If `batch_size` is no integer of at least 1 or `bucket_by_length` has no `rng`; at once.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> data = fr.data.Dataset(np.zeros((5, 2, 1)), np.arange(5))
    >>> [batch.y.tolist() for batch in fr.data.batches(data, 2)]
    [[0, 1], [2, 3], [4]]
    """
    return dataset.batches(
        rng, batch_size=batch_size, bucket_by_length=bucket_by_length, drop_last=drop_last
    )


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
