"""What an encoder-decoder reads: source tokens, and the tokens that its decoder is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks


@dataclass(frozen=True, eq=False)
class EncoderDecoderInput:
    """Source tokens with their lengths, and decoder inputs; checked when it is made.

    Parameters
    ----------
    source : ndarray of int, (N, S)
        Tokens, S at least 1. What stands behind a row's end does not matter.
    source_lengths : ndarray of int, (N,), or None
        Valid tokens of each row, 0..S; None: all.
    inputs : ndarray of int, (N, T)
        The decoder's input at each step: the begin token, then the targets, one step late.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.seq2seq import EncoderDecoderInput
    >>> EncoderDecoderInput(np.array([[3, 4, 5]]), None, np.array([[1, 7]])).shape
    (1, 2)
    """

    source: NDArray[Any]
    source_lengths: NDArray[np.int64] | None
    inputs: NDArray[Any]

    def __post_init__(self) -> None:
        for name in ("source", "inputs"):
            value = np.asarray(getattr(self, name))
            if value.dtype.kind not in "iu":
                raise TypeError(f"{name}: expected integer tokens, got {value.dtype}")
            if value.ndim != 2:
                raise ValueError(f"{name}: expected 2 axes (N, steps), got shape {value.shape}")
            object.__setattr__(self, name, value)
        if self.source.shape[1] < 1:
            raise ValueError("source: expected at least one step, got none")
        if len(self.inputs) != len(self.source):
            raise ValueError(
                f"inputs: expected N = {len(self.source)} rows like source, got {len(self.inputs)}"
            )
        lengths = _checks.lengths(self.source_lengths, *self.source.shape)
        object.__setattr__(self, "source_lengths", lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, T) of the decoder's inputs."""
        return self.inputs.shape[0], self.inputs.shape[1]
