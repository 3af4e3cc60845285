"""The .ts format of the time series archives (sktime, aeon)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.contents import LabelledSequences, default_names, sorted_names
from fastrnn.files.plain_text import number, read_text, shown


@dataclass(frozen=True)
class Header:
    """What the lines before ``@data`` say.

    Attributes
    ----------
    directives : dict of str to str
        Names in lower case, without ``@``, and what follows them.
    cases : list of (int, str)
        Line number and text of what comes after ``@data``.
    """

    directives: dict[str, str]
    cases: list[tuple[int, str]]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Return the declared classes, () where none are listed; None without classes."""
        flag, *names = (self.directives.get("classlabel") or "false").split()
        return tuple(names) if flag.lower() == "true" else None


def read_ts(path: str | Path) -> LabelledSequences:
    r"""Return the sequences of a .ts file and the class of each.

    Lines before ``@data`` are directives (``@classLabel true a b``) or remarks (``#``). Then each
    line is a sequence: its dimensions separated by colons, values by commas, ``?`` where one is
    missing, and the class last. Sequences may have different lengths, the dimensions of one may
    not. Files with time stamps or with a number as target are refused.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    LabelledSequences

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it has another form; the message has the line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrnn.files import read_ts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "two.ts"
    ...     _ = path.write_text("@classLabel true a b\n@data\n1,2,3:4,5,6:b\n7:?:a\n")
    ...     data = read_ts(path)
    >>> data.sequences[0].tolist(), data.labels
    ([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], ('b', 'a'))
    """
    header = read_header(path)
    classes = header.classes
    if classes is None:
        raise ValueError(f"{path}: expected @classLabel true and the classes, got none")
    if header.directives.get("timestamps", "false").lower() == "true":
        raise ValueError(f"{path}: expected @timeStamps false, got true")
    if not header.cases:
        raise ValueError(f"{path}: expected sequences after @data, got none")
    dimensions = _declared_dimensions(path, header)
    sequences, labels = [], []
    for line, text in header.cases:
        sequence, label = _case(path, line, text, dimensions)
        dimensions = sequence.shape[1]
        if classes and label not in classes:
            raise ValueError(
                f"{path}: line {line}: expected a class of @classLabel, got {shown(label)}"
            )
        sequences.append(sequence)
        labels.append(label)
    names = classes or sorted_names(tuple(labels))
    return LabelledSequences(sequences, tuple(labels), names, default_names(dimensions or 0))


def read_header(path: str | Path) -> Header:
    """Return the directives of a .ts file, and the lines that follow them.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not text, or something else stands before ``@data``.
    """
    directives: dict[str, str] = {}
    lines = enumerate(read_text(path).split("\n"), 1)
    for number_of_line, text in lines:
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise ValueError(
                f"{path}: line {number_of_line}: expected a line with @ or # before @data, got "
                f"{shown(text)}"
            )
        name, _, value = text[1:].replace("\t", " ").partition(" ")
        if name.lower() == "data":
            cases = [(k, case.strip()) for k, case in lines]
            return Header(directives, [(k, c) for k, c in cases if c and c[0] != "#"])
        directives[name.lower()] = value.strip()
    raise ValueError(f"{path}: expected @data, got a file without it")


def _declared_dimensions(path: str | Path, header: Header) -> int | None:
    """Return the number of dimensions that the header tells, if it does."""
    if header.directives.get("univariate", "").lower() == "true":
        return 1
    declared = header.directives.get("dimensions", header.directives.get("dimension"))
    if declared is None:
        return None
    if not declared.isdecimal() or int(declared) < 1:
        raise ValueError(f"{path}: @dimensions: expected a number of at least 1, got {declared}")
    return int(declared)


def _case(
    path: str | Path, line: int, text: str, dimensions: int | None
) -> tuple[NDArray[np.float64], str]:
    *channels, label = text.split(":")
    label = label.strip()
    if not channels or not label:
        raise ValueError(
            f"{path}: line {line}: expected values, a colon and a class, got {shown(text)}"
        )
    if dimensions is not None and len(channels) != dimensions:
        raise ValueError(
            f"{path}: line {line}: expected {dimensions} dimensions and a class separated by "
            f"colons, got {len(channels)} dimensions"
        )
    columns = [_values(path, line, channel) for channel in channels]
    for position, column in enumerate(columns):
        if len(column) != len(columns[0]):
            raise ValueError(
                f"{path}: line {line}: expected {len(columns[0])} values in dimension {position} "
                f"as in dimension 0, got {len(column)}"
            )
    return np.array(columns).T.copy(), label


def _values(path: str | Path, line: int, channel: str) -> list[float]:
    values = []
    for cell in channel.split(","):
        value = number(cell) if cell.strip() else None  # nothing between commas is a mistake here
        if value is None:
            raise ValueError(
                f"{path}: line {line}: expected a number or ?, got {shown(cell.strip())}"
            )
        values.append(value)
    return values
