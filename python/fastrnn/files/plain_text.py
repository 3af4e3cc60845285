"""Text files, and numbers written in them."""

from __future__ import annotations

import math
from pathlib import Path

#: What stands for a missing value, in lower case.
_MISSING = {"", "?", "nan", "na", "n/a", "null", "none"}


def read_text(path: str | Path) -> str:
    r"""Return the content of a text file in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        With line ends as ``\n``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is empty, has a byte of value 0 (binary, or UTF-16), or is not UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrnn.files import read_text
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "verse.txt"
    ...     _ = path.write_bytes(b"one\r\ntwo")
    ...     read_text(path)
    'one\ntwo'
    """
    content = Path(path).read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path}: expected text in UTF-8, got UTF-16; save it as UTF-8")
    null = content.find(b"\0")
    if null >= 0:
        raise ValueError(
            f"{path}: line {_line_of(content, null)}: expected text, got a byte of value 0"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_of(error.object, error.start)
        raise ValueError(
            f"{path}: line {line}: expected text in UTF-8, got byte "
            f"0x{error.object[error.start]:02x}; save it as UTF-8"
        ) from error
    if not text.strip():
        raise ValueError(f"{path}: expected text, got an empty file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line_of(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def number(cell: str) -> float | None:
    """Return the number of a cell, NaN for a missing one, None for anything else.

    Parameters
    ----------
    cell : str
        Infinity and digits grouped by ``_`` are no numbers here.
    """
    cell = cell.strip()
    try:
        value = float(cell)
    except ValueError:
        return math.nan if cell.lower() in _MISSING else None
    return None if math.isinf(value) or "_" in cell else value


def shown(cell: str) -> str:
    """Return a cell for a message, cut where it is long.

    Parameters
    ----------
    cell : str
    """
    return repr(cell if len(cell) <= 40 else cell[:40] + "...")
