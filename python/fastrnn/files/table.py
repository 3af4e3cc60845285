"""Tables of separated values, their header and their columns of dates."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.plain_text import number, read_text, shown

#: The form of a date, a month, a time or both; which field is the day does not matter here.
_DATE = re.compile(
    r"""
    (\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4} | \d{4}[-/]\d{1,2} | (?=\d{1,2}:))
    ([ T]*\d{1,2}(:\d{2}){1,2}([.,]\d+)?(\ ?[AaPp][Mm])?(Z|\ ?[+-]\d{2}:?\d{2})?)?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Table:
    """The cells of a file, all rows equally wide.

    Attributes
    ----------
    path : Path
    names : tuple of str or None
        The header, None where there is none.
    rows : list of list of str
    lines : list of int
        The line of the file on which each row ends.
    """

    path: Path
    names: tuple[str, ...] | None
    rows: list[list[str]]
    lines: list[int]

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return len(self.rows[0])

    def named(self, name: str) -> int | None:
        """Return the position of a column by its name, upper and lower case alike; or None.

        Parameters
        ----------
        name : str
        """
        found = [n.lower() for n in self.names or ()]
        return found.index(name.lower()) if name.lower() in found else None

    def column_name(self, position: int) -> str:
        """Return what a message calls a column.

        Parameters
        ----------
        position : int
        """
        return self.names[position] if self.names else f"{position + 1}"

    def texts(self, position: int) -> list[str]:
        """Return the cells of a column.

        Parameters
        ----------
        position : int
        """
        return [row[position].strip() for row in self.rows]

    def is_numeric(self, position: int) -> bool:
        """Return whether a column has nothing but numbers and missing values.

        Parameters
        ----------
        position : int
        """
        return all(number(row[position]) is not None for row in self.rows)

    def is_dates(self, position: int) -> bool:
        """Return whether a column has dates and times, and nothing else but empty cells.

        Parameters
        ----------
        position : int
        """
        cells = [cell for cell in self.texts(position) if cell]
        return bool(cells) and all(map(is_date, cells))

    def numbers(self, positions: list[int]) -> NDArray[np.float64]:
        """Return the numbers of some columns, (rows, len(positions)); NaN where one is missing.

        Parameters
        ----------
        positions : list of int

        Raises
        ------
        ValueError
            If a cell is no number; the message has its line and column.
        """
        values = np.empty((len(self.rows), len(positions)))
        for n, row in enumerate(self.rows):
            for k, position in enumerate(positions):
                value = number(row[position])
                if value is None:
                    raise ValueError(
                        f"{self.path}: line {self.lines[n]}, column "
                        f"{self.column_name(position)}: expected a number, got "
                        f"{shown(row[position])}"
                    )
                values[n, k] = value
        return values


def is_date(cell: str) -> bool:
    """Return whether a cell has the form of a date, a time or both.

    Parameters
    ----------
    cell : str

    Examples
    --------
    >>> from fastrnn.files.table import is_date
    >>> [is_date(c) for c in ("2010-03-14 02:00", "14.3.2010", "02:00", "3.14", "-1", "")]
    [True, True, True, False, False, False]
    """
    return number(cell) is None and _DATE.fullmatch(cell.strip()) is not None


def read_table(path: str | Path) -> Table:
    """Return the cells of a file of values separated by tabs, semicolons or commas.

    The separator is the first of these three that is in the first line. The first row is a header
    if it has no number, no date and a cell with a name. Cells may be quoted; empty lines do not
    count.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not such a file, or has a row that is wider or narrower than the first.
    """
    path = Path(path)
    text = read_text(path)
    first = text.lstrip("\n").split("\n", 1)[0]
    separator = next((mark for mark in "\t;," if mark in first), ",")
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(text.split("\n"), delimiter=separator, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(
            f"{path}: line {reader.line_num}: expected cells separated by {separator!r}, "
            f"got {error}"
        ) from error
    if not rows:
        raise ValueError(f"{path}: expected rows of cells, got none")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{path}: line {line}: expected {len(rows[0])} cells separated by {separator!r} "
                f"as in line {lines[0]}, got {len(row)}"
            )
    names = _header(rows[0])
    if names is not None:
        del rows[0], lines[0]
        if not rows:
            raise ValueError(f"{path}: expected rows below the header, got none")
        _refuse_equal(path, names)
    return Table(path, names, rows, lines)


def _header(row: list[str]) -> tuple[str, ...] | None:
    cells = [cell.strip() for cell in row]
    named = [bool(cell) and number(cell) is None and not is_date(cell) for cell in cells]
    if any(named) and all(name or not cell for name, cell in zip(named, cells, strict=True)):
        return tuple(cells)
    return None


def _refuse_equal(path: Path, names: tuple[str, ...]) -> None:
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise ValueError(f"{path}: expected different names of columns, got {name} twice")


def without_trailing_missing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values up to the last one that is not missing.

    Parameters
    ----------
    values : ndarray of float64, (T,)
    """
    present = np.flatnonzero(~np.isnan(values))
    return values[: int(present[-1]) + 1] if present.size else values[:0]
