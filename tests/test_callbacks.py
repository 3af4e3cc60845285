"""Callbacks, schedules, metrics, accumulation, progress: what is around the steps of training."""

import csv
import json
import math

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.testing import assert_near, assert_same_bits
from fastrnn.training import Evaluation
from training_cases import classifier, sums


class Witness(fr.callbacks.Callback):
    def __init__(self):
        self.seen = []

    def on_start(self, run):
        self.seen.append(("start", run.step, run.epoch))

    def on_step(self, run):
        self.seen.append(("step", run.step, run.epoch))

    def on_epoch(self, run):
        self.seen.append(("epoch", run.step, run.epoch))

    def on_end(self, run):
        self.seen.append(("end", run.step, run.epoch))


def test_callbacks_are_told_of_each_event_in_order():
    witness = Witness()
    fr.Trainer(classifier(), callbacks=[witness]).fit(sums(20), epochs=2, batch_size=8, seed=0)
    one = [("step", k, 0) for k in (1, 2, 3)] + [("epoch", 3, 1)]
    two = [("step", k, 1) for k in (4, 5, 6)] + [("epoch", 6, 2)]
    assert witness.seen == [("start", 0, 0), *one, *two, ("end", 6, 2)]


def test_on_end_is_told_after_an_error():
    witness = Witness()
    x, y = sums(64)
    x[-1, 3] = np.nan
    with pytest.raises(FloatingPointError):
        fr.Trainer(classifier(), callbacks=[witness]).fit((x, y), epochs=2, batch_size=8, seed=0)
    assert [event for event, _, _ in witness.seen[:: len(witness.seen) - 1]] == ["start", "end"]


@pytest.mark.parametrize("event", ["on_step", "on_epoch"])
def test_a_callback_stops_training(event):
    class Stop(fr.callbacks.Callback):
        pass

    setattr(Stop, event, lambda self, run: run.step >= 4 and run.stop())
    history = fr.Trainer(classifier(), callbacks=[Stop()]).fit(
        sums(24), epochs=9, batch_size=8, seed=0
    )
    assert history.stopped_early
    assert history.steps == (4 if event == "on_step" else 6)
    assert len(history.epochs) == (1 if event == "on_step" else 2)


def test_early_stopping_by_a_metric():
    accuracies = [0.5, 0.7, 0.7, 0.6, 0.9]
    values = iter(accuracies)

    def scripted(outputs, targets, mask):
        return next(values)

    trainer = fr.Trainer(
        classifier(),
        metrics=[scripted],
        callbacks=[fr.callbacks.EarlyStopping(2, "validation_scripted", largest=True)],
    )
    history = trainer.fit(sums(8), sums(8, seed=1), epochs=5, seed=0)
    assert history.values("validation_scripted") == accuracies[:4]
    assert history.stopped_early


def test_a_number_that_is_not_there_is_named():
    trainer = fr.Trainer(classifier(), callbacks=[fr.callbacks.EarlyStopping(2)])
    with pytest.raises(ValueError, match="monitor: expected one of loss, .* got 'validation_loss'"):
        trainer.fit(sums(8), epochs=2)


def rates_of(callbacks, epochs=4, **options):
    rates = []

    class Rate(fr.callbacks.Callback):
        def on_step(self, run):
            rates.append(run.optimizer.learning_rate)

    optimizer = fr.optim.SGD(0.5)
    trainer = fr.Trainer(classifier(), optimizer=optimizer, callbacks=[*callbacks, Rate()])
    trainer.fit(sums(16), sums(8, seed=1), epochs=epochs, batch_size=8, seed=0, **options)
    assert optimizer.learning_rate == 0.5  # as it was
    return rates


def test_the_learning_rate_follows_the_schedule():
    schedule = fr.schedules.WarmUp(2, fr.schedules.Cosine(6, final=0.1))
    rates = rates_of([fr.callbacks.LearningRate(schedule)])
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    assert rates == pytest.approx([0.5 * f for f in (0.5, 1.0, *cosine)])


def test_a_learning_rate_set_by_hand_stays():
    optimizer = fr.optim.SGD(0.5)

    def halve(history):
        optimizer.learning_rate /= 2

    trainer = fr.Trainer(classifier(), optimizer=optimizer, callbacks=[halve])
    history = trainer.fit(sums(16), epochs=3, seed=0)
    assert history.values("learning_rate") == [0.5, 0.25, 0.125]
    assert optimizer.learning_rate == 0.0625


def test_step_decay_is_a_staircase():
    rates = rates_of([fr.callbacks.LearningRate(fr.schedules.StepDecay(3, 0.5))])
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]


def test_schedules_multiply_and_a_plateau_reduces():
    class Never(fr.callbacks.ReduceOnPlateau):
        """Nothing is ever an improvement but the first number."""

    plateau = Never(1, by=0.5, minimum_change=1e9, lowest=0.2)
    halves = fr.callbacks.LearningRate(lambda step: 0.5)
    rates = rates_of([halves, plateau], epochs=5)
    assert rates[::2] == [0.25, 0.25, 0.125, 0.0625, 0.05]
    assert rates_of([plateau], epochs=1) == [0.5, 0.5]  # begins anew


@pytest.mark.parametrize(("make", "message"), [
    (lambda: fr.schedules.StepDecay(0), "every: expected at least 1"),
    (lambda: fr.schedules.StepDecay(3, 1.5), "factor: expected 0 < factor <= 1"),
    (lambda: fr.schedules.Cosine(3, -0.1), "final: expected 0 <= final <= 1"),
    (lambda: fr.schedules.WarmUp(2, 0.5), "then: expected a schedule"),
    (lambda: fr.callbacks.LearningRate(0.1), "schedule: expected a callable"),
    (lambda: fr.callbacks.ReduceOnPlateau(2, by=1.0), "by: expected 0 < by < 1"),
    (lambda: fr.callbacks.EarlyStopping(0), "patience: expected at least 1"),
    (lambda: fr.callbacks.Checkpoint("a", every_steps=0), "every_steps: expected at least 1"),
    (lambda: fr.Trainer(classifier(), callbacks=[3]), r"callbacks\[0\]: expected a callback"),
    (
        lambda: fr.Trainer(classifier(), callbacks=[fr.callbacks.CSVLog]),
        r"callbacks\[0\]: expected a callback or a callable, got CSVLog",
    ),
    (lambda: fr.Trainer(classifier(), metrics=["precision"]), r"metrics\[0\]: expected one of"),
    (lambda: fr.Trainer(classifier(), metrics="accuracy"), "metrics: expected a sequence"),
    (lambda: fr.Trainer(classifier(), accumulate=0), "accumulate: expected at least 1"),
    (lambda: fr.Trainer(classifier(), communicator=2), "communicator: expected a Communicator"),
])  # fmt: skip
def test_bad_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


# ---- logs ----


def test_logs_hold_what_the_history_holds(tmp_path):
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    table.write_text("of an earlier run")
    logs = [fr.callbacks.CSVLog(table), fr.callbacks.JSONLinesLog(lines)]
    history = fr.Trainer(classifier(), callbacks=logs).fit(
        sums(16), sums(8, seed=1), epochs=3, seed=0
    )
    expected = [{"epoch": k + 1, **e.flat()} for k, e in enumerate(history.epochs)]
    assert [json.loads(line) for line in lines.read_text().splitlines()] == expected
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [{key: float(text) for key, text in row.items()} for row in rows] == expected


# ---- metrics ----


def test_metrics_are_means_over_places_that_count():
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((n, 1)).astype(np.float32) for n in (7, 2, 4, 5, 1)]
    y = [rng.standard_normal((len(row), 2)).astype(np.float32) for row in x]
    model = fr.Sequential([fr.GRU(1, 4, seed=0), fr.Linear(4, 2, seed=1)])

    def largest(outputs, targets, mask):
        return float(np.abs(outputs).max())

    trainer = fr.Trainer(
        model, "mean_squared_error", metrics=["mean_absolute_error", "mean_squared_error", largest]
    )
    shown = trainer.evaluate((x, y), batch_size=2)
    errors = np.concatenate(fr.predict(model, x)) - np.concatenate(y)
    assert shown.metrics["mean_absolute_error"] == pytest.approx(np.abs(errors).mean())
    assert shown.metrics["mean_squared_error"] == pytest.approx(shown.loss, rel=1e-6)
    assert shown.accuracy is None
    assert 0 < shown.metrics["largest"] < 10
    history = trainer.fit((x, y), (x, y), epochs=1, seed=0)
    after = trainer.evaluate((x, y)).metrics["mean_absolute_error"]
    assert history.values("validation_mean_absolute_error") == pytest.approx([after])


# ---- accumulation ----


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("replicas", ["sum", "mean"])
def test_accumulated_batches_are_one_large_batch(ragged, replicas):
    x, y = sums(24, ragged=ragged)
    y = [np.full(len(row), label) for row, label in zip(x, y, strict=True)]
    results = []
    for batch_size, accumulate in ((24, 1), (8, 3), (24, 5)):
        model = fr.Sequential(
            [
                fr.GRU(1, 6, dtype="float64", seed=0),
                fr.Linear(6, 2, dtype="float64", seed=1),
            ]
        )
        trainer = fr.Trainer(
            model, optimizer=fr.optim.SGD(0.5), accumulate=accumulate, clip_norm=0.05,
            replicas="sum" if ragged else replicas,
        )  # fmt: skip
        data = fr.data.Dataset([row.astype(np.float64) for row in x], y)
        history = trainer.fit(data, epochs=2, batch_size=batch_size, seed=0)
        assert history.steps == 2
        results.append((model.parameter_vector.copy(), history.values("loss")))
    for vector, losses in results[1:]:
        assert_near(vector, results[0][0], "parameters")
        assert losses == pytest.approx(results[0][1])


# ---- class weights ----


@pytest.mark.parametrize("weights", ["balanced", {0: 3.0, 1: 0.5}])
def test_class_weights_weigh_the_targets_of_training(weights):
    x, y = sums(24)
    y = (x.sum(axis=(1, 2)) > 1.5).astype(np.int64)
    by_class = [12 / (y == 0).sum(), 12 / (y == 1).sum()] if weights == "balanced" else [3.0, 0.5]
    results = []
    for data, class_weight in (((x, y), weights), ((x, y, None, np.choose(y, by_class)), None)):
        model = classifier()
        trainer = fr.Trainer(model, optimizer=fr.optim.SGD(0.3), class_weight=class_weight)
        history = trainer.fit(data, (x, y), epochs=2, batch_size=9, seed=0)
        results.append((model.parameter_vector.copy(), history.values("validation_loss")))
    assert_near(results[0][0], results[1][0], "parameters")
    assert results[0][1] == pytest.approx(results[1][1])  # validation is not weighted


# ---- progress ----


def test_tqdm_shows_a_bar_where_it_is_asked_for(capsys):
    pytest.importorskip("tqdm")
    fr.Trainer(classifier()).fit(sums(64), epochs=3, batch_size=4, seed=0, progress="tqdm")
    assert "3/3" in capsys.readouterr().err.replace("3.0/3", "3/3")


def test_progress_is_one_of_what_there_is():
    with pytest.raises(ValueError, match="progress: expected one of line, tqdm, got 'bar'"):
        fr.Trainer(classifier()).fit(sums(8), epochs=1, progress="bar")


def test_the_line_tells_the_time_that_is_left(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    now = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr("fastrnn.progress.time.perf_counter", lambda: float(next(now)))
    from fastrnn.progress import progress_display

    with progress_display(True, 4) as display:
        for done in np.arange(1, 9) / 8:
            display.step(done, 1.25)
    shown = capsys.readouterr().err.split("\r\x1b[K")
    assert "loss 1.2500" in shown[2]
    left = [line.split(", ")[1] for line in shown if "left" in line]
    assert len(left) == 6
    seconds = [float(text.split(" s left")[0]) for text in left]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] == pytest.approx(1.0, abs=0.6)


def test_the_same_bits_with_callbacks_as_without(tmp_path):
    results = []
    for callbacks in ([], [fr.callbacks.Checkpoint(tmp_path / "a"), Witness()]):
        model = classifier(dropout=0.2)
        fr.Trainer(model, callbacks=callbacks).fit(sums(ragged=True), epochs=2, seed=0)
        results.append(model.parameter_vector.copy())
    assert_same_bits(results[1], results[0], "parameters")


@pytest.mark.parametrize("losses", [[np.nan, 0.5, 0.4, 0.6], [0.4, np.nan, np.nan, 0.3]])
def test_a_validation_loss_of_nan_is_never_the_best(losses, monkeypatch):
    trainer, values, vectors = fr.Trainer(classifier()), iter(losses), []

    def scripted(data, batch_size):
        vectors.append(trainer.model.parameter_vector.copy())
        return Evaluation(next(values))

    monkeypatch.setattr(trainer, "evaluate", scripted)
    history = trainer.fit(sums(8), sums(8), epochs=4, seed=0, patience=4, progress=False)
    best = int(np.nanargmin(losses))
    assert history.best_epoch == best
    assert_same_bits(trainer.model.parameter_vector, vectors[best], "parameters")


def test_the_learning_rate_is_as_before_where_a_callback_fails_at_the_end():
    class Fails(fr.callbacks.Callback):
        def on_end(self, run):
            raise KeyError("end")

    half = fr.callbacks.LearningRate(lambda step: 0.5)
    trainer = fr.Trainer(classifier(), optimizer=fr.optim.SGD(0.1), callbacks=[half, Fails()])
    with pytest.raises(KeyError, match="end"):
        trainer.fit(sums(8), epochs=1, seed=0, progress=False)
    assert trainer.optimizer.learning_rate == 0.1


def test_a_metric_cannot_stand_for_the_loss():
    def loss(outputs, targets, mask):
        return 1.0

    with pytest.raises(ValueError, match=r"metrics\[0\]: expected another name than loss"):
        fr.Trainer(classifier(), metrics=[loss])


def test_batches_without_weight_do_not_enter_metrics():
    def share(outputs, targets, mask):
        return float(np.mean(targets[mask > 0])) if mask.any() else np.nan

    x, y = sums(12)
    data = fr.data.Dataset(x, y, sample_weight=np.repeat([0.0, 1.0], [4, 8]))
    found = fr.Trainer(classifier(), metrics=[share]).evaluate(data, batch_size=4)
    assert found.metrics["share"] == pytest.approx(y[4:].mean())
