"""Pairs of a source and a target sequence, and their mini-batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.data.order import batch_rows
from fastrnn.memory_maps import checksum
from fastrnn.mini_batch import Batch
from fastrnn.ragged import Ragged
from fastrnn.seq2seq.inputs import EncoderDecoderInput


class PairDataset:
    """Source and target sequences of tokens, of different lengths, for `EncoderDecoder`.

    A source of data for training, as `fastrnn.data.Source` describes. A batch's ``x`` is an
    `EncoderDecoderInput` whose decoder inputs are the begin token and the target; its ``y`` is the
    target and the end token, (N, T); ``lengths`` and ``mask`` are those of ``y``.

    Parameters
    ----------
    sources, targets : sequence of arrays of int, (S_n,) and (T_n,)
        Tokens, as many sequences of each. Copied once.
    begin_token, end_token : int, default 1 and 2
        As of the model. Targets hold neither.

    Attributes
    ----------
    per_step : bool
        True: there is a target for every step.
    carries_state : bool
        False: each batch is by itself.

    Raises
    ------
    TypeError, ValueError
        If counts, shapes or dtypes do not fit, or a target holds one of these two tokens.

    Examples
    --------
    >>> import fastrnn as fr
    >>> pairs = fr.seq2seq.PairDataset([[3, 4, 5], [6]], [[3, 4], [5]])
    >>> batch = next(pairs.batches(None, batch_size=2))
    >>> batch.x.source.tolist(), batch.x.inputs.tolist(), batch.y.tolist()
    ([[3, 4, 5], [6, 0, 0]], [[1, 3, 4], [1, 5, 0]], [[3, 4, 2], [5, 2, 0]])
    """

    per_step = True
    carries_state = False

    def __init__(
        self,
        sources: Sequence[Any],
        targets: Sequence[Any],
        *,
        begin_token: int = 1,
        end_token: int = 2,
    ) -> None:
        self.begin_token, self.end_token = int(begin_token), int(end_token)
        self._sources = _ragged("sources", sources)
        self._targets = _ragged("targets", targets)
        if len(self._sources) != len(self._targets):
            raise ValueError(
                f"targets: expected N = {len(self._sources)} sequences like sources, "
                f"got {len(self._targets)}"
            )
        for name, token in (("begin_token", self.begin_token), ("end_token", self.end_token)):
            if (self._targets.rows == token).any():
                raise ValueError(f"targets: expected tokens other than {name} = {token}, got it")

    def __len__(self) -> int:
        return len(self._sources)

    def batch(self, indices: Any) -> Batch:
        """Return the pairs of these indices.

        Parameters
        ----------
        indices : array of int, (n,)

        Returns
        -------
        Batch
        """
        rows = np.asarray(indices, np.intp)
        source, counts = self._sources.padded(rows), self._sources.lengths[rows]
        if source.shape[1] == 0:
            source = np.zeros((len(rows), 1), np.int64)
        target, ends = self._targets.padded(rows), self._targets.lengths[rows]
        inputs = np.zeros((len(rows), target.shape[1] + 1), np.int64)
        inputs[:, 0] = self.begin_token
        inputs[:, 1:] = target
        y = np.zeros_like(inputs)
        y[:, :-1] = target
        y[np.arange(len(rows)), ends] = self.end_token
        lengths = ends + 1
        mask = np.arange(inputs.shape[1]) < lengths[:, None]
        x: Any = EncoderDecoderInput(source, counts, inputs)
        return Batch(x, y, lengths, mask)

    def batches(
        self,
        rng: np.random.Generator | None = None,
        *,
        batch_size: int,
        start: int = 0,
        bucket_by_length: bool = False,
    ) -> Iterator[Batch]:
        """Return the mini-batches, one after the other.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Shuffles, with all draws made at once; None keeps the order.
        batch_size : int
        start : int, default 0
            Batches to leave out at the front.
        bucket_by_length : bool, default False
            Put pairs of like lengths, of both sides together, into a batch; see
            `fastrnn.data.batches`.

        Returns
        -------
        iterator of Batch

        Raises
        ------
        TypeError, ValueError
            If `batch_size` or `start` is no such integer, or pairs are to be put together without
            `rng`; at once.
        """
        size = _checks.positive_integer("batch_size", batch_size)
        first = _checks.count("start", start)
        both = self._sources.lengths + self._targets.lengths
        parts = batch_rows(len(self), size, rng, lengths=both, bucket_by_length=bucket_by_length)
        return (self.batch(part) for part in parts[first:])

    def num_batches(self, batch_size: int) -> int:
        """Return how many mini-batches there are.

        Parameters
        ----------
        batch_size : int
        """
        return -(-len(self) // _checks.positive_integer("batch_size", batch_size))

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal when training is resumed, as JSON values."""
        return {
            "kind": "PairDataset",
            "pairs": len(self),
            "checksum": checksum(
                self._sources.rows, self._sources.lengths, self._targets.rows, self._targets.lengths
            ),
            "begin_token": self.begin_token,
            "end_token": self.end_token,
        }


def _ragged(name: str, sequences: Any) -> Ragged:
    """Return token sequences end to end; an empty one may be any empty array or list."""
    if not isinstance(sequences, (list, tuple, np.ndarray)):
        raise TypeError(f"{name}: expected a list of arrays, got {type(sequences).__name__}")
    arrays: list[NDArray[np.int64]] = []
    for n, sequence in enumerate(sequences):
        array = np.asarray(sequence)
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"{name}[{n}]: expected integer tokens, got {array.dtype}")
        if array.ndim != 1:
            raise ValueError(f"{name}[{n}]: expected shape (steps,), got {array.shape}")
        arrays.append(array.astype(np.int64))
    return Ragged.from_list(name, arrays)
