"""Checkpoints: training goes on with the same bits; files survive kills and full disks."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import safetensors_file
from fastrnn.testing import assert_same_bits
from training_cases import classifier, latch, sums, tagger


class InterruptAt(fr.callbacks.Callback):
    def __init__(self, step):
        self.at = step

    def on_step(self, run):
        if run.step == self.at:
            run.interrupt()


def per_sequence(path, *callbacks):
    plateau = fr.callbacks.ReduceOnPlateau(1, by=0.5, minimum_change=0.05)
    warm_up = fr.callbacks.LearningRate(fr.schedules.WarmUp(5, fr.schedules.Cosine(20)))
    trainer = fr.Trainer(
        classifier(dropout=0.3, seed=7),
        optimizer=fr.optim.Adam(0.02),
        clip_norm=1.0,
        callbacks=[plateau, warm_up, *callbacks],
    )
    arguments = {"validation": sums(16, seed=2), "epochs": 4, "batch_size": 8, "patience": 3}
    return trainer, sums(36, ragged=True), arguments


def bucketed(path, *callbacks):
    trainer = fr.Trainer(
        classifier(dropout=0.1), optimizer=fr.optim.SGD(0.1, 0.9), callbacks=callbacks, accumulate=2
    )
    return trainer, sums(36, ragged=True), {"epochs": 3, "batch_size": 5, "bucket_by_length": True}


def streams(path, *callbacks):
    rng = np.random.default_rng(3)
    x = [rng.standard_normal((n, 1)).astype(np.float32) for n in (17, 4, 9, 22, 5, 13)]
    y = [rng.integers(0, 2, len(row)) for row in x]
    trainer = fr.Trainer(
        tagger(zoneout_h=0.2), optimizer=fr.optim.RMSprop(0.01), callbacks=callbacks
    )
    return trainer, fr.data.ParallelStreams(x, y, 2, 3), {"epochs": 2}


def windows(path, *callbacks):
    trainer = fr.Trainer(
        tagger(input_dropout=0.2),
        optimizer=fr.optim.AdamW(0.01),
        callbacks=callbacks,
        bptt_steps=(4, 7),
        replicas="mean",
    )
    return trainer, latch(6, 27, 0), {"epochs": 2, "batch_size": 4}


def chunks(path, *callbacks):
    x, y = sums(45, ragged=True)
    made = fr.data.Chunks(
        lambda: ((x[n : n + 15], y[n : n + 15]) for n in (0, 15, 30)), per_step=False
    )
    trainer = fr.Trainer(classifier(dropout=0.2), callbacks=callbacks, class_weight={0: 2.0})
    return trainer, made, {"epochs": 3, "batch_size": 4}


CASES = [per_sequence, bucketed, streams, windows, chunks]


def finished(trainer, history):
    epochs = [dataclasses.replace(epoch, seconds=0.0) for epoch in history.epochs]
    history = dataclasses.replace(history, epochs=epochs)
    return trainer.model.parameter_vector.copy(), trainer.optimizer.state_dict(), history


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", [1, 2, 5, 7, 11])
def test_training_goes_on_with_the_same_bits(case, step, tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, data, arguments = case(path)
    expected = finished(trainer, trainer.fit(data, seed=5, progress=False, **arguments))

    checkpoint = fr.callbacks.Checkpoint(path, every_epochs=None)
    trainer, data, arguments = case(path, checkpoint, InterruptAt(step))
    history = trainer.fit(data, seed=5, progress=False, **arguments)
    assert history.interrupted
    assert history.steps == step

    # as in a new process: new objects, other random numbers
    trainer, data, arguments = case(path, checkpoint, InterruptAt(None))
    trainer.model.parameter_vector[...] = 0.123
    trainer.optimizer.learning_rate = 7.0
    history = trainer.fit(data, seed=99, progress=False, resume=path, **arguments)
    vector, optimizer, history = finished(trainer, history)
    assert_same_bits(vector, expected[0], "parameters")
    for name, value in expected[1].items():
        assert_same_bits(optimizer[name], value, name)
    assert history == expected[2]


def test_the_same_bits_over_a_thousand_steps(tmp_path):
    """2,000 steps are 1,000, a new process, and 1,000."""
    script = """
import sys
import fastrnn as fr
from test_resume import InterruptAt
from training_cases import latch, tagger

path, result, resume, at = sys.argv[1:]
trainer = fr.Trainer(
    tagger(recurrent_dropout=0.2, hidden=4), optimizer=fr.optim.Adam(0.01), clip_norm=1.0,
    callbacks=[fr.callbacks.Checkpoint(path, every_epochs=None), InterruptAt(int(at))],
)
x, y = latch(8, 201, 0)
data = fr.data.ParallelStreams(list(x), list(y), 2, 5)
trainer.fit(data, epochs=13, seed=1, progress=False, resume=resume or None)
print(trainer.history.steps)
open(result, "wb").write(trainer.model.parameter_vector.tobytes())
"""

    def run(path, result, resume, at):
        command = [sys.executable, "-c", script, path, result, resume, str(at)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return int(done.stdout)

    first, second = tmp_path / "first", tmp_path / "second"
    assert run(tmp_path / "a", first, "", 2000) == 2000
    assert run(tmp_path / "b", second, "", 1000) == 1000
    assert run(tmp_path / "b", second, tmp_path / "b", 2000) == 2000
    assert second.read_bytes() == first.read_bytes()
    assert len(first.read_bytes()) > 100


def test_a_checkpoint_is_a_model_file(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = fr.Trainer(classifier(), callbacks=[fr.callbacks.Checkpoint(path)])
    trainer.fit(sums(16), epochs=2, seed=0, progress=False)
    assert_same_bits(fr.load(path).parameter_vector, trainer.model.parameter_vector, "parameters")


def test_finished_training_does_nothing_when_resumed(tmp_path):
    path = tmp_path / "run.safetensors"
    checkpoint = fr.callbacks.Checkpoint(path)
    trainer = fr.Trainer(classifier(), optimizer=fr.optim.Adam(0.2), callbacks=[checkpoint])
    held_out = sums(16, seed=1)
    history = trainer.fit(sums(16), held_out, epochs=60, seed=0, patience=1, progress=False)
    assert history.stopped_early
    vector = trainer.model.parameter_vector.copy()
    again = trainer.fit(sums(16), held_out, epochs=60, patience=1, progress=False, resume=path)
    assert again == history
    assert_same_bits(trainer.model.parameter_vector, vector, "parameters")


def test_checkpoints_by_steps_and_seconds(tmp_path):
    written = []

    class Recorded(fr.callbacks.Checkpoint):
        def _write(self, run):
            written.append(run.step)

    for options in ({"every_steps": 3}, {"every_epochs": 2}, {"every_seconds": 1e-9}):
        checkpoint = Recorded(tmp_path / "a", **({"every_epochs": None} | options))
        fr.Trainer(classifier(), callbacks=[checkpoint]).fit(
            sums(16), epochs=4, batch_size=8, seed=0, progress=False
        )
    assert written == [3, 6, 4, 8, *range(1, 9)]


@pytest.mark.parametrize("where", ["missing/run", "."])
def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path, where):
    trainer = fr.Trainer(classifier(), callbacks=[fr.callbacks.Checkpoint(tmp_path / where)])
    with pytest.raises(OSError, match="path: expected"):
        trainer.fit(sums(8), epochs=1, progress=False)
    assert trainer.history.steps == 0


# ---- files ----

WRITER = """
import sys
import fastrnn as fr
from training_cases import classifier, sums

class Tell(fr.callbacks.Callback):
    def on_step(self, run):
        if run.step == 3:
            print("ready", flush=True)

trainer = fr.Trainer(
    fr.Sequential([fr.LSTM(1, 96, seed=0), fr.Last(), fr.Linear(96, 2, seed=1)]),
    callbacks=[Tell(), fr.callbacks.Checkpoint(sys.argv[1], every_steps=1, every_epochs=None)],
)
trainer.fit(sums(8), epochs=10**6, batch_size=8, seed=0, progress=False)
"""


def start_writer(path, limit=None, before=""):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", before + WRITER, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=limit,
    )


def steps_in(path):
    _, metadata = safetensors_file.read(path)
    fr.load(path)
    return json.loads(metadata["training"])["history"]["steps"]


@pytest.mark.parametrize("times", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path, times):
    path = tmp_path / "run.safetensors"
    rng = np.random.default_rng(0)
    in_the_middle = 0
    for _ in range(times):
        writer = start_writer(path)
        writer.stdout.readline()
        time.sleep(rng.uniform(0, 0.02))
        writer.kill()
        writer.communicate()
        assert steps_in(path) >= 2
        in_the_middle += len(list(tmp_path.glob(".*.tmp")))
        for part in tmp_path.glob(".*.tmp"):
            part.unlink()
    assert in_the_middle or times < 100  # saving is most of what the writer does


def test_a_process_killed_between_writing_and_moving_leaves_the_file_before(tmp_path):
    path = tmp_path / "run.safetensors"
    killing = """
import os
import signal
calls = []

def fsync(file):
    calls.append(file)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = fsync
"""
    writer = start_writer(path, before=killing)
    writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL
    assert steps_in(path) == 4
    assert len(list(tmp_path.glob(".*.tmp"))) == 1  # the fifth, written and not moved


def test_a_full_disk_ends_training_with_a_message_and_leaves_the_file(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = fr.Trainer(classifier(), callbacks=[fr.callbacks.Checkpoint(path)])
    trainer.fit(sums(8), epochs=1, seed=0, progress=False)
    before = path.read_bytes()

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    writer = start_writer(path, limit)
    _, message = writer.communicate(timeout=60)
    assert writer.returncode == 1
    assert "cannot write: File too large" in message
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer, data, arguments = streams(path, fr.callbacks.Checkpoint(path), InterruptAt(5))
    trainer.fit(data, seed=0, progress=False, **arguments)
    return path


def assert_refused(path, message):
    trainer, data, arguments = streams(path, fr.callbacks.Checkpoint(path), InterruptAt(5))
    before = trainer.model.parameter_vector.copy(), trainer.optimizer.learning_rate
    with pytest.raises(ValueError, match=message) as caught:
        trainer.fit(data, progress=False, resume=path, **arguments)
    assert str(path) in str(caught.value)
    assert_same_bits(trainer.model.parameter_vector, before[0], "parameters")
    assert trainer.optimizer.learning_rate == before[1]
    assert trainer.optimizer.steps == 0


def test_damaged_files_are_refused(checkpoint):
    whole = checkpoint.read_bytes()
    rng = np.random.default_rng(0)
    for n in range(150):
        place = int(rng.integers(len(whole)))
        damaged = bytearray(whole)
        if n % 3 == 0:
            damaged = damaged[:place]
        else:
            damaged[place] ^= int(rng.integers(1, 256))
        checkpoint.write_bytes(damaged)
        callbacks = fr.callbacks.Checkpoint(checkpoint), InterruptAt(None)
        trainer, data, arguments = streams(checkpoint, *callbacks)
        with pytest.raises(ValueError, match="run.safetensors"):
            trainer.fit(data, progress=False, resume=checkpoint, **arguments)


def rewritten(path, change):
    """Write a checkpoint anew with something changed, and a digest that fits."""
    from fastrnn.training.run import _digest

    tensors, metadata = safetensors_file.read(path)
    training = json.loads(metadata["training"])
    change(training, tensors)
    metadata["training"] = json.dumps(training)
    arrays = {name.removeprefix("more/"): array for name, array in tensors.items()}
    metadata["training_sha256"] = _digest(metadata["training"], arrays)
    safetensors_file.write(path, tensors, metadata)


def own_changed(change):
    def apply(training, tensors):
        arrays, metadata = safetensors_file.from_bytes("", tensors["more/process.0"].tobytes())
        own = json.loads(metadata["process"])
        change(own, arrays)
        data = safetensors_file.to_bytes(arrays, {"process": json.dumps(own)})
        tensors["more/process.0"] = np.frombuffer(data, np.uint8)

    return apply


@pytest.mark.parametrize(("change", "message"), [
    (lambda t, a: t.update(format="9"), "expected checkpoint format 1, got '9'"),
    (lambda t, a: t.pop("epoch"), "expected a checkpoint of training"),
    (lambda t, a: t.update(epoch=-1), "epoch: expected a number of at least 0"),
    (lambda t, a: t.update(epoch=7), "epoch: expected 0, got 7"),
    (lambda t, a: t.update(batch=True), "batch: expected a number of at least 0"),
    (lambda t, a: t.update(batch=2.5), "batch: expected a number of at least 0"),
    (lambda t, a: t.update(sums=[0, 0]), "expected 6 finite numbers"),
    (lambda t, a: t.update(sums=[0, 0, 0, float("nan")]), "expected 6 finite numbers"),
    (lambda t, a: t.update(base_rate="x"), "expected 6 finite numbers"),
    (lambda t, a: t.update(order={"bit_generator": "MT19937"}), "run.safetensors"),
    (lambda t, a: t.update(order=None), "run.safetensors"),
    (lambda t, a: t.update(callbacks=[]), "callbacks: expected"),
    (lambda t, a: t.update(description={}), "data: expected"),
    (lambda t, a: t["description"].update(batch_size=7), "batch_size: expected 32 as given, got 7"),
    (lambda t, a: t["history"].update(best_epoch=4), "best_epoch among its epochs"),
    (lambda t, a: t["history"].update(steps="many"), "expected a number of steps"),
    (lambda t, a: t["history"].update(other=1), "history: expected what to_json returns"),
    (lambda t, a: t["history"].update(epochs=[{"loss": "low"}]), "history: expected what to_json"),
    (lambda t, a: a.update({"more/best": np.zeros(3)}), "best: expected float32"),
    (lambda t, a: a.pop("more/optimizer.square"), "state: expected steps, learning_rate, square"),
    (lambda t, a: a.update({"more/optimizer.square": np.zeros(9)}), "optimizer: expected"),
    (lambda t, a: a.update({"more/optimizer.learning_rate": np.array(-1.0)}), "learning_rate"),
    (lambda t, a: a.pop("more/process.0"), "expected a checkpoint of 1 processes"),
    (lambda t, a: a.update({"more/process.1": a["more/process.0"]}), "of 1 processes"),
    (lambda t, a: a.update({"more/process.0": np.zeros(30, np.uint8)}), "run.safetensors"),
    (own_changed(lambda own, arrays: own.update(state=["state.9"])), "run.safetensors"),
    (own_changed(lambda own, arrays: own.update(masks=3)), "run.safetensors"),
    (own_changed(lambda own, arrays: arrays.update({"state.0": np.zeros(3)})), "state: expected"),
])  # fmt: skip
def test_hostile_files_are_refused(checkpoint, change, message):
    rewritten(checkpoint, change)
    assert_refused(checkpoint, message)


def test_rewriting_alone_is_not_what_is_refused(checkpoint):
    rewritten(checkpoint, lambda training, tensors: None)
    trainer, data, arguments = streams(
        checkpoint, fr.callbacks.Checkpoint(checkpoint), InterruptAt(None)
    )
    assert trainer.fit(data, progress=False, resume=checkpoint, **arguments).steps > 5


def test_other_training_is_refused(checkpoint, tmp_path):
    trainer, data, _ = streams(checkpoint, fr.callbacks.Checkpoint("a"), InterruptAt(5))
    other = fr.Trainer(tagger(hidden=5), callbacks=trainer.callbacks)
    with pytest.raises(ValueError, match="expected a checkpoint of this model"):
        other.fit(data, resume=checkpoint, epochs=2)
    _, changed, _ = streams(checkpoint)
    changed._x.rows[3] += 1  # one number
    with pytest.raises(ValueError, match="data: expected .* as given"):
        trainer.fit(changed, resume=checkpoint, epochs=2)
    with pytest.raises(ValueError, match="data: expected .* as given"):
        trainer.fit(fr.data.ParallelStreams(np.zeros((9, 1)), np.zeros(9, int), 2, 3),
                    resume=checkpoint, epochs=2)  # fmt: skip
    fr.save(trainer.model, tmp_path / "model")
    with pytest.raises(ValueError, match="expected a checkpoint of training, got a model alone"):
        trainer.fit(data, resume=tmp_path / "model", epochs=2)
    with pytest.raises(FileNotFoundError):
        trainer.fit(data, resume=tmp_path / "missing", epochs=2)
