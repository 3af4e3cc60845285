"""The command line: what it prints, writes and refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrnn as fr
from cli_cases import own_folder, refused  # noqa: F401
from fastrnn.cli import bundled, main, outcome
from fastrnn.cli import curves as curves_module

FAST = ["--epochs", "2", "--hidden-size", "8"]


pytestmark = pytest.mark.usefixtures("own_folder")


def train(capsys, *arguments):
    assert main(["train", "japanese-vowels", "--json", *FAST, *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.count("\n") == 1
    return json.loads(shown.out)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_train_with_each_cell(cell, capsys, tmp_path):
    result = train(capsys, "--cell", cell, "--layers", "2", "--seed", "3")
    assert result["epochs"] == 2
    assert result["seed"] == 3
    assert result["cell"] == cell
    assert 0 <= result["test_accuracy"] <= 1
    assert result["train_seconds"] > 0
    assert sum(result["class_errors"].values()) == round((1 - result["test_accuracy"]) * 370)
    model = fr.load(tmp_path / "japanese-vowels.safetensors")
    assert result["parameters"] == model.parameter_vector.size
    assert model.layers[1].num_layers == 2
    assert model.layers[1].hidden_size == 8
    data = fr.datasets.japanese_vowels()
    right = fr.predict(model, data.test_x).argmax(axis=1) == data.test_y
    assert result["test_accuracy"] == right.mean()


def test_the_default_is_what_the_readme_says(capsys):
    assert main(["train", "japanese-vowels"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""  # no terminal, no progress
    accuracy = float(shown.out.split("test accuracy ")[1].split()[0])
    assert accuracy >= 0.96
    assert "after 40 epochs" in shown.out
    assert shown.out.count("speaker") == 9


def test_seeds_and_threads(capsys, tmp_path):
    files = {}
    for seed, threads in ((0, 1), (0, 2), (1, 1)):
        path = tmp_path / f"{seed}-{threads}.safetensors"
        train(capsys, "--seed", str(seed), "--threads", str(threads), "--output", str(path))
        assert fr.get_num_threads() == threads
        files[seed, threads] = path.read_bytes()
    assert files[0, 1] == files[0, 2]
    assert files[0, 1] != files[1, 1]


def test_the_picture_comes_where_matplotlib_is(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(outcome, "save_curves", curves_module.save_curves)
    result = train(capsys, "--output", "a.safetensors")
    assert (tmp_path / result["picture"]).read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(curves_module.importlib.util, "find_spec", lambda name: None)
    assert train(capsys, "--output", "b.safetensors")["picture"] is None
    assert not (tmp_path / "b.png").exists()


@pytest.fixture
def model(capsys):
    train(capsys)
    return "japanese-vowels.safetensors"


def predictions(capsys, *arguments):
    assert main(["predict", *arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["row"] for row in rows] == list(range(len(rows)))
    return [(row["class"], row["probability"]) for row in rows]


def test_predict_reads_what_it_says(model, capsys, tmp_path):
    data = fr.datasets.japanese_vowels()
    expected = predictions(capsys, model, "japanese-vowels")
    assert len(expected) == 370
    scores = fr.predict(fr.load(model), data.test_x)
    names = [data.class_names[k] for k in scores.argmax(axis=1)]
    assert [name for name, _ in expected] == names

    padded, lengths = fr.data.pad_sequences(data.test_x[:5])
    np.savez(tmp_path / "some.npz", x=padded, lengths=lengths)
    assert predictions(capsys, model, "some.npz") == expected[:5]
    np.save(tmp_path / "one.npy", data.test_x[0].astype(np.float64))
    assert predictions(capsys, model, "one.npy") == expected[:1]
    lines = [",".join(map(repr, map(float, row))) for row in data.test_x[0]]
    (tmp_path / "one.csv").write_text("\n".join(lines))
    assert predictions(capsys, model, "one.csv") == expected[:1]
    header = ",".join(f"c{k}" for k in range(12))
    (tmp_path / "head.csv").write_text("\n".join([header, *lines]) + "\n")
    assert predictions(capsys, model, "head.csv") == expected[:1]

    assert main(["predict", model, "one.npy"]) == 0
    row = capsys.readouterr().out.split("\t")
    assert row[0] == "0"
    assert row[1] == expected[0][0]


def test_info(capsys):
    assert main(["info", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["instruction_set"] in shown["available_instruction_sets"]
    assert shown["threads"] == fr.get_num_threads()
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for word in ("fastrnn", "numpy", "instruction set", "threads", shown["fastrnn"]):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["fly"], "invalid choice: 'fly'"),
        (["train"], "required: data"),
        (["train", "mnist"], "data: expected one of japanese-vowels, "),
        (["train", "japanese-vowels", "--colour", "red"], "unrecognized arguments: --colour"),
        (["train", "japanese-vowels", "--epochs", "x"], "--epochs: invalid int value: 'x'"),
        (["train", "japanese-vowels", "--epochs", "0"], "epochs: expected at least 1, got 0"),
        (["train", "japanese-vowels", "--hidden-size", "-3"], "hidden_size: expected at least 1"),
        (["train", "japanese-vowels", "--layers", "0"], "num_layers: expected at least 1, got 0"),
        (["train", "japanese-vowels", "--threads", "0"], "expected at least 1, got 0"),
        (["train", "japanese-vowels", "--seed", "-1"], "seed: expected at least 0, got -1"),
        (["train", "japanese-vowels", "--cell", "cnn"], "invalid choice: 'cnn'"),
        (["train", "japanese-vowels", "--output", "no/where.st"], "--output: expected an existing"),
        (["train", "japanese-vowels", "--output", "."], "--output: expected a file"),
        (["predict", "nothing.safetensors", "japanese-vowels"], "nothing.safetensors"),
        (["predict"], "required: model"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, tmp_path):
    assert message in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())  # nothing was written


def test_predict_refuses_what_it_cannot_use(model, capsys, tmp_path):
    assert "other.txt" in refused(capsys, "predict", model, "other.txt")
    assert "missing.npy" in refused(capsys, "predict", model, "missing.npy")
    np.save(tmp_path / "narrow.npy", np.zeros((4, 3)))
    assert "expected shape (N, T, 12)" in refused(capsys, "predict", model, "narrow.npy")
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    assert "expected numbers" in refused(capsys, "predict", model, "text.npy")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    assert "pickle.npy" in refused(capsys, "predict", model, "pickle.npy")
    np.savez(tmp_path / "names.npz", y=np.zeros(3))
    assert "expected an array x, got y" in refused(capsys, "predict", model, "names.npz")
    np.savez(tmp_path / "long.npz", x=np.zeros((2, 3, 12)), lengths=[1, 4])
    message = "lengths[1]: expected 0..T = 0..3, got 4"
    assert message in refused(capsys, "predict", model, "long.npz")
    (tmp_path / "bad.csv").write_text("1,2\n3,x\n")
    message = "bad.csv: line 2, column 2: expected a number, got 'x'"
    assert message in refused(capsys, "predict", model, "bad.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv" in refused(capsys, "predict", model, "empty.csv")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut short")
    assert "cut.npz" in refused(capsys, "predict", model, "cut.npz")
    whole = (tmp_path / model).read_bytes()
    (tmp_path / "cut.st").write_bytes(whole[: len(whole) // 2])
    assert "cut.st" in refused(capsys, "predict", "cut.st", "japanese-vowels")
    fr.save(fr.GRU(12, 3, seed=0), tmp_path / "plain.st")
    assert "expected a classifier" in refused(capsys, "predict", "plain.st", "japanese-vowels")


def test_as_a_process(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "fastrnn", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    good = run("train", "japanese-vowels", "--json", *FAST)
    assert good.returncode == 0
    assert good.stderr == ""
    assert json.loads(good.stdout)["epochs"] == 2
    bad = run("train", "japanese-vowels", "--output", "no/where")
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert run("--help").returncode == 0


@pytest.mark.parametrize("data", ["japanese-vowels", "sunspots", "python-topics"])
def test_the_page_has_all_keys(data, capsys, monkeypatch):
    monkeypatch.setitem(bundled.BUNDLED, "python-topics", ("text", lambda: "some text " * 30))
    page = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text(encoding="utf-8")
    table = page.split("| command | keys |")[1]
    assert main(["train", data, *FAST, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [key for key in result if f"`{key}`" not in table] == []
