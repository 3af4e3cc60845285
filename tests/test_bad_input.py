"""Bad input: an exception that names the argument, what came and what was expected; no change."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastrnn as fr
from cases import network
from fastrnn import ops, safetensors_file
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_same_bits

X = np.zeros((4, 5, 3), np.float32)
LSTM_STATE = (np.zeros((1, 4, 6), np.float32), np.zeros((1, 4, 6), np.float32))


def layers():
    return {cell: network(cell, 3, 6, seed=0) for cell in ops.CELLS}


BAD_X = [
    (X[0], ValueError, r"x: expected 3 axes \(N, T, I\), got 2"),
    (X[..., :2], ValueError, "x: expected I = 3 features, got 2"),
    (X.astype(np.float64), TypeError, r"x: expected float32 .* got float64; convert with x.astype"),
    (X.astype(np.float16), TypeError, "x: expected float32 .* got float16"),
    (X.astype(np.int64), TypeError, "x: expected float32 .* got int64"),
    (X.astype(object), TypeError, "x: expected float32 .* got object"),
    (X.astype(">f4"), TypeError, "x: expected float32 .* got >f4"),
    (X.astype(np.complex64), TypeError, "x: expected float32 .* got complex64"),
    ("text", TypeError, "x: expected float32"),
    (None, TypeError, "x: expected float32 .* got object"),
]

BAD_LENGTHS = [
    ([1, 2, 3], ValueError, r"lengths: expected shape \(N,\) = \(4,\), got \(3,\)"),
    ([[1, 2, 3, 4]], ValueError, r"lengths: expected shape \(N,\) = \(4,\), got \(1, 4\)"),
    (5, ValueError, r"lengths: expected shape \(N,\) = \(4,\), got \(\)"),
    ([1, 2, 6, 0], ValueError, r"lengths\[2\]: expected 0..T = 0..5, got 6"),
    ([1, -1, 3, 0], ValueError, r"lengths\[1\]: expected 0..T = 0..5, got -1"),
    ([1.0, 2.0, 3.0, 4.0], TypeError, "lengths: expected integers, got float64"),
    ([True, False, True, True], TypeError, "lengths: expected integers, got bool"),
]


@pytest.mark.parametrize("method", ["__call__", "forward"])
@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize(("x", "error", "message"), BAD_X)
def test_bad_x(cell, method, x, error, message):
    with pytest.raises(error, match=message):
        getattr(layers()[cell], method)(x)


@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize(("lengths", "error", "message"), BAD_LENGTHS)
def test_bad_lengths(cell, lengths, error, message):
    for layer in (
        layers()[cell],
        fr.Linear(3, 2, seed=0),
        fr.Last(),
        fr.MeanPool(),
        fr.Standardize([0.0] * 3, [1.0] * 3),
    ):
        with pytest.raises(error, match=message):
            layer(X, lengths=lengths)


H, C = LSTM_STATE
BAD_STATES = [
    ("lstm", H, ValueError, r"state: expected a pair \(h, c\), got ndarray"),
    ("lstm", (H,), ValueError, r"state: expected a pair \(h, c\), got 1 values"),
    ("lstm", (H, C, C), ValueError, r"state: expected a pair \(h, c\), got 3 values"),
    ("lstm", (H, C[:, :3]), ValueError, r"state\[1\]: expected shape .* = \(1, 4, 6\), got \(1, 3"),
    ("lstm", (H[0], C), ValueError, r"state\[0\]: expected shape .* = \(1, 4, 6\), got \(4, 6\)"),
    ("lstm", (H, C.astype(np.float64)), TypeError, r"state\[1\]: expected float32 .* got float64"),
    ("gru", (H, C), ValueError, "state: expected one array h, got 2 values"),
    ("gru", H[..., :5], ValueError, r"state: expected shape .* = \(1, 4, 6\), got \(1, 4, 5\)"),
    ("rnn_tanh", H.astype(object), TypeError, "state: expected float32 .* got object"),
]


@pytest.mark.parametrize(("cell", "state", "error", "message"), BAD_STATES)
def test_bad_state(cell, state, error, message):
    layer = layers()[cell]
    with pytest.raises(error, match=message):
        layer(X, state)
    y, _, tape = layer.forward(X)
    with pytest.raises(error, match=message.replace("state", "dstate", 1)):
        layer.backward(tape, y, state)
    assert not layer.gradient_vector.any()
    layer.backward(tape, y)  # the tape is still good


@pytest.mark.parametrize("make", [
    lambda: fr.LSTM(3, 6, 2, bidirectional=True, seed=0),
    lambda: fr.Stacked([fr.GRU(3, 4, seed=0), fr.LSTM(4, 6, seed=1)]),
    lambda: fr.Bidirectional(fr.RNN(3, 6, seed=0), "sum", seed=1),
    lambda: fr.Sequential([fr.Linear(3, 4, seed=0), fr.GRU(4, 6, seed=1)]),
    lambda: fr.Linear(3, 6, seed=0),
])  # fmt: skip
def test_bad_dy_leaves_tape_and_gradients(make):
    layer = make()
    y, _, tape = layer.forward(X)
    before = layer.parameter_vector.copy()
    for dy, error in (
        (y[:, :-1], ValueError),
        (y[..., :-1], ValueError),
        (y[0], ValueError),
        (y.astype(np.float64), TypeError),
    ):
        with pytest.raises(error, match="dy: expected"):
            layer.backward(tape, dy)
    assert not layer.gradient_vector.any()
    assert_same_bits(layer.parameter_vector, before, "parameters")
    layer.backward(tape, y)
    with pytest.raises(RuntimeError, match="tape: already used by a backward pass; run forward"):
        layer.backward(tape, y)
    _, _, tape = layer.forward(X)
    with pytest.raises(ValueError, match="tape: expected one made by this .*, got one made by"):
        make().backward(tape, y)
    layer.backward(tape, y)


def test_a_bad_state_deep_in_a_stack_changes_nothing():
    stack = fr.Stacked([fr.GRU(3, 4, seed=0), fr.LSTM(4, 6, seed=1)])
    y, state, tape = stack.forward(X)
    with pytest.raises(ValueError, match="dstate: expected one array h"):
        stack.backward(tape, y, (state[1], state[1]))
    with pytest.raises(ValueError, match="dstate: expected one entry per layer = 2, got 3"):
        stack.backward(tape, y, (*state, None))
    assert not stack.gradient_vector.any()
    stack.backward(tape, y, state)


def test_parameters_changed_between_forward_and_backward():
    model = fr.Sequential([fr.GRU(3, 4, seed=0), fr.LSTM(4, 6, seed=1)])
    y, _, tape = model.forward(X)
    model.parameters["0.weight_hh_l0"][0, 0] += 1
    with pytest.raises(RuntimeError, match="tape: the parameters changed since forward"):
        model.backward(tape, y)
    assert not model.gradient_vector.any()


CONSTRUCTORS = [
    (lambda: fr.LSTM(0, 4), ValueError, "input_size: expected at least 1, got 0"),
    (lambda: fr.LSTM(3, -1), ValueError, "hidden_size: expected at least 1, got -1"),
    (lambda: fr.LSTM(3, 4.0), TypeError, "hidden_size: expected an integer, got float"),
    (lambda: fr.LSTM(3, 4, 0), ValueError, "num_layers: expected at least 1, got 0"),
    (
        lambda: fr.LSTM(3, 4, 2, dropout=1.0),
        ValueError,
        "dropout: expected 0 <= dropout < 1, got 1",
    ),
    (lambda: fr.LSTM(3, 4, 2, dropout="x"), TypeError, "dropout: expected a number, got str"),
    (lambda: fr.LSTM(3, 4, dtype="float16"), TypeError, "dtype: expected float32 or float64, got"),
    (lambda: fr.LSTM(3, 4, dtype="colour"), TypeError, "dtype: expected float32 or float64, got"),
    (lambda: fr.LSTM(3, 4, seed=-1), ValueError, "seed: expected at least 0, got -1"),
    (lambda: fr.LSTM(3, 4, seed=1.5), TypeError, "seed: expected an integer or None, got float"),
    (lambda: fr.LSTM(3, 4, colour="red"), TypeError, "colour"),
    (
        lambda: fr.RNN(3, 4, nonlinearity="cos"),
        ValueError,
        "nonlinearity: expected one of sigmoid, tanh, relu, hard_sigmoid, hard_tanh, softsign, ",
    ),
    (lambda: RecurrentLayer("lstn", 3, 4), ValueError, "cell: expected one of lstm, "),
    (lambda: fr.Linear(3, 0), ValueError, "output_size: expected at least 1, got 0"),
    (lambda: fr.Embedding(True, 3), TypeError, "num_embeddings: expected an integer, got bool"),
    (lambda: fr.Dropout(-0.1), ValueError, "p: expected 0 <= p < 1, got -0.1"),
    (lambda: fr.Standardize([0.0], [0.0]), ValueError, "scale: expected numbers above 0"),
    (
        lambda: fr.Standardize([0.0], [1.0, 1.0]),
        ValueError,
        r"scale: expected shape \(1,\) like mean",
    ),
    (lambda: fr.Sequential([]), ValueError, "layers: expected .* at least one layer, got none"),
    (lambda: fr.Sequential([fr.Last, 3]), TypeError, r"layers\[0\]: expected a layer, got"),
    (
        lambda: fr.Stacked([fr.GRU(3, 4), fr.GRU(5, 4)]),
        ValueError,
        r"layers\[1\]: expected input_size = 4, .* got 5",
    ),
    (
        lambda: fr.Stacked([fr.GRU(3, 4), fr.Last()]),
        TypeError,
        r"layers\[1\]: expected a recurrent layer, got Last",
    ),
    (
        lambda: fr.Bidirectional(fr.Linear(3, 4)),
        TypeError,
        "layer: expected a recurrent layer, got Lin",
    ),
    (
        lambda: fr.Bidirectional(fr.GRU(3, 4), "max"),
        ValueError,
        "merge: expected one of concat, sum",
    ),
    (
        lambda: fr.Bidirectional(fr.GRU(3, 4), reverse_layer=fr.GRU(3, 5)),
        ValueError,
        r"reverse_layer: expected sizes \(3, 4\) like layer, got \(3, 5\)",
    ),
    (
        lambda: fr.Sequential([fr.GRU(3, 4), fr.Linear(4, 2, dtype="float64")]),
        TypeError,
        r"layers\[1\]: expected dtype float32 like the first, got float64",
    ),
    (lambda: fr.Trainer(3), TypeError, "model: expected a layer, got int"),
    (lambda: fr.Trainer(fr.Last(), "hinge"), ValueError, "loss: expected one of softmax"),
    (
        lambda: fr.Trainer(fr.Last(), optimizer="adam"),
        TypeError,
        "optimizer: expected an optimizer",
    ),
    (
        lambda: fr.Trainer(fr.Last(), clip_norm=0),
        ValueError,
        "clip_norm: expected more than 0, got 0",
    ),
    (
        lambda: fr.Trainer(fr.Last(), callbacks=[3]),
        TypeError,
        r"callbacks\[0\]: expected a callback or a callable",
    ),
    (lambda: fr.set_num_threads(0), ValueError, "count: expected at least 1, got 0"),
    (lambda: fr.set_num_threads(1.0), TypeError, "count: expected an integer, got float"),
]


@pytest.mark.parametrize(("make", "error", "message"), CONSTRUCTORS)
def test_bad_options(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_bad_tokens():
    layer = fr.Embedding(5, 2, seed=0)
    with pytest.raises(TypeError, match="x: expected integer tokens, got float64"):
        layer(np.zeros((2, 3)))
    for token in (-1, 5):
        with pytest.raises(ValueError, match=rf"x: expected tokens in 0..4, got {token}"):
            layer(np.array([[0, token]]))
    layer(np.array([[0, 99]]), lengths=[1])  # padding is not looked at


# ---- training ----


def trained():
    return fr.Sequential([fr.GRU(3, 4, seed=0), fr.Last(), fr.Linear(4, 2, seed=1)])


def test_a_loss_that_is_not_finite_stops_training_with_epoch_and_step():
    model = trained()
    x = np.random.default_rng(0).standard_normal((40, 5, 3)).astype(np.float32)
    x[:, 2] = np.nan
    before = model.parameter_vector.copy()
    with pytest.raises(FloatingPointError, match="loss: .* got nan in epoch 1, step 1"):
        fr.Trainer(model).fit((x, np.zeros(40, int)), epochs=3, seed=0, progress=False)
    assert_same_bits(model.parameter_vector, before, "parameters")


def test_a_later_loss_leaves_the_parameters_of_the_step_before():
    model, seen = trained(), []

    def poison(history):
        seen.append(model.parameter_vector.copy())
        if len(history.epochs) == 2:
            x[...] = np.inf

    x = np.random.default_rng(0).standard_normal((40, 5, 3)).astype(np.float32)
    trainer = fr.Trainer(model, callbacks=[poison])
    with pytest.raises(FloatingPointError, match="in epoch 3, step 1"):
        trainer.fit((x, np.zeros(40, int)), epochs=5, seed=0, progress=False)
    assert_same_bits(model.parameter_vector, seen[-1], "parameters")
    assert len(trainer.history.epochs) == 2


def test_gradients_that_are_not_finite_stop_training():
    class Explosive:
        def __call__(self, outputs, targets, mask=None):
            return 1.0, np.full_like(outputs, np.nan)

    model = trained()
    before = model.parameter_vector.copy()
    with pytest.raises(FloatingPointError, match="gradients: .* got nan in epoch 1, step 1"):
        fr.Trainer(model, Explosive()).fit((X, np.zeros(4, int)), epochs=1, progress=False)
    assert_same_bits(model.parameter_vector, before, "parameters")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0"),
        ({"epochs": 1, "batch_size": 1.5}, TypeError, "batch_size: expected an integer"),
        ({"epochs": 1, "patience": 3}, ValueError, "patience: expected validation data with it"),
        ({"epochs": 1, "seed": "x"}, TypeError, "seed: expected an integer or None, got str"),
        (
            {"epochs": 1, "validation": 3},
            TypeError,
            "validation: expected a Dataset, ParallelStreams or a tuple",
        ),
    ],
)
def test_bad_fit_options(options, error, message):
    model = trained()
    before = model.parameter_vector.copy()
    with pytest.raises(error, match=message):
        fr.Trainer(model).fit((X, np.zeros(4, int)), progress=False, **options)
    assert_same_bits(model.parameter_vector, before, "parameters")


# ---- files ----


def test_damaged_and_foreign_model_files(tmp_path):
    path = tmp_path / "model.safetensors"
    fr.save(fr.GRU(3, 4, seed=0), path)
    whole = path.read_bytes()
    for end in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="model.safetensors"):
            fr.load(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ValueError, match="model.safetensors"):
        fr.load(path)
    safetensors_file.write(path, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match="expected a model written by fastrnn.save"):
        fr.load(path)
    with pytest.raises(FileNotFoundError):
        fr.load(tmp_path / "nothing")


def test_tensors_that_do_not_fit_the_configuration(tmp_path):
    path = tmp_path / "model.safetensors"
    fr.save(fr.GRU(3, 4, seed=0), path)
    tensors, header = safetensors_file.read(path)
    safetensors_file.write(path, tensors | {"more": np.zeros(1)}, header)
    with pytest.raises(ValueError, match="got more amiss"):
        fr.load(path)
    tensors["bias_ih_l0"] = tensors["bias_ih_l0"].astype(np.float64)
    safetensors_file.write(path, tensors, header)
    with pytest.raises(ValueError, match=r"bias_ih_l0: expected float32 \(12,\), got float64"):
        fr.load(path)


def test_an_unwritable_path(tmp_path):
    with pytest.raises(OSError, match="missing"):
        fr.save(fr.GRU(3, 4, seed=0), tmp_path / "missing" / "model.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        fr.save(fr.GRU(3, 4, seed=0), tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(TypeError, match="model: expected a layer, got int"):
        fr.save(3, tmp_path / "model")


# ---- environment ----


@pytest.mark.parametrize("variable", ["FASTRNN_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_bad_thread_counts_in_the_environment(variable, value):
    code = "import fastrnn; fastrnn.get_num_threads()"
    environment = {k: v for k, v in os.environ.items() if k != "FASTRNN_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {variable: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{variable}: expected a whole number of at least 1, got '{value}'" in result.stderr


def test_thread_counts_from_the_environment():
    code = "import fastrnn; print(fastrnn.get_num_threads())"
    for extra, expected in (
        ({"FASTRNN_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3"),
        ({"OMP_NUM_THREADS": "5,2"}, "5"),
    ):
        environment = {k: v for k, v in os.environ.items() if k != "FASTRNN_NUM_THREADS"}
        result = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | extra,
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == expected
