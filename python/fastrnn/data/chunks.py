"""Data larger than memory, read one chunk after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn.data import checking
from fastrnn.data.dataset import Dataset
from fastrnn.data.iterables import Fresh
from fastrnn.data.order import check_bucketing
from fastrnn.mini_batch import Batch


class Chunks:
    """Data larger than memory, one data set after the other.

    One chunk is in memory at a time, besides those that `make` itself holds on to. With a
    generator, sequences are shuffled within their chunk, not across chunks: what should meet in a
    batch must be in one chunk, and `make` may return the chunks in another order each time. No
    batch spans two chunks, so the last one of every chunk may be smaller.

    Parameters
    ----------
    make : callable
        Called without arguments at the start of every pass; returns a fresh iterator (or a list)
        of chunks, each a `Dataset` or its arguments as a tuple, all with the same features and
        dtypes. A generator function is one.
    per_step : bool
        Whether there is a target for every step.
    sizes : sequence of int, or None, default None
        Sequences of each chunk, where they are known beforehand: then `num_batches` is known
        before the first pass has gone through all chunks.

    Attributes
    ----------
    per_step : bool
    carries_state : bool
        False: every sequence begins anew.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. In a pass: if `make` returns no iterator, one that the
        pass before has used, or no chunk, or if chunks do not fit together or to `sizes`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> def read():
    ...     for begin in (0, 3):  # files, in earnest
    ...         yield np.zeros((3, 4, 1), np.float32), np.arange(begin, begin + 3)
    >>> chunks = fr.data.Chunks(read, per_step=False)
    >>> [batch.y.tolist() for batch in chunks.batches(batch_size=2)]
    [[0, 1], [2], [3, 4], [5]]
    >>> chunks.num_batches(2)
    4
    """

    carries_state = False

    def __init__(
        self,
        make: Callable[[], Iterable[Dataset | tuple[Any, ...]]],
        *,
        per_step: bool,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self._fresh = Fresh(make)
        self.per_step = _checks.switch("per_step", per_step)
        self._given: list[int] | None = None
        if sizes is not None:
            self._given = [
                _checks.positive_integer(f"sizes[{n}]", size) for n, size in enumerate(sizes)
            ]
            if not self._given:
                raise ValueError("sizes: expected at least one chunk, got none")
        self._sizes = self._given  # of the last whole pass
        self._kind: dict[str, list[Any]] | None = None  # of the first chunk ever

    def __repr__(self) -> str:
        targets = "per step" if self.per_step else "per sequence"
        if self._sizes is None:
            return f"Chunks(not counted yet, targets {targets})"
        return f"Chunks({sum(self._sizes)} sequences in {len(self._sizes)}, targets {targets})"

    def batches(
        self,
        rng: np.random.Generator | None = None,
        *,
        batch_size: int,
        start: int = 0,
        bucket_by_length: bool = False,
    ) -> Iterator[Batch]:
        """Return mini-batches, one after the other; chunks are read as they are reached.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Shuffles within chunks, by one number drawn at once; None keeps the order.
        batch_size : int
        start : int, default 0
            Batches to leave out at the front. Chunks before are read, but not cut into batches.
        bucket_by_length : bool, default False
            As of `Dataset.batches`, within each chunk. Needs `rng`.

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
        check_bucketing(rng, bucket_by_length)
        seed = None if rng is None else int(rng.integers(1 << 63))
        return self._batches(seed, size, first, bucket_by_length)

    def num_batches(self, batch_size: int) -> int | None:
        """Return the number of batches as of `sizes` or the last whole pass, or None before it.

        Parameters
        ----------
        batch_size : int
        """
        size = _checks.positive_integer("batch_size", batch_size)
        return None if self._sizes is None else sum(-(-count // size) for count in self._sizes)

    def fingerprint(self) -> dict[str, Any]:
        """Return what is known before a pass, as JSON values: equal to resume training."""
        given = self._given
        return {
            "kind": "Chunks",
            "per_step": self.per_step,
            "chunks": None if given is None else len(given),
            "sequences": None if given is None else sum(given),
        }

    def _batches(
        self, seed: int | None, batch_size: int, start: int, bucket_by_length: bool
    ) -> Iterator[Batch]:
        sizes: list[int] = []
        for chunk in self._fresh():  # no enumerate: it keeps the chunk while the next is made
            n = len(sizes)
            data = self._dataset(n, chunk)
            sizes.append(len(data))
            # A generator for each chunk: those before need not draw
            rng = None if seed is None else np.random.default_rng([seed, n])
            left_out = min(start, data.num_batches(batch_size))
            start -= left_out
            yield from data.batches(
                rng, batch_size=batch_size, start=left_out, bucket_by_length=bucket_by_length
            )
            del chunk, data
        if not sizes:
            raise ValueError("make: expected an iterator of at least one chunk, got none")
        if self._given is not None and len(sizes) != len(self._given):
            raise ValueError(f"sizes: expected {len(sizes)} chunks as read, got {len(self._given)}")
        self._sizes = sizes

    def _dataset(self, n: int, chunk: Any) -> Dataset:
        """Return a chunk as a data set that fits to the others."""
        if isinstance(chunk, tuple) and 2 <= len(chunk) <= 5:
            try:
                chunk = Dataset(*chunk)
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"chunk {n}: {error}") from error
        if not isinstance(chunk, Dataset):
            hint = "; data.Batches takes those" if isinstance(chunk, Batch) else ""
            raise TypeError(
                f"chunk {n}: expected a Dataset or a tuple (x, y[, lengths[, mask]]), got "
                f"{type(chunk).__name__}{hint}"
            )
        if chunk.per_step != self.per_step:
            kinds = {True: "targets per step", False: "targets per sequence"}
            raise ValueError(
                f"chunk {n}: expected {kinds[self.per_step]} as of per_step = {self.per_step}, "
                f"got {kinds[chunk.per_step]}"
            )
        found = checking.kind(chunk.x, chunk.y, chunk.per_step)
        expected = found if self._kind is None else self._kind
        for name in ("x", "y"):
            if found[name] != expected[name]:
                raise ValueError(
                    f"chunk {n}: expected {name} of {_words(expected[name])} like the first "
                    f"chunk, got {_words(found[name])}"
                )
        if self._given is not None and n < len(self._given) and len(chunk) != self._given[n]:
            raise ValueError(f"sizes[{n}]: expected {len(chunk)} as read, got {self._given[n]}")
        self._kind = expected
        return chunk


def _words(kind: list[Any]) -> str:
    """Return a dtype and a number of features in words."""
    return f"{kind[0]} with F = {kind[1]}" if len(kind) > 1 else f"{kind[0]} without features"
