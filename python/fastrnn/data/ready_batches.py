"""Batches that the user's own code makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn.data.iterables import Fresh
from fastrnn.mini_batch import Batch


class Batches:
    """Ready batches, one after the other, as the user's own code makes them.

    They are neither shuffled nor cut: that is up to `make`.

    Parameters
    ----------
    make : callable
        Called without arguments at the start of every pass; returns a fresh iterator (or a list)
        of `Batch`. A generator function is one.
    per_step : bool
        Whether there is a target for every step.
    carries_state : bool, default False
        Whether batches have `reset`: rows that go on from the state after the batch before.
    count : int or None, default None
        Batches of one pass, where it is known beforehand.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. In a pass: if `make` returns no iterator, one that the
        pass before has used, no batch, or other than `count`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> rng = np.random.default_rng(0)
    >>> def simulate():
    ...     for _ in range(3):
    ...         x = rng.standard_normal((8, 20, 1)).astype(np.float32)
    ...         yield fr.data.Batch(x, (x.sum(axis=(1, 2)) > 0).astype(np.int64), None, None)
    >>> model = fr.Sequential([fr.GRU(1, 4, seed=0), fr.Last(), fr.Linear(4, 2, seed=1)])
    >>> source = fr.data.Batches(simulate, per_step=False)
    >>> for batch in source.batches():
    ...     scores, _ = model(batch.x)
    >>> source.num_batches()
    3
    """

    def __init__(
        self,
        make: Callable[[], Iterable[Batch]],
        *,
        per_step: bool,
        carries_state: bool = False,
        count: int | None = None,
    ) -> None:
        self._fresh = Fresh(make)
        self.per_step = _checks.switch("per_step", per_step)
        self.carries_state = _checks.switch("carries_state", carries_state)
        self._given = None if count is None else _checks.positive_integer("count", count)
        self._count = self._given

    def __repr__(self) -> str:
        return f"Batches({'not counted yet' if self._count is None else self._count})"

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
            Not used: the order is that of `make`. It is here because every `Source` has it.
        batch_size : int or None, default None
            Not used.
        start : int, default 0
            Batches to leave out at the front; they are made all the same.
        bucket_by_length : bool, default False
            Expected False.

        Returns
        -------
        iterator of Batch

        Raises
        ------
        TypeError, ValueError
            If `start` or `bucket_by_length` is not as above; at once.
        """
        first = _checks.count("start", start)
        if bucket_by_length:
            raise ValueError("bucket_by_length: expected False for Batches, got True")
        return islice(self._batches(), first, None)

    def num_batches(self, batch_size: int | None = None) -> int | None:
        """Return the number of batches as of `count` or the last whole pass, or None before it.

        Parameters
        ----------
        batch_size : int or None, default None
            Not used.
        """
        return self._count

    def fingerprint(self) -> dict[str, Any]:
        """Return what is known before a pass, as JSON values: equal to resume training."""
        return {
            "kind": "Batches",
            "per_step": self.per_step,
            "carries_state": self.carries_state,
            "batches": self._given,
        }

    def _batches(self) -> Iterator[Batch]:
        count = 0
        for batch in self._fresh():
            if not isinstance(batch, Batch):
                raise TypeError(f"batch {count}: expected a Batch, got {type(batch).__name__}")
            if (batch.reset is not None) != self.carries_state:
                expected = "reset" if self.carries_state else "no reset"
                raise ValueError(
                    f"batch {count}: expected {expected} as of carries_state = "
                    f"{self.carries_state}, got the contrary"
                )
            count += 1
            yield batch
        if not count:
            raise ValueError("make: expected an iterator of at least one batch, got none")
        if self._given not in (None, count):
            raise ValueError(f"count: expected {count} batches as made, got {self._given}")
        self._count = count
