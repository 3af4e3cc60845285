"""The command line with classes: files of each layout, defaults, what is refused."""

import inspect

import numpy as np
import pytest

import fastrnn as fr
from cli_cases import (
    CLASSES,
    FAST,
    own_folder,  # noqa: F401
    refused,
    run,
    said,
    waves,
    write_long,
    write_npz,
    write_ts,
    write_wide,
)
from fastrnn.cli import bundled, classify
from fastrnn.models import sequence_model

pytestmark = pytest.mark.usefixtures("own_folder")

WRITERS = {
    "wide.csv": (write_wide, 1),
    "long.csv": (write_long, 2),
    "two.ts": (write_ts, 2),
    "two.npz": (write_npz, 2),
}


def expected_classes(model, sequences):
    """Return what the network itself says, by the names it was trained with."""
    names = classify.json.loads(fr.serialization.load_with_metadata(model)[1]["class_names"])
    outputs = fr.predict(fr.load(model), [s.astype(np.float32) for s in sequences])
    return [names[k] for k in outputs.argmax(axis=1)]


def predicted(capsys, *arguments):
    rows = run(capsys, "predict", *arguments)["predictions"]
    assert [row["row"] for row in rows] == list(range(len(rows)))
    return [row["class"] for row in rows]


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_each_layout(name, capsys, tmp_path):
    write, features = WRITERS[name]
    sequences, labels = waves(40, features)
    write(tmp_path / name, sequences, labels)
    write(tmp_path / f"test-{name}", *waves(10, features, seed=1))
    test = ("--test", f"test-{name}")
    result = run(
        capsys, "train", name, "--epochs", 30, "--learning-rate", 0.02, "--batch-size", 8, *test
    )
    assert result["task"] == "classify"
    assert result["test_accuracy"] >= 0.9
    assert set(result["class_errors"]) == set(CLASSES)
    model = result["model"]
    # The labelled file itself is something to predict from; its classes are left aside.
    assert predicted(capsys, model, name) == expected_classes(model, sequences)
    found = predicted(capsys, model, f"test-{name}")
    right = np.mean([a == b for a, b in zip(found, waves(10, features, seed=1)[1], strict=True)])
    assert right == result["test_accuracy"]


def test_files_without_classes(capsys, tmp_path):
    sequences, labels = waves(12, 2)
    write_long(tmp_path / "train.csv", sequences, labels)
    run(capsys, "train", "train.csv", *FAST)
    expected = expected_classes("train.safetensors", sequences)
    write_long(tmp_path / "new.csv", sequences)
    assert predicted(capsys, "train.safetensors", "new.csv") == expected
    padded, lengths = fr.data.pad_sequences(sequences)
    padded[0, lengths[0] :] = np.nan  # padding may hold anything
    np.savez(tmp_path / "new.npz", x=padded, lengths=lengths)
    assert predicted(capsys, "train.safetensors", "new.npz") == expected

    sequences, labels = waves(12)
    write_wide(tmp_path / "TRAIN.CSV", sequences, labels)
    run(capsys, "train", "TRAIN.CSV", *FAST)
    expected = expected_classes("TRAIN.safetensors", sequences)
    write_wide(tmp_path / "new.csv", sequences)
    assert predicted(capsys, "TRAIN.safetensors", "new.csv") == expected
    np.save(tmp_path / "rows.npy", np.stack([s[:6, 0] for s in sequences]))
    shorter = expected_classes("TRAIN.safetensors", [s[:6] for s in sequences])
    assert predicted(capsys, "TRAIN.safetensors", "rows.npy") == shorter
    (tmp_path / "one.csv").write_text("\n".join(map(str, sequences[0][:, 0])))
    assert predicted(capsys, "TRAIN.safetensors", "one.csv") == expected[:1]


def test_the_test_part_of_a_file(capsys, tmp_path):
    sequences, labels = waves(30)
    x = np.stack([s[:6] for s in sequences])
    parts = {"train_x": x[:20], "train_y": labels[:20], "test_x": x[20:], "test_y": labels[20:]}
    np.savez(tmp_path / "both.npz", **parts)
    result = run(capsys, "train", "both.npz", *FAST)
    found = predicted(capsys, "both.safetensors", "both.npz")
    assert found == expected_classes("both.safetensors", list(x[20:]))
    wrong = [true for true, said in zip(labels[20:], found, strict=True) if said != true]
    assert result["class_errors"] == {name: wrong.count(name) for name in CLASSES}


def test_a_column_of_classes_by_name(capsys, tmp_path):
    sequences, labels = waves(20, 2)
    write_long(tmp_path / "kind.csv", sequences, labels, header="kind")
    assert "the task is not clear" in refused(capsys, "train", "kind.csv", *FAST)
    message = "expected a column no, got id, kind, step, a, b"
    assert message in refused(capsys, "train", "kind.csv", "--label", "no", *FAST)
    write_ts(tmp_path / "test.ts", sequences, labels)
    run(capsys, "train", "kind.csv", "--label", "kind", "--test", "test.ts", *FAST)
    expected = expected_classes("kind.safetensors", sequences)
    assert predicted(capsys, "kind.safetensors", "kind.csv") == expected
    write_wide(tmp_path / "wide.csv", *waves(20), header="kind")
    assert run(capsys, "train", "wide.csv", "--label", "kind", *FAST)["task"] == "classify"


def test_little_data(capsys, tmp_path):
    write_ts(tmp_path / "three.ts", *waves(3))
    assert sum(run(capsys, "train", "three.ts", *FAST)["class_errors"].values()) <= 1
    write_ts(tmp_path / "two.ts", *waves(2))
    message = "two.ts: expected at least 3 sequences, got 2"
    assert message in refused(capsys, "train", "two.ts", *FAST)


def test_what_training_refuses(capsys, tmp_path):
    write_ts(tmp_path / "two.ts", *waves(12, 2))
    write_ts(tmp_path / "one.ts", *waves(12, 1))
    message = "one.ts: expected 2 features as in training, got 1"
    assert message in refused(capsys, "train", "two.ts", "--test", "one.ts", *FAST)
    np.savez(tmp_path / "other.npz", x=np.zeros((4, 5, 2)), y=[1, 2, 3, 4])
    message = "other.npz: expected the classes in training, got 1"
    assert message in refused(capsys, "train", "two.ts", "--test", "other.npz", *FAST)
    sequences, labels = waves(6)
    sequences[4][2] = np.nan
    write_ts(tmp_path / "gap.ts", sequences, labels)
    message = "gap.ts: expected numbers without gaps, got one in sequence 4 at step 2"
    assert message in refused(capsys, "train", "one.ts", "--test", "gap.ts", *FAST)
    for argument in ("--label", "--test"):
        message = f"{argument}: expected none for japanese-vowels, got x"
        assert message in refused(capsys, "train", "japanese-vowels", argument, "x", *FAST)
    message = "--horizon: expected with --task forecast, got --task classify"
    assert message in refused(capsys, "train", "one.ts", "--horizon", 3)
    message = "--max-seconds: expected with --task text, got --task classify"
    assert message in refused(capsys, "train", "japanese-vowels", "--max-seconds", 3)
    message = "--task: expected classify for japanese-vowels, got text"
    assert message in refused(capsys, "train", "japanese-vowels", "--task", "text")
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_prediction_refuses(capsys, tmp_path):
    write_ts(tmp_path / "two.ts", *waves(12, 2))
    write_ts(tmp_path / "one.ts", *waves(3))
    run(capsys, "train", "two.ts", *FAST)
    model = "two.safetensors"
    assert "expected sequences to classify, got none" in refused(capsys, "predict", model)
    assert "one.ts: expected 2 features, got 1" in refused(capsys, "predict", model, "one.ts")
    x = np.zeros((3, 8, 2))
    x[1, 3, 0] = np.nan
    np.savez(tmp_path / "gap.npz", x=x)
    message = "gap.npz: expected numbers without gaps, got one in sequence 1 at step 3"
    assert message in refused(capsys, "predict", model, "gap.npz")
    write_long(tmp_path / "three.csv", *waves(3, 3))
    message = "three.csv: expected 2 columns of features, got a, b, c"
    assert message in refused(capsys, "predict", model, "three.csv")
    fr.save(fr.load(model), tmp_path / "bare.st", metadata={"task": "classification"})
    message = "bare.st: expected a classifier from fastrnn train"
    assert message in refused(capsys, "predict", "bare.st", "two.ts")
    message = "expected a model written by CharLM.save"
    assert message in refused(capsys, "generate", model)


def test_defaults_are_those_of_the_classifier(capsys):
    pytest.importorskip("sklearn")
    of_estimator = inspect.signature(fr.RNNClassifier).parameters
    for name, value in classify.DEFAULTS.items():
        assert of_estimator[name].default == value
    of_model = inspect.signature(sequence_model).parameters
    for name in ("cell", "hidden_size", "num_layers", "bidirectional", "dropout", "pooling"):
        assert of_estimator[name].default == of_model[name].default
    text = " ".join(said(capsys, "train", "--help").split())
    epochs = classify.DEFAULTS["epochs"]
    assert f"{epochs} for classes ({bundled.EPOCHS['japanese-vowels']} for japanese-vowels)" in text
    assert f"{classify.DEFAULTS['learning_rate']} for classes" in text
    assert f"{of_model['hidden_size'].default} for classes" in text


def test_files_are_trained_on_for_the_default_epochs(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(classify.DEFAULTS, "epochs", 3)
    write_ts(tmp_path / "one.ts", *waves(6))
    assert run(capsys, "train", "one.ts", "--hidden-size", 8)["epochs"] == 3
