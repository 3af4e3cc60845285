"""Parts of a text for training, validation and test."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastrnn import _checks
from fastrnn.text.vocabulary import TextLike, pieces


def split_text(
    text: TextLike,
    shares: Sequence[float] = (0.9, 0.05, 0.05),
    *,
    encoding: str = "utf-8-sig",
) -> tuple[str, ...]:
    """Cut a text into parts that follow each other, by shares of its characters.

    Parameters
    ----------
    text : str or path-like
        A string is the text itself, a `pathlib.Path` a file.
    shares : sequence of float, default (0.9, 0.05, 0.05)
        Each above 0; they add up to 1. Part i ends at character floor(n * (shares[0] + ... +
        shares[i])), the sums taken exactly and rounded to nine decimals.
    encoding : str, default "utf-8-sig"
        Of a file.

    Returns
    -------
    tuple of str
        As many as shares.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    OSError, UnicodeDecodeError
        If the file cannot be read.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.text.split_text("abcdefghijklmnopqrst", (0.8, 0.1, 0.1))
    ('abcdefghijklmnop', 'qr', 'st')
    """
    numbers = [_checks.above_zero(f"shares[{i}]", share) for i, share in enumerate(shares)]
    if not numbers or not math.isclose(math.fsum(numbers), 1.0, abs_tol=1e-9):
        raise ValueError(f"shares: expected numbers that add up to 1, got {tuple(shares)}")
    whole = "".join(pieces(text, encoding))
    ends = [
        math.floor(len(whole) * round(math.fsum(numbers[: i + 1]), 9)) for i in range(len(numbers))
    ]
    ends[-1] = len(whole)
    return tuple(whole[a:b] for a, b in zip([0, *ends], ends, strict=False))
