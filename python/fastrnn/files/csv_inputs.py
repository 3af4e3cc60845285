"""Sequences from a table without regard to classes: the layouts of `csv_labelled`, or one alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.csv_labelled import IDENTITY, LABEL, feature_columns, rows_by_identity
from fastrnn.files.table import Table, read_table, without_trailing_missing


def read_csv_inputs(
    path: str | Path, features: int, *, label: str | None = None
) -> list[NDArray[Any]]:
    r"""Return the sequences of a .csv, whether or not it says their classes.

    *Long*, where the header has a column ``id``, and *wide*, where sequences have one feature and
    there are several columns of numbers, are as for `read_csv_labelled`. Otherwise the table is one
    sequence, a row per step. A column ``step`` and columns of dates are left aside, and so is that
    of the class: the one named, or in the wide layout a last one of text.

    Parameters
    ----------
    path : str or Path
    features : int
        F of the sequences.
    label : str or None, default None
        The name of the column with the class, where there is one; None is ``label``.

    Returns
    -------
    list of ndarray, (T_n, F) float64

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it has another layout or number of features.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrnn.files import read_csv_inputs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "new.csv"
    ...     _ = path.write_text("0.5,0.7,0.1\n0.2,0.9,\n")
    ...     wide, one = read_csv_inputs(path, 1), read_csv_inputs(path, 3)
    >>> [s.shape for s in wide], [s.shape for s in one]
    ([(3, 1), (2, 1)], [(2, 3)])
    """
    table = read_table(path)
    long = table.named(IDENTITY) is not None
    position = table.named(label or LABEL)
    if position is None and features == 1 and not long:
        position = _last_of_text(table)
    columns = feature_columns(table, position)
    if features == 1 and len(columns) > 1 and not long:
        return _wide(table, columns)
    values = table.numbers(columns)
    if len(columns) != features:
        names = ", ".join(map(table.column_name, columns))
        raise ValueError(f"{path}: expected {features} columns of features, got {names or 'none'}")
    if not long:
        return [values]
    return [values[places] for places in rows_by_identity(table).values()]


def _last_of_text(table: Table) -> int | None:
    last = table.width - 1
    return None if table.is_numeric(last) or table.is_dates(last) else last


def _wide(table: Table, columns: list[int]) -> list[NDArray[np.float64]]:
    rows = [without_trailing_missing(row)[:, None] for row in table.numbers(columns)]
    for row, line in zip(rows, table.lines, strict=True):
        if not row.size:
            raise ValueError(f"{table.path}: line {line}: expected numbers, got none")
    return rows
