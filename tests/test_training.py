"""Training: it learns, repeats exactly, stops early, survives bad numbers; predict and evaluate."""

import threading

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.models import sequence_model
from fastrnn.testing import assert_near, assert_same_bits
from training_cases import classifier, latch, sums, tagger


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", [fr.LSTM, fr.GRU, fr.RNN])
def test_it_learns_many_to_one(cell, ragged):
    model = classifier(cell)
    trainer = fr.Trainer(model, optimizer=fr.optim.Adam(1e-2), clip_norm=1.0)
    history = trainer.fit(sums(ragged=ragged), epochs=30, seed=0, progress=False)
    assert history.values("loss")[-1] < 0.3 * history.values("loss")[0]
    assert trainer.evaluate(sums(seed=1, ragged=ragged)).accuracy > 0.85


def test_it_learns_many_to_many_with_ragged_targets():
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((steps, 1)).astype(np.float32) for steps in rng.integers(2, 12, 64)]
    y = [np.cumsum(row, axis=0) for row in x]
    model = fr.Sequential([fr.LSTM(1, 24, seed=0), fr.Linear(24, 1, seed=1)])
    trainer = fr.Trainer(model, "mean_squared_error", fr.optim.Adam(1e-2))
    data = fr.data.Dataset(x, y)
    before = trainer.evaluate(data).loss
    trainer.fit(data, epochs=60, seed=0, progress=False)
    assert trainer.evaluate(data).loss < 0.05 * before
    assert trainer.evaluate(data).accuracy is None
    outputs = fr.predict(model, x)
    assert [len(row) for row in outputs] == [len(row) for row in x]
    squares = np.concatenate(outputs) - np.concatenate(y)
    assert_near(np.mean(squares**2), trainer.evaluate(data).loss, "loss by hand", "float32")


def test_it_learns_tokens_with_per_step_classes():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (48, 9))
    y = np.zeros_like(x)
    y[:, 1:] = x[:, :-1]  # the token before
    model = fr.Sequential(
        [fr.Embedding(5, 8, seed=0), fr.GRU(8, 24, seed=1), fr.Linear(24, 5, seed=2)]
    )
    trainer = fr.Trainer(model, optimizer=fr.optim.Adam(1e-2))
    mask = np.ones(x.shape, bool)
    mask[:, 0] = False
    data = fr.data.Dataset(x, y, None, mask)
    trainer.fit(data, epochs=40, seed=0, progress=False)
    assert trainer.evaluate(data).accuracy > 0.98


def test_the_same_seed_gives_the_same_bits():
    runs = []
    for seed in (3, 3, 4):
        model = classifier(dropout=0.3)
        history = fr.Trainer(model).fit(sums(ragged=True), epochs=3, seed=seed, progress=False)
        runs.append((model.parameter_vector.copy(), history.values("loss")))
    assert_same_bits(runs[0][0], runs[1][0], "parameters")
    assert runs[0][1] == runs[1][1]
    assert (runs[0][0] != runs[2][0]).any()


def test_threads_do_not_change_training():
    before = fr.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            fr.set_num_threads(threads)
            model = fr.Sequential(
                [fr.LSTM(1, 64, bidirectional=True, seed=0), fr.Last(), fr.Linear(128, 2, seed=1)]
            )
            fr.Trainer(model).fit(sums(ragged=True), epochs=2, seed=0, progress=False)
            results.append(model.parameter_vector.copy())
    finally:
        fr.set_num_threads(before)
    assert_same_bits(results[1], results[0], "parameters")


def test_padded_and_ragged_data_train_alike():
    x, y = sums(ragged=True)
    padded, lengths = fr.data.pad_sequences(x)
    results = []
    for data in ((x, y), (padded, y, lengths)):
        model = classifier()
        fr.Trainer(model).fit(data, epochs=2, seed=0, progress=False)
        results.append(model.parameter_vector.copy())
    assert_same_bits(results[1], results[0], "parameters")


def test_early_stopping_restores_the_best_parameters():
    model = classifier()
    seen = []
    trainer = fr.Trainer(
        model,
        optimizer=fr.optim.Adam(0.05),
        callbacks=[lambda history: seen.append(model.parameter_vector.copy())],
    )
    held_out = sums(24, seed=5)
    history = trainer.fit(sums(32), held_out, epochs=200, seed=0, patience=4, progress=False)
    losses = history.values("validation_loss")
    assert history.stopped_early
    assert len(losses) < 200
    assert history.best_epoch == int(np.argmin(losses)) == len(losses) - 5
    assert_same_bits(model.parameter_vector, seen[history.best_epoch], "parameters")
    assert trainer.evaluate(held_out).loss == losses[history.best_epoch]


def test_a_callback_ends_training():
    trainer = fr.Trainer(classifier(), callbacks=[lambda history: len(history.epochs) == 3])
    history = trainer.fit(sums(), epochs=10, seed=0, progress=False)
    assert len(history.epochs) == 3
    assert history.stopped_early


@pytest.mark.parametrize(("option", "limit"), [("clip_norm", 1e-3), ("clip_value", 1e-5)])
def test_clipping_bounds_the_step(option, limit):
    model = classifier()
    before = model.parameter_vector.copy()
    trainer = fr.Trainer(model, optimizer=fr.optim.SGD(1.0), **{option: limit})
    history = trainer.fit(sums(32), epochs=1, seed=0, progress=False)
    change = model.parameter_vector - before
    size = np.linalg.norm(change) if option == "clip_norm" else np.abs(change).max()
    assert 0.5 * limit < size <= limit * 1.001
    assert history.epochs[0].gradient_norm > limit  # told before clipping


def test_one_step_is_loss_backward_clip_and_update_by_hand():
    x, y = sums(8)
    model, twin = classifier(), classifier()
    fr.Trainer(model, optimizer=fr.optim.SGD(0.1)).fit((x, y), epochs=1, seed=0, progress=False)
    outputs, _, tape = twin.forward(x)
    _, doutputs = fr.losses.SoftmaxCrossEntropy()(outputs, y)
    twin.backward(tape, doutputs)
    assert_near(
        model.parameter_vector, twin.parameter_vector - 0.1 * twin.gradient_vector, "parameters"
    )


def test_nothing_is_printed_without_a_terminal(capfd):
    fr.Trainer(classifier()).fit(sums(8), epochs=2, seed=0)
    assert capfd.readouterr() == ("", "")


def test_the_progress_line_is_one_line_and_can_be_switched_off(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fr.Trainer(classifier()).fit(sums(8), sums(8, seed=1), epochs=3, seed=0)
    shown = capsys.readouterr().err
    assert "epoch 3/3" in shown
    assert "validation accuracy" in shown
    assert shown.count("\n") == 1
    fr.Trainer(classifier()).fit(sums(8), epochs=3, seed=0, progress=False)
    assert capsys.readouterr().err == ""


def test_predict_in_batches_is_predict_at_once():
    x, _ = sums(20, ragged=True)
    model = classifier()
    assert_same_bits(
        fr.predict(model, x, batch_size=3), fr.predict(model, x, batch_size=64), "outputs"
    )


def test_two_models_train_in_two_threads():
    models = [classifier(seed=seed) for seed in (0, 0)]
    errors = []

    def work(model):
        try:
            fr.Trainer(model).fit(sums(ragged=True), epochs=3, seed=0, progress=False)
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(model,)) for model in models]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    assert_same_bits(models[0].parameter_vector, models[1].parameter_vector, "parameters")


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_on_japanese_vowels(seed):
    data = fr.datasets.japanese_vowels()
    model = sequence_model(12, 9, standardize=fr.Standardize.fit(data.train_x), seed=seed)
    trainer = fr.Trainer(model, optimizer=fr.optim.Adam(3e-3), clip_norm=1.0)
    trainer.fit((data.train_x, data.train_y), epochs=40, seed=seed, progress=False)
    assert trainer.evaluate((data.test_x, data.test_y)).accuracy >= 0.96


# ---- truncated BPTT and carried states ----


def test_carried_states_learn_what_no_batch_shows():
    """Impulses are 25 steps apart, batches have 8: most of them show none."""
    accuracies = {}
    train, test = latch(16, 400, 0), latch(16, 400, 1)
    for carried in (True, False):
        if carried:
            data, held_out = (
                fr.data.ParallelStreams(list(x), list(y), 16, 8) for x, y in (train, test)
            )
        else:
            data, held_out = ((x.reshape(-1, 8, 1), y.reshape(-1, 8)) for x, y in (train, test))
        trainer = fr.Trainer(tagger(), optimizer=fr.optim.Adam(1e-2), clip_norm=1.0)
        trainer.fit(data, epochs=12, batch_size=16, seed=0, progress=False)
        accuracies[carried] = trainer.evaluate(held_out, batch_size=16).accuracy
    assert accuracies[True] > 0.99
    assert accuracies[False] < 0.8


def test_truncated_bptt_learns_the_same_task_from_whole_sequences():
    trainer = fr.Trainer(tagger(), optimizer=fr.optim.Adam(1e-2), clip_norm=1.0, bptt_steps=(5, 10))
    trainer.fit(latch(16, 400, 0), epochs=8, batch_size=16, seed=0, progress=False)
    assert trainer.evaluate(latch(16, 400, 1)).accuracy > 0.99


@pytest.mark.parametrize("replicas", ["sum", "mean"])
def test_carried_states_by_hand(replicas):
    rng = np.random.default_rng(3)
    x = [rng.standard_normal((n, 1)) for n in (7, 4, 9, 2, 5)]
    y = [rng.integers(0, 2, len(row)) for row in x]
    streams = fr.data.ParallelStreams(x, y, 2, 3)
    model, twin = (tagger(dtype="float64") for _ in range(2))
    history = fr.Trainer(model, optimizer=fr.optim.SGD(0.1), replicas=replicas).fit(
        streams, epochs=1, seed=0, progress=False
    )
    order_rng = np.random.default_rng(0).spawn(2)[0]
    state, optimizer, losses, weights = np.zeros((1, 2, 12)), fr.optim.SGD(0.1), [], []
    resets = []
    for batch in streams.batches(order_rng):
        state = state.copy()
        state[:, batch.reset] = 0
        resets.append(batch.reset.sum())
        outputs, (state, _), tape = twin.forward(batch.x, (state, None), lengths=batch.lengths)
        value, doutputs = fr.losses.SoftmaxCrossEntropy()(outputs, batch.y, batch.mask)
        twin.zero_grad()
        twin.backward(tape, doutputs)
        if replicas == "mean":
            fr.average_replicas(twin, batch.x.shape[1])
        optimizer.step(twin.parameter_vector, twin.gradient_vector)
        losses.append(value)
        weights.append(batch.mask.sum())
    assert resets[0] == 2
    assert 1 in resets  # a row begins while the other goes on
    assert_near(model.parameter_vector, twin.parameter_vector, "parameters")
    assert len(losses) > 3
    assert history.epochs[0].loss == pytest.approx(np.average(losses, weights=weights))


@pytest.mark.parametrize("ragged", [False, True])
def test_truncated_steps_by_hand(ragged):
    x, y = latch(6, 23, 4)
    lengths = np.array([23, 4, 11, 0, 20, 7]) if ragged else None
    x = x.astype(np.float64)
    model, twin = (tagger(dtype="float64") for _ in range(2))
    trainer = fr.Trainer(
        model, optimizer=fr.optim.SGD(0.5), clip_norm=0.1, bptt_steps=(5, 8), replicas="mean"
    )
    history = trainer.fit((x, y, lengths), epochs=1, batch_size=6, seed=0, progress=False)
    order = np.random.default_rng(0).spawn(2)[0].permutation(6)
    x, y = x[order], y[order]
    valid = None if lengths is None else lengths[order]
    mask = None if valid is None else np.arange(23) < valid[:, None]
    optimizer, losses, counts = fr.optim.SGD(0.5), [], []
    windows = fr.truncated_bptt(twin, x, (5, 8), lengths=valid, replicas="mean")
    for window in windows:
        new = slice(window.start, window.stop)
        part = None if mask is None else mask[:, new]
        value, doutputs = fr.losses.SoftmaxCrossEntropy()(window.outputs, y[:, new], part)
        twin.zero_grad()
        window.backward(doutputs)
        fr.optim.clip_by_global_norm(twin.gradient_vector, 0.1)
        optimizer.step(twin.parameter_vector, twin.gradient_vector)
        losses.append(value)
        counts.append(6 * (window.stop - window.start) if part is None else part.sum())
    assert len(losses) == 5
    assert_near(model.parameter_vector, twin.parameter_vector, "parameters")
    assert history.epochs[0].loss == pytest.approx(np.average(losses, weights=counts))


def test_truncation_behind_the_end_is_full_bptt_bit_for_bit():
    results = []
    for steps in (None, 10, (10, 99)):
        model = tagger()
        trainer = fr.Trainer(model, bptt_steps=steps)
        trainer.fit(latch(12, 10, 0), epochs=2, batch_size=4, seed=0, progress=False)
        results.append(model.parameter_vector.copy())
    assert_same_bits(results[1], results[0], "parameters")
    assert_same_bits(results[2], results[0], "parameters")


def test_windows_without_targets_change_nothing_and_carry_the_state():
    x, y = latch(4, 12, 0)
    mask = np.zeros((4, 12), bool)
    mask[:, 10:] = True
    model, twin = tagger(), tagger()
    optimizer = fr.optim.Adam(0.1)
    fr.Trainer(model, optimizer=optimizer, bptt_steps=2).fit(
        (x, y, None, mask), epochs=1, batch_size=4, seed=0, progress=False
    )
    order = np.random.default_rng(0).spawn(2)[0].permutation(4)
    _, state = twin(x[order, :10])
    outputs, _, tape = twin.forward(x[order, 10:], state)
    _, doutputs = fr.losses.SoftmaxCrossEntropy()(outputs, y[order, 10:])
    twin.backward(tape, doutputs)
    fr.optim.Adam(0.1).step(twin.parameter_vector, twin.gradient_vector)
    assert_same_bits(model.parameter_vector, twin.parameter_vector, "parameters")


def test_evaluating_streams_carries_the_state():
    x, y = latch(5, 37, 0)
    model = tagger()
    trainer = fr.Trainer(model)
    streams = fr.data.ParallelStreams(list(x), list(y), 2, 4)
    shown, whole = trainer.evaluate(streams), trainer.evaluate((x, y))
    assert shown.accuracy == whole.accuracy
    assert shown.loss == pytest.approx(whole.loss, rel=1e-5)
    history = trainer.fit(streams, streams, epochs=1, progress=False)
    assert history.epochs[0].validation_accuracy is not None


@pytest.mark.parametrize(("options", "data", "message"), [
    ({"bptt_steps": (3, 2)}, None, "bptt_steps: expected k1 <= k2"),
    ({"replicas": "both"}, None, "replicas: expected one of sum, mean"),
    ({"bptt_steps": 3, "model": classifier()}, None, "keep the time axis, got Last"),
    ({"bptt_steps": 3, "model": fr.GRU(1, 2, bidirectional=True)}, None, "run forward in time"),
    ({"bptt_steps": 3}, (np.ones((4, 5, 1), np.float32), [0, 1, 0, 1]), "train: expected a target"),
    (
        {"model": fr.GRU(1, 2, bidirectional=True)},
        fr.data.ParallelStreams(np.ones(8), np.ones(8), 2, 2),
        "run forward in time",
    ),
])  # fmt: skip
def test_truncation_and_streams_refuse_what_makes_no_sense(options, data, message):
    options = {"model": tagger()} | options
    if data is None:
        with pytest.raises(ValueError, match=message):
            fr.Trainer(**options)
        return
    trainer = fr.Trainer(**options)
    with pytest.raises(ValueError, match=message):
        trainer.fit(data, epochs=1)
    if isinstance(data, fr.data.ParallelStreams):
        with pytest.raises(ValueError, match=message):
            trainer.evaluate(data)


def test_learned_initial_states_are_not_for_parallel_streams():
    model = fr.Sequential([fr.GRU(2, 3, learn_initial_state=True), fr.Linear(3, 1)])
    x = np.zeros((40, 2), np.float32)
    data = fr.data.ParallelStreams(x, np.zeros((40, 1), np.float32), batch_size=2, steps=5)
    with pytest.raises(ValueError, match="train: expected a model without learn_initial_state"):
        fr.Trainer(model, loss="mean_squared_error").fit(data, epochs=1)
