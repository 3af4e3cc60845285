"""One mini-batch: what data sets hand out and training takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """One mini-batch, cut to its longest sequence.

    Attributes
    ----------
    x : ndarray, (N, T, F), or (N, T) integer tokens
    y : ndarray
        Targets per sequence (N,) or (N, C), or per step (N, T) or (N, T, C).
    lengths : ndarray of int64, (N,), or None
        None where all rows have T steps.
    mask : ndarray, of y's shape or without its last axis, or None
        Weights of the targets, zero where there is none; None: all count.
    reset : ndarray of bool, (N,), or None, default None
        Whether a row begins a new sequence; the others go on from the state after the batch before.
        None: all rows begin, and nothing is carried.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[np.int64] | None
    mask: NDArray[Any] | None
    reset: NDArray[np.bool_] | None = None

    def rows(self, part: slice) -> Batch:
        """Return a batch of some of the rows, with as many steps as this one; views, no copies.

        Parameters
        ----------
        part : slice
            Of 0..N-1.

        Raises
        ------
        TypeError
            If `part` is no slice.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrnn as fr
        >>> data = fr.data.Dataset([np.ones((n, 1)) for n in (3, 5, 2)], np.arange(3))
        >>> half = data.batch([0, 1, 2]).rows(slice(1, None))
        >>> half.x.shape, half.y.tolist(), half.lengths.tolist()
        ((2, 5, 1), [1, 2], [5, 2])
        """
        if not isinstance(part, slice):
            raise TypeError(f"part: expected a slice, got {type(part).__name__}")
        return Batch(
            self.x[part],
            self.y[part],
            None if self.lengths is None else self.lengths[part],
            None if self.mask is None else self.mask[part],
            None if self.reset is None else self.reset[part],
        )
