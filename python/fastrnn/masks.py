"""Random masks by counters: each row and step has its own numbers, whatever is drawn with it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fastrnn._checks import FloatArray

#: Streams: what a mask is for.
RECURRENT_DROPOUT: Final = 0
ZONEOUT_H: Final = 1
ZONEOUT_C: Final = 2
DROP_CONNECT: Final = 3
DROPOUT: Final = 4


def bernoulli(
    key: int,
    stream: int,
    rows: int,
    steps: int,
    features: int,
    p: float,
    *,
    first_step: int = 0,
    dtype: Any = "float32",
    scale: float = 1.0,
) -> FloatArray:
    """Return an array that is `scale` with probability `p`, else 0, each element independently.

    Parameters
    ----------
    key : int
        64 bits, of one forward pass.
    stream : int
        What the mask is for.
    rows, steps, features : int
    p : float
    first_step : int, default 0
        The step of a longer sequence that the first one is.
    dtype : dtype
    scale : float, default 1.0

    Returns
    -------
    ndarray, (rows, steps, features)
    """
    mask: FloatArray = np.empty((rows, steps, features), dtype)
    for row in range(rows):
        for step in range(steps):
            counter = [0, 0, row, first_step + step]
            bits = np.random.Philox(key=[key, stream], counter=counter)
            mask[row, step] = np.random.Generator(bits).random(features) < p
    np.multiply(mask, scale, out=mask)
    return mask
