"""Arrays of NumPy files, read without pickles and without trust in what they claim."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.files.contents import LabelledSequences, Series, default_names, sorted_names


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz by name; that of an .npy as ``x``.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no NumPy file, is damaged, holds pickled objects, or claims more than it has.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            if zipfile.is_zipfile(file):
                file.seek(0)
                return _members(file)
            file.seek(0)
            _check_claim(file, path.stat().st_size)
            file.seek(0)
            return {"x": np.lib.format.read_array(file, allow_pickle=False)}
        except Exception as error:  # NumPy's reader raises many kinds on damaged files
            raise ValueError(f"{path}: expected a NumPy file, got {error}") from error


def _members(file: Any) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as member:
                _check_claim(member, entry.file_size)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _check_claim(file: Any, size: int) -> None:
    """Raise ValueError if an array's header asks for more memory than its file has bytes."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"a header of version {version}")
    shape, _, dtype = readers[version](file)
    claimed = dtype.itemsize
    for length in shape:
        claimed *= length
    if claimed > size and not dtype.hasobject:  # objects are refused by the reader
        raise ValueError(f"an array of {claimed} bytes in a file of {size}")


def read_npz_labelled(path: str | Path, *, part: str | None = None) -> LabelledSequences:
    """Return the sequences of an .npz and the class of each.

    Parameters
    ----------
    path : str or Path
        With ``x``, ``y`` (N,) of integers or text and, maybe, ``lengths`` (N,). Sequences are
        (N, T, F), or (N, T) of one feature, the first ``lengths`` steps of each; or end to end,
        (sum of lengths, F), which is what they are taken for if the lengths add up to len(x).
    part : str or None, default None
        ``"train"`` reads ``train_x``, ``train_y`` and ``train_lengths``; None reads these if
        there is no ``x``.

    Returns
    -------
    LabelledSequences

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from fastrnn.files import read_npz_labelled
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "ragged.npz"
    ...     np.savez(path, x=np.arange(10.0).reshape(5, 2), y=["a", "b"], lengths=[3, 2])
    ...     data = read_npz_labelled(path)
    >>> [s.shape for s in data.sequences], data.labels
    ([(3, 2), (2, 2)], ('a', 'b'))
    """
    arrays = read_arrays(path)
    prefix = "train_" if part is None and "x" not in arrays else f"{part}_" if part else ""
    x, y = required(path, arrays, f"{prefix}x"), required(path, arrays, f"{prefix}y")
    if y.dtype.kind not in "iuU" or y.ndim != 1:
        raise ValueError(
            f"{path}: {prefix}y: expected integers or text of shape (N,), got {y.dtype} {y.shape}"
        )
    require_numbers(path, f"{prefix}x", x)
    lengths = arrays.get(f"{prefix}lengths")
    if lengths is not None:
        check_lengths(path, f"{prefix}lengths", lengths, len(y))
    if lengths is not None and is_end_to_end(x, lengths):
        pieces = split(x, lengths)
    else:
        x = x[..., None] if x.ndim == 2 else x
        if x.ndim != 3 or len(x) != len(y):
            raise ValueError(
                f"{path}: {prefix}x: expected shape (N, T, F) or (N, T) with N = {len(y)}, or "
                f"sequences end to end with their lengths, got {x.shape}"
            )
        full = np.full(len(x), x.shape[1]) if lengths is None else lengths
        if full.size and full.max() > x.shape[1]:
            raise ValueError(
                f"{path}: {prefix}lengths: expected at most T = {x.shape[1]}, got {full.max()}"
            )
        pieces = [row[:length] for row, length in zip(x, full, strict=True)]
    sequences = [piece.astype(np.float64) for piece in pieces]
    labels = tuple(str(label) for label in y.tolist())
    return LabelledSequences(sequences, labels, sorted_names(labels), default_names(x.shape[-1]))


def read_array_series(path: str | Path) -> Series:
    """Return the series of an .npz, ``x`` or ``values``, or of an .npy: (T,) or (T, F).

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
        If it holds something else.
    """
    arrays = read_arrays(path)
    name = "values" if "values" in arrays else "x"
    values = required(path, arrays, name)
    require_numbers(path, name, values)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{path}: {name}: expected shape (T,) or (T, F), got {values.shape}")
    return Series(values.astype(np.float64), default_names(values.shape[1]), None)


def is_end_to_end(x: NDArray[Any], lengths: NDArray[Any]) -> bool:
    """Return whether x (sum of lengths, F) holds sequences of these lengths one after another.

    Parameters
    ----------
    x : ndarray of any shape
    lengths : ndarray of int, (N,)
    """
    return x.ndim == 2 and lengths.dtype.kind in "iu" and int(lengths.sum()) == len(x)


def split(x: NDArray[Any], lengths: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the sequences (T_n, F) of x, where they are one after another.

    Parameters
    ----------
    x : ndarray, (sum of lengths, F)
    lengths : ndarray of int, (N,)
    """
    return np.split(x, np.cumsum(lengths, dtype=np.int64)[:-1])


def required(path: str | Path, arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """Return an array of a file by name, or raise ValueError if there is none.

    Parameters
    ----------
    path : str or Path
        For messages.
    arrays : dict of str to ndarray
    name : str
    """
    if name not in arrays:
        raise ValueError(f"{path}: expected an array {name}, got {', '.join(arrays) or 'none'}")
    return arrays[name]


def require_numbers(path: str | Path, name: str, values: NDArray[Any]) -> None:
    """Raise ValueError if an array does not hold real numbers.

    Parameters
    ----------
    path : str or Path
    name : str
    values : ndarray of any shape
    """
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name}: expected numbers, got {values.dtype}")


def check_lengths(path: str | Path, name: str, lengths: NDArray[Any], count: int) -> None:
    """Raise ValueError unless lengths are integers of at least 1, (count,).

    Parameters
    ----------
    path : str or Path
    name : str
    lengths : ndarray of any shape
    count : int
    """
    if lengths.dtype.kind not in "iu" or lengths.shape != (count,):
        raise ValueError(
            f"{path}: {name}: expected integers of shape (N,) = ({count},), got {lengths.dtype} "
            f"{lengths.shape}"
        )
    if lengths.size and lengths.min() < 1:
        raise ValueError(f"{path}: {name}: expected at least 1, got {lengths.min()}")
