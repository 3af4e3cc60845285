"""Files in the safetensors layout: both ways with the library, damaged in every way, atomic."""

import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastrnn import safetensors_file
from fastrnn.safetensors_file import read, write

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?"]
SMALL = {"a": np.array([1.5, -2.0], np.float32), "b": np.array([[True], [False]])}


def every_dtype():
    rng = np.random.default_rng(0)
    arrays = {f"{code} ä": rng.integers(0, 2, (3, 5)).astype(code) for code in DTYPES}
    return arrays | {
        "single": np.array(2.5),
        "empty": np.zeros((0, 4), np.float32),
        "strided": np.arange(24.0).reshape(2, 3, 4).swapaxes(0, 2)[::2],
        "big-endian": np.arange(5, dtype=">i4"),
        "special": np.array([np.nan, np.inf, -0.0]),
    }


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, name)


def file_of(header, data=b"", prefix=None):
    """Bytes of a file with this header, a dict or text."""
    text = header if isinstance(header, str) else json.dumps(header)
    raw = text.encode("utf-8", "surrogateescape")
    length = len(raw) if prefix is None else prefix
    return length.to_bytes(8, "little") + raw + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


# ---- whole files ----


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "file", every_dtype(), {"Schlüssel": "Wert ☃", "": ""})
    tensors, metadata = read(str(tmp_path / "file"))
    assert_equal(tensors, every_dtype())
    assert list(tensors) == list(every_dtype())
    assert metadata == {"Schlüssel": "Wert ☃", "": ""}
    for array in tensors.values():
        assert array.flags.writeable
        assert array.flags.aligned
        array.fill(0)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])).filter(lambda n: n != "__metadata__"),
        st.sampled_from(DTYPES).flatmap(
            lambda code: hnp.arrays(code, hnp.array_shapes(min_dims=0))
        ),
        max_size=5,
    )
)
def test_any_arrays_come_back(tmp_path_factory, tensors):
    path = tmp_path_factory.getbasetemp() / "any"
    write(path, tensors)
    assert_equal(read(path)[0], tensors)


def test_nothing_is_a_file_too(tmp_path):
    write(tmp_path / "file", {})
    assert read(tmp_path / "file") == ({}, {})


def test_the_layout_byte_by_byte(tmp_path):
    write(tmp_path / "file", {"a": np.array([1], np.uint8), "b": np.array([1.0, 2.0], np.float32)})
    header = (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]},'
        b'"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    )
    header += b" " * (-len(header) % 8)
    numbers = b"\x00\x00\x80\x3f" + b"\x00\x00\x00\x40" + b"\x01"
    assert (tmp_path / "file").read_bytes() == bytes([len(header)]) + bytes(7) + header + numbers


def test_arrays_begin_at_multiples_of_their_numbers_size(tmp_path):
    tensors = {f"{n} {code}": np.ones(n, code) for n in (1, 3) for code in DTYPES[::-1]}
    write(tmp_path / "file", tensors, {"odd": "x"})
    raw = (tmp_path / "file").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    header = json.loads(raw[8 : 8 + length])
    for name, array in tensors.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_the_library_reads_ours(tmp_path):
    library = pytest.importorskip("safetensors")
    arrays = pytest.importorskip("safetensors.numpy")
    write(tmp_path / "file", every_dtype(), {"note": "ä"})
    assert_equal(arrays.load_file(tmp_path / "file"), every_dtype())
    with library.safe_open(tmp_path / "file", "numpy") as file:
        assert file.metadata() == {"note": "ä"}


def test_we_read_the_library_s(tmp_path):
    arrays = pytest.importorskip("safetensors.numpy")
    tensors = {name: np.ascontiguousarray(array) for name, array in every_dtype().items()}
    tensors["single"] = np.array(2.5)  # ascontiguousarray gives it an axis
    arrays.save_file(tensors, tmp_path / "file", {"note": "ä"})
    found, metadata = read(tmp_path / "file")
    assert_equal(found, tensors)
    assert metadata == {"note": "ä"}


# ---- damaged files ----


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "whole"
    write(path, SMALL, {"note": "x"})
    whole = path.read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut: ") as caught:
            read(cut)
        assert str(cut) in str(caught.value)
    cut.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="expected 10 bytes of numbers, got 11"):
        read(cut)


def test_any_changed_byte_is_read_or_refused_as_damaged(tmp_path):
    path = tmp_path / "file"
    write(path, SMALL, {"note": "x"})
    whole = bytearray(path.read_bytes())
    for place in range(len(whole)):
        for value in (0, 0x22, 0x39, 0x7B, 0xFF):
            damaged = whole.copy()
            damaged[place] = value
            path.write_bytes(damaged)
            try:
                read(path)
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017


TWO = {"a": entry(), "b": entry(offsets=(8, 16))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected at least 8 bytes, got 0"),
        (file_of("{}", prefix=2**63), f"expected a header of at most 2 bytes, got {2**63}"),
        (file_of("{}", prefix=3), "expected a header of at most 2 bytes, got 3: truncated"),
        (file_of(""), "expected a JSON object as header, got b''"),
        (file_of("[]"), "expected a JSON object as header"),
        (file_of(" {}"), "expected a JSON object as header"),
        (file_of("{"), "expected a JSON header, got"),
        (file_of("{} x"), "expected a JSON header, got Extra data"),
        (file_of('{"\udcff": 1}'), "expected a JSON header, got .*utf-8"),
        (file_of('{"a":' * 100_000), "expected a JSON header, got"),
        (file_of('{"a":' + "9" * 5000 + "}"), "expected a JSON header, got"),
        (file_of('{"a":1,"a":2}'), "expected a JSON header, got the name 'a' twice"),
        (file_of('{"a":{"dtype":"F32","dtype":"F64"}}'), "the name 'dtype' twice"),
        (file_of({"a": 1}), "a: expected dtype, shape and data_offsets, got 1"),
        (
            file_of({"a": {"dtype": "F32", "shape": []}}),
            "a: expected dtype, shape and data_offsets",
        ),
        (file_of({"a": entry("BF16")}), "a: expected dtype in F64, F32, .* got 'BF16'"),
        (file_of({"a": entry([1])}), r"a: expected dtype in .* got \[1\]"),
        (file_of({"a": entry() | {"shape": 2}}), "a: expected at most 32 sizes as shape, got 2"),
        (file_of({"a": entry(shape=(-1,))}), r"as shape, got \[-1\]"),
        (file_of({"a": entry(shape=(2.0,))}), r"as shape, got \[2\.0\]"),
        (file_of({"a": entry(shape=(True,))}), r"as shape, got \[True\]"),
        (file_of({"a": entry(shape=[1] * 33, offsets=(0, 4))}, bytes(4)), "at most 32 sizes"),
        (file_of({"a": entry(shape=(0, 2**63), offsets=(0, 0))}), "as shape, got"),
        (file_of({"a": entry(shape=(0, 2**59, 2**59), offsets=(0, 0))}), "as shape, got"),
        (file_of({"a": entry(offsets=(0, 8, 9))}), r"expected data_offsets \[begin, end\], got"),
        (file_of({"a": entry(offsets=(8, 0))}), r"expected data_offsets .* got \[8, 0\]"),
        (file_of({"a": entry(offsets=(0, -8))}), "expected data_offsets"),
        (file_of({"a": entry() | {"data_offsets": "08"}}), "expected data_offsets"),
        (file_of({"a": entry(shape=(3,))}, bytes(8)), r"expected 12 bytes for F32 \[3\], got 8"),
        (file_of({"a": entry("F16")}, bytes(8)), r"expected 4 bytes for F16 \[2\], got 8"),
        (file_of({"a": entry()}, bytes(7)), "expected 8 bytes of numbers, got 7"),
        (file_of({"a": entry()}, bytes(9)), "expected 8 bytes of numbers, got 9"),
        (file_of({"a": entry(offsets=(1, 9))}, bytes(9)), "a: expected to begin at 0, got 1"),
        (file_of(TWO | {"c": entry()}, bytes(16)), "expected to begin at 8, got 0"),
        (
            file_of(TWO | {"b": entry(offsets=(4, 12))}, bytes(12)),
            "b: expected to begin at 8, got 4",
        ),
        (
            file_of(TWO | {"b": entry(offsets=(9, 17))}, bytes(17)),
            "b: expected to begin at 8, got 9",
        ),
        (file_of({"a": entry("BOOL", (2,), (0, 2))}, b"\1\2"), "a: expected bytes 0 and 1, got 2"),
        (file_of({"__metadata__": 1}), "__metadata__: expected text, got 1"),
        (file_of({"__metadata__": {"a": 1}}), "__metadata__: expected text, got {'a': 1}"),
    ],
)
def test_damaged_files_are_refused_by_name(content, message, tmp_path):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1000


def test_a_header_of_more_than_the_library_allows_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "file", SMALL)
    monkeypatch.setattr(safetensors_file, "_LARGEST_HEADER", 50)
    with pytest.raises(ValueError, match="expected a header of at most 50 bytes"):
        read(tmp_path / "file")


def test_claims_of_size_allocate_nothing(tmp_path, monkeypatch):
    huge = 2**40
    claims = {f"{n}": entry("U8", (huge,), (n * huge, (n + 1) * huge)) for n in range(3)}
    (tmp_path / "file").write_bytes(file_of(claims))
    monkeypatch.setattr(safetensors_file.np, "empty", lambda *_: pytest.fail("allocates"))
    with pytest.raises(ValueError, match="of numbers, got 0"):
        read(tmp_path / "file")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")


# ---- writing ----


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(call, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, SMALL)

    def fail(*_):
        raise error

    monkeypatch.setattr(safetensors_file.os, call, fail)
    with pytest.raises(type(error)) as caught:
        write(path, {"a": np.zeros(3)})
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert str(path) in str(caught.value)
        assert caught.value.errno == 28
    assert_equal(read(path)[0], SMALL)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("place", "kind"),
    [("missing/file", FileNotFoundError), ("", IsADirectoryError), ("file/x", NotADirectoryError)],
)
def test_a_path_that_cannot_be_written_is_named(place, kind, tmp_path):
    write(tmp_path / "file", SMALL)
    path = os.path.join(tmp_path, place) if place else str(tmp_path)
    listing = os.listdir(tmp_path), os.listdir(tmp_path.parent)
    with pytest.raises(kind, match="cannot write") as caught:
        write(path, SMALL)
    assert str(path) in str(caught.value)
    assert (os.listdir(tmp_path), os.listdir(tmp_path.parent)) == listing


@pytest.mark.skipif(os.name != "posix", reason="modes and links as POSIX has them")
def test_modes_and_links_stay(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    (tmp_path / "plain").write_bytes(b"")
    write(path, SMALL)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    path.chmod(0o600)
    link.symlink_to(path)
    write(link, {"c": np.ones(1)})
    assert link.is_symlink()
    assert list(read(path)[0]) == ["c"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({1: np.ones(1)}, None, TypeError, "tensors: expected names that are text, got 1"),
        ({"__metadata__": np.ones(1)}, None, ValueError, "tensors: expected another name"),
        ({"a": [1.0]}, None, TypeError, r"tensors\['a'\]: expected an array, got list"),
        ({"a": np.ones(1, complex)}, None, TypeError, r"tensors\['a'\]: .* got complex128"),
        (
            {"a": np.array(["x"])},
            None,
            TypeError,
            r"tensors\['a'\]: expected one of float64, float",
        ),
        ({"a": np.array([None])}, None, TypeError, r"tensors\['a'\]: .* got object"),
        ({"a": np.ones(1, "u4")}, None, TypeError, r"tensors\['a'\]: .* got uint32"),
        ({"\ud800": np.ones(1)}, None, ValueError, "expected text with UTF-8"),
        ({}, {"a": 1}, TypeError, r"metadata\['a'\]: expected text, got int"),
        ({}, {1: "a"}, TypeError, r"metadata\[1\]: expected text"),
    ],
)
def test_what_cannot_be_written_is_named_before_anything_is(
    tensors, metadata, error, message, tmp_path
):
    with pytest.raises(error, match=message):
        write(tmp_path / "file", tensors, metadata)
    assert os.listdir(tmp_path) == []
