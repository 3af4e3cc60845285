"""Memory-mapped data: the batches of data in memory, with next to nothing read or copied."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrnn as fr
from data_cases import LENGTHS, assert_same_batches, ragged
from fastrnn.memory_maps import MappedRows, is_mapped


@pytest.fixture
def mapped(tmp_path):
    """Return a function that puts an array into a file and maps it."""

    def write(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return write


def test_views_of_mapped_arrays_are_mapped(mapped, tmp_path):
    array = mapped(np.arange(12.0).reshape(4, 3))
    for view in (
        array,
        array[1:],
        array[:, None],
        np.asarray(array),
        np.asarray(array).reshape(-1),
    ):
        assert is_mapped(view)
    for copy in (np.array(array), array[[0, 1]], array + 1, np.zeros(3), None):
        assert not is_mapped(copy)
    raw = np.memmap(tmp_path / "raw", np.float32, "w+", shape=(5,))
    assert is_mapped(raw)
    assert is_mapped(MappedRows(raw, np.arange(2)))


def as_data(where, kind):
    """Return a data set and streams of arrays that `where` puts somewhere."""
    x, y = ragged(LENGTHS)
    padded, lengths = fr.data.pad_sequences(x)
    targets, _ = fr.data.pad_sequences(y)
    mask = np.random.default_rng(1).random(targets.shape)
    if kind == "padded":
        return fr.data.Dataset(where(padded), where(targets), lengths, where(mask))
    if kind == "per sequence":
        y, mask = where(np.arange(11)), where(mask[:, 0])
        return fr.data.Dataset(where(padded), y, where(lengths), mask, where(mask + 1))
    rows = [where(np.concatenate(part)) for part in (x, y)]
    if kind == "ragged":
        return fr.data.Dataset(*(fr.data.Ragged(part, LENGTHS) for part in rows))
    if kind == "ragged streams":
        return fr.data.ParallelStreams(*(fr.data.Ragged(part, LENGTHS) for part in rows), 3, 4)
    if kind == "windows":
        parts = where(padded), where(targets[..., None]), 3, 4
        return fr.data.ParallelStreams(*parts, mask=where(mask[..., None]))
    return fr.data.ParallelStreams(*rows, 3, 4, mask=where(mask.ravel()[: len(rows[0])]))


KINDS = ["padded", "per sequence", "ragged", "ragged streams", "windows", "one stream"]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_those_of_arrays_in_memory(mapped, kind):
    inside, outside = as_data(np.asarray, kind), as_data(mapped, kind)
    for seed in (None, 2):
        got, expected = (
            list(source.batches(seed and np.random.default_rng(seed), batch_size=4))
            for source in (outside, inside)
        )
        assert_same_batches(got, expected)
        assert not any(isinstance(batch.x, np.memmap) for batch in got)
    assert outside.fingerprint() == inside.fingerprint()


@pytest.mark.parametrize("kind", KINDS[:3])
def test_splits_stay_in_their_file(mapped, kind):
    pairs = [
        fr.data.train_validation_split(as_data(where, kind), 0.4, seed=3)
        for where in (mapped, np.asarray)
    ]
    for outside, inside in zip(*pairs, strict=True):
        assert is_mapped(getattr(outside.x, "rows", outside.x))
        again = (outside.subset([2, 0, 1]), inside.subset([2, 0, 1]))
        for one, other in ((outside, inside), again):
            assert_same_batches(list(one.batches(batch_size=2)), list(other.batches(batch_size=2)))
            assert one.fingerprint() == other.fingerprint()
            assert len(one) == len(other)


def test_masks_in_files_are_checked_as_they_are_read(mapped):
    x = mapped(np.zeros((4, 3, 1)))
    mask = np.ones((4, 3))
    mask[2, 1] = np.nan
    data = fr.data.Dataset(x, mapped(np.zeros((4, 3), int)), None, mapped(mask))
    data.batch([0, 1, 3])
    with pytest.raises(ValueError, match="mask: expected finite numbers of at least 0"):
        data.batch([2])
    streams = fr.data.ParallelStreams(
        np.zeros(12), np.zeros(12), 1, 3, mask=mapped(mask.ravel())
    ).batches()
    next(streams)
    next(streams)
    with pytest.raises(ValueError, match="mask: expected finite numbers of at least 0"):
        next(streams)


def test_streams_of_windows_are_views():
    x, y = np.zeros((4, 6, 2)), np.zeros((4, 6, 1))
    streams = fr.data.ParallelStreams(x, y, 2, 3)
    assert np.shares_memory(streams._x.rows, x)
    assert [batch.x.shape for batch in streams] == [(2, 3, 2)] * 4
    strided = fr.data.ParallelStreams(x[:, ::2], y[:, ::2], 2, 3)
    assert [batch.x.shape for batch in strided] == [(2, 3, 2)] * 2


SCRIPT = """
import sys
import numpy as np
import fastrnn as fr

def megabytes():  # the most that was resident
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

folder = sys.argv[1]
x = np.load(folder + "/x.npy", mmap_mode="r")  # (8192, 1024, 64): 2 GB
y = np.load(folder + "/y.npy", mmap_mode="r")  # (8192, 1024): 64 MB
mask = np.load(folder + "/mask.npy", mmap_mode="r")
before = megabytes()
data = fr.data.Dataset(x, y, None, mask)
train, validation = fr.data.train_validation_split(data, 0.25, seed=0)
flat = x.reshape(-1, 64)
ragged = fr.data.Dataset(fr.data.Ragged(flat, np.full(2**13, 2**10)), np.zeros(2**13, int))
part, _ = fr.data.train_validation_split(ragged, 0.25, seed=0)
streams = fr.data.ParallelStreams(flat, y.reshape(-1), 32, 64, mask=mask.reshape(-1))
windows = fr.data.ParallelStreams(x, y[..., None], 32, 64)
sources = [data, train, validation, ragged, part, streams, windows]
print(megabytes() - before)
for source in sources:
    for seed in (None, 1):
        batches = source.batches(seed and np.random.default_rng(seed), batch_size=8, start=100)
        for _, batch in zip(range(2), batches):
            assert batch.x.nbytes >= 2**19
    source.fingerprint()
    source.num_batches(8)
print(megabytes() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc of Linux")
def test_two_gigabytes_take_a_few_megabytes(tmp_path):
    for name, dtype, shape in (
        ("x", np.float32, (2**13, 2**10, 2**6)),
        ("y", np.int64, (2**13, 2**10)),
        ("mask", np.float32, (2**13, 2**10)),
    ):
        np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", dtype, shape)  # of holes
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    made, used = map(float, result.stdout.split())
    assert made < 8
    assert used < 100
