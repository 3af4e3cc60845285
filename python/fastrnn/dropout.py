"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import _checks, initializers, masks
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
    variational : bool, default False
        Whether a row has the same mask at all steps (Gal and Ghahramani 2016).
    batch_first : bool, default True
        Whether x is (N, T, ...); False: (T, N, ...).
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
    >>> y, _, tape = layer.forward(np.ones((1, 8, 4), np.float32))
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        variational: bool = False,
        batch_first: bool = True,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        self.p = _checks.probability("p", p)
        self.variational = bool(variational)
        self.batch_first = bool(batch_first)
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
        mask = self._mask(x.shape, x.dtype)
        return x * mask, None, Tape(self, (mask, x.shape))

    def _mask(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FloatArray:
        """Return a new mask that multiplies x of this shape: 0 or 1 / (1 - p)."""
        has_time = len(shape) > 2
        rows, *rest = (
            shape if self.batch_first or not has_time else (shape[1], shape[0], *shape[2:])
        )
        steps = rest.pop(0) if has_time else 1
        drawn = 1 if self.variational and has_time else steps
        keep = 1.0 - self.p
        mask = masks.bernoulli(
            initializers.random_key(self._rng), masks.DROPOUT, rows, drawn, int(np.prod(rest)),
            keep, scale=1.0 / keep, first_step=0 if self.variational else self._first_step,
            dtype=dtype,
        )  # fmt: skip
        mask = mask.reshape(rows, drawn, *rest) if has_time else mask.reshape(shape)
        return mask if self.batch_first or not has_time else mask.swapaxes(0, 1)

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        mask, shape = tape.content(self)
        if dy is not None:
            _checks.of_shape("dy", dy, "that of x", shape, mask.dtype)

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: FloatArray | None = None,
    ) -> tuple[FloatArray | None, None]:
        mask, _ = tape.use(self)
        if dy is None or not input_gradient:
            return add_to, None
        dx = mask * dy
        return dx if add_to is None else np.add(add_to, dx, out=add_to), None

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the masks from `rng` from now on."""
        self._rng = rng

    def twin(self, seed: int | np.random.Generator | None) -> Dropout:
        """Return a layer like this one with masks of its own."""
        return Dropout(
            self.p, variational=self.variational, batch_first=self.batch_first, seed=seed
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        config: dict[str, Any] = {"type": "Dropout", "p": self.p}
        if self.variational:
            config["variational"] = True
        return config if self.batch_first else config | {"batch_first": False}
