"""Tokens of one long text as parallel streams that are cut elsewhere in each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.data import Batch, ParallelStreams
from fastrnn.text.budget import Budget


class TokenStreams(ParallelStreams):
    """One stream of tokens whose targets are the next tokens, cut at other places in each epoch.

    An epoch begins up to `steps` - 1 tokens behind the first, as a generator says: so the places
    where no gradient crosses are others each time. All epochs have as many batches.

    Parameters
    ----------
    tokens : ndarray of int, (T,)
        Not copied; more than `batch_size`.
    batch_size, steps : int
        N rows, T of a batch.
    budget : Budget
        An epoch ends when it is spent, but has one batch at least.

    Attributes
    ----------
    batches_per_epoch : int
    """

    def __init__(self, tokens: NDArray[Any], batch_size: int, steps: int, budget: Budget) -> None:
        targets = len(tokens) - 1
        self._beginnings = max(min(steps, targets // batch_size), 1)
        self._count = targets - self._beginnings + 1
        self._tokens, self._budget = tokens, budget
        super().__init__(*self._cut(0), batch_size, steps)
        self.batches_per_epoch = -(-(self._count // batch_size) // steps)

    def batches(self, rng: np.random.Generator | None = None, **options: Any) -> Iterator[Batch]:
        """Return the batches of an epoch.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Draws the first token; None: that of the text.
        **options
            As for `ParallelStreams`.
        """
        begin = 0 if rng is None else int(rng.integers(self._beginnings))
        parts = ParallelStreams(*self._cut(begin), self.batch_size, self.steps)
        return self._until_spent(parts.batches(None, **options))

    def _cut(self, begin: int) -> tuple[NDArray[Any], NDArray[Any]]:
        end = begin + self._count
        return self._tokens[begin:end], self._tokens[begin + 1 : end + 1]

    def _until_spent(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            if self._budget.spent():
                return


def parts_of(tokens: NDArray[Any]) -> int:
    """Return in how many parts side by side a text is measured: one per 1024 tokens, at most 32.

    Parameters
    ----------
    tokens : ndarray of int, (T,)
    """
    return min(max(len(tokens) // 1024, 1), 32)
