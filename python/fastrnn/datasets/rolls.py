"""Music as the keys of a piano that sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The pitch of a voice that rests.
REST = -1

_LOWEST, _KEYS = 21, 88  # A0, the lowest key of a piano, as a MIDI number


def piano_roll(pitches: Any) -> NDArray[np.bool_]:
    """Return which of the 88 keys of a piano sound at each step.

    Parameters
    ----------
    pitches : ndarray of int, (..., V)
        MIDI numbers of V voices, 21 (A0) to 108 (C8); -1 is a rest.

    Returns
    -------
    ndarray of bool, (..., 88)
        The first column is A0. Two voices on one key are one True; a note held and a note
        struck again look the same.

    Raises
    ------
    TypeError
        If `pitches` are not integers.
    ValueError
        If a pitch is out of range.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.datasets.piano_roll([[60, 52, -1, 52]]).nonzero()[1].tolist()
    [31, 39]
    """
    pitches = np.asarray(pitches)
    if pitches.dtype.kind not in "iu":
        raise TypeError(f"pitches: expected integers, got {pitches.dtype}")
    if pitches.ndim < 1:
        raise ValueError(f"pitches: expected shape (..., V), got {pitches.shape}")
    sounding = pitches != REST
    wrong = sounding & ((pitches < _LOWEST) | (pitches >= _LOWEST + _KEYS))
    if wrong.any():
        raise ValueError(
            f"pitches: expected {_LOWEST}..{_LOWEST + _KEYS - 1} or {REST} for a rest, "
            f"got {pitches[wrong][0]}"
        )
    roll = np.zeros((*pitches.shape[:-1], _KEYS), np.bool_)
    *places, _ = sounding.nonzero()
    roll[(*places, pitches[sounding].astype(np.int64) - _LOWEST)] = True
    return roll
