"""Random masks that can be replayed: each number depends on its place alone.

A mask's number is a function of (key, stream, row, step, feature): not of threads, of the
instruction set, of how rows are batched or of how time is cut into pieces. The generator is
Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
SC'11), a bijection of a 128-bit counter under a 64-bit key: the counter's four words are
(feature // 4, step, row, stream), output word feature % 4 is the feature's, and the number is drawn
where that word is below round(p * 2**32). `fastrnn.reference_masks` says the same in plain NumPy.

One key for each layer, direction and call gives independent masks; within it, the streams tell
apart what the masks are for.

Examples
--------
The same numbers, whole or in two pieces of time:

>>> import numpy as np
>>> from fastrnn import masks
>>> whole = masks.bernoulli(7, masks.DROPOUT, 2, 6, 3, 0.5)
>>> begin = masks.bernoulli(7, masks.DROPOUT, 2, 4, 3, 0.5)
>>> end = masks.bernoulli(7, masks.DROPOUT, 2, 2, 3, 0.5, first_step=4)
>>> np.array_equal(whole, np.concatenate([begin, end], axis=1))
True
"""

from __future__ import annotations

import operator
from typing import Any, Final, SupportsIndex

import numpy as np

from fastrnn import _checks, ops
from fastrnn._checks import FloatArray

__all__ = [
    "DROPOUT",
    "DROP_CONNECT",
    "RECURRENT_DROPOUT",
    "ZONEOUT_C",
    "ZONEOUT_H",
    "bernoulli",
]

#: Streams: what a mask is for.
RECURRENT_DROPOUT: Final = 0
ZONEOUT_H: Final = 1
ZONEOUT_C: Final = 2
DROP_CONNECT: Final = 3
DROPOUT: Final = 4

_WORDS = 1 << 32  # values of a word of a counter


def bernoulli(
    key: int,
    stream: int,
    rows: int,
    steps: int,
    features: int,
    p: float,
    *,
    first_row: int = 0,
    first_step: int = 0,
    dtype: Any = "float32",
    scale: float = 1.0,
) -> FloatArray:
    """Return an array that is `scale` with probability `p`, else 0, each element independently.

    Parameters
    ----------
    key : int
        0 to 2**64 - 1. Masks with different keys are independent.
    stream : int
        0 to 2**32 - 1: what the mask is for, one of this module's constants or any other number.
        Masks with different streams are independent.
    rows, steps, features : int
        N, T and F; 0 or more.
    p : float
        0 <= p <= 1; taken in multiples of 2**-32.
    first_row, first_step : int, default 0
        Where the array begins: it is a part of a larger one, whose other parts other calls give.
        Rows and steps end at 2**32.
    dtype : dtype, default "float32"
        float32 or float64; the same elements are drawn for both.
    scale : float, default 1.0
        For dropout 1 / p, with p the probability of keeping an element.

    Returns
    -------
    ndarray, (N, T, F)

    Raises
    ------
    TypeError
        If a number is of the wrong kind, or `dtype` is neither float32 nor float64.
    ValueError
        If a number lies outside of its range.

    References
    ----------
    Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11.

    Examples
    --------
    >>> from fastrnn import masks
    >>> kept = masks.bernoulli(0, masks.DROPOUT, 1, 2, 6, 0.75, scale=1 / 0.75, dtype="float64")
    >>> kept.round(2)
    array([[[1.33, 0.  , 1.33, 1.33, 1.33, 0.  ],
            [1.33, 1.33, 1.33, 0.  , 1.33, 0.  ]]])
    """
    key = _whole("key", key, _WORDS * _WORDS - 1)
    stream = _whole("stream", stream, _WORDS - 1)
    first_row = _whole("first_row", first_row, _WORDS - 1)
    first_step = _whole("first_step", first_step, _WORDS - 1)
    shape = (
        _whole("rows", rows, _WORDS - first_row),
        _whole("steps", steps, _WORDS - first_step),
        _whole("features", features, 4 * _WORDS),
    )
    p = _checks.number("p", p)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p: expected 0 <= p <= 1, got {p}")
    out: FloatArray = np.empty(shape, _checks.float_dtype(dtype))
    ops.bernoulli(
        key,
        stream,
        round(p * _WORDS),
        out,
        scale=_checks.number("scale", scale),
        first_row=first_row,
        first_step=first_step,
    )
    return out


def _whole(name: str, value: SupportsIndex, most: int) -> int:
    """Return `value` as an int in 0..most."""
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got bool")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if not 0 <= number <= most:
        raise ValueError(f"{name}: expected 0..{most}, got {number}")
    return number
