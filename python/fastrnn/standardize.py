"""Inputs of mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer, Tape
from fastrnn.ragged import Ragged


class Standardize(Layer):
    """y = (x - mean) / scale for each feature, with fixed numbers that are part of the model.

    Parameters
    ----------
    mean, scale : sequence of float, (F,)
        `scale` is above 0.
    batch_first : bool, default True
        Where `lengths` finds rows and steps: (N, T, F) or (T, N, F).
    dtype : dtype, default float32
        float32 or float64.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.Standardize.fit([np.array([[1.0], [3.0]], np.float32)])
    >>> layer(np.array([[[5.0]]], np.float32))[0]
    array([[[3.]]], dtype=float32)
    """

    def __init__(
        self, mean: Any, scale: Any, *, batch_first: bool = True, dtype: Any = "float32"
    ) -> None:
        super().__init__(_checks.float_dtype(dtype))
        self.batch_first = bool(batch_first)
        self.mean, self.scale = _vector("mean", mean), _vector("scale", scale)
        if self.mean.shape != self.scale.shape:
            raise ValueError(
                f"scale: expected shape {self.mean.shape} like mean, got {self.scale.shape}"
            )
        if not (self.scale > 0).all():
            raise ValueError("scale: expected numbers above 0, got others")
        self._shift = self.mean.astype(self.dtype)
        self._factor = (1 / self.scale).astype(self.dtype)

    @classmethod
    def fit(
        cls, x: Any, lengths: Any = None, *, batch_first: bool = True, dtype: Any = "float32"
    ) -> Standardize:
        """Return the layer that gives these sequences mean 0 and standard deviation 1.

        Parameters
        ----------
        x : ndarray (N, T, F) or a list of arrays (T_n, F)
        lengths : ndarray of int, (N,), or None
            Valid steps where x is padded.
        batch_first : bool, default True
            Padded x is (N, T, F); False: (T, N, F).
        dtype : dtype, default float32

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above or there is no valid step.
        """
        if isinstance(x, np.ndarray) and x.dtype != object:
            if x.ndim != 3:
                raise ValueError(f"x: expected 3 axes (N, T, F), got shape {x.shape}")
            valid = _checks.valid_steps(x.shape[:2], lengths, batch_first)
            rows = x.reshape(-1, x.shape[2]) if valid is None else x[valid]
        else:
            rows = Ragged.from_list("x", x).rows
        if len(rows) == 0:
            raise ValueError("x: expected at least one valid step, got none")
        return cls(*mean_and_scale(rows), batch_first=batch_first, dtype=dtype)

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None]:
        """Return y (..., F) for x (..., F), and None; y is zero at invalid steps."""
        return self._run(x, lengths)[0], None

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None, Tape]:
        """As a call, with a tape."""
        y, invalid = self._run(x, lengths)
        return y, None, Tape(self, (y.shape, invalid))

    def applied(self, x: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return y for x that is known to be right.

        Parameters
        ----------
        x : ndarray, (..., F)
            Of the layer's dtype.
        out : ndarray, shape of x, or None
            Where y goes; may be x.
        """
        y: FloatArray = np.subtract(x, self._shift, out=out)
        y *= self._factor
        return y

    def _run(self, x: Any, lengths: Any) -> tuple[FloatArray, NDArray[np.bool_] | None]:
        x = _checks.features_last("x", x, self.mean.size, self.dtype)
        valid = _checks.valid_steps(x.shape[:-1], lengths, self.batch_first)
        y = self.applied(x)
        if valid is None:
            return y, None
        invalid = ~valid
        y[invalid] = 0
        return y, invalid

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        shape, _ = tape.content(self)
        if dy is not None:
            _checks.of_shape("dy", dy, "(..., F)", shape, self.dtype)

    def _backward(
        self, tape: Tape, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[FloatArray | None, None]:
        _, invalid = tape.use(self)
        if dy is None or not input_gradient:
            return None, None
        dx = np.asarray(dy) * self._factor
        if invalid is not None:
            dx[invalid] = 0
        return dx, None

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {
            "type": "Standardize",
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "batch_first": self.batch_first,
            "dtype": str(self.dtype),
        }


def mean_and_scale(
    rows: NDArray[Any], weights: NDArray[Any] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation, 1 where all numbers of a feature are equal.

    Parameters
    ----------
    rows : ndarray, (n, F)
        At least one.
    weights : ndarray, (n,), or None, default None
        Of the rows, above 0: k counts as k equal rows. None: all 1.

    Returns
    -------
    mean, scale : ndarray of float64, (F,)

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.standardize import mean_and_scale
    >>> mean, scale = mean_and_scale(np.array([[1.0, 0.1], [4.0, 0.1]]), np.array([2.0, 1.0]))
    >>> mean.round(6).tolist(), scale.round(6).tolist()
    ([2.0, 0.1], [1.414214, 1.0])
    """
    exact = rows.astype(np.float64)
    mean = np.average(exact, axis=0, weights=weights)
    scale = np.sqrt(np.average(np.square(exact - mean), axis=0, weights=weights))
    # The mean of equal numbers may differ from them in the last bit: then scale is not 0.
    scale[(rows == rows[0]).all(axis=0) | (scale == 0)] = 1.0
    return mean, scale


def _vector(name: str, value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    vector = np.array(value, np.float64)
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise ValueError(f"{name}: expected finite numbers (F,), got shape {vector.shape}")
    return vector
