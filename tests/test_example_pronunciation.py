"""The example of many to many with different lengths, and the page about it, run and learn."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "many_to_many_pronunciation.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_small_run_learns_letters_of_words_it_has_not_seen(example, capsys, tmp_path):
    example.main(["--small", "--epochs", "30", "--output", str(tmp_path / "model.safetensors")])
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.split()[-1]) for line in lines if line.startswith("epoch")]
    assert losses[-1] < 0.5 < losses[0]
    rates = [float(line.split()[-2]) for line in lines if "phoneme error rate" in line]
    assert len(rates) == 4
    assert max(rates) < 20  # 0 here; 100 after one epoch
    assert (tmp_path / "model.safetensors").exists()


def test_the_page_runs(capsys):
    page = (ROOT / "docs" / "seq2seq.md").read_text(encoding="utf-8")
    (code,) = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    exec(compile(code, "seq2seq.md", "exec"), {})
    assert float(capsys.readouterr().out.split()[-1]) < 0.2
