"""The examples in docstrings run and show what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import fastrnn
from fastrnn import ops

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


def test_the_page_of_cells_has_the_parameters_of_every_layer():
    page = Path(__file__).parent.parent / "docs" / "cells.md"
    lines = [row for row in page.read_text(encoding="utf-8").splitlines() if row.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    size = {"I": 5, "H": 7}
    cells = set()
    for call, gates, *shapes in rows:
        layer = eval(f"fastrnn.{call.strip('`')}", {"fastrnn": fastrnn} | size)
        stated = {}
        for name, text in zip(head[2:], shapes, strict=True):
            if text:
                product = text.partition(":")[0].replace(" H", " * H")
                stated[f"{name}_l0"] = eval(product.replace(", * H", ", H"), {}, size)
        assert {name: array.shape for name, array in layer.parameters.items()} == stated, call
        table = ops.CELLS[layer._cell]
        assert max(1, len(gates.split())) == table.gates
        peepholes = shapes[-1].partition(":")[2].split()
        assert len(peepholes) == (table.unit_weights if table.has_recurrent_matrix else 0)
        cells.add(layer._cell)
    assert {cell.replace("relu", "tanh") for cell in ops.CELLS} == cells
