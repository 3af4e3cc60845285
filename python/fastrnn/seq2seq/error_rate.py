"""How far found sequences are from the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def edit_distance(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return the least number of symbols to insert, delete or replace (Levenshtein 1966).

    Parameters
    ----------
    first, second : sequence
        Of symbols or tokens that can be compared.

    Examples
    --------
    >>> from fastrnn.seq2seq import edit_distance
    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(second) + 1))
    for i, symbol in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            changed = diagonal + (symbol != other)
            diagonal = row[j]
            row[j] = min(changed, diagonal + 1, row[j - 1] + 1)
    return row[-1]


def error_rate(hypotheses: Sequence[Any], references: Sequence[Sequence[Any]]) -> float:
    """Return the edits of all hypotheses over the number of symbols in their references.

    The phoneme, word or character error rate, by what the symbols are. Of several references of one
    hypothesis that with the fewest edits counts, the first of those, in both numbers.

    Parameters
    ----------
    hypotheses : sequence of sequences
    references : sequence of lists of sequences
        For each hypothesis one or more.

    Raises
    ------
    ValueError
        If counts differ, a hypothesis has no reference, or all references are empty.

    Examples
    --------
    >>> from fastrnn.seq2seq import error_rate
    >>> error_rate(["abc", "xy"], [["abd"], ["zz", "xyz"]])  # 1 + 1 edits, 3 + 3 symbols
    0.3333333333333333
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"references: expected {len(hypotheses)} like hypotheses, got {len(references)}"
        )
    edits = symbols = 0
    for n, (hypothesis, alternatives) in enumerate(zip(hypotheses, references, strict=True)):
        if len(alternatives) == 0:
            raise ValueError(f"references[{n}]: expected at least one, got none")
        nearest, length = min(
            ((edit_distance(hypothesis, one), len(one)) for one in alternatives),
            key=lambda pair: pair[0],
        )
        edits += nearest
        symbols += length
    if symbols == 0:
        raise ValueError("references: expected at least one symbol, got none")
    return edits / symbols
