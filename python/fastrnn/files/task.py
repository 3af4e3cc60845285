"""Which task a file is for, and its content read for that task."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastrnn.files.arrays import read_array_series, read_arrays, read_npz_labelled
from fastrnn.files.contents import LabelledSequences, Series
from fastrnn.files.csv_labelled import IDENTITY, LABEL, read_csv_labelled
from fastrnn.files.csv_series import read_csv_series
from fastrnn.files.table import Table, read_table
from fastrnn.files.ts import read_header, read_ts

Task = Literal["classify", "forecast", "text"]


def guess_task(path: str | Path) -> Task:
    """Return what a file looks made for, or raise an error that asks for ``--task``.

    ======= =============================================================================
    .txt    text
    .ts     classify, if it has classes
    .npz    classify with ``y`` (or ``train_y``) of integers or text; forecast without
            ``y``, if ``x`` or ``values`` is (T,) or (T, F)
    .npy    forecast, if it is (T,) or (T, F)
    .csv    classify with a column ``label``, or with text in the last column; forecast
            with a column of dates, with a header above numbers, or with one column
    ======= =============================================================================

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    {"classify", "forecast", "text"}

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it could be for several tasks or for none; or cannot be parsed.

    Examples
    --------
    >>> from fastrnn.files import guess_task
    >>> guess_task("verse.txt")
    'text'
    """
    path = Path(path)
    suffix = path.suffix.lower()
    guess: Task | None = None
    if suffix == ".txt":
        guess = "text"
    elif suffix == ".ts":
        guess = "classify" if read_header(path).classes is not None else None
    elif suffix in (".npz", ".npy"):
        guess = _guess_arrays(path)
    elif suffix == ".csv":
        guess = _guess_table(read_table(path))
    else:
        raise ValueError(f"{path}: expected .csv, .npz, .npy, .ts or .txt, got {suffix!r}")
    if guess is None:
        raise ValueError(
            f"{path}: the task is not clear from the content; say --task classify or "
            "--task forecast"
        )
    return guess


def _guess_arrays(path: Path) -> Task | None:
    arrays = read_arrays(path)
    y = arrays.get("y", arrays.get("train_y"))
    if y is not None:
        return "classify" if y.dtype.kind in "iuU" and y.ndim == 1 else None
    values = arrays.get("values", arrays.get("x"))
    return "forecast" if values is not None and values.ndim in (1, 2) else None


def _guess_table(table: Table) -> Task | None:
    if table.named(LABEL) is not None:
        return "classify"
    if table.named(IDENTITY) is not None:
        return None  # sequences, but of what class? or rows with a number
    columns = range(table.width)
    if not table.is_numeric(table.width - 1) and not table.is_dates(table.width - 1):
        return "classify"
    if any(map(table.is_dates, columns)) or table.names is not None or table.width == 1:
        return "forecast"
    return None


def read_labelled(
    path: str | Path, *, label: str | None = None, part: str | None = None
) -> LabelledSequences:
    """Return labelled sequences from a .csv, .npz or .ts file.

    Parameters
    ----------
    path : str or Path
    label : str or None, default None
        The column with the class, for .csv (see `read_csv_labelled`).
    part : str or None, default None
        ``"train"`` or ``"test"``, for .npz (see `read_npz_labelled`).

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is another kind of file, or an argument is for another kind of file.
    """
    suffix = Path(path).suffix.lower()
    if label is not None and suffix != ".csv":
        raise ValueError(f"label: expected None for {suffix!r}, got {label!r}: a column of .csv")
    if part is not None and suffix != ".npz":
        raise ValueError(f"part: expected None for {suffix!r}, got {part!r}: arrays of .npz")
    if suffix == ".csv":
        return read_csv_labelled(path, label=label)
    if suffix == ".npz":
        return read_npz_labelled(path, part=part)
    if suffix == ".ts":
        return read_ts(path)
    raise ValueError(f"{path}: expected .csv, .npz or .ts for classification, got {suffix!r}")


def read_series(path: str | Path) -> Series:
    """Return a series from a .csv, .npz or .npy file.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is another kind of file.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        return read_csv_series(path)
    if suffix in (".npz", ".npy"):
        return read_array_series(path)
    raise ValueError(f"{path}: expected .csv, .npz or .npy for forecasting, got {suffix!r}")
