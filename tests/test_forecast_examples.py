"""The examples of forecasting run, at a small size, and beat what they are compared with."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def example(name):
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(text, row):
    """Return the numbers of the row that begins so."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(row)]
    return [float(number) for number in line.strip().removeprefix(row).split()]


def test_temperatures(capsys):
    error = example("temperature_forecast").main(epochs=1, test=240)
    text = capsys.readouterr().out
    assert printed(text, "GRU") == [round(error, 3)]
    assert error < printed(text, "same hour yesterday")[0] < printed(text, "last value")[0]


def test_sunspots(capsys):
    errors = example("sunspots_forecast").main(epochs=20, seeds=1)
    text = capsys.readouterr().out
    assert printed(text, "GRU, 16 units") == [round(errors[h][0], 1) for h in (1, 11)]
    assert errors[1][0] < printed(text, "last value")[0]
    assert errors[11][0] < printed(text, "last value")[1]
    assert printed(text, "autoregression, order 9") == [15.0, 23.8]


@pytest.mark.slow
def test_the_page_shows_what_runs():
    page = (ROOT / "docs" / "forecasting.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    names = {}
    exec(compile("\n".join(blocks), "docs/forecasting.md", "exec"), names)
    assert names["forecast"].shape == (24,)
