"""Lists of sequences: what the same rows give as one padded array, cut to their lengths."""

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.standardize import mean_and_scale
from fastrnn.testing import assert_same_bits, leaves, like

RNG = np.random.default_rng(0)
LENGTHS = [4, 7, 0, 1]
ROWS = [RNG.standard_normal((steps, 3)).astype(np.float32) for steps in LENGTHS]
PADDED = np.zeros((4, 7, 3), np.float32)
for _row, _array in zip(PADDED, ROWS, strict=True):
    _row[: len(_array)] = _array

MODELS = {
    "LSTM": lambda: fr.LSTM(3, 4, 2, bidirectional=True, seed=0),
    "GRU, time first": lambda: fr.GRU(3, 4, batch_first=False, seed=0),
    "RNN, repeated padding": lambda: fr.RNN(3, 4, pad_output="repeat", seed=0),
    "Stacked": lambda: fr.Stacked([fr.GRU(3, 4, seed=0), fr.LSTM(4, 2, seed=1)]),
    "Bidirectional": lambda: fr.Bidirectional(fr.GRU(3, 4, seed=0), "product", seed=1),
    "Bidirectional, time first": lambda: fr.Bidirectional(
        fr.GRU(3, 4, batch_first=False, seed=0), seed=1
    ),
    "Residual": lambda: fr.Residual(fr.GRU(3, 3, seed=0)),
    "Sequential": lambda: fr.Sequential(
        [fr.Linear(3, 5, seed=0), fr.LSTM(5, 4, seed=1), fr.Linear(4, 2, seed=2)]
    ),
    "Sequential, time first": lambda: fr.Sequential(
        [
            fr.Standardize([0.0] * 3, [1.0] * 3, batch_first=False),
            fr.LSTM(3, 4, batch_first=False, seed=1),
        ]
    ),
}  # fmt: skip


def assert_rows(rows, padded, batch_first, what):
    assert isinstance(rows, list)
    padded = padded if batch_first else padded.swapaxes(0, 1)
    for row, steps, expected in zip(rows, LENGTHS, padded, strict=True):
        assert_same_bits(row, expected[:steps], what)


@pytest.mark.parametrize("name", MODELS)
def test_lists_are_padded_rows(name):
    model = MODELS[name]()
    time_first = "time first" in name
    assert model.batch_first != time_first
    padded = PADDED.swapaxes(0, 1) if time_first else PADDED
    y, final, tape = model.forward(padded, lengths=LENGTHS)
    for x in (ROWS, tuple(ROWS)):
        assert_rows(model(x)[0], model(padded, lengths=LENGTHS)[0], not time_first, "y")
    rows, final_rows, tape_rows = model.forward(ROWS)
    assert_rows(rows, y, not time_first, "y of forward")
    for got, expected in zip(leaves(final_rows), leaves(final), strict=True):
        assert_same_bits(got, expected, "state")

    dfinal = like(final, lambda array: RNG.standard_normal(array.shape).astype(np.float32))
    dy_rows = [RNG.standard_normal(row.shape).astype(np.float32) for row in rows]
    dy = np.zeros((4, 7, y.shape[2]), np.float32)
    for row, array in zip(dy, dy_rows, strict=True):
        row[: len(array)] = array
    dx, dstate = model.backward(tape, dy.swapaxes(0, 1) if time_first else dy, dfinal)
    expected_gradients = model.gradient_vector.copy()
    model.zero_grad()
    dx_rows, dstate_rows = model.backward(tape_rows, dy_rows, dfinal)
    assert_rows(dx_rows, dx, not time_first, "dx")
    for got, expected in zip(leaves(dstate_rows), leaves(dstate), strict=True):
        assert_same_bits(got, expected, "dstate")
    assert_same_bits(model.gradient_vector, expected_gradients, "gradients")
    with pytest.raises(RuntimeError, match="tape: already used by a backward pass"):
        model.backward(tape_rows, dy_rows)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_states_go_in_and_out(cell):
    layer = getattr(fr, cell)(3, 4, seed=0)
    _, state = layer(ROWS)
    second, _ = layer(ROWS, state)
    expected, _ = layer(PADDED, state, lengths=LENGTHS)
    assert_rows(second, expected, True, "y")
    assert (second[0] != layer(ROWS)[0][0]).any()


def test_a_model_without_time_in_its_output_gives_an_array():
    model = fr.Sequential([fr.GRU(3, 4, seed=0), fr.Last(), fr.Linear(4, 2, seed=1)])
    y, _, tape = model.forward(ROWS)
    assert_same_bits(y, model(PADDED, lengths=LENGTHS)[0], "y")
    dx, _ = model.backward(tape, y)
    assert [part.shape for part in dx] == [row.shape for row in ROWS]
    _, _, tape = model.forward(ROWS)
    assert model.backward(tape, None, input_gradient=False)[0] is None


def test_tokens():
    model = fr.Sequential([fr.Embedding(6, 3, seed=0), fr.GRU(3, 4, seed=1)])
    tokens = [RNG.integers(0, 6, steps) for steps in LENGTHS]
    y, _, tape = model.forward(tokens)
    assert [row.shape for row in y] == [(steps, 4) for steps in LENGTHS]
    assert_same_bits(y[1], model(tokens[1][None])[0][0], "a row alone")
    assert model.backward(tape, y)[0] is None
    # A list of lists of numbers is one array, as ever.
    assert model([[1, 2], [3, 4]])[0].shape == (2, 2, 4)


def test_dy_may_be_none():
    layer = fr.GRU(3, 4, seed=0)
    _, h, tape = layer.forward(ROWS)
    dx, _ = layer.backward(tape, None, np.ones_like(h))
    assert dx[1].any()


def test_only_empty_sequences():
    layer = fr.LSTM(3, 4, seed=0)
    y, (h, _) = layer([ROWS[2], ROWS[2]])
    assert [row.shape for row in y] == [(0, 4), (0, 4)]
    assert h.shape == (1, 2, 4)
    assert not h.any()


@pytest.mark.parametrize("method", ["__call__", "forward"])
@pytest.mark.parametrize("name", MODELS)
def test_bad_lists(name, method):
    run = getattr(MODELS[name](), method)
    with pytest.raises(ValueError, match="lengths: expected None for a list of sequences"):
        run(ROWS, lengths=LENGTHS)
    with pytest.raises(ValueError, match=r"x\[1\]: expected shape \(T, ...\) like x\[0\]"):
        run([ROWS[0], ROWS[1][:, :2]])
    with pytest.raises(TypeError, match=r"x\[1\]: expected float32 like x\[0\], got float64"):
        run([ROWS[0], ROWS[1].astype(np.float64)])
    with pytest.raises(TypeError, match="x: expected float32"):
        run([ROWS[0].astype(np.float64)])
    with pytest.raises(ValueError, match="x: expected"):
        run([ROWS[0][:, :2]])
    with pytest.raises((ValueError, TypeError), match="x: expected"):
        run([ROWS[0][:, 0]])
    if "Sequential" not in name:
        with pytest.raises(ValueError, match="out: expected None for a list of sequences"):
            run(ROWS, out=np.zeros((4, 7, 4), np.float32))


def test_bad_dy_leaves_the_tape():
    layer = fr.GRU(3, 4, seed=0)
    y, _, tape = layer.forward(ROWS)
    for dy, error, message in (
        (y[:3], ValueError, "dy: expected a list of N = 4 arrays, got 3"),
        (np.zeros((4, 7, 4), np.float32), ValueError, "dy: expected a list of N = 4 .* ndarray"),
        ([y[0], y[1], y[2], y[0]], ValueError, r"dy\[3\]: expected shape \(T_n, F\) = \(1, 4\)"),
        ([*y[:3], y[3].astype(np.float64)], TypeError, r"dy\[3\]: expected float32"),
    ):
        with pytest.raises(error, match=message):
            layer.backward(tape, dy)
    with pytest.raises(ValueError, match="dstate: expected shape"):
        layer.backward(tape, y, np.zeros((1, 3, 4), np.float32))
    with pytest.raises(ValueError, match="tape: expected one made by this GRU"):
        fr.GRU(3, 4, seed=0).backward(tape, y)
    assert not layer.gradient_vector.any()
    layer.backward(tape, y)
    assert layer.gradient_vector.any()


def test_every_recurrent_option_has_gradients_over_lists():
    # In float64, by central differences of one number per sequence.
    layer = fr.LSTM(3, [4, 3], bidirectional=True, merge="product", learn_initial_state=True,
                    dtype="float64", seed=0)  # fmt: skip
    rows = [row.astype(np.float64) for row in ROWS]
    weights = [RNG.standard_normal((len(row), layer.output_size)) for row in rows]
    _, _, tape = layer.forward(rows)
    dx, _ = layer.backward(tape, weights)

    def loss():
        return sum(float((y * w).sum()) for y, w in zip(layer(rows)[0], weights, strict=True))

    for n, t, i in ((0, 3, 1), (1, 0, 0), (3, 0, 2)):
        before = rows[n][t, i]
        rows[n][t, i] = before + 1e-5
        up = loss()
        rows[n][t, i] = before - 1e-5
        down = loss()
        rows[n][t, i] = before
        assert abs((up - down) / 2e-5 - dx[n][t, i]) < 1e-8


def test_standardize_sees_features_that_do_not_vary():
    x = np.stack([np.full(10, 0.1), np.arange(10.0)], axis=1)
    assert x.std(axis=0)[0] > 0  # the mean of ten times 0.1 is not 0.1
    layer = fr.Standardize.fit([x], dtype="float64")
    assert layer.scale.tolist() == [1.0, np.arange(10.0).std()]
    assert abs(layer(x[None])[0][..., 0]).max() < 1e-15
    mean, scale = mean_and_scale(x[:3], np.array([1.0, 2.0, 3.0]))
    repeated = np.repeat(x[:3, 1], [1, 2, 3])
    np.testing.assert_allclose([mean[1], scale[1]], [repeated.mean(), repeated.std()])
    assert scale[0] == 1.0
