"""Labelled sequences from a table: a row per sequence, or a row per step."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.contents import LabelledSequences, default_names, sorted_names
from fastrnn.files.table import Table, read_table, without_trailing_missing

#: Names of columns with a meaning, as they are looked for where none are given.
LABEL, IDENTITY, STEP = "label", "id", "step"


def read_csv_labelled(path: str | Path, *, label: str | None = None) -> LabelledSequences:
    r"""Return the sequences of a .csv and the class of each, from one of two layouts.

    *Long*, where the header has a column ``id``: a row per step. Rows of equal ``id`` are one
    sequence, in the order of the rows; a column ``step``, if there is one, must increase within
    each; columns of dates are left aside; all others are features.

    *Wide*, otherwise: a row per sequence, a column per step of its one feature. Missing values at
    the end of a row make a shorter sequence.

    Parameters
    ----------
    path : str or Path
        Separated by tabs, semicolons or commas.
    label : str or None, default None
        The name of the column with the class; None is ``label``, or the last column of the wide
        layout if there is no such name.

    Returns
    -------
    LabelledSequences

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it has another layout; the message has line and column.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrnn.files import read_csv_labelled
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "gestures.csv"
    ...     _ = path.write_text("0.5,0.7,0.1,wave\n0.2,0.9,,nod\n")
    ...     wide = read_csv_labelled(path)
    ...     _ = path.write_text("id,label,x,y\n7,wave,1,2\n7,wave,3,4\n9,nod,5,6\n")
    ...     long = read_csv_labelled(path)
    >>> [s.ravel().tolist() for s in wide.sequences], wide.labels
    ([[0.5, 0.7, 0.1], [0.2, 0.9]], ('wave', 'nod'))
    >>> [s.tolist() for s in long.sequences], long.feature_names
    ([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]], ('x', 'y'))
    """
    table = read_table(path)
    long = table.named(IDENTITY) is not None
    position = _label_column(table, label, long=long)
    texts = table.texts(position)
    for text, line in zip(texts, table.lines, strict=True):
        if not text:
            raise ValueError(
                f"{table.path}: line {line}, column {table.column_name(position)}: "
                "expected a class, got an empty cell"
            )
    return (_long if long else _wide)(table, position, texts)


def _label_column(table: Table, label: str | None, *, long: bool) -> int:
    position = table.named(label or LABEL)
    if position is None and (label is not None or long):
        got = ", ".join(table.names) if table.names else "no header"
        raise ValueError(f"{table.path}: expected a column {label or LABEL}, got {got}")
    return table.width - 1 if position is None else position


def _wide(table: Table, label: int, labels: list[str]) -> LabelledSequences:
    columns = [k for k in range(table.width) if k != label]
    if not columns:
        raise ValueError(f"{table.path}: expected columns of numbers beside the class, got none")
    sequences: list[NDArray[np.float64]] = []
    for row, line in zip(table.numbers(columns), table.lines, strict=True):
        values = without_trailing_missing(row)
        if not values.size:
            raise ValueError(f"{table.path}: line {line}: expected numbers, got none")
        sequences.append(values[:, None].copy())
    return LabelledSequences(sequences, tuple(labels), sorted_names(tuple(labels)), ("x0",))


def _long(table: Table, label: int, labels: list[str]) -> LabelledSequences:
    columns = feature_columns(table, label)
    if not columns:
        raise ValueError(f"{table.path}: expected columns of features beside id and class")
    values = table.numbers(columns)
    rows = rows_by_identity(table)
    for key, places in rows.items():
        for n in places[1:]:
            if labels[n] != labels[places[0]]:
                raise ValueError(
                    f"{table.path}: line {table.lines[n]}: expected class {labels[places[0]]} as "
                    f"in other rows of id {key}, got {labels[n]}"
                )
    names = [table.names[k] if table.names else "" for k in columns]
    default = default_names(len(columns))
    of_sequences = tuple(labels[places[0]] for places in rows.values())
    return LabelledSequences(
        [values[places] for places in rows.values()],
        of_sequences,
        sorted_names(of_sequences),
        tuple(name or other for name, other in zip(names, default, strict=True)),
    )


def feature_columns(table: Table, label: int | None) -> list[int]:
    """Return the positions of the columns of features: neither class, id nor step, nor dates.

    Parameters
    ----------
    table : Table
    label : int or None
        The column of the class, if there is one.
    """
    other = (label, table.named(IDENTITY), table.named(STEP))
    return [k for k in range(table.width) if k not in other and not table.is_dates(k)]


def rows_by_identity(table: Table) -> dict[str, list[int]]:
    """Return the positions of the rows of each sequence in the long layout.

    Parameters
    ----------
    table : Table
        With a column ``id``.

    Raises
    ------
    ValueError
        If a column ``step`` does not increase within a sequence.
    """
    identity, step = table.named(IDENTITY), table.named(STEP)
    if identity is None:
        raise ValueError(f"{table.path}: expected a column {IDENTITY}")
    rows: dict[str, list[int]] = {}
    for n, key in enumerate(table.texts(identity)):
        rows.setdefault(key, []).append(n)
    if step is not None:
        _check_steps(table, step, rows)
    return rows


def _check_steps(table: Table, step: int, rows: dict[str, list[int]]) -> None:
    steps = table.numbers([step])[:, 0]
    for key, places in rows.items():
        for before, n in itertools.pairwise(places):
            if not steps[n] > steps[before]:
                raise ValueError(
                    f"{table.path}: line {table.lines[n]}: expected a step beyond "
                    f"{steps[before]:g} in id {key}, got {steps[n]:g}; sort the rows"
                )
