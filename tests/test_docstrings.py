"""The examples in docstrings run and show what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import fastrnn

MODULES = [
    info.name
    for info in pkgutil.walk_packages(fastrnn.__path__, "fastrnn.")
    if not info.name.startswith("fastrnn._isa.") and info.name != "fastrnn.__main__"
]


@pytest.mark.parametrize("name", ["fastrnn", *MODULES])
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_there_are_examples():
    found = doctest.DocTestFinder()
    examples = [
        test
        for name in MODULES
        for test in found.find(importlib.import_module(name))
        if test.examples
    ]
    assert len(examples) > 30


def test_the_readme_shows_what_runs():
    readme = Path(__file__).parent.parent / "README.md"
    blocks = readme.read_text(encoding="utf-8").split("```python\n")[1:]
    code = "\n".join(block.split("```")[0] for block in blocks)
    code = code.replace("epochs=40", "epochs=2")  # shown whole, run short
    compile(code, "README.md", "exec")
    assert "fr.Trainer" in code


def test_the_worked_example_of_bptt_runs_and_learns():
    page = Path(__file__).parent.parent / "docs" / "bptt.md"
    blocks = page.read_text(encoding="utf-8").split("```python\n")[1:]
    (code,) = [block.split("```")[0] for block in blocks if "import numpy" in block]
    names: dict[str, object] = {}
    exec(code, names)
    assert names["history"].values("loss")[-1] < 0.2
