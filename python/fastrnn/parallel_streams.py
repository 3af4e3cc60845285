"""Long sequences in parallel rows, some steps a batch, for states that go on between batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.memory_maps import checksum, is_mapped
from fastrnn.mini_batch import Batch
from fastrnn.ragged import Ragged

#: How many targets `targets` reads at a time: memory-mapped ones are not read as a whole.
TARGETS_AT_ONCE = 1 << 18

_Places = tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


class ParallelStreams:
    """Long sequences as batches of a few steps, each going on where the last one ended.

    A row of a batch holds the next steps of the sequence that the row held in the batch before;
    where that has ended, it begins the next sequence that no row has had, and the batch's `reset`
    says so. `Trainer.fit` and `evaluate` carry the states over accordingly. With one long stream
    this is how language models are trained (Mikolov et al. 2010, "Recurrent neural network based
    language model", Interspeech).

    Parameters
    ----------
    x : ndarray (T, F) or (T,) integer tokens, or a list of such arrays
        One stream, which is cut into `batch_size` parts of equal length (the last
        T % batch_size steps are left out); or sequences, which are taken in their order, also as
        (N, T, F) or `Ragged`. Arrays are not copied, and may be memory-mapped; lists are.
    y : ndarray or list, as long as x
        One target per step: (T,) or (T, C); floats (T,) become (T, 1).
    batch_size : int
        N: sequences side by side.
    steps : int
        T of a batch.
    mask : ndarray (T,) or (T, C), or list, or None, default None
        Weights of the targets, bool or numbers of at least 0; None: all count.

    Attributes
    ----------
    per_step, carries_state : bool
        True: there is a target for every step, and rows go on from the batch before.

    Raises
    ------
    TypeError, ValueError
        If counts, shapes or dtypes do not fit. Numbers of a memory-mapped mask are checked batch
        by batch.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> text = np.arange(13)
    >>> streams = fr.data.ParallelStreams(text[:-1], text[1:], batch_size=2, steps=4)
    >>> for batch in streams:
    ...     print(batch.x.tolist(), batch.reset.tolist())
    [[0, 1, 2, 3], [6, 7, 8, 9]] [True, True]
    [[4, 5], [10, 11]] [False, False]
    """

    per_step = True
    carries_state = True

    def __init__(self, x: Any, y: Any, batch_size: int, steps: int, *, mask: Any = None) -> None:
        self.batch_size = _checks.positive_integer("batch_size", batch_size)
        self.steps = _checks.positive_integer("steps", steps)
        self._x = self._sequences("x", x)
        if not self._x.lengths.any():
            raise ValueError(f"x: expected at least {self.batch_size} steps, one a row, got fewer")
        self._y = self._sequences("y", y)
        self._mask = None if mask is None else self._sequences("mask", mask, columns=False)
        for name, other in (("y", self._y), ("mask", self._mask)):
            if other is not None and not np.array_equal(other.lengths, self._x.lengths):
                raise ValueError(f"{name}: expected as many sequences and steps as x has")
        if self._mask is not None:
            weights, targets = self._mask.rows, self._y.rows
            if weights.shape not in (targets.shape, targets.shape[:1]):
                raise ValueError(
                    f"mask: expected y's shape, with or without its last axis, for y with shape "
                    f"{targets.shape}, got {weights.shape}"
                )
            if not is_mapped(weights):  # else batch by batch
                _checks.weights("mask", weights)

    def _sequences(self, name: str, value: Any, *, columns: bool = True) -> Ragged:
        """Return sequences, or one stream cut into parts, which are views of it."""
        if isinstance(value, Ragged):
            return value.with_columns() if columns else value
        if not isinstance(value, np.ndarray) or value.dtype == object:
            return Ragged.from_list(name, value, columns=columns)
        if value.ndim == 3 and value.flags.c_contiguous and value.dtype.kind in "biuf":
            steps = np.full(len(value), value.shape[1])
            return Ragged(value.reshape(-1, value.shape[2]), steps)  # a view
        if value.ndim > 2:
            return Ragged.from_list(name, value, columns=columns)
        if value.dtype.kind not in "biuf":
            raise TypeError(f"{name}: expected numbers, got {value.dtype}")
        if value.ndim == 0:
            raise ValueError(f"{name}: expected 1 or 2 axes (T, F), got shape ()")
        if columns and value.ndim == 1 and value.dtype.kind == "f":
            value = value[:, None]
        length = len(value) // self.batch_size
        lengths = np.full(self.batch_size, length, np.int64)
        return Ragged(value[: length * self.batch_size], lengths)

    def __repr__(self) -> str:
        total = int(self._x.lengths.sum())
        return f"ParallelStreams({self.batch_size} rows, {self.steps} of {total} steps a batch)"

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(
        self,
        rng: np.random.Generator | None = None,
        *,
        batch_size: int | None = None,
        start: int = 0,
        bucket_by_length: bool = False,
    ) -> Iterator[Batch]:
        """Return the batches, one after the other.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Draws, at once, the order in which sequences are begun; None keeps it.
        batch_size : int or None, default None
            Not used: streams have their own. It is here because every `Source` has it.
        start : int, default 0
            Batches to leave out at the front; their data are not read.
        bucket_by_length : bool, default False
            Expected False: a row goes from one sequence to the next, whatever their lengths.

        Returns
        -------
        iterator of Batch
            Each cut to its longest row; rows for which no sequence is left have length 0.

        Raises
        ------
        TypeError, ValueError
            If `start` or `bucket_by_length` is not as above; at once.
        """
        first = _checks.count("start", start)
        if bucket_by_length:
            raise ValueError("bucket_by_length: expected False for ParallelStreams, got True")
        order = np.flatnonzero(self._x.lengths)  # sequences of no steps are none
        places = self._places(order if rng is None else rng.permutation(order))
        return (self._batch(*place) for place in islice(places, first, None))

    def num_batches(self, batch_size: int | None = None) -> int | None:
        """Return the number of batches, or None where it depends on the order that is drawn.

        It is known where all sequences take the same number of batches, as the parts of one
        stream do, and where no row has more than one.

        Parameters
        ----------
        batch_size : int or None, default None
            Not used: streams have their own.
        """
        lengths = self._x.lengths[self._x.lengths > 0]
        each = -(-lengths // self.steps)
        if len(each) <= self.batch_size:
            return int(each.max())
        if (each == each[0]).all():
            return int(each[0]) * -(-len(each) // self.batch_size)
        return None

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal to resume training, as JSON values: sizes and a checksum."""
        mask = None if self._mask is None else self._mask.rows
        return {
            "kind": "ParallelStreams",
            "batch_size": self.batch_size,
            "batch_steps": self.steps,
            "sequences": len(self._x),
            "steps": int(self._x.lengths.sum()),
            "checksum": checksum(self._x.rows, self._y.rows, mask, self._x.lengths),
            "x": [str(self._x.rows.dtype), *self._x.rows.shape[1:]],
            "y": [str(self._y.rows.dtype), *self._y.rows.shape[1:]],
        }

    def targets(self) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Yield all targets once, some at a time, each with its mask (None: all count)."""
        rows = self._y.rows
        for begin in range(0, len(rows), TARGETS_AT_ONCE):
            piece = slice(begin, begin + TARGETS_AT_ONCE)
            yield rows[piece], None if self._mask is None else self._mask.rows[piece]

    def _places(self, order: NDArray[np.intp]) -> Iterator[_Places]:
        """Yield each batch's sequences, first steps in them, numbers of steps, and resets."""
        waiting = iter(order.tolist())
        sequences = np.zeros(self.batch_size, np.intp)
        begin = np.zeros(self.batch_size, np.int64)  # of the row's next steps in its sequence
        left = np.zeros(self.batch_size, np.int64)
        while True:
            reset = np.zeros(self.batch_size, bool)
            for row in np.flatnonzero(left == 0).tolist():
                sequence = next(waiting, None)
                if sequence is None:
                    break
                sequences[row], begin[row], reset[row] = sequence, 0, True
                left[row] = self._x.lengths[sequence]
            lengths = np.minimum(left, self.steps)
            if not lengths.any():
                return
            yield sequences, begin, lengths, reset
            begin += lengths
            left -= lengths

    def _batch(
        self,
        sequences: NDArray[np.intp],
        begin: NDArray[np.int64],
        lengths: NDArray[np.int64],
        reset: NDArray[np.bool_],
    ) -> Batch:
        x, y = (part.pieces(sequences, begin, lengths) for part in (self._x, self._y))
        mask = None if self._mask is None else self._mask.pieces(sequences, begin, lengths)
        if self._mask is not None and is_mapped(self._mask.rows):
            _checks.weights("mask", mask)
        if mask is None:  # also where all is valid: batches of an epoch are weighted by their masks
            mask = np.arange(x.shape[1]) < lengths[:, None]
        return Batch(x, y, None if int(lengths.min()) == x.shape[1] else lengths, mask, reset)
