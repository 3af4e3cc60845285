"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import _checks, initializers
from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer, Tape


class Dropout(Layer):
    """Zero each element with probability `p` in training and scale the others by 1 / (1 - p).

    A new mask for every element and step; the identity at inference (Srivastava et al. 2014, with
    the scale applied in training).

    Parameters
    ----------
    p : float, default 0.5
        0 <= p < 1.
    seed : int, numpy.random.Generator or None, default None
        Of the masks.

    Raises
    ------
    ValueError, TypeError
        If `p` is no such number.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.Dropout(0.5, seed=0)
    >>> y, _, tape = layer.forward(np.ones((1, 2, 3), np.float32))
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.5, *, seed: int | np.random.Generator | None = None) -> None:
        self.p = _checks.probability("p", p)
        super().__init__(np.dtype(np.float32))
        self._rng = initializers.generator(seed)

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None]:
        """Return x (...) itself."""
        return _checks.any_float("x", x), None

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None
    ) -> tuple[FloatArray, None, Tape]:
        """Return x (...) times a new mask."""
        x = _checks.any_float("x", x)
        draws = self._rng.random(x.shape, dtype=x.dtype.type)
        mask = (draws >= self.p) * x.dtype.type(1.0 / (1.0 - self.p))
        return x * mask, None, Tape(self, mask)

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        mask = tape.content(self)
        if dy is not None:
            _checks.of_shape("dy", dy, "that of x", mask.shape, mask.dtype)

    def _backward(
        self, tape: Tape, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[FloatArray | None, None]:
        mask = tape.use(self)
        return None if dy is None or not input_gradient else mask * dy, None

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the masks from `rng` from now on."""
        self._rng = rng

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {"type": "Dropout", "p": self.p}
