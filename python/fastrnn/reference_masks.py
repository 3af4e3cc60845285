"""The specification of `fastrnn.masks` in plain NumPy; it shares no code with the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["bernoulli", "philox4x32"]

Words = npt.NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counter: Any, key: Any, rounds: int = 10) -> Words:
    """Return the four output words of Philox-4x32 (Salmon, Moraes, Dror, Shaw 2011, section 3.3).

    Multipliers and key increments are those of the authors' Random123.

    Parameters
    ----------
    counter : array_like of integers, (..., 4)
        Words, 0..2^32 - 1.
    key : array_like of integers, (..., 2)
        Words, 0..2^32 - 1.
    rounds : int, default 10

    Returns
    -------
    ndarray of uint64, (..., 4)
        Words, 0..2^32 - 1.

    Examples
    --------
    >>> from fastrnn.reference_masks import philox4x32
    >>> [f"{word:08x}" for word in philox4x32([0, 0, 0, 0], [0, 0])]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c = np.asarray(counter, np.uint64)
    k = np.asarray(key, np.uint64)
    for _ in range(rounds):
        product0 = np.uint64(0xD2511F53) * c[..., 0]
        product1 = np.uint64(0xCD9E8D57) * c[..., 2]
        words = (
            (product1 >> _HALF) ^ c[..., 1] ^ k[..., 0],
            product1 & _LOW,
            (product0 >> _HALF) ^ c[..., 3] ^ k[..., 1],
            product0 & _LOW,
        )
        c = np.stack(np.broadcast_arrays(*words), axis=-1)
        k = (k + np.array([0x9E3779B9, 0xBB67AE85], np.uint64)) & _LOW
    return c


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
) -> npt.NDArray[Any]:
    """Return what `fastrnn.masks.bernoulli` returns for the same arguments.

    Parameters
    ----------
    key : int
        The key's words are its lower and its upper half.
    stream, rows, steps, features, p, first_row, first_step, dtype, scale
        As there.

    Returns
    -------
    ndarray, (N, T, F)

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import masks, reference_masks
    >>> arguments = (5, masks.ZONEOUT_H, 3, 4, 7, 0.1)
    >>> np.array_equal(masks.bernoulli(*arguments), reference_masks.bernoulli(*arguments))
    True
    """
    row, step, feature = np.ogrid[
        first_row : first_row + rows, first_step : first_step + steps, :features
    ]
    place = np.broadcast_arrays(feature // 4, step, row, np.int64(stream))
    words = philox4x32(np.stack(place, axis=-1), [key & 0xFFFFFFFF, key >> 32])
    own = np.broadcast_to(feature % 4, words.shape[:-1])[..., None]
    drawn = np.take_along_axis(words, own, axis=-1)[..., 0] < int(np.rint(np.ldexp(p, 32)))
    return np.where(drawn, scale, 0.0).astype(dtype)
