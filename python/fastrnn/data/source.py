"""What training needs of data: batches, their number, and what tells one data set from another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fastrnn.data.dataset import Dataset
from fastrnn.mini_batch import Batch


@runtime_checkable
class Source(Protocol):
    """Data that a `Trainer` can be fitted to: any object with these attributes and methods.

    `Dataset` and `ParallelStreams` are sources, and so are `Chunks` and `Batches`. A class of
    one's own need not inherit from this one.

    Attributes
    ----------
    per_step : bool
        Whether there is a target for every step.
    carries_state : bool
        Whether batches have `reset`: rows that go on from the state after the batch before.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> isinstance(fr.data.Dataset(np.zeros((5, 2, 1)), np.arange(5)), fr.data.Source)
    True
    """

    @property
    def per_step(self) -> bool: ...  # noqa: D102

    @property
    def carries_state(self) -> bool: ...  # noqa: D102

    def batches(
        self,
        rng: np.random.Generator | None = None,
        *,
        batch_size: int,
        start: int = 0,
        bucket_by_length: bool = False,
    ) -> Iterator[Batch]:
        """Return the batches of one epoch, one after the other.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Shuffles; None keeps the order. All that is drawn from it is drawn by the call itself,
            none by the iterator, and the same whatever `start`.
        batch_size : int
        start : int, default 0
            Batches to leave out at the front.
        bucket_by_length : bool, default False
            Shuffle so that sequences in a batch have about the same length.

        Returns
        -------
        iterator of Batch
        """

    def num_batches(self, batch_size: int) -> int | None:
        """Return the number of batches of one epoch, or None where it is not known.

        Parameters
        ----------
        batch_size : int
        """

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal to resume training, as JSON values; sizes and a checksum do.

        Asked for only when a checkpoint is written or read.
        """


def as_source(name: str, value: Any) -> Source:
    """Return what `Trainer.fit` takes as a source.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    value : Dataset, or its arguments as a tuple, or ParallelStreams, or another Source

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If the arguments of a data set do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> fr.data.as_source("train", (np.zeros((5, 2, 1)), np.arange(5)))
    Dataset(5 sequences, targets per sequence)
    """
    if isinstance(value, tuple) and 2 <= len(value) <= 4:
        return Dataset(*value)
    if isinstance(value, Source) and not isinstance(value, type):
        return value
    got = f"{len(value)} values" if isinstance(value, tuple) else type(value).__name__
    raise TypeError(
        f"{name}: expected a Dataset, ParallelStreams or a tuple (x, y[, lengths[, mask]]), "
        f"got {got}"
    )
