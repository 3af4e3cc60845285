"""Characters and the tokens that stand for them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks

#: A string is text; a path is a file.
TextLike = str | os.PathLike[str]

#: Characters that are read or looked up at a time.
_PIECE = 1 << 18


class Vocabulary:
    r"""Numbers the characters of a text: tokens 0..len - 1, in the order of their code points.

    A character is one Unicode code point: a letter with a combining accent, or a family emoji, is
    several. Text is taken as it is, without normalisation (see `unicodedata.normalize`).

    Parameters
    ----------
    characters : str
        Those that have tokens, each once, in any order.
    unknown : str or None, default None
        A character that stands for all that have no token, such as ``"\ufffd"``; it gets a token
        if it has none. None: others are refused.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> vocabulary = fr.text.Vocabulary.from_text("to be or not to be")
    >>> vocabulary.characters
    ' benort'
    >>> tokens = vocabulary.encode("not to")
    >>> tokens.tolist(), tokens.dtype.name, vocabulary.decode(tokens)
    ([3, 4, 6, 0, 6, 4], 'uint8', 'not to')
    >>> fr.text.Vocabulary("notw ", unknown="?").encode("not known").tolist()
    [2, 3, 4, 0, 1, 2, 3, 5, 2]
    """

    def __init__(self, characters: str, *, unknown: str | None = None) -> None:
        if not isinstance(characters, str):
            raise TypeError(f"characters: expected a str, got {type(characters).__name__}")
        if unknown is not None and (not isinstance(unknown, str) or len(unknown) != 1):
            raise ValueError(f"unknown: expected one character or None, got {unknown!r}")
        known = set(characters)
        if len(known) != len(characters):
            twice = Counter(characters).most_common(1)[0][0]
            raise ValueError(f"characters: expected each once, got {twice!r} again")
        if unknown is not None:
            known.add(unknown)
        if not known:
            raise ValueError("characters: expected at least one, got none")
        self.characters = "".join(sorted(known))
        self.unknown = unknown
        codes = _codes(self.characters)
        missing = len(codes)  # also what stands for code points above the table
        self.dtype = np.dtype(next(t for t in ("u1", "u2", "u4") if missing <= np.iinfo(t).max))
        self._codes = codes
        self._table = np.full(int(codes[-1]) + 2, missing, self.dtype)
        self._table[codes] = np.arange(len(codes), dtype=self.dtype)

    @classmethod
    def from_text(
        cls,
        text: TextLike,
        *,
        min_count: int = 1,
        unknown: str | None = None,
        encoding: str = "utf-8-sig",
    ) -> Vocabulary:
        """Return the vocabulary of the characters that a text has.

        Parameters
        ----------
        text : str or path-like
            A string is the text itself, a `pathlib.Path` a file, which is read in pieces.
        min_count : int, default 1
            Characters that occur less often are left to `unknown`, which has to be given then.
        unknown : str or None, default None
            As for the class.
        encoding : str, default "utf-8-sig"
            Of a file; UTF-8, with or without a byte order mark.

        Raises
        ------
        OSError, UnicodeDecodeError
            If the file cannot be read.
        TypeError, ValueError
            If an argument is not as above or there is no text.
        """
        least = _checks.positive_integer("min_count", min_count)
        if least > 1 and unknown is None:
            raise ValueError("unknown: expected a character with min_count above 1, got None")
        counts: Counter[str] = Counter()
        for piece in pieces(text, encoding):
            counts.update(piece)
        if not counts:
            raise ValueError("text: expected at least one character, got none")
        return cls("".join(c for c, n in counts.items() if n >= least), unknown=unknown)

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self.characters, self.unknown) == (other.characters, other.unknown)

    def __hash__(self) -> int:
        return hash((self.characters, self.unknown))

    def __repr__(self) -> str:
        more = "" if self.unknown is None else f", {self.unknown!r} for unknown ones"
        return f"Vocabulary({len(self)} characters{more})"

    def encode(self, text: TextLike, *, encoding: str = "utf-8-sig") -> NDArray[Any]:
        """Return a text's tokens, of the smallest unsigned dtype: a byte up to 255 characters.

        Parameters
        ----------
        text : str or path-like
            As for `from_text`.
        encoding : str, default "utf-8-sig"
            Of a file.

        Returns
        -------
        ndarray of uint8, uint16 or uint32, (T,)

        Raises
        ------
        ValueError
            If a character has no token and there is no `unknown`.
        OSError, UnicodeDecodeError
            If the file cannot be read.
        """
        parts, place = [np.empty(0, self.dtype)], 0
        for piece in pieces(text, encoding):
            parts.append(self._tokens(piece, place))
            place += len(piece)
        return np.concatenate(parts)

    def _tokens(self, piece: str, place: int) -> NDArray[Any]:
        tokens: NDArray[Any] = self._table[np.minimum(_codes(piece), len(self._table) - 1)]
        missing = tokens == len(self)
        if missing.any():
            if self.unknown is None:
                first = int(missing.argmax())
                raise ValueError(
                    f"text: expected characters of the vocabulary, got {piece[first]!r} at "
                    f"{place + first}; give the vocabulary an unknown character to accept others"
                )
            tokens[missing] = self.characters.index(self.unknown)
        return tokens

    def decode(self, tokens: Any) -> str:
        """Return the text of tokens.

        Parameters
        ----------
        tokens : ndarray of int, (T,), or a list
            Each in 0..len - 1.

        Raises
        ------
        TypeError, ValueError
            If they are not so.
        """
        numbers = np.asarray(tokens)
        if numbers.size == 0:
            return ""
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"tokens: expected integers, got {numbers.dtype}")
        if numbers.ndim != 1:
            raise ValueError(f"tokens: expected shape (T,), got {numbers.shape}")
        wrong = (numbers < 0) | (numbers >= len(self))
        if wrong.any():
            raise ValueError(f"tokens: expected 0..{len(self) - 1}, got {numbers[wrong][0]}")
        return str(self._codes[numbers].tobytes(), "utf-32-le", "surrogatepass")


def pieces(text: TextLike, encoding: str = "utf-8-sig") -> Iterator[str]:
    """Yield a text, or what a file holds, some characters at a time.

    Parameters
    ----------
    text : str or path-like
        Line ends of a file all become line feeds; those of a string stay as they are.
    encoding : str, default "utf-8-sig"
        Of a file.

    Raises
    ------
    TypeError
        If it is neither.
    OSError, UnicodeDecodeError
        If the file cannot be read.
    """
    if isinstance(text, str):
        for start in range(0, len(text), _PIECE):
            yield text[start : start + _PIECE]
    elif isinstance(text, os.PathLike):
        with Path(text).open(encoding=encoding) as file:
            while piece := file.read(_PIECE):
                yield piece
    else:
        raise TypeError(f"text: expected a str or a path, got {type(text).__name__}")


def _codes(text: str) -> NDArray[np.uint32]:
    """Return the code points (T,) of a string."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
