"""Files in the safetensors layout, by NumPy alone: 8 bytes of length, a JSON header, raw numbers.

The layout is that of the safetensors library (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays and strings to one file, atomically.

    Parameters
    ----------
    path : path-like
        Replaced only when everything has been written; an interrupted call leaves it as it was.
    tensors : mapping of str to ndarray
        Of float16/32/64, int8/16/32/64, uint8 or bool, any shape.
    metadata : mapping of str to str, or None

    Raises
    ------
    TypeError
        If an array has another dtype or metadata is not text.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastrnn import safetensors_file
    >>> path = os.path.join(tempfile.mkdtemp(), "arrays.safetensors")
    >>> safetensors_file.write(path, {"a": np.arange(3.0)}, {"note": "three"})
    >>> tensors, metadata = safetensors_file.read(path)
    >>> tensors["a"].tolist(), metadata
    ([0.0, 1.0, 2.0], {'note': 'three'})
    """
    header: dict[str, Any] = {}
    if metadata:
        for key, text in metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise TypeError(f"metadata[{key!r}]: expected text, got {type(text).__name__}")
        header["__metadata__"] = dict(metadata)
    chunks, start = [], 0
    for name, array in tensors.items():
        little = np.asarray(array).astype(np.asarray(array).dtype.newbyteorder("<"), copy=False)
        if name == "__metadata__" or little.dtype not in _NAMES:
            raise TypeError(f"tensors[{name!r}]: expected a number dtype, got {little.dtype}")
        raw = little.tobytes()
        header[name] = {
            "dtype": _NAMES[little.dtype],
            "shape": list(little.shape),
            "data_offsets": [start, start + len(raw)],
        }
        chunks.append(raw)
        start += len(raw)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    _replace(path, [len(encoded).to_bytes(8, "little"), encoded, *chunks])


def _replace(path: str | os.PathLike[str], chunks: list[bytes]) -> None:
    """Write to a temporary file beside `path` and move it there."""
    target = os.path.abspath(os.fspath(path))
    handle, temporary = tempfile.mkstemp(
        prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target)
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # as open() would have made it
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file in the safetensors layout.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tensors : dict of str to ndarray
        Writable copies.
    metadata : dict of str to str

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is truncated or not in this layout; nothing is allocated on its word alone.
    """
    with open(path, "rb") as file:
        content = file.read()
    where = os.fspath(path)
    if len(content) < 8:
        raise ValueError(f"{where}: expected at least 8 bytes, got {len(content)}")
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError(
            f"{where}: expected a header of {length} bytes, got {len(content) - 8}: "
            "truncated, or not a safetensors file"
        )
    header = _header(where, content[8 : 8 + length])
    data = memoryview(content)[8 + length :]
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"{where}: __metadata__: expected text, got {metadata!r}")
    spans, tensors = [], {}
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(where, name, entry, len(data))
        spans.append((begin, end, name))
        tensors[name] = np.frombuffer(data[begin:end], dtype).reshape(shape).copy()
    expected = 0
    for begin, end, name in sorted(spans):
        if begin != expected:
            raise ValueError(f"{where}: {name}: expected to begin at {expected}, got {begin}")
        expected = end
    if expected != len(data):
        raise ValueError(f"{where}: expected {expected} bytes of numbers, got {len(data)}")
    return tensors, metadata


def _header(where: str, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name twice")
        return found

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected a JSON header, got {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"{where}: expected a JSON object as header, got another value")
    return header


def _entry(
    where: str, name: str, entry: Any, available: int
) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    try:
        code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{where}: {name}: expected dtype, shape and data_offsets") from error
    if code not in _DTYPES:
        raise ValueError(f"{where}: {name}: expected dtype in {', '.join(_DTYPES)}, got {code!r}")
    numbers = [*shape, begin, end]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise ValueError(f"{where}: {name}: expected whole numbers, got {numbers}")
    if begin > end or end > available:
        raise ValueError(
            f"{where}: {name}: expected offsets within {available} bytes, got {begin}..{end}"
        )
    dtype = np.dtype(_DTYPES[code])
    size = dtype.itemsize
    for n in shape:
        size *= n
    if size != end - begin:
        raise ValueError(f"{where}: {name}: expected {size} bytes, got {end - begin}")
    return dtype, shape, begin, end
