"""Runs the command line in this process, on small files made here."""

import json

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.cli import main, outcome

FAST = ("--epochs", "2", "--hidden-size", "8")
CLASSES = ("slow", "fast")


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The current folder is a new one; threads are as before afterwards; no pictures: they cost."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outcome, "save_curves", lambda *_: False)
    before = fr.get_num_threads()
    yield tmp_path
    fr.set_num_threads(before)


def run(capsys, *arguments, status=0):
    """Run a command with --json; return its object."""
    assert main([*map(str, arguments), "--json"]) == status
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.count("\n") == 1
    return json.loads(shown.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def said(capsys, *arguments, status=0):
    """Run a command; return what it prints."""
    assert main(list(map(str, arguments))) == status
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


def refused(capsys, *arguments):
    """Run what must fail; return its one line."""
    assert main(list(map(str, arguments))) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "error: " in shown.err
    assert "Traceback" not in shown.err
    return shown.err


def waves(count, features=1, seed=0):
    """Return sequences (T_n, F) of 6 to 13 steps and their classes, by turns."""
    rng = np.random.default_rng(seed)
    sequences, labels = [], []
    for n in range(count):
        steps = np.arange(rng.integers(6, 14))[:, None]
        wave = np.sin(steps * (0.3 + 0.9 * (n % 2)) + rng.uniform(0, 6))
        sequences.append((wave + 0.1 * rng.standard_normal((len(steps), features))).round(4))
        labels.append(CLASSES[n % 2])
    return sequences, labels


def write_wide(path, sequences, labels=None, header=None):
    """Write a row for each sequence, with the class last; `header` names its column."""
    width = max(map(len, sequences))
    rows = []
    for n, sequence in enumerate(sequences):
        cells = [repr(float(value)) for value in sequence[:, 0]]
        cells += [""] * (width - len(cells))
        rows.append(cells if labels is None else [*cells, labels[n]])
    if header is not None:
        rows.insert(0, [*(f"t{k}" for k in range(width)), header])
    _write(path, rows)


def write_long(path, sequences, labels=None, header="label"):
    """Write a row for each step, with the features a, b, ..."""
    features = [chr(ord("a") + k) for k in range(sequences[0].shape[1])]
    rows = [["id", *([] if labels is None else [header]), "step", *features]]
    for n, sequence in enumerate(sequences):
        for step, values in enumerate(sequence):
            own = [] if labels is None else [labels[n]]
            rows.append([f"s{n}", *own, str(step), *(repr(float(value)) for value in values)])
    _write(path, rows)


def write_ts(path, sequences, labels):
    """Write the form of the time series archives."""
    lines = ["@timeStamps false", f"@classLabel true {' '.join(CLASSES)}", "@data"]
    for sequence, label in zip(sequences, labels, strict=True):
        dimensions = [",".join(repr(float(value)) for value in column) for column in sequence.T]
        lines.append(":".join([*dimensions, label]))
    path.write_text("\n".join(lines) + "\n")


def write_npz(path, sequences, labels):
    """Write sequences end to end."""
    np.savez(path, x=np.concatenate(sequences), y=labels, lengths=[len(s) for s in sequences])


def sales(steps, start=0):
    """Return units and price (steps, 2): a season of 12, a trend, and a wave."""
    t = np.arange(start, start + steps)
    units = 10 + np.sin(t * (2 * np.pi / 12)) + 0.02 * t
    return np.stack([units, np.cos(t)], axis=1).round(4)


def write_series(path, values, names=("units", "price")):
    """Write a row for each step, with a date before."""
    days = np.datetime64("2020-01-01") + np.arange(len(values))
    rows = [["date", *names]]
    for day, row in zip(days, values, strict=True):
        rows.append([str(day), *("" if np.isnan(v) else repr(float(v)) for v in row)])
    _write(path, rows)


def _write(path, rows):
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
