"""Symbols as token numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Vocabulary:
    """Symbols, numbered; before them padding, begin and end have the tokens 0, 1 and 2.

    Parameters
    ----------
    symbols : iterable of str
        Different from each other, in the order of their tokens 3, 4, ...

    Raises
    ------
    ValueError
        If a symbol comes twice.

    Examples
    --------
    >>> from fastrnn.seq2seq import Vocabulary
    >>> letters = Vocabulary("abc")
    >>> letters.encode("cab").tolist(), letters.decode([5, 3, 4]), len(letters)
    ([5, 3, 4], ['c', 'a', 'b'], 6)
    """

    PAD, BEGIN, END = 0, 1, 2

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        self._tokens = {symbol: token for token, symbol in enumerate(self.symbols, 3)}
        if len(self._tokens) != len(self.symbols):
            raise ValueError("symbols: expected different ones, got one twice")

    @classmethod
    def of(cls, sequences: Iterable[Sequence[str]]) -> Vocabulary:
        """Make the vocabulary of all symbols that occur, sorted.

        Parameters
        ----------
        sequences : iterable of sequences of str
        """
        return cls(sorted({symbol for sequence in sequences for symbol in sequence}))

    def __len__(self) -> int:
        return len(self.symbols) + 3

    def encode(self, sequence: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of symbols, (T,).

        Parameters
        ----------
        sequence : sequence of str
            A string is a sequence of characters.

        Raises
        ------
        ValueError
            If a symbol is unknown.
        """
        try:
            return np.array([self._tokens[symbol] for symbol in sequence], np.int64)
        except KeyError as error:
            raise ValueError(f"sequence: expected known symbols, got {error.args[0]!r}") from None

    def decode(self, tokens: Any) -> list[str]:
        """Return the symbols of tokens; padding, begin and end are left out.

        Parameters
        ----------
        tokens : sequence or ndarray of int, (T,)

        Raises
        ------
        ValueError
            If a token is not below ``len(self)``.
        """
        found = np.asarray(tokens, np.int64)
        if found.size and not (found.min() >= 0 and found.max() < len(self)):
            raise ValueError(f"tokens: expected 0..{len(self) - 1}, got others")
        return [self.symbols[token - 3] for token in found.tolist() if token >= 3]
