"""The examples run, small, and show what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"


def shown(name, tmp_path):
    """Return what an example prints, and check that it writes nothing beside it."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "FASTRNN_CACHE": str(tmp_path / "cache")}
    result = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / name), "--small"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert not list(tmp_path.iterdir())
    return result.stdout


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short_and_say_how_to_run_them(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 90
    assert f"python examples/{path.name}" in text


def test_many_to_one(tmp_path):
    output = shown("many_to_one_vowels.py", tmp_path)
    accuracy = re.search(r"accuracy on 124 utterances: (\d\.\d+)", output)
    assert float(accuracy[1]) > 0.7


@pytest.mark.parametrize("cell", ["LSTM"])
def test_aligned_many_to_many(cell, tmp_path):
    output = shown("aligned_many_to_many_chorales.py", tmp_path)
    often, before, net = (float(line.split()[-1]) for line in output.splitlines())
    assert often > before > net > 0
