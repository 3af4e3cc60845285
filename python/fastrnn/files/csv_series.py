"""A series from a table: a row per step, a column per feature."""

from __future__ import annotations

from pathlib import Path

from fastrnn.files.contents import Series, default_names
from fastrnn.files.table import Table, read_table


def read_csv_series(path: str | Path) -> Series:
    r"""Return the series of a .csv: a row per step, a column of numbers per feature.

    Tabs, semicolons or commas separate; a header is recognised. Columns of dates or times are
    left aside, the first of them kept as `Series.times`: the order of steps is that of the rows.
    Empty cells, ``?`` and ``NaN`` are missing values.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Series

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a cell is neither number nor date, with its line and column, or the table is none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrnn.files import read_csv_series
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "weather.csv"
    ...     _ = path.write_text("date;temp;wind\n2024-05-01;11.5;3\n2024-05-02;;4\n")
    ...     series = read_csv_series(path)
    >>> series.feature_names, series.values.tolist()
    (('temp', 'wind'), [[11.5, 3.0], [nan, 4.0]])
    """
    return series_of(read_table(path))


def series_of(table: Table) -> Series:
    """Return the series of a table.

    Parameters
    ----------
    table : Table

    Raises
    ------
    ValueError
        As `read_csv_series`.
    """
    dates = [k for k in range(table.width) if table.is_dates(k)]
    columns = [k for k in range(table.width) if k not in dates]
    if not columns:
        raise ValueError(f"{table.path}: expected a column of numbers, got only dates")
    values = table.numbers(columns)
    names = default_names(len(columns))
    if table.names:
        names = tuple(table.names[k] or name for k, name in zip(columns, names, strict=True))
    return Series(values, names, tuple(table.texts(dates[0])) if dates else None)
