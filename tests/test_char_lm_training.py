"""How character models are trained: within a time, a memory, and cut elsewhere in each epoch."""

import math
import subprocess
import sys
import time

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.testing import assert_same_bits
from fastrnn.text.budget import Budget
from fastrnn.text.streams import TokenStreams


def test_seconds_end_training_within_an_epoch():
    model = fr.CharLM(64, seed=0)
    start = time.monotonic()
    history = model.fit(
        "the quick brown fox jumps over the lazy dog. " * 12_000, max_seconds=0.3, progress=False
    )
    assert 0.3 <= time.monotonic() - start < 60
    assert len(history.epochs) == 1
    assert history.stopped_early
    assert history.epochs[0].loss < math.log(len(model.vocabulary))


def test_the_learning_rate_rises_and_falls():
    budget = Budget(100, warm_up=10)
    factors = [budget.factor(step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[50] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0, abs=1e-12)
    assert not budget.spent()


def test_the_learning_rate_follows_the_clock_where_that_is_ahead(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = Budget(1000, 8.0)
    now[0] = 104.0
    assert budget.factor(0) == pytest.approx(0.5)
    assert budget.factor(750) == pytest.approx(0.5 * (1 + math.cos(0.75 * math.pi)))
    assert not budget.spent()
    now[0] = 108.0
    assert budget.factor(0) == pytest.approx(0.0)
    assert budget.spent()


def test_five_megabytes_of_text_stay_small(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(map(chr, np.random.default_rng(0).integers(32, 116, 5_000_000))))
    code = """
import sys
from pathlib import Path
import fastrnn as fr
model = fr.CharLM(256, seed=0)
model.fit(Path(sys.argv[1]), 0.001, max_seconds=0.5, progress=False)
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]  # since exec
print(len(model.vocabulary), int(peak[0].split()[1]) // 1024)
"""
    command = [sys.executable, "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    symbols, megabytes = map(int, done.stdout.split())
    assert symbols == 84
    assert megabytes < 200  # what was promised is 300


@pytest.mark.parametrize(
    ("count", "rows", "steps"), [(100, 3, 7), (100, 1, 7), (5, 4, 9), (9, 4, 9), (8, 3, 1)]
)
def test_epochs_are_cut_elsewhere_and_lose_next_to_nothing(count, rows, steps):
    tokens = np.arange(count)
    streams = TokenStreams(tokens, rows, steps, Budget(1))
    beginnings = set()
    rng = np.random.default_rng(0)
    for epoch in range(30):
        batches = list(streams.batches(rng if epoch else None))
        assert len(batches) == streams.batches_per_epoch
        x = np.concatenate([batch.x for batch in batches], axis=1)
        assert (np.concatenate([batch.y for batch in batches], axis=1) == x + 1).all()
        assert (np.diff(x, axis=1) == 1).all()
        assert x.size > count - 1 - steps - rows
        beginnings.add(int(x[0, 0]))
    assert beginnings == set(range(max(min(steps, (count - 1) // rows), 1)))
    assert np.shares_memory(streams._x.rows, tokens)


@pytest.mark.parametrize("step", [3, 9])
def test_training_goes_on_with_the_same_bits(step, tmp_path):
    class InterruptAt(fr.callbacks.Callback):
        def __init__(self, at):
            self.at = at

        def on_step(self, run):
            if run.step == self.at:
                run.interrupt()

    path = tmp_path / "run.safetensors"
    options = {"epochs": 3, "batch_size": 4, "steps": 64, "progress": False}
    vectors = []
    for at, resume in ((None, None), (step, None), (None, path)):
        model = fr.CharLM(8, dropout=0.2, seed=0)
        callbacks = [fr.callbacks.Checkpoint(path, every_epochs=None), InterruptAt(at)]
        model.fit(
            "the quick brown fox jumps. " * 60, 0.2, callbacks=callbacks, resume=resume, **options
        )
        vectors.append(model.model.parameter_vector.copy())
    assert (vectors[0] != vectors[1]).any()
    assert_same_bits(vectors[2], vectors[0], "parameters")


def test_the_clock_is_for_training_in_one_go_and_one_process(tmp_path):
    with pytest.raises(ValueError, match="resume: expected None with max_seconds"):
        fr.CharLM(8).fit("abc" * 99, max_seconds=1.0, resume=tmp_path / "a")


def test_a_refused_argument_leaves_the_model_that_there_was(tmp_path):
    model = fr.CharLM(hidden_size=4, seed=0)
    history = model.fit("abc" * 99, epochs=1, progress=False)
    network, vocabulary = model.model, model.vocabulary
    with pytest.raises(FileNotFoundError):
        model.fit("abcd" * 99, epochs=1, progress=False, resume=tmp_path / "missing")
    with pytest.raises(ValueError, match="progress"):
        model.fit("abcd" * 99, epochs=1, progress="loud")
    assert (model.model, model.vocabulary, model.history) == (network, vocabulary, history)
