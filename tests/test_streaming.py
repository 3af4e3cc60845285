"""Streams: bit for bit the layers over whole sequences, one step at a time."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from cases import network
from fastrnn import ops
from fastrnn.testing import assert_same_bits, leaves

DTYPES = ["float32", "float64"]


def models(cell, dtype):
    return [
        network(cell, 5, 17, dtype=dtype, seed=0),
        network(cell, 5, 33, 3, dropout=0.5, dtype=dtype, seed=0),
        fr.Sequential(
            [
                fr.Linear(5, 9, dtype=dtype, seed=0),
                network(cell, 9, 16, 2, bias=False, dtype=dtype, seed=1),
                fr.Dropout(0.5),
                fr.Stacked(
                    [fr.LSTM(16, 40, dtype=dtype, seed=2), fr.GRU(40, 4, dtype=dtype, seed=3)]
                ),
                fr.Linear(4, 3, bias=False, dtype=dtype, seed=4),
            ]
        ),
    ]


def residual_models(cell, dtype):
    def single(inputs, hidden, seed):
        return network(cell, inputs, hidden, dtype=dtype, seed=seed)

    inner = fr.Stacked([single(19, 4, 2), fr.Residual(single(4, 4, 3)), single(4, 19, 4)])
    around_others = fr.Residual(
        fr.Sequential([single(5, 19, 1), fr.Residual(inner), fr.Linear(19, 5, dtype=dtype, seed=5)])
    )
    return [
        network(cell, 5, 17, 3, residual=True, dropout=0.5, dtype=dtype, seed=0),
        fr.Residual(single(5, 5, 0)),
        fr.Sequential(
            [
                fr.Residual(fr.Linear(5, 5, dtype=dtype, seed=0)),
                around_others,
                fr.Linear(5, 3, dtype=dtype, seed=6),
            ]
        ),
    ]


def assert_same_state(actual, expected):
    for got, wanted in zip(leaves(actual), leaves(expected), strict=True):
        assert_same_bits(got, wanted, "state")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_steps_are_the_sequence(batch, cell, dtype):
    x = np.random.default_rng(0).standard_normal((batch, 9, 5)).astype(dtype)
    for model in models(cell, dtype) + residual_models(cell, dtype):
        y, final = model(x)
        stream = fr.Stream(model, batch)
        out = np.empty((batch, stream.output_size), dtype)
        for t in range(9):
            got = stream.step(x[:, t], out=out if t % 2 else None)
            assert (got is out) == bool(t % 2)
            assert_same_bits(got, y[:, t], "y")
        assert_same_state(stream.state, final)
        stream.reset()
        assert not any(part.any() for part in leaves(stream.state))
        assert_same_bits(stream.step(x[:, 0]), y[:, 0], "y after reset")


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_sizes_and_any_cut(data):
    cell = data.draw(st.sampled_from(list(ops.CELLS)))
    inputs, hidden = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    batch, cut = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 5))
    model = network(cell, inputs, hidden, data.draw(st.integers(1, 2)), seed=0)
    x = np.random.default_rng(1).standard_normal((batch, 6, inputs)).astype(np.float32)
    y, final = model(x)
    stream = fr.Stream(model, batch)
    if cut:
        stream.state = model(x[:, :cut])[1]
    for t in range(cut, 6):
        assert_same_bits(stream.step(x[:, t]), y[:, t], "y")
    assert_same_state(stream.state, final)


def test_the_state_travels_as_bytes():
    model = fr.Sequential([fr.LSTM(3, 8, 2, seed=0), fr.Linear(8, 2, seed=1)])
    x = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)
    first, second = fr.Stream(model, 2), fr.Stream(model, 2)
    for t in range(3):
        first.step(x[:, t])
    data = first.to_bytes()
    second.step(x[:, 5])
    second.from_bytes(data)
    assert second.to_bytes() == data
    for t in range(3, 6):
        assert_same_bits(second.step(x[:, t]), first.step(x[:, t]), "y")
    kept = second.to_bytes()
    for wrong in (data[:-1], data + b"x", b"", fr.Stream(fr.GRU(3, 8)).to_bytes()):
        with pytest.raises(ValueError, match="data: expected"):
            second.from_bytes(wrong)
    assert second.to_bytes() == kept


def test_in_place_and_strided():
    model = fr.GRU(4, 4, seed=0)
    x = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
    y, _ = model(x)
    stream = fr.Stream(model, 3)
    for t in range(5):
        place = x[:, t]
        assert stream.step(place, out=place) is place
        assert_same_bits(place, y[:, t], "y")


def test_weights_are_those_of_the_beginning():
    model = fr.RNN(2, 3, seed=0)
    x = np.ones((1, 2), np.float32)
    stream, expected = fr.Stream(model), fr.Stream(model).step(x)
    model.parameter_vector.fill(0)
    assert_same_bits(stream.step(x), expected, "y")
    del model
    assert stream.state.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("x", "out", "error", "message"),
    [
        ([[0.0, 0.0]], None, TypeError, "x: expected an array, got list"),
        (np.zeros((1, 2)), None, TypeError, "x: expected dtype float32, got float64"),
        (np.zeros((2, 2), "f"), None, ValueError, r"x: expected shape \(1, 2\), got \(2, 2\)"),
        (np.zeros(2, "f"), None, ValueError, r"x: expected shape \(1, 2\), got \(2,\s*\)"),
        (
            np.zeros((1, 4), "f")[:, ::2],
            None,
            ValueError,
            "x: expected the elements of the last axis",
        ),
        (np.zeros((1, 2), ">f4"), None, TypeError, "x: expected dtype float32"),
        (np.zeros((1, 2), "f"), np.zeros((1, 2), "f"), ValueError, r"out: expected shape \(1, 3\)"),
        (np.zeros((1, 2), "f"), np.zeros((1, 3)), TypeError, "out: expected dtype float32"),
    ],
)
def test_bad_arguments_leave_the_state(x, out, error, message):
    stream = fr.Stream(fr.RNN(2, 3, seed=0))
    stream.step(np.ones((1, 2), np.float32))
    before = stream.to_bytes()
    with pytest.raises(error, match=message):
        stream.step(x, out=out)
    assert stream.to_bytes() == before


def test_a_read_only_out_is_refused():
    out = np.zeros((1, 3), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out: expected a writable array"):
        fr.Stream(fr.RNN(2, 3)).step(np.ones((1, 2), np.float32), out=out)


def test_models_that_cannot_stream():
    with pytest.raises(TypeError, match="got Bidirectional"):
        fr.Stream(fr.LSTM(2, 3, bidirectional=True))
    with pytest.raises(TypeError, match="got Last"):
        fr.Stream(fr.Sequential([fr.LSTM(2, 3), fr.Last()]))
    with pytest.raises(ValueError, match="got a reversed one"):
        fr.Stream(fr.LSTM(2, 3).reversed_twin(0))
    with pytest.raises(ValueError, match="batch_size: expected"):
        fr.Stream(fr.LSTM(2, 3), 0)
    stream = fr.Stream(fr.LSTM(2, 3))
    with pytest.raises(ValueError, match="state"):
        stream.state = (np.zeros((1, 2, 3), np.float32),) * 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_standardized_inputs_and_outputs(dtype):
    layers = [
        fr.Standardize([1.0, -2.0], [0.5, 3.0], dtype=dtype),
        fr.Residual(fr.GRU(2, 2, seed=0, dtype=dtype)),
        fr.Linear(2, 3, seed=1, dtype=dtype),
    ]
    model = fr.Sequential([fr.Sequential(layers), fr.Standardize([7] * 3, [0.1] * 3, dtype=dtype)])
    x = np.random.default_rng(0).standard_normal((2, 6, 2)).astype(dtype)
    kept, stream = x.copy(), fr.Stream(model, batch_size=2)
    y = np.stack([stream.step(x[:, t]) for t in range(6)], axis=1)
    assert_same_bits(y, model(x)[0], "y")
    assert_same_bits(x, kept, "x")
    out = np.empty((2, 3), dtype)
    stream.reset()
    assert stream.step(x[:, 0], out) is out
    assert_same_bits(out, y[:, 0], "out")
    with pytest.raises(ValueError, match="x: expected shape"):
        stream.step(x[:1, 0])
    with pytest.raises(TypeError, match="x: expected dtype"):
        stream.step(x[:, 0].astype("float64" if dtype == "float32" else "float32"))


def test_standardizations_that_cannot_stream():
    middle = [fr.GRU(2, 2), fr.Standardize([0.0] * 2, [1.0] * 2), fr.Linear(2, 1)]
    with pytest.raises(TypeError, match="got one between them"):
        fr.Stream(fr.Sequential(middle))
    inner = fr.Sequential([fr.Standardize([0.0] * 2, [1.0] * 2), fr.GRU(2, 2)])
    with pytest.raises(TypeError, match="Residual without Standardize"):
        fr.Stream(fr.Residual(inner))
    with pytest.raises(ValueError, match="expected a Standardize of 2 features, got 1"):
        fr.Stream(fr.Sequential([fr.Standardize([0.0], [1.0]), fr.GRU(2, 2)]))


def test_streams_of_one_model_in_several_threads():
    model = fr.LSTM(8, 64, seed=0)
    x = np.random.default_rng(0).standard_normal((4, 50, 8)).astype(np.float32)
    y, _ = model(x)
    results = [None] * 4

    def run(row):
        stream = fr.Stream(model)
        results[row] = np.stack([stream.step(x[row : row + 1, t]) for t in range(50)], axis=1)

    threads = [threading.Thread(target=run, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_bits(np.concatenate(results), y, "y")


def test_two_threads_in_one_stream_are_told():
    model = fr.LSTM(256, 512, seed=0)
    stream = fr.Stream(model, 256)  # a step takes milliseconds
    x = np.zeros((256, 256), np.float32)
    told, stop = [], threading.Event()

    def run():
        out = np.empty((256, 512), np.float32)
        while not stop.is_set():
            try:
                stream.step(x, out=out)
            except RuntimeError as error:
                told.append(str(error))
                stop.set()

    pair = [threading.Thread(target=run) for _ in range(2)]
    for thread in pair:
        thread.start()
    stop.wait(30)
    stop.set()
    for thread in pair:
        thread.join()
    assert set(told) == {"stream: expected one caller at a time, got two threads"}
