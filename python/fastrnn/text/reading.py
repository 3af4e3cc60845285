"""Texts for training and validation as tokens."""

from __future__ import annotations

import os
from typing import Any

from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.text.vocabulary import TextLike, Vocabulary


def read_texts(
    text: TextLike,
    validation: TextLike | float | None,
    vocabulary: Vocabulary | None,
    encoding: str,
) -> tuple[Vocabulary, NDArray[Any], NDArray[Any] | None]:
    """Return the vocabulary, and tokens (T,) for training and for validation, if any.

    Parameters
    ----------
    text : str or path-like
    validation : str, path-like, float or None
        Another text, or the share of this one that is held out at its end.
    vocabulary : Vocabulary or None
        None: the characters of the text, with the held-out share.
    encoding : str
        Of files.
    """
    _check_no_file_name("text", text)
    if vocabulary is None:
        vocabulary = Vocabulary.from_text(text, encoding=encoding)
    tokens = vocabulary.encode(text, encoding=encoding)
    if validation is None:
        return vocabulary, tokens, None
    if isinstance(validation, (str, os.PathLike)):
        _check_no_file_name("validation", validation)
        held_out = vocabulary.encode(validation, encoding=encoding)
    else:
        share = _checks.number("validation", validation)
        if not 0.0 < share < 1.0:
            raise ValueError(f"validation: expected 0 < share < 1, got {validation}")
        place = round(len(tokens) * (1.0 - share))
        tokens, held_out = tokens[:place], tokens[place:]
    if len(held_out) < 2:
        raise ValueError(f"validation: expected at least 2 characters, got {len(held_out)}")
    return vocabulary, tokens, held_out


def _check_no_file_name(name: str, text: Any) -> None:
    """Raise if a string is the name of a file: it would be taken for the text."""
    if isinstance(text, str) and len(text) < 1024 and os.path.isfile(text):
        raise ValueError(
            f"{name}: expected text, or a path for a file, got the name of the file {text!r}; "
            f"pass pathlib.Path({text!r})"
        )
