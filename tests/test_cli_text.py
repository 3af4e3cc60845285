"""The command line with text: training, writing on, what is refused."""

import math

import pytest

import fastrnn as fr
from cli_cases import (
    FAST,
    own_folder,  # noqa: F401
    refused,
    run,
    said,
)

pytestmark = pytest.mark.usefixtures("own_folder")

FOX = "the quick brown fox jumps over the lazy dog.\n"


@pytest.fixture
def model(capsys, tmp_path):
    (tmp_path / "fox.txt").write_text(FOX * 60)
    run(capsys, "train", "fox.txt", *FAST)
    return "fox.safetensors"


def test_training_is_that_of_the_object(capsys, tmp_path):
    (tmp_path / "fox.txt").write_text(FOX * 60)
    result = run(capsys, "train", "fox.txt", *FAST, "--cell", "gru", "--steps", 16, "--seed", 3)
    training, validation, test = fr.text.split_text(FOX * 60)
    model = fr.CharLM(8, cell="gru", seed=3)
    history = model.fit(training, validation, epochs=2, steps=16, progress=False)
    assert result["test_bits_per_character"] == model.bits_per_character(test)
    assert result["validation_bits_per_character"] == [
        loss / math.log(2) for loss in history.values("validation_loss")
    ]
    assert result["characters"] == len(FOX * 60)
    assert result["vocabulary"] == len(set(FOX))
    assert run(capsys, "generate", "fox.safetensors", "--seed", 1, "--length", 30)["text"] == (
        "".join(model.generate("\n", 30, seed=1))
    )


def test_bundled_text(capsys, monkeypatch):
    monkeypatch.setitem(fr.cli.bundled.BUNDLED, "python-topics", ("text", lambda: FOX * 30))
    result = run(capsys, "train", "python-topics", *FAST, "--tied-embeddings")
    assert result["model"] == "python-topics.safetensors"
    assert fr.CharLM.load(result["model"]).tied_embeddings
    assert len(fr.datasets.python_topics()) > 10_000


def test_generate(model, capsys):
    arguments = ("generate", model, "--prompt", "the q", "--length", 40, "--seed", 7)
    result = run(capsys, *arguments, "--threads", 1)
    assert result["prompt"] == "the q"
    assert len(result["text"]) == 40
    assert said(capsys, *arguments) == "the q" + result["text"] + "\n"
    assert run(capsys, *arguments[:-1], 8)["text"] != result["text"]
    likeliest = [run(capsys, *arguments[:-1], s, "--temperature", 0)["text"] for s in (1, 2)]
    assert likeliest[0] == likeliest[1]
    assert run(capsys, *arguments, "--top-k", 1)["text"] == likeliest[0]


def test_a_text_without_lines_has_a_prompt_too(capsys, tmp_path):
    (tmp_path / "line.txt").write_text("cabbage" * 20)
    run(capsys, "train", "line.txt", *FAST)
    assert run(capsys, "generate", "line.safetensors", "--length", 3)["prompt"] == "a"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "é"], "--prompt: expected characters of the text in training, got 'é'"),
        (["--prompt", ""], "--prompt: expected at least one character, got none"),
        (["--length", "0"], "length: expected at least 1, got 0"),
        (["--temperature", "-1"], "temperature: expected a finite number of at least 0"),
        (["--top-k", "0"], "top_k: expected at least 1, got 0"),
        (["--seed", "-1"], "seed: expected at least 0, got -1"),
    ],
)
def test_generate_refuses(model, arguments, message, capsys):
    assert message in refused(capsys, "generate", model, *arguments)


def test_other_things_refused(model, capsys, tmp_path):
    message = f"{model}: expected a classifier or a forecaster from fastrnn train, got a model of"
    assert message in refused(capsys, "predict", model, "fox.txt")
    assert "see fastrnn generate" in refused(capsys, "predict", model)
    assert "nothing.st" in refused(capsys, "generate", "nothing.st")
    (tmp_path / "tiny.txt").write_text("x" * 39)
    message = "tiny.txt: expected at least 40 characters, got 39"
    assert message in refused(capsys, "train", "tiny.txt")
    (tmp_path / "empty.txt").touch()
    assert "expected text, got an empty file" in refused(capsys, "train", "empty.txt")
    for more in (["--checkpoint", "a.ck"], ["--resume", "a.ck"]):
        message = "--max-seconds: expected none with --checkpoint, --resume or several processes"
        assert message in refused(capsys, "train", "fox.txt", "--max-seconds", "3", *more)
    message = "--target: expected with --task forecast, got --task text"
    assert message in refused(capsys, "train", "fox.txt", "--task", "text", "--target", "x")


def test_little_text_and_little_time(capsys, tmp_path):
    (tmp_path / "short.txt").write_text("abcdefghij" * 5)
    result = run(capsys, "train", "short.txt", *FAST)
    assert math.isfinite(result["test_bits_per_character"])
    (tmp_path / "fox.txt").write_text(FOX * 60)
    result = run(capsys, "train", "fox.txt", "--epochs", 10**6, "--max-seconds", 0.3, *FAST[2:])
    assert 0 < result["train_seconds"] < 5
    assert not result["interrupted"]
