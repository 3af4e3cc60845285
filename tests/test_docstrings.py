"""The examples in docstrings run and show what they say."""

import doctest
import importlib
import pkgutil
import re
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


def test_the_readme_shows_what_runs(tmp_path, monkeypatch, capsys):
    readme = Path(__file__).parent.parent / "README.md"
    blocks = readme.read_text(encoding="utf-8").split("```python\n")[1:]
    code = "\n".join(block.split("```")[0] for block in blocks)
    code = code.replace("epochs=40", "epochs=2")  # shown whole, run short
    monkeypatch.chdir(tmp_path)  # it saves a model
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["fr"] is fastrnn
    assert float(capsys.readouterr().out.split()[-1]) > 0.5  # its accuracy after two epochs


def test_the_worked_example_of_bptt_runs_and_learns():
    page = Path(__file__).parent.parent / "docs" / "bptt.md"
    blocks = page.read_text(encoding="utf-8").split("```python\n")[1:]
    (code,) = [block.split("```")[0] for block in blocks if "import numpy" in block]
    names: dict[str, object] = {}
    exec(code, names)
    assert names["history"].values("loss")[-1] < 0.2


@pytest.mark.parametrize(("name", "count"), [("data", 4), ("training", 3)])
def test_the_pages_of_data_and_training_run(name, count, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    page = Path(__file__).parent.parent / "docs" / f"{name}.md"
    blocks = page.read_text(encoding="utf-8").split("```python\n")[1:]
    code = "\n".join(block.split("```")[0] for block in blocks)
    assert len(blocks) == count
    exec(compile(code, page.name, "exec"), {})


def rows_of_parameters():
    """Yield (call, gates, {parameter: shape as text}) of the tables in docs/cells."""
    for page in sorted((Path(__file__).parent.parent / "docs" / "cells").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        lines = [row for row in text.splitlines() if row.startswith("|")]
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        if head[0] == "layer":
            for call, gates, *shapes in rows:
                yield call, gates, dict(zip(head[2:], shapes, strict=True))


def test_the_pages_of_cells_have_the_parameters_of_every_layer():
    size = {"I": 5, "H": 7, "P": 3}
    cells = set()
    for call, gates, shapes in rows_of_parameters():
        layer = eval(f"fastrnn.{call.strip('`')}", {"fastrnn": fastrnn} | size)
        stated = {}
        for name, text in shapes.items():
            if text:
                product = re.sub(r"(\d) H", r"\1 * H", text.partition(":")[0])
                stated[f"{name}_l0"] = eval(product, {}, size)
        assert {name: array.shape for name, array in layer.parameters.items()} == stated, call
        table = ops.CELLS[layer._cell]
        assert max(1, len(gates.split())) == table.gates
        peepholes = shapes.get("weight_peephole", "").partition(":")[2].split()
        assert len(peepholes) == (table.unit_weights if table.has_recurrent_matrix else 0)
        cells.add(layer._cell)
    assert {cell.replace("relu", "tanh") for cell in ops.CELLS} == cells


def test_the_pages_of_cells_place_every_option():
    own = {"zoneout_c", "cell_clip", "proj_size", "peepholes", "coupled_gates", "output_activation"}
    everywhere = {
        "reset", "input_dropout", "recurrent_dropout", "layer_norm", "activation_clip", "zoneout_h",
        "gradient_clip_value", "gradient_clip_norm",
    }  # fmt: skip
    for page, more in {
        "lstm": own | {"drop_connect", "gate_activation", "candidate_activation"},
        "gru": {"drop_connect", "gate_activation", "candidate_activation", "reset_after"},
        "rnn": {"drop_connect", "nonlinearity"},
        "independent_rnn": {"nonlinearity"},
    }.items():
        path = Path(__file__).parent.parent / "docs" / "cells" / f"{page}.md"
        step = path.read_text(encoding="utf-8").partition("## The step with every option")[2]
        assert {name for name in everywhere | more if name not in step} == set(), page
