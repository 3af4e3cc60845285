"""Checkpointed layers: bit for bit the layer by itself, within the bytes that were promised."""

import pickle
import re
import tracemalloc

import numpy as np
import pytest

import fastrnn as fr
from cases import draw
from fastrnn import ops
from fastrnn.checkpointing import CHUNK_ROWS
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import (
    TOLERANCES,
    assert_near,
    assert_same_bits,
    check_gradients,
    leaves,
    like,
    random_lengths,
)

RNG = np.random.default_rng(0)


def least_budget(make, batch, steps):
    """Return the least budget, which the error message of one byte names."""
    with pytest.raises(ValueError, match="memory_budget: expected at least") as caught:
        fr.Checkpointed(make(), memory_budget=1).segments(batch, steps)
    return int(re.search(r"at least (\d+) bytes", str(caught.value))[1])


def checkpointed(make, batch, steps, segments=3):
    """Return the layer of `make` with a budget that makes at least so many segments."""
    layer = fr.Checkpointed(make(), memory_budget=least_budget(make, batch, steps))
    assert len(layer.segments(batch, steps)) >= segments
    return layer


def assert_same_pass(layer, plain, x, state=None, dstate=None, lengths=None):
    """Compare one training step of two layers with the same weights."""
    rng = np.random.default_rng(1)
    assert_same_bits(layer.parameter_vector, plain.parameter_vector, "parameters")
    kept = like(state, np.copy)
    y, final, tape = layer.forward(x, kept, lengths=lengths)
    for part in leaves(kept):  # forward has copied it
        part.fill(np.nan)
    y_plain, final_plain, tape_plain = plain.forward(x, state, lengths=lengths)
    dy = rng.standard_normal(y.shape).astype(y.dtype)
    dx, dinitial = layer.backward(tape, dy, dstate)
    dx_plain, dinitial_plain = plain.backward(tape_plain, dy, dstate)
    assert_same_bits(y, y_plain, "y")
    assert_same_bits(dx, dx_plain, "dx")
    for got, wanted in zip(leaves((final, dinitial)), leaves((final_plain, dinitial_plain)),
                           strict=True):  # fmt: skip
        assert_same_bits(got, wanted, "states and their gradients")
    assert plain.gradient_vector.any()
    same = assert_near if lengths is not None else assert_same_bits
    for name, gradient in plain.gradients.items():
        same(layer.gradients[name], gradient, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_it_is_the_layer_by_itself(cell, ragged, reverse, dtype):
    rng = np.random.default_rng(2)
    for batch, steps in ((1, 900), (7, 150), (300, 5)):

        def make():
            return RecurrentLayer(cell, 3, 5, reverse=reverse, dtype=dtype, seed=0)

        x, state, _, dstate = draw(cell, (batch, steps, 3, 5), dtype, rng)
        lengths = random_lengths(rng, batch, steps) if ragged else None
        if ragged:
            for n, valid in enumerate(lengths):
                x[n, valid:] = np.nan
        layer = checkpointed(make, batch, steps)
        assert_same_pass(layer, make(), x, state, dstate, lengths)


@pytest.mark.parametrize("make", [
    lambda: fr.LSTM(3, 5, 2, dtype="float64", seed=0),
    lambda: fr.GRU(3, 5, 2, batch_first=False, dtype="float64", seed=0),
    lambda: fr.LSTM(3, 5, reverse=True, batch_first=False, dtype="float64", seed=0),
    lambda: fr.Stacked([fr.GRU(3, 4, dtype="float64", seed=0), fr.LSTM(4, 5, dtype="float64")]),
])  # fmt: skip
def test_stacks_are_checkpointed_as_a_whole(make):
    plain = make()
    layer = checkpointed(make, 4, 300)
    layer.parameter_vector[...] = plain.parameter_vector
    x = RNG.standard_normal((300, 4, 3))
    x = x if not layer.batch_first else x.swapaxes(0, 1)
    assert_same_pass(layer, plain, x)
    assert_same_pass(layer, plain, x, lengths=[300, 0, 17, 111])


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_each_direction_is_checkpointed_by_itself(merge):
    def make():
        return fr.LSTM(3, 5, dtype="float64", seed=0)

    layer = fr.Bidirectional(checkpointed(make, 2, 600), merge, seed=1)
    plain = fr.Bidirectional(make(), merge, seed=1)
    plain.parameter_vector[...] = layer.parameter_vector
    assert len(layer.reverse_layer.segments(2, 600)) >= 3
    x = RNG.standard_normal((2, 600, 3))
    assert_same_pass(layer, plain, x)
    assert_same_pass(layer, plain, x, lengths=[600, 222])


def test_in_a_model_below_and_above_other_layers():
    def make(checkpoint):
        layers = [fr.GRU(4, 5, seed=1), fr.LSTM(5, 6, seed=2)]
        if checkpoint:
            budgets = [least_budget(lambda n=n: fr.LSTM(n, n + 1), 3, 400) for n in (4, 5)]
            layers = [
                fr.Checkpointed(layer, memory_budget=budget)
                for layer, budget in zip(layers, budgets, strict=True)
            ]
        return fr.Sequential([fr.Linear(3, 4, seed=0), fr.Stacked(layers), fr.Linear(6, 2, seed=3)])

    assert_same_pass(
        make(True), make(False), RNG.standard_normal((3, 400, 3)).astype(np.float32),
        lengths=[400, 3, 250],
    )  # fmt: skip
    assert list(make(True).parameters) == list(make(False).parameters)


@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_with_dropout_are_those_of_the_same_masks(ragged):
    def make():
        return fr.LSTM(2, 3, 2, dropout=0.4, dtype="float64", seed=0)

    layer = checkpointed(make, 64, 9)
    lengths = random_lengths(RNG, 64, 9) if ragged else None
    check = check_gradients(layer, 0.5 * RNG.standard_normal((64, 9, 2)), lengths=lengths)
    assert 0 < check.error < TOLERANCES["gradient"][0], check


def test_segments_are_whole_chunks_and_the_last_one_run_is_long():
    for reverse in (False, True):
        layer = fr.Checkpointed(fr.LSTM(16, 32, reverse=reverse), memory_budget=4_000_000)
        for batch, steps in ((1, 30_000), (3, 5000), (100, 333)):
            times = layer.segments(batch, steps)
            running = [(steps - b, steps - a) for a, b in times] if reverse else times
            starts, stops = zip(*running, strict=True)
            assert starts == (0, *stops[:-1])
            assert stops[-1] == steps
            assert len(times) > 1
            chunk = CHUNK_ROWS // batch
            sizes = [-(-(b - a) // chunk) for a, b in running]
            assert all(start % chunk == 0 for start in starts)
            assert sizes[0] <= sizes[1] == max(sizes) == sizes[-1]


def test_what_fits_is_one_segment_bit_for_bit_with_its_weight_gradients():
    plain = fr.LSTM(3, 5, seed=0)
    whole = plain.training_bytes(2, 600)
    layer = fr.Checkpointed(fr.LSTM(3, 5, seed=0), memory_budget=whole)
    assert layer.segments(2, 600) == [(0, 600)]
    x = RNG.standard_normal((2, 600, 3)).astype(np.float32)
    assert_same_pass(layer, plain, x)
    assert_same_bits(layer.gradient_vector, plain.gradient_vector, "weight gradients")
    smaller = fr.Checkpointed(fr.LSTM(3, 5, seed=0), memory_budget=whole - 1)
    assert len(smaller.segments(2, 600)) > 1
    assert smaller.segments(2, 600, [300, 5]) == [(0, 600)]  # by the sum of the lengths
    assert smaller.training_bytes(2, 600) == whole - 1


@pytest.mark.parametrize("make", [
    lambda: fr.LSTM(16, 32, seed=0),
    lambda: fr.GRU(16, 32, 3, dropout=0.2, seed=0),
])  # fmt: skip
def test_the_budget_is_kept(make, monkeypatch):
    monkeypatch.undo()  # what the other tests fill with NaN costs memory of its own
    steps = 20_000
    plain = make().training_bytes(1, steps)
    x = np.ones((1, steps, 16), np.float32)
    dy = np.ones((1, steps, 32), np.float32)
    least = least_budget(make, 1, steps)
    assert least < plain / 15
    for budget in (least, plain // 10, plain // 2):
        layer = fr.Checkpointed(make(), memory_budget=budget)
        tracemalloc.start()
        try:
            y, _, tape = layer.forward(x)
            dx, _ = layer.backward(tape, dy)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Packed weights and what Python objects take are not in the budget.
        used = peak - y.nbytes - dx.nbytes - 4 * layer.parameter_vector.nbytes
        assert 0.7 * budget < used <= budget + 200_000


def test_one_tape_is_used_for_all_segments_and_steps():
    layer = checkpointed(lambda: RecurrentLayer("gru", 3, 5, seed=0), 1, 2000, segments=4)
    taken = []
    pool = layer.layer._buffers.tapes
    take = pool.take
    pool.take = lambda size: taken.append(take(size)) or taken[-1]
    x = np.ones((1, 2000, 3), np.float32)
    for _ in range(3):
        y, _, tape = layer.forward(x)
        layer.backward(tape, y)
    assert len(taken) == 3 * (2 * len(layer.segments(1, 2000)) - 1)
    assert len({buffer.ctypes.data for buffer in taken}) <= 2  # a short one is outgrown once
    assert len(pool._free) == 1


def test_no_input_gradient_is_made_where_none_is_wanted():
    layer = checkpointed(lambda: fr.GRU(3, 5, seed=0), 1, 2000)
    y, _, tape = layer.forward(np.ones((1, 2000, 3), np.float32))
    dx, dstate = layer.backward(tape, y, input_gradient=False)
    assert dx is None
    assert dstate.shape == (1, 1, 5)
    assert layer.gradient_vector.any()


def test_no_gradient_of_y_is_zero():
    layer, plain = checkpointed(lambda: fr.GRU(3, 5, seed=0), 1, 2000), fr.GRU(3, 5, seed=0)
    x, dstate = np.ones((1, 2000, 3), np.float32), np.ones((1, 1, 5), np.float32)
    results = []
    for model in (layer, plain):
        _, _, tape = model.forward(x)
        results.append(model.backward(tape, None, dstate)[0])
    assert_same_bits(results[0], results[1], "dx")


def test_empty_sequences_pass_the_state_on():
    layer = fr.Checkpointed(fr.GRU(3, 5, seed=0), memory_budget=10**6)
    state = np.ones((1, 2, 5), np.float32)
    y, final, tape = layer.forward(np.ones((2, 0, 3), np.float32), state)
    assert y.shape == (2, 0, 5)
    assert_same_bits(final, state, "state")
    _, dstate = layer.backward(tape, y, 2 * state)
    assert_same_bits(dstate, 2 * state, "dstate")


def test_a_tape_is_used_once_and_can_be_let_go():
    layer = checkpointed(lambda: fr.GRU(3, 5, seed=0), 1, 2000)
    x = np.ones((1, 2000, 3), np.float32)
    y, _, tape = layer.forward(x)
    layer.backward(tape, y)
    for use in (lambda: layer.backward(tape, y), tape.discard):
        with pytest.raises(RuntimeError, match="tape: already used"):
            use()
    _, _, tape = layer.forward(x)
    tape.discard()
    with pytest.raises(RuntimeError, match="tape: already used"):
        layer.backward(tape, y)


@pytest.mark.parametrize("make", [
    lambda: fr.LSTM(3, 4, 2, bidirectional=True, seed=0),
    lambda: fr.Sequential([fr.GRU(3, 4, seed=0), fr.Linear(4, 2, seed=1)]),
])  # fmt: skip
def test_a_discarded_tape_leaves_its_memory_to_the_next(make):
    model = make()
    x = np.ones((2, 9, 3), np.float32)
    pools = [
        part._buffers.tapes for part in fr.protocol.walk(model) if isinstance(part, RecurrentLayer)
    ]
    for given in (x, x, list(x)):
        model.forward(given)[2].discard()
        assert [len(pool._free) for pool in pools] == [1] * len(pools)


def test_bad_arguments():
    good = {"memory_budget": 10**6}
    for make, error, message in (
        (
            lambda: fr.Checkpointed(fr.Linear(3, 4), **good),
            TypeError,
            "layer: expected a recurrent",
        ),
        (lambda: fr.Checkpointed(fr.GRU(3, 4), memory_budget=0), ValueError, "memory_budget: exp"),
        (lambda: fr.Checkpointed(fr.GRU(3, 4), memory_budget=1e6), TypeError, "memory_budget: exp"),
        (
            lambda: fr.Checkpointed(fr.GRU(3, 4, bidirectional=True), **good),
            ValueError,
            r"got both directions; checkpoint each: Bidirectional\(Checkpointed\(",
        ),
        (
            lambda: fr.Checkpointed(fr.Checkpointed(fr.GRU(3, 4), **good), **good),
            TypeError,
            "got Checkpointed in it",
        ),
    ):
        with pytest.raises(error, match=message):
            make()
    layer = fr.Checkpointed(fr.GRU(3, 4), memory_budget=100)
    x = np.ones((2, 5, 3), np.float32)
    with pytest.raises(ValueError, match=r"memory_budget: .* for N, T = 2, 5, got 100"):
        layer.forward(x)
    layer = checkpointed(lambda: fr.GRU(3, 4, seed=0), 2, 600)
    x = np.ones((2, 600, 3), np.float32)
    for arguments, options, message in (
        ((x[..., :2],), {}, "x: expected I = 3"),
        ((x, np.ones((1, 3, 4), np.float32)), {}, "state: expected shape"),
        ((x,), {"lengths": [601, 3]}, r"lengths\[0\]: expected 0..T = 0..600, got 601"),
        ((x,), {"out": np.ones((2, 600, 3), np.float32)}, "out: expected shape"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.forward(*arguments, **options)
    y, _, tape = layer.forward(x)
    for dy, dstate in ((y[:, 1:], None), (y, np.ones((1, 3, 4), np.float32))):
        with pytest.raises(ValueError, match="expected shape"):
            layer.backward(tape, dy, dstate)
    assert not layer.gradient_vector.any()
    layer.parameters["weight_hh_l0"][...] *= 2
    with pytest.raises(RuntimeError, match="tape: the parameters changed since forward"):
        layer.backward(tape, y)


def test_files_copies_and_streams(tmp_path):
    layer = fr.Checkpointed(fr.LSTM(3, 5, 2, seed=0), memory_budget=10**6)
    x = RNG.standard_normal((1, 7, 3)).astype(np.float32)
    y, _ = layer(x)
    assert_same_bits(y, layer.layer(x)[0], "y")
    fr.save(layer, tmp_path / "model")
    for copy in (fr.load(tmp_path / "model"), pickle.loads(pickle.dumps(layer))):
        assert_same_bits(copy(x)[0], y, "y")
        assert copy.memory_budget == 10**6
    assert layer.to("float64")(x.astype(np.float64))[0].dtype == np.float64
    assert layer.to("bfloat16").config()["layer"]["dtype"] == "bfloat16"
    stream = fr.Stream(layer)
    assert_same_bits(np.stack([stream.step(x[:, t]) for t in range(7)], axis=1), y, "stream")
    stream.state = layer(x)[1]
    for got, wanted in zip(leaves(stream.state), leaves(layer(x)[1]), strict=True):
        assert_same_bits(got, wanted, "state")


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_the_least_budget_named_is_the_least_there_is(batch):
    steps, chunk = 3000, max(CHUNK_ROWS // batch, 1)
    with pytest.raises(ValueError, match="memory_budget: expected at least") as error:
        fr.Checkpointed(fr.LSTM(4, 64), memory_budget=1).segments(batch, steps)
    least = int(str(error.value).split("at least ")[1].split(" ")[0])
    layer = fr.LSTM(4, 64)
    state = 2 * batch * 64 * 4
    needed = [
        layer.training_bytes(batch, length)
        + batch * length * (4 + 64) * 4
        + -(-steps // length) * state
        for length in range(chunk, steps + 1, chunk)
    ]
    assert least == min(needed)
    model = fr.Checkpointed(layer, memory_budget=least)
    assert len(model.segments(batch, steps)) > 1


def test_what_needs_all_steps_at_once_is_refused():
    layer = fr.LSTM(3, 4, pad_output="repeat")
    with pytest.raises(ValueError, match='layer: expected layers with pad_output "zero"'):
        fr.Checkpointed(layer, memory_budget=10**6)
    with pytest.raises(ValueError, match='model: expected layers with pad_output "zero"'):
        list(fr.truncated_bptt(layer, np.zeros((2, 6, 3), np.float32), 2))
    with pytest.raises(TypeError, match="layer: expected a recurrent layer, got Linear"):
        fr.Checkpointed(fr.Residual(fr.Linear(3, 3)), memory_budget=10**6)


def test_lists_are_taken_as_by_the_layer_itself():
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((steps, 3)).astype(np.float32) for steps in (700, 20, 2000)]
    plain = fr.GRU(3, 5, seed=0)
    layer = fr.Checkpointed(fr.GRU(3, 5, seed=0), memory_budget=600_000)
    results = []
    for model in (plain, layer):
        y, _, tape = model.forward(x)
        results.append((*y, *model.backward(tape, y)[0]))
    for got, expected in zip(*results, strict=True):
        assert_same_bits(got, expected, "y or dx")
