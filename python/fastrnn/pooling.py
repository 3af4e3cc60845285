"""From a sequence to one vector per row."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer, Tape


class _Pooling(Layer):
    """(N, T, F) to (N, F); rows without a valid step give zeros."""

    keeps_time = False

    def __init__(self, *, batch_first: bool = True) -> None:
        self.batch_first = bool(batch_first)
        super().__init__(np.dtype(np.float32))

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None]:
        """Return y (N, F) for x (N, T, F), and None."""
        x, valid = self._arguments(x, lengths)
        return self._pool(x, valid), None

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None, Tape]:
        """As a call, with a tape."""
        x, valid = self._arguments(x, lengths)
        return self._pool(x, valid), None, Tape(self, (x.shape, x.dtype, valid))

    def _arguments(self, x: Any, lengths: Any) -> tuple[FloatArray, NDArray[np.int64]]:
        x = _checks.any_float("x", x)
        if x.ndim != 3:
            raise ValueError(f"x: expected 3 axes (N, T, F), got {x.ndim} with shape {x.shape}")
        x = x if self.batch_first else x.swapaxes(0, 1)
        valid = _checks.lengths(lengths, x.shape[0], x.shape[1])
        return x, np.full(x.shape[0], x.shape[1]) if valid is None else valid

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        shape, dtype, _ = tape.content(self)
        if dy is not None:
            _checks.of_shape("dy", dy, "(N, F)", (shape[0], shape[2]), dtype)

    def _backward(
        self, tape: Tape, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[FloatArray | None, None]:
        shape, dtype, valid = tape.use(self)
        if not input_gradient or dy is None:
            return None, None
        dx = np.zeros(shape, dtype)
        self._spread(np.asarray(dy), valid, dx)
        return dx if self.batch_first else dx.swapaxes(0, 1), None

    @abstractmethod
    def _pool(self, x: FloatArray, lengths: NDArray[np.int64]) -> FloatArray:
        """Return y (N, F) for x (N, T, F)."""

    @abstractmethod
    def _spread(self, dy: FloatArray, lengths: NDArray[np.int64], dx: FloatArray) -> None:
        """Write the gradient of x into dx (N, T, F), which is zero."""

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {"type": type(self).__name__, "batch_first": self.batch_first}


class Last(_Pooling):
    """The last valid step of each row.

    Parameters
    ----------
    bidirectional : bool, default False
        x holds two directions side by side: take the last valid step of the first half and step 0
        of the second, which are the final states of both directions.
    batch_first : bool, default True
        x is (N, T, F); False: (T, N, F).

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> x = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    >>> fr.Last()(x, lengths=[2])[0]
    array([[2., 3.]], dtype=float32)
    >>> fr.Last(bidirectional=True)(x, lengths=[2])[0]
    array([[2., 1.]], dtype=float32)
    """

    def __init__(self, bidirectional: bool = False, *, batch_first: bool = True) -> None:
        super().__init__(batch_first=batch_first)
        self.bidirectional = bool(bidirectional)

    def _arguments(self, x: Any, lengths: Any) -> tuple[FloatArray, NDArray[np.int64]]:
        x, valid = super()._arguments(x, lengths)
        if self.bidirectional and x.shape[2] % 2:
            raise ValueError(f"x: expected an even number of features, got {x.shape[2]}")
        return x, valid

    def _pool(self, x: FloatArray, lengths: NDArray[np.int64]) -> FloatArray:
        if not x.shape[1]:
            return np.zeros((x.shape[0], x.shape[2]), x.dtype)
        y = x[np.arange(x.shape[0]), lengths - 1]  # of rows without a step, what is replaced below
        if self.bidirectional:
            half = x.shape[2] // 2
            y[:, half:] = x[:, 0, half:]
        if not lengths.all():
            y[lengths == 0] = 0
        return y

    def _spread(self, dy: FloatArray, lengths: NDArray[np.int64], dx: FloatArray) -> None:
        rows, last = np.arange(dx.shape[0]), lengths - 1
        if not lengths.all():
            rows = np.flatnonzero(lengths)
            last, dy = last[rows], dy[rows]
        if self.bidirectional:
            half = dx.shape[2] // 2
            dx[rows, last, :half] = dy[:, :half]
            dx[rows, 0 * rows, half:] = dy[:, half:]  # no index 0 where there is no step at all
        else:
            dx[rows, last] = dy

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return super().config() | {"bidirectional": self.bidirectional}


class MeanPool(_Pooling):
    """The mean over each row's valid steps.

    Parameters
    ----------
    batch_first : bool, default True
        x is (N, T, F); False: (T, N, F).

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> x = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    >>> fr.MeanPool()(x, lengths=[2])[0]
    array([[1., 2.]], dtype=float32)
    """

    def _pool(self, x: FloatArray, lengths: NDArray[np.int64]) -> FloatArray:
        y = np.zeros((x.shape[0], x.shape[2]), x.dtype)
        for n, steps in enumerate(lengths.tolist()):
            if steps:
                y[n] = x[n, :steps].sum(axis=0) / x.dtype.type(steps)  # padding is not read
        return y

    def _spread(self, dy: FloatArray, lengths: NDArray[np.int64], dx: FloatArray) -> None:
        for n, steps in enumerate(lengths.tolist()):
            if steps:
                dx[n, :steps] = dy[n] / dx.dtype.type(steps)
