"""How well a model of tokens predicts a text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import losses
from fastrnn.protocol import Layer

_STEPS = 256  # in one call: 2.8 MB of scores at 32 rows and 84 characters


def bits_per_token(model: Layer, tokens: NDArray[Any], parts: int, context: int) -> float:
    """Return the mean of -log2 p over all tokens but the first, given those before.

    Parameters
    ----------
    model : layer
        From tokens (N, T) to scores (N, T, C).
    tokens : ndarray of int, (T,)
        At least two.
    parts : int
        Rows that are read side by side; every token counts in one of them.
    context : int
        Tokens that a part reads before its first one that counts.
    """
    targets = len(tokens) - 1
    each = -(-targets // parts)
    first = np.minimum(np.arange(parts) * each, targets)  # of the targets of a part
    last = np.minimum(first + each, targets)
    begin = np.maximum(first - context, 0)
    loss = losses.SoftmaxCrossEntropy()
    total, state = 0.0, None
    for start in range(0, int((last - begin).max()), _STEPS):
        time = begin[:, None] + start + np.arange(_STEPS)  # (parts, steps), places of targets
        lengths = np.clip(last - begin - start, 0, _STEPS)
        counts = (time >= first[:, None]) & (time < last[:, None])
        places = np.minimum(time, targets - 1)
        scores, state = model(tokens[places], state, lengths=lengths)
        value, _ = loss(scores, tokens[1:][places], counts)
        total += value * int(counts.sum())
    return total / targets / math.log(2.0)
