"""Which sequences make up each mini-batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Batches of a pool, whose sequences are sorted by length. The more, the more alike the lengths
#: in a batch and the fewer pairs of sequences that can meet in one (see docs/data.md).
POOL = 50


def batch_rows(
    count: int,
    batch_size: int,
    rng: np.random.Generator | None,
    *,
    lengths: NDArray[np.int64] | None = None,
    bucket_by_length: bool = False,
    drop_last: bool = False,
) -> list[NDArray[np.intp]]:
    """Return the indices of each batch; all draws are made here.

    Parameters
    ----------
    count : int
        Of sequences.
    batch_size : int
    rng : numpy.random.Generator or None
        Shuffles; None keeps the order.
    lengths : ndarray of int64, (count,), or None
        For `bucket_by_length`; None: all are equal.
    bucket_by_length : bool, default False
        Sort the shuffled sequences by length, `POOL` batches at a time, and shuffle the batches.
    drop_last : bool, default False
        Leave out the last sequences of the shuffled order that would not fill a batch.

    Raises
    ------
    ValueError
        If batches are to be bucketed without a generator.
    """
    check_bucketing(rng, bucket_by_length)
    order = np.arange(count) if rng is None else rng.permutation(count)
    if drop_last:
        order = order[: count - count % batch_size]
    if bucket_by_length:
        for begin in range(0, len(order) if lengths is not None else 0, batch_size * POOL):
            pool = order[begin : begin + batch_size * POOL]
            pool[...] = pool[np.argsort(lengths[pool], kind="stable")]  # type: ignore[index]
    cut = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    if bucket_by_length and rng is not None:
        cut = [cut[i] for i in rng.permutation(len(cut))]
    return cut


def check_bucketing(rng: np.random.Generator | None, bucket_by_length: bool) -> None:
    """Raise if batches are to be bucketed without a generator.

    Parameters
    ----------
    rng : numpy.random.Generator or None
    bucket_by_length : bool
    """
    if bucket_by_length and rng is None:
        raise ValueError(
            "bucket_by_length: expected a generator (rng) with it, which shuffles the batches, "
            "got None"
        )
