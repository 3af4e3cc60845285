"""Files in the safetensors layout, by NumPy alone: 8 bytes of length, a JSON header, raw numbers.

The layout is that of the safetensors library (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LARGEST_HEADER = 100_000_000  # the safetensors library's limit


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
    tensors : mapping of str to ndarray, any shape
        Of float16/32/64, int8/16/32/64, uint8 or bool, any byte order.
    metadata : mapping of str to str, or None, default None

    Raises
    ------
    TypeError
        If an array has another dtype, or a name or the metadata are not text.
    ValueError
        If a name is ``__metadata__``, or text has no UTF-8.
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
    _replace(os.fspath(path), *_encoded(tensors, metadata))


def to_bytes(
    tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return what `write` puts into a file.

    Parameters
    ----------
    tensors : mapping of str to ndarray, any shape
    metadata : mapping of str to str, or None, default None
    """
    prefix, numbers = _encoded(tensors, metadata)
    return prefix + b"".join(numbers)


def _encoded(
    tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None
) -> tuple[bytes, Iterable[bytes]]:
    """Return length and header, and the arrays' bytes in the order of the file."""
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"metadata[{key!r}]: expected text, got {type(text).__name__}")
    arrays = {name: _little(name, array) for name, array in tensors.items()}
    # Wide numbers first, so that each array begins at a multiple of its numbers' size
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    ends = np.cumsum([arrays[name].nbytes for name in order], dtype=np.int64).tolist()
    spans = dict(zip(order, zip([0, *ends], ends, strict=False), strict=True))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    for name, array in arrays.items():
        code, shape = _NAMES[array.dtype], list(array.shape)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": list(spans[name])}
    try:
        encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"names and metadata: expected text with UTF-8, got {error}") from None
    encoded += b" " * (-len(encoded) % 8)
    prefix = len(encoded).to_bytes(8, "little") + encoded
    return prefix, (arrays[name].tobytes() for name in order)


def _little(name: str, array: Any) -> NDArray[Any]:
    """Return an array, any shape, with little-endian numbers."""
    if not isinstance(name, str):
        raise TypeError(f"tensors: expected names that are text, got {name!r}")
    if name == "__metadata__":
        raise ValueError("tensors: expected another name, got '__metadata__'")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"tensors[{name!r}]: expected an array, got {type(array).__name__}")
    little = array.dtype.newbyteorder("<")
    if little not in _NAMES:
        known = ", ".join(str(dtype) for dtype in _NAMES)
        raise TypeError(f"tensors[{name!r}]: expected one of {known}, got {array.dtype}")
    return array.astype(little, copy=False)


def _replace(path: str, prefix: bytes, numbers: Iterable[bytes]) -> None:
    """Write to a temporary file beside `path` and move it there."""
    target = os.path.realpath(path)  # a link stays a link
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(prefix)
                file.writelines(numbers)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, os.stat(target).st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror or error}", path) from error


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file in the safetensors layout.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tensors : dict of str to ndarray
        Writable, aligned, in the header's order.
    metadata : dict of str to str

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is truncated or not in this layout; nothing is allocated on its word alone.
    """
    with open(path, "rb") as file:
        return _decoded(os.fspath(path), file, os.fstat(file.fileno()).st_size)


def from_bytes(name: str, data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return what `to_bytes` was given, as `read` does for a file.

    Parameters
    ----------
    name : str
        For messages.
    data : bytes
    """
    return _decoded(name, io.BytesIO(data), len(data))


def _decoded(
    where: str, file: io.BufferedIOBase, available: int
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    if available < 8:
        raise ValueError(f"{where}: expected at least 8 bytes, got {available}")
    length = int.from_bytes(_exactly(where, file, 8), "little")
    if length > min(available - 8, _LARGEST_HEADER):
        raise ValueError(
            f"{where}: expected a header of at most {min(available - 8, _LARGEST_HEADER)} "
            f"bytes, got {length}: truncated, or not a safetensors file"
        )
    header = _header(where, _exactly(where, file, length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"{where}: __metadata__: expected text, got {metadata!r:.80}")
    entries = {name: _entry(where, name, entry) for name, entry in header.items()}
    order = sorted(entries, key=lambda name: entries[name][2:])
    _check_spans(where, {name: entries[name][2:] for name in order}, available - 8 - length)
    tensors = dict.fromkeys(entries, np.empty(0))
    for name in order:
        dtype, shape, begin, end = entries[name]
        raw = np.empty(end - begin, np.uint8)
        _expect(where, raw.size, file.readinto(raw.data))
        if dtype.kind == "b" and raw.max(initial=0) > 1:
            raise ValueError(f"{where}: {name}: expected bytes 0 and 1, got {raw.max()}")
        tensors[name] = raw.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)

    return tensors, metadata


def _exactly(where: str, file: io.BufferedIOBase, count: int) -> bytes:
    content = file.read(count)
    _expect(where, count, len(content))
    return content


def _expect(where: str, count: int, got: int) -> None:
    if got != count:  # cut while being read
        raise ValueError(f"{where}: expected {count} more bytes, got {got}")


def _header(where: str, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the name {key!r} twice")
            found[key] = value
        return found

    if not text.startswith(b"{"):
        raise ValueError(f"{where}: expected a JSON object as header, got {text[:20]!r}")
    try:
        header: dict[str, Any] = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected a JSON header, got {error}") from error
    return header


def _entry(where: str, name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Return dtype, shape, begin and end of an array from its place in the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(
            f"{where}: {name}: expected dtype, shape and data_offsets, got {entry!r:.80}"
        )
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise ValueError(
            f"{where}: {name}: expected dtype in {', '.join(_DTYPES)}, got {code!r:.80}"
        )
    if not _are_sizes(shape) or len(shape) > 32 or math.prod(max(n, 1) for n in shape) >= 2**60:
        raise ValueError(f"{where}: {name}: expected at most 32 sizes as shape, got {shape!r:.80}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(
            f"{where}: {name}: expected data_offsets [begin, end], got {offsets!r:.80}"
        )
    dtype, (begin, end) = _DTYPES[code], offsets
    size = dtype.itemsize * math.prod(shape)
    if size != end - begin:
        raise ValueError(
            f"{where}: {name}: expected {size} bytes for {code} {shape}, got {end - begin}"
        )
    return dtype, tuple(shape), begin, end


def _are_sizes(values: Any) -> bool:
    """Whether this is a list of integers that NumPy takes for sizes."""
    return isinstance(values, list) and all(type(n) is int and 0 <= n < 2**60 for n in values)


def _check_spans(where: str, spans: Mapping[str, tuple[int, int]], available: int) -> None:
    """Raise unless the arrays, in order, fill the file without hole or overlap."""
    expected = 0
    for name, (begin, end) in spans.items():
        if begin != expected:
            raise ValueError(f"{where}: {name}: expected to begin at {expected}, got {begin}")
        expected = end
    if expected != available:
        raise ValueError(f"{where}: expected {expected} bytes of numbers, got {available}")
