"""Bach chorales: the reader of scores, piano rolls, what is kept beside the download."""

import hashlib
import io
import tempfile
import zipfile
from collections import Counter

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.datasets import _fetch, chorales
from fastrnn.datasets._musicxml import pitches


def note(step, octave, duration, inside=""):
    pitch = f"<pitch><step>{step}</step>{inside}<octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration></note>"


def rest(duration):
    return f"<note><rest/><duration>{duration}</duration></note>"


GRACE = "<note><grace/><pitch><step>B</step><octave>9</octave></pitch></note>"


def divisions(number):
    return f"<attributes><divisions>{number}</divisions></attributes>"


def score(*parts, name="score.xml"):
    """Return an .mxl of parts, each a list of measures."""
    measures = ["".join(f"<measure>{m}</measure>" for m in part) for part in parts]
    body = "".join(f"<part>{part}</part>" for part in measures)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr(name, f"<score-partwise><part-list/>{body}</score-partwise>")
    return buffer.getvalue()


def test_notes_fill_the_grid():
    flat, sharp = "<alter>-1</alter>", "<alter>1</alter>"
    first = [
        divisions(2) + note("C", 4, 2) + note("B", 3, 1, flat),
        rest(1) + note("F", 5, 2, sharp),
    ]
    second = [divisions(10080) + note("A", 4, 10080) + GRACE, "<forward><duration>5040</duration>"
              "</forward>" + note("E", 2, 15120)]  # fmt: skip
    for name in ("score.xml", "score.musicxml"):
        found = pitches(score(first, second, name=name), 2)
        assert found.dtype == np.int8
        assert found[:, 0].tolist() == [60] * 4 + [58] * 2 + [-1] * 2 + [78] * 4
        assert found[:, 1].tolist() == [69] * 4 + [-1] * 2 + [40] * 6
    assert pitches(score(first, second), 4) is None


def test_notes_off_the_grid_do_not_shift_what_follows():
    thirds = [divisions(3) + note("C", 4, 1) + note("D", 4, 1) + note("E", 4, 1) + note("F", 4, 3)]
    short = [divisions(8) + note("C", 4, 1) + note("D", 4, 1) + note("E", 4, 6) + note("F", 4, 8)]
    # a triplet begins at 0, 4/3 and 8/3 steps; 32nds at 0 and 1/2, of which a step shows the first
    found = pitches(score(thirds, short), 2)
    assert found.T.tolist() == [[60, 60, 62, 64] + [65] * 4, [60, 64, 64, 64] + [65] * 4]


def test_a_shorter_part_rests_at_the_end_and_divisions_may_change():
    long = [divisions(1) + note("C", 4, 1), divisions(4) + note("D", 4, 4)]
    found = pitches(score(long, [divisions(4) + note("C", 4, 4)]), 2)
    assert found.T.tolist() == [[60] * 4 + [62] * 4, [60] * 4 + [-1] * 4]


def test_what_is_not_one_voice_is_refused():
    with pytest.raises(ValueError, match="expected parts of one voice"):
        pitches(
            score([divisions(1) + note("C", 4, 1) + "<backup><duration>1</duration></backup>"]), 1
        )
    with pytest.raises(ValueError, match="expected a pitch with octave and step"):
        pitches(score(["<note><pitch><step>C</step></pitch><duration>1</duration></note>"]), 1)


def test_piano_roll():
    steps = np.array([[108, 60, 60, -1], [-1, -1, -1, -1], [21, 22, 23, 24]], np.int8)
    roll = fr.datasets.piano_roll(steps)
    assert (roll.shape, roll.dtype) == ((3, 88), np.bool_)
    assert [np.flatnonzero(row).tolist() for row in roll] == [[39, 87], [], [0, 1, 2, 3]]
    batch = fr.datasets.piano_roll(np.stack([steps, steps[::-1]]))
    assert np.array_equal(batch, np.stack([roll, roll[::-1]]))
    assert fr.datasets.piano_roll(np.zeros((0, 4), np.int8)).shape == (0, 88)


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ([[20]], ValueError, "pitches: expected 21..108 or -1 for a rest, got 20"),
        ([[109]], ValueError, "got 109"),
        ([[-2]], ValueError, "got -2"),
        ([[60.0]], TypeError, "pitches: expected integers, got float64"),
        (60, ValueError, r"pitches: expected shape \(\.\.\., V\), got \(\)"),
    ],
)
def test_piano_roll_refuses(argument, error, message):
    with pytest.raises(error, match=message):
        fr.datasets.piano_roll(argument)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Put a package of three scores into the cache, and its hash where the real one's is."""
    voice = [divisions(1) + note("C", 4, 2)]
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("bwv999", "bwv13-b", "bwv13-a"):
            archive.writestr(f"music21/corpus/bach/{name}.mxl", score(voice, voice, voice, voice))
        archive.writestr("music21/corpus/bach/solo.mxl", score(voice))
        archive.writestr("music21/corpus/haydn/other.mxl", b"not read")
    content = wheel.getvalue()
    package = _fetch.Package("music21", "0", "m.whl", hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("FASTRNN_CACHE", str(tmp_path))
    monkeypatch.setattr(chorales, "MUSIC21", package)
    monkeypatch.setattr(chorales, "DIGEST", chorales._digest(chorales._parse(content)))
    (tmp_path / "m.whl").write_bytes(content)
    return tmp_path


def kept(folder):
    (path,) = folder.glob("*.npz")
    return path


def test_pieces_come_in_order_and_are_kept(small):
    data = fr.datasets.bach_chorales()
    assert data.names == ("bwv13-a", "bwv13-b", "bwv999")
    assert [piece.tolist() for piece in data.pitches] == [[[60] * 4] * 8] * 3
    # versions of one piece go by its number, bwv13; their own names would be for training
    assert data.split.test.tolist() == [0, 1]
    assert data.split.train.tolist() == [2]
    assert sorted(path.name for path in small.iterdir()) == [kept(small).name, "m.whl"]
    (small / "m.whl").unlink()
    data.pitches[0][:] = 0
    again = fr.datasets.bach_chorales()  # from what was kept; new arrays
    assert again.names == data.names
    assert again.pitches[0].tolist() == [[60] * 4] * 8
    assert all(piece.base is None for piece in again.pitches)


@pytest.mark.parametrize("damage", ["cut", "other", "pickle", "empty"])
def test_a_kept_file_that_is_damaged_is_made_again(small, damage):
    wanted = fr.datasets.bach_chorales()
    path = kept(small)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        steps = np.full((24, 4), 61, np.int8)
        names = np.array(wanted.names, dtype=object if damage == "pickle" else None)
        np.savez(path, names=names, lengths=np.array([8, 8, 8]), pitches=steps)
    assert fr.datasets.bach_chorales().pitches[2].tolist() == [[60] * 4] * 8
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_serves(small, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("read-only")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    assert len(fr.datasets.bach_chorales().names) == 3
    assert not list(small.glob("*.npz"))


def test_real_chorales(real):
    data = real("music21==10.5.1", fr.datasets.bach_chorales)
    assert len(data.names) == len(data.pitches) == 364
    assert list(data.names) == sorted(data.names)
    assert {(piece.dtype, piece.shape[1]) for piece in data.pitches} == {(np.dtype(np.int8), 4)}
    lengths = [len(piece) for piece in data.pitches]
    assert (sum(lengths), min(lengths), max(lengths)) == (79_380, 96, 772)
    steps = np.concatenate(data.pitches)
    assert (steps[steps >= 0].min(), steps.max()) == (36, 81)
    assert (steps < 0).mean() < 0.02
    split = data.split
    assert (len(split.train), len(split.validation), len(split.test)) == (330, 22, 12)
    piece = data.pitches[data.names.index("bwv255")]  # the notes of its first measure by eye
    assert piece[[0, 4, 8, 10, 12]].tolist() == [
        [72, 67, 64, 48], [71, 67, 62, 55], [69, 66, 62, 50], [69, 66, 60, 50], [67, 62, 59, 43],
    ]  # fmt: skip
    rolls = fr.datasets.piano_roll(steps)
    assert Counter(rolls.sum(axis=1).tolist()).most_common(1)[0][0] == 4
