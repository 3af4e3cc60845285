"""Splits that follow from the data alone: no random generator, the same everywhere."""

from __future__ import annotations

import hashlib


def split_by_hash(key: str, parts: int = 20) -> str:
    """Return which part of a split an entry belongs to, by the SHA-256 of its key.

    Of `parts` equal shares, share 0 is the test part and share 1 the validation part. All entries
    of one key, such as all pronunciations of a word, fall into the same part.

    Parameters
    ----------
    key : str
    parts : int, default 20
        At least 3; 20: 90 % train, 5 % validation, 5 % test.

    Returns
    -------
    {"train", "validation", "test"}

    Raises
    ------
    ValueError
        If `parts` is below 3.

    Examples
    --------
    >>> import fastrnn as fr
    >>> [fr.datasets.split_by_hash(word) for word in ("tomato", "ability", "a")]
    ['train', 'train', 'train']
    """
    if parts < 3:
        raise ValueError(f"parts: expected at least 3, got {parts}")
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    return {0: "test", 1: "validation"}.get(int.from_bytes(digest, "big") % parts, "train")
