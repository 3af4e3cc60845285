"""Four-part chorales, for models that see one step of music and expect the next."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastrnn.datasets._fetch import Package, cache_folder, package_bytes
from fastrnn.datasets.splits import Split, split_by_hash

MUSIC21 = Package(
    "music21",
    "10.5.1",
    "music21-10.5.1-py3-none-any.whl",
    "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
)
#: Of the names, lengths and pitches: what the scores of that package give.
DIGEST = "a8cf620992bf063fbdf4a81e725e3ad27c582c4779f0d735554c656fc231121e"

_VOICES = 4


@dataclass(frozen=True)
class Chorales:
    """Pieces of four voices on a grid of sixteenth notes.

    Attributes
    ----------
    names : tuple of str
        File names without suffix, sorted: BWV numbers.
    pitches : list of ndarray, (T_n, 4) int8
        MIDI numbers of soprano, alto, tenor and bass at each step; -1 where a voice rests.
    split : Split
        Positions of the pieces of each part, by `split_by_hash` of the name up to the first
        ``-``, so that versions of one piece (bwv18.5-lz, bwv18.5-w) are in one part.
    """

    names: tuple[str, ...]
    pitches: list[NDArray[np.int8]]
    split: Split


def bach_chorales() -> Chorales:
    """Return 364 four-part chorales by Johann Sebastian Bach, 79,380 sixteenth steps in all.

    The scores with exactly four parts among ``corpus/bach/*.mxl`` of the package music21 10.5.1:
    96 to 772 steps, pitches 36 to 81; repeats are not played twice, upbeats are as written.
    Downloaded with pip at the first call (20 MB) and parsed (some seconds); kept in the cache
    folder as a file of 0.07 MB that later calls read. See docs/datasets.md.

    Returns
    -------
    Chorales
        330 pieces to train on, 22 for validation, 12 to test; newly made arrays at every call.

    Raises
    ------
    OSError
        If the package is not in the cache and cannot be downloaded.
    ValueError
        If a file of that name has another content.

    Notes
    -----
    Not the split and not the grid of Boulanger-Lewandowski et al. (2012), whose figures for "JSB
    chorales" (229, 76 and 77 pieces in steps of a quarter note) do not compare with these: most
    of our steps repeat the step before.

    Examples
    --------
    >>> import fastrnn as fr
    >>> data = fr.datasets.bach_chorales()  # doctest: +SKIP
    >>> data.names[0], data.pitches[0].shape, data.pitches[0][0].tolist()  # doctest: +SKIP
    ('bwv10.7', (352, 4), [74, 67, 58, 55])
    """
    path = cache_folder() / f"bach_chorales-{DIGEST[:16]}.npz"
    content = _kept(path)
    if content is None:
        content = _parse(package_bytes(MUSIC21))
        _keep(content, path)
    names, lengths, steps = content
    pieces = [piece.copy() for piece in np.split(steps, np.cumsum(lengths)[:-1])]
    keys = [name.split("-")[0] for name in names.tolist()]
    return Chorales(tuple(names.tolist()), pieces, split_by_hash(keys))


#: names (N,), lengths (N,), pitches (sum of lengths, 4)
_Content = tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.int8]]


def _parse(wheel_bytes: bytes) -> _Content:
    """Return the content of the package's scores."""
    import zipfile

    from fastrnn.datasets._musicxml import pitches

    found: dict[str, NDArray[np.int8]] = {}
    with zipfile.ZipFile(io.BytesIO(wheel_bytes)) as wheel:
        for member in wheel.namelist():
            folder, _, name = member.rpartition("/")
            if folder == "music21/corpus/bach" and name.endswith(".mxl"):
                piece = pitches(wheel.read(member), _VOICES)
                if piece is not None:
                    found[name.removesuffix(".mxl")] = piece
    names = sorted(found)
    lengths = np.array([len(found[name]) for name in names], np.int64)
    return np.array(names), lengths, np.concatenate([found[name] for name in names])


def _digest(content: _Content) -> str:
    names, lengths, steps = content
    state = hashlib.sha256("\n".join(names.tolist()).encode("utf-8"))
    state.update(lengths.astype("<i8").tobytes())
    state.update(steps.tobytes())
    return state.hexdigest()


def _kept(path: Path) -> _Content | None:
    """Return the content that an earlier call has kept, or None: it can be made again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = (arrays["names"], arrays["lengths"], arrays["pitches"])
        return content if _digest(content) == DIGEST else None
    except Exception:  # NumPy's reader raises many kinds on damaged files
        return None


def _keep(content: _Content, path: Path) -> None:
    """Write the content beside the download; whole or not at all."""
    import tempfile

    names, lengths, steps = content
    # in a folder that cannot be written, the download put there by hand is parsed at every call
    with (
        contextlib.suppress(OSError),
        tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as temporary,
    ):
        whole = Path(temporary) / path.name
        np.savez_compressed(whole, names=names, lengths=lengths, pitches=steps)
        whole.replace(path)
