"""Readers of users' own files: round trips, layouts, and files that are damaged or hostile."""

import contextlib
import re
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrnn import files

numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9).map(float))
with_missing = st.one_of(numbers, st.just(float("nan")))
names = st.from_regex(r"[A-Za-zäé][\w ]{0,6}[A-Za-z]", fullmatch=True).filter(
    lambda name: name.lower() not in {"na", "nan", "null", "none", "inf", "infinity", "id", "step"}
)
separators = st.sampled_from([",", ";", "\t"])
line_ends = st.sampled_from(["\n", "\r\n"])


def written(value):
    return "" if np.isnan(value) else repr(float(value))


def write(path, lines, end="\n", bom=False):
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + (end.join(lines) + end).encode("utf-8"))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@settings(max_examples=30, deadline=None)
@given(st.data(), separators, line_ends, st.booleans(), st.booleans(), st.booleans())
def test_series_come_back_from_csv(folder, data, separator, end, bom, header, dates):
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(with_missing, min_size=width, max_size=width), min_size=1))
    for row in rows:
        row[0] = 0.5 if np.isnan(row[0]) else row[0]  # no row of nothing at all
    titles = data.draw(st.lists(names, min_size=width, max_size=width, unique_by=str.lower))
    lines = [[written(value) for value in row] for row in rows]
    if dates:
        lines = [[f"2024-01-{n % 28 + 1:02d} {n % 24:02d}:00", *row] for n, row in enumerate(lines)]
    if header:
        lines.insert(0, [*(["when"] if dates else []), *titles])
    path = write(folder / "a.csv", [separator.join(line) for line in lines], end, bom)
    series = files.read_csv_series(path)
    assert np.array_equal(series.values, np.array(rows), equal_nan=True)
    assert series.feature_names == (
        tuple(titles) if header else tuple(f"x{k}" for k in range(width))
    )
    assert (series.times is not None) == dates
    if dates:
        assert series.times[0] == "2024-01-01 00:00"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.lists(numbers, min_size=1, max_size=6), names), min_size=1, max_size=6),
    separators,
    st.booleans(),
)
def test_wide_tables_come_back(folder, rows, separator, header):
    longest = max(len(values) for values, _ in rows)
    lines = [
        [*map(written, values), *[""] * (longest - len(values)), name] for values, name in rows
    ]
    if header:
        lines.insert(0, [*(f"t{k}" for k in range(longest)), "spoken by"])
    path = write(folder / "wide.csv", [separator.join(line) for line in lines])
    data = files.read_csv_labelled(path)
    assert [s.tolist() for s in data.sequences] == [[[v] for v in values] for values, _ in rows]
    assert data.labels == tuple(name for _, name in rows)
    assert [data.class_names[k] for k in data.targets()] == list(data.labels)
    if header:
        assert files.read_csv_labelled(path, label="Spoken BY").labels == data.labels


@settings(max_examples=40, deadline=None)
@given(st.data(), separators, st.booleans())
def test_long_tables_come_back_with_their_rows_mixed(folder, data, separator, step):
    width = data.draw(st.integers(1, 3))
    row = st.lists(with_missing, min_size=width, max_size=width)
    sequences = data.draw(st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=4))
    labels = [data.draw(st.sampled_from(["wave", "nod", "3"])) for _ in sequences]
    order = data.draw(st.permutations([n for n, s in enumerate(sequences) for _ in s]))
    taken = [iter(enumerate(sequence)) for sequence in sequences]
    lines = [["label", "id", *(["step"] if step else []), *(f"f{k}" for k in range(width))]]
    for n in order:
        place, values = next(taken[n])
        lines.append([labels[n], f"s{n}", *([str(place)] if step else []), *map(written, values)])
    path = write(folder / "long.csv", [separator.join(line) for line in lines])
    found = files.read_csv_labelled(path)
    seen = list(dict.fromkeys(order))
    assert found.labels == tuple(labels[n] for n in seen)
    assert found.feature_names == tuple(f"f{k}" for k in range(width))
    for n, sequence in zip(seen, found.sequences, strict=True):
        assert np.array_equal(sequence, np.array(sequences[n]), equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(st.data(), line_ends, st.booleans())
def test_ts_comes_back(folder, data, end, declared):
    width = data.draw(st.integers(1, 3))
    classes = ["b", "a", "10"]
    cases = []
    for _ in range(data.draw(st.integers(1, 5))):
        steps = data.draw(st.integers(1, 4))
        row = st.lists(with_missing, min_size=width, max_size=width)
        values = np.array(data.draw(st.lists(row, min_size=steps, max_size=steps)))
        cases.append((values, data.draw(st.sampled_from(classes))))
    lines = ["# a remark", "@problemName x", "@timeStamps false", "@missing true"]
    lines += [f"@dimensions {width}"] if declared else []
    lines += [
        "@classLabel true " + " ".join(classes) if declared else "@classLabel true",
        "",
        "@data",
    ]
    for values, label in cases:
        channels = [",".join(written(v) or "?" for v in column) for column in values.T]
        lines.append(":".join([*channels, label]))
    found = files.read_ts(write(folder / "a.ts", lines, end))
    assert found.labels == tuple(label for _, label in cases)
    for sequence, (values, _) in zip(found.sequences, cases, strict=True):
        assert np.array_equal(sequence, values, equal_nan=True)
    if declared:
        assert found.class_names == ("b", "a", "10")
    else:
        assert found.class_names == tuple(sorted({label for _, label in cases}))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from(["", "train_", "test_"]))
def test_npz_comes_back_padded_and_end_to_end(folder, data, end_to_end, prefix):
    width = data.draw(st.integers(1, 3))
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    sequences = [rng.standard_normal((length, width)) for length in lengths]
    y = rng.integers(-1, 11, len(lengths))
    if end_to_end:
        x = np.concatenate(sequences)
    else:
        x = np.full((len(lengths), 5, width), np.nan)
        for row, sequence in zip(x, sequences, strict=True):
            row[: len(sequence)] = sequence
    path = folder / "a.npz"
    np.savez(path, **{f"{prefix}x": x, f"{prefix}y": y, f"{prefix}lengths": np.array(lengths)})
    found = files.read_npz_labelled(path, part="test" if prefix == "test_" else None)
    assert [s.tolist() for s in found.sequences] == [s.tolist() for s in sequences]
    assert found.labels == tuple(map(str, y.tolist()))
    assert found.class_names == tuple(map(str, sorted(set(y.tolist()))))  # by value, 10 after 9


def test_the_bundled_vowels_come_back(folder):
    from importlib import resources

    import fastrnn as fr

    wanted = fr.datasets.japanese_vowels()
    source = resources.files("fastrnn.datasets").joinpath("japanese_vowels.npz")
    with resources.as_file(source) as path:
        for part, x in (("train", wanted.train_x), ("test", wanted.test_x)):
            found = files.read_labelled(path, part=part)
            assert all(np.array_equal(a, b) for a, b in zip(found.sequences, x, strict=True))
    assert files.read_labelled(path).class_names == tuple("012345678")


def test_arrays_without_lengths(tmp_path):
    np.savez(tmp_path / "flat.npz", x=np.arange(6).reshape(2, 3), y=["b", "a"])
    data = files.read_labelled(tmp_path / "flat.npz")
    assert [s.ravel().tolist() for s in data.sequences] == [[0, 1, 2], [3, 4, 5]]
    assert data.class_names == ("a", "b")
    np.savez(tmp_path / "short.npz", x=np.zeros((2, 3)), y=[0, 1], lengths=[3, 1])
    assert [len(s) for s in files.read_labelled(tmp_path / "short.npz").sequences] == [3, 1]
    np.save(tmp_path / "one.npy", np.arange(4))
    assert files.read_series(tmp_path / "one.npy").values.tolist() == [[0], [1], [2], [3]]
    np.savez(tmp_path / "values.npz", values=np.ones((3, 2)))
    assert files.read_series(tmp_path / "values.npz").feature_names == ("x0", "x1")


def test_cells_may_be_quoted(tmp_path):
    path = write(tmp_path / "q.csv", ['"a, b",c', '"1.5",2'])
    assert files.read_csv_series(path).feature_names == ("a, b", "c")


@pytest.mark.parametrize(
    "cell",
    ["2024-01-31", "31.1.2024", "1/31/2024 5:07 PM", "2024-01-31T05:07:09.25+01:00", "2024-01",
     "05:07", "2024/01/31 05:07:09Z"],
)  # fmt: skip
def test_forms_of_dates(cell, tmp_path):
    path = write(tmp_path / "d.csv", ["t;v", f"{cell};1", ";2"])
    series = files.read_csv_series(path)
    assert series.times == (cell, "")
    assert series.values.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("name", "lines", "task"),
    [
        ("a.txt", ["to be"], "text"),
        ("a.TXT", ["to be"], "text"),
        ("a.ts", ["@classLabel true a b", "@data", "1:a"], "classify"),
        ("a.ts", ["@classLabel false", "@data", "1"], None),
        ("label.csv", ["a,label,b", "1,2,3"], "classify"),
        ("last.csv", ["1,2,up", "3,4,down"], "classify"),
        ("dates.csv", ["2024-01-01,1,2"], "forecast"),
        ("one.csv", ["1", "2"], "forecast"),
        ("head.csv", ["temp,wind", "1,2"], "forecast"),
        ("plain.csv", ["1,2,3", "4,5,6"], None),
        ("id.csv", ["id,a", "1,2"], None),
    ],
)
def test_guess_task(name, lines, task, tmp_path):
    path = write(tmp_path / name, lines)
    if task is None:
        with pytest.raises(ValueError, match=rf"{name}: the task is not clear.*--task classify"):
            files.guess_task(path)
    else:
        assert files.guess_task(path) == task


@pytest.mark.parametrize(
    ("arrays", "task"),
    [
        ({"x": np.zeros((4, 3)), "y": np.array([0, 1, 1, 0])}, "classify"),
        ({"train_x": np.zeros((4, 3)), "train_y": np.array(["a"] * 4)}, "classify"),
        ({"x": np.zeros((4, 3)), "y": np.zeros(4)}, None),
        ({"x": np.zeros((4, 3))}, "forecast"),
        ({"values": np.zeros(4)}, "forecast"),
        ({"x": np.zeros((4, 3, 2))}, None),
        ({"z": np.zeros(4)}, None),
    ],
)
def test_guess_task_of_arrays(arrays, task, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    if task is None:
        with pytest.raises(ValueError, match="the task is not clear"):
            files.guess_task(tmp_path / "a.npz")
    else:
        assert files.guess_task(tmp_path / "a.npz") == task


@pytest.mark.parametrize(
    ("reader", "lines", "message"),
    [
        ("series", ["a,b", "1,2", "3,x"], "line 3, column b: expected a number, got 'x'"),
        ("series", ["1,2", "3,inf"], "line 2, column 2: expected a number, got 'inf'"),
        ("series", ["1,2", "3,1_0"], "line 2, column 2: expected a number, got '1_0'"),
        ("series", ["1;2,5"], "line 1, column 2: expected a number, got '2,5'"),
        ("series", ["1,oops,2"], "line 1, column 2: expected a number, got 'oops'"),
        ("series", ["a,b", "1,2", "", "3"], "line 4: expected 2 cells separated by ',' as in line"),
        ("series", ["a,b"], "expected rows below the header, got none"),
        ("series", ["a,a", "1,2"], "expected different names of columns, got a twice"),
        ("series", [",,", ","], "expected rows of cells, got none"),
        ("series", ["t", "2024-01-01"], "expected a column of numbers, got only dates"),
        ("series", ['1,"2', "3,4"], "line 3: expected cells separated by ',', got unexpected end"),
        ("series", ["1,2", '3,"4"5'], "line 2: expected cells separated by ','"),
        ("series", ["1,1", "2," + "1" * 100_000 + "x"], "got '" + "1" * 40 + "...'"),
        ("series", ["1" * 200_000 + "x"], "line 1: expected cells separated by ','"),
        ("labelled", ["1,2,a", "3,4,"], "line 2, column 3: expected a class, got an empty cell"),
        ("labelled", ["1,2,a", "x,4,b"], "line 2, column 1: expected a number, got 'x'"),
        ("labelled", ["1,2,a", ",,b"], "line 2: expected numbers, got none"),
        ("labelled", ["1"], "expected columns of numbers beside the class, got none"),
        ("labelled", ["id,a", "1,2"], "expected a column label, got id, a"),
        ("labelled", ["id,label", "1,2"], "expected columns of features beside id and class"),
        ("labelled", ["id,label,v", "7,a,1", "7,b,2"],
         "line 3: expected class a as in other rows of id 7, got b"),
        ("labelled", ["id,label,step,v", "7,a,1,5", "7,a,1,6"],
         "line 3: expected a step beyond 1 in id 7, got 1; sort the rows"),
        ("ts", ["1,2:a"], "line 1: expected a line with @ or # before @data, got '1,2:a'"),
        ("ts", ["@classLabel true a"], "expected @data, got a file without it"),
        ("ts", ["@classLabel true a", "@data"], "expected sequences after @data, got none"),
        ("ts", ["@classLabel false", "@data", "1"], "expected @classLabel true and the classes"),
        ("ts", ["@classLabel", "@data", "1:a"], "expected @classLabel true and the classes"),
        ("ts", ["@timeStamps true", "@classLabel true a", "@data", "1:a"], "@timeStamps false"),
        ("ts", ["@dimensions x", "@classLabel true a", "@data", "1:a"],
         "@dimensions: expected a number of at least 1, got x"),
        ("ts", ["@classLabel true a", "@data", "1:2:a", "1:a"],
         "line 4: expected 2 dimensions and a class separated by colons, got 1 dimensions"),
        ("ts", ["@univariate true", "@classLabel true a", "@data", "1:2:a"],
         "line 4: expected 1 dimensions"),
        ("ts", ["@classLabel true a", "@data", "1,2:3:a"],
         "line 3: expected 2 values in dimension 1 as in dimension 0, got 1"),
        ("ts", ["@classLabel true a", "@data", "1,2:c"],
         "line 3: expected a class of @classLabel, got 'c'"),
        ("ts", ["@classLabel true a", "@data", "1,,2:a"], "line 3: expected a number or ?, got ''"),
        ("ts", ["@classLabel true a", "@data", "1,2"],
         "line 3: expected values, a colon and a class, got '1,2'"),
    ],
)  # fmt: skip
def test_errors_name_file_line_expected_and_got(reader, lines, message, tmp_path):
    suffix = "ts" if reader == "ts" else "csv"
    path = write(tmp_path / f"bad.{suffix}", lines)
    read = files.read_series if reader == "series" else files.read_labelled
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 200


def test_a_named_label_must_be_there(tmp_path):
    path = write(tmp_path / "a.csv", ["a,b", "1,2"])
    with pytest.raises(ValueError, match="expected a column speaker, got a, b"):
        files.read_labelled(path, label="speaker")
    with pytest.raises(ValueError, match="expected a column speaker, got no header"):
        files.read_labelled(write(path, ["1,2"]), label="speaker")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected text, got an empty file"),
        (b"\xef\xbb\xbf \n", "expected text, got an empty file"),
        (b"1,2\n3,\0\n", "line 2: expected text, got a byte of value 0"),
        ("a,b\n1,2\n".encode("utf-16"), "expected text in UTF-8, got UTF-16"),
        ("a,b\n1,é\n".encode("latin-1"), "line 2: expected text in UTF-8, got byte 0xe9"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(1, 256)), "line 1: expected text in UTF-8, got byte"),
    ],
)
@pytest.mark.parametrize("suffix", ["txt", "csv", "ts"])
def test_what_is_no_text_is_refused(content, message, suffix, tmp_path):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    read = {"txt": files.read_text, "csv": files.read_series, "ts": files.read_labelled}[suffix]
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        read(path)


def test_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffé\r\nb\rc\n".encode())
    assert files.read_text(path) == "é\nb\nc\n"
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        files.read_text(tmp_path / "none.txt")


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["csv", "ts", "npz", "npy", "txt"]))
def test_garbage_is_an_error_of_one_kind(folder, content, suffix):
    path = folder / f"garbage.{suffix}"
    path.write_bytes(content)
    for read in (files.guess_task, files.read_labelled, files.read_series, files.read_text):
        with contextlib.suppress(ValueError):  # and of no other kind
            read(path)


def npy(header):
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", "8000000000000"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (9, 9)}", "648 bytes in a file of"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "Object arrays"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", ""),
        ("__import__('os').getcwd()", ""),
        ("{" + " " * 30_000 + "}", "Header"),
        ("(" * 5_000, ""),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_headers_that_lie_are_refused(header, message, suffix, tmp_path):
    path = tmp_path / f"bad.{suffix}"
    if suffix == "npy":
        path.write_bytes(npy(header) + bytes(40))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", npy(header) + bytes(40))
    with pytest.raises(ValueError, match=rf"bad\.{suffix}: expected a NumPy file, got .*{message}"):
        files.read_series(path)


def test_pickles_are_refused_and_never_loaded(tmp_path):
    class Loud:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for name, save in (("p.npy", np.save), ("p.npz", np.savez)):
        save(tmp_path / name, np.array([Loud(), 1], dtype=object))
        with pytest.raises(ValueError, match="expected a NumPy file, got Object arrays"):
            files.read_arrays(tmp_path / name)
    import pickle

    (tmp_path / "p.npy").write_bytes(pickle.dumps(Loud()))
    with pytest.raises(ValueError, match="expected a NumPy file"):
        files.read_arrays(tmp_path / "p.npy")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": [0]}, "expected an array train_x, got y"),
        ({"x": np.zeros((2, 3))}, "expected an array y, got x"),
        ({"x": np.zeros((2, 3)), "y": [0.0, 1.0]}, r"y: expected integers or text of shape \(N,\)"),
        ({"x": np.zeros((2, 3)), "y": [[0], [1]]}, r"y: expected integers or text .* \(2, 1\)"),
        ({"x": np.array([["a"]]), "y": [0]}, "x: expected numbers, got <U1"),
        ({"x": np.zeros((3, 3)), "y": [0, 1]}, r"x: expected shape .* N = 2, .* got \(3, 3, 1\)"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [1, 0]}, "lengths: expected at least 1"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [1, 4]}, "expected at most T = 3, got 4"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [1]}, r"of shape \(N,\) = \(2,\), got"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "lengths": [1.0, 2]}, "lengths: expected integers"),
    ],
)
def test_arrays_that_do_not_fit(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        files.read_labelled(tmp_path / "a.npz")


def test_arguments_for_other_files_and_other_suffixes(tmp_path):
    with pytest.raises(ValueError, match=r"label: expected None for '\.ts', got 'a'"):
        files.read_labelled("a.ts", label="a")
    with pytest.raises(ValueError, match=r"part: expected None for '\.csv', got 'test'"):
        files.read_labelled("a.csv", part="test")
    for read in (files.guess_task, files.read_labelled, files.read_series):
        with pytest.raises(ValueError, match=r"a\.doc: expected .*\.csv.*, got '\.doc'"):
            read("a.doc")
    with pytest.raises(ValueError, match=r"expected one of \.npz, .*, \.ts, got '\.doc'"):
        files.read_inputs("a.doc", 1, np.dtype("float32"))


def test_inputs(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3, 4)), lengths=[3, 2])
    x, lengths = files.read_inputs(tmp_path / "a.npz", 4, np.dtype("float32"))
    assert (x.shape, x.dtype, lengths.tolist()) == ((2, 3, 4), np.float32, [3, 2])
    path = write(tmp_path / "a.csv", ["a,b", "1,2"])
    x, lengths = files.read_inputs(path, 2, np.dtype("float64"))
    assert ([row.tolist() for row in x], x[0].dtype, lengths) == ([[[1, 2]]], np.float64, None)
    with pytest.raises(ValueError, match="expected 3 columns of features, got a, b"):
        files.read_inputs(path, 3, np.dtype("float64"))
    np.savez(tmp_path / "a.npz", x=np.arange(10).reshape(5, 2), lengths=[3, 2])
    x, lengths = files.read_inputs(tmp_path / "a.npz", 2, np.dtype("float32"))
    assert ([row.shape for row in x], lengths) == ([(3, 2), (2, 2)], None)  # end to end
    x = np.ones((2, 3, 2))
    x[1, 2] = np.nan
    np.savez(tmp_path / "a.npz", x=x, lengths=[3, 2])
    assert files.read_inputs(tmp_path / "a.npz", 2, np.dtype("float32"))[1].tolist() == [3, 2]
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(ValueError, match="without gaps, got one in sequence 1 at step 2"):
        files.read_inputs(tmp_path / "a.npz", 2, np.dtype("float32"))
