"""Compositions against the same thing done by hand."""

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_near, assert_same_bits

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 7, 3)).astype(np.float32)  # asymmetric in time
LENGTHS = np.array([7, 3, 0, 5, 1])


def flipped(array, lengths):
    """Reverse the valid steps of each row, by hand."""
    result = np.zeros_like(array)
    for n, steps in enumerate(lengths):
        for t in range(steps):
            result[n, t] = array[n, steps - 1 - t]
    return result


MERGES = {
    "concat": lambda f, r: np.concatenate([f, r], axis=2),
    "sum": lambda f, r: f + r,
    "mean": lambda f, r: (f + r) * np.float32(0.5),
    "product": lambda f, r: f * r,
}


@pytest.mark.parametrize("merge", MERGES)
def test_bidirectional_is_two_layers_with_flips_by_hand(merge):
    layer = fr.Bidirectional(fr.LSTM(3, 4, seed=0), merge, seed=1)
    forward = fr.LSTM(3, 4, seed=0)
    backward = fr.LSTM(3, 4, seed=2)
    for name, view in backward.parameters.items():
        view[...] = layer.parameters[f"reverse.{name}"]
        assert (view != forward.parameters[name]).all()
    y, (state_f, state_r) = layer(X, lengths=LENGTHS)
    y_f, expected_f = forward(X, lengths=LENGTHS)
    y_r, expected_r = backward(flipped(X, LENGTHS), lengths=LENGTHS)
    y_r = flipped(y_r, LENGTHS)
    expected = MERGES[merge](y_f, y_r)
    assert_same_bits(y, expected, "y")
    assert_same_bits(layer.forward(X, lengths=LENGTHS)[0], expected, "y of forward")
    for run in (layer, layer.forward):
        out = np.full((5, 9, expected.shape[2] + 3), 7, np.float32)
        got = run(X, lengths=LENGTHS, out=out[:, 1:-1, 2:-1])[0]
        assert_same_bits(got, expected, "y in a place given")
        assert_same_bits(out[:, 1:-1, 2:-1], expected, "the place given")
        assert (out[:, [0, -1]] == 7).all()
        assert (out[..., [0, 1, -1]] == 7).all()
    for got, part in zip((*state_f, *state_r), (*expected_f, *expected_r), strict=True):
        assert_same_bits(got, part, "final state")


@pytest.mark.parametrize("merge", MERGES)
def test_padding_of_dy_is_not_read(merge):
    layer = fr.Bidirectional(fr.GRU(3, 4, seed=0), merge, seed=1)
    y, _, tape = layer.forward(X, lengths=LENGTHS)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    dx, dstate = layer.backward(tape, dy)
    kept = layer.gradient_vector.copy()
    for odd in (np.nan, np.inf):
        for n, steps in enumerate(LENGTHS):
            dy[n, steps:] = odd
        layer.zero_grad()
        _, _, tape = layer.forward(X, lengths=LENGTHS)
        got, got_state = layer.backward(tape, dy)
        assert_same_bits(got, dx, "dx")
        assert_same_bits(got_state[1], dstate[1], "dstate")
        assert_same_bits(layer.gradient_vector, kept, "gradients")


def test_options_build_the_same_objects_as_composition():
    built = fr.GRU(3, 4, 2, bidirectional=True, seed=0)
    first, second = (
        fr.Bidirectional(RecurrentLayer("gru", size, 4, seed=0), seed=0) for size in (3, 8)
    )
    composed = fr.Stacked([first, second])
    composed.parameter_vector[...] = built.parameter_vector
    y, h = built(X, lengths=LENGTHS)
    y_composed, states = composed(X, lengths=LENGTHS)
    assert_same_bits(y, y_composed, "y")
    flat = [part for pair in states for part in pair]
    assert_same_bits(h, np.stack(flat), "final state")


def test_a_bad_argument_of_one_direction_changes_nothing():
    layer = fr.Bidirectional(RecurrentLayer("gru", 3, 4, seed=0), seed=1)
    good, bad = np.ones((5, 4), np.float32), np.ones((5, 3), np.float32)
    out = np.full((5, 7, 8), 7, np.float32)
    for run in (layer, layer.forward):
        for state in ((good, bad), (bad, good)):
            with pytest.raises(ValueError, match=r"state: expected shape \(N, H\)"):
                run(X, state, lengths=LENGTHS, out=out)
            assert (out == 7).all()
    y, _, tape = layer.forward(X, (good, good), lengths=LENGTHS)
    for dstate in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match=r"dstate: expected shape \(N, H\)"):
            layer.backward(tape, y, dstate)
        assert not layer.gradient_vector.any()
    layer.backward(tape, y, (good, good))  # still of use
    assert layer.gradient_vector.any()


def test_stacked_is_one_layer_after_the_other():
    lower, upper = fr.GRU(3, 6, seed=0), fr.LSTM(6, 4, seed=1)
    y_lower, h = lower(X, lengths=LENGTHS)
    y, state = upper(y_lower, lengths=LENGTHS)
    stack = fr.Stacked([lower, upper])
    y_stack, (h_stack, state_stack) = stack(X, lengths=LENGTHS)
    assert_same_bits(y_stack, y, "y")
    assert_same_bits(h_stack, h, "state of the lower layer")
    assert_same_bits(state_stack[0], state[0], "state of the upper layer")


def test_a_reversed_stack_is_the_stack_on_flipped_input():
    stack = fr.LSTM(3, 4, 2, seed=0)
    twin = stack.reversed_twin(seed=1)
    twin.parameter_vector[...] = stack.parameter_vector
    y = twin(X, lengths=LENGTHS)[0]
    assert_same_bits(y, flipped(stack(flipped(X, LENGTHS), lengths=LENGTHS)[0], LENGTHS), "y")
    assert not twin.reversed_twin(seed=2).reverse


def test_last_of_a_bidirectional_layer_is_its_final_states():
    layer = fr.LSTM(3, 4, bidirectional=True, seed=0)
    y, (h, _) = layer(X, lengths=LENGTHS)
    pooled, _ = fr.Last(bidirectional=True)(y, lengths=LENGTHS)
    assert_same_bits(pooled, np.concatenate([h[0], h[1]], axis=1), "final states")


def test_pooling_reads_valid_steps_only():
    x = X.copy()
    for n, steps in enumerate(LENGTHS):
        x[n, steps:] = np.nan
    last, _ = fr.Last()(x, lengths=LENGTHS)
    mean, _ = fr.MeanPool()(x, lengths=LENGTHS)
    for n, steps in enumerate(LENGTHS):
        if steps:
            assert_same_bits(last[n], x[n, steps - 1], "last")
            assert_near(mean[n], x[n, :steps].mean(axis=0), "mean")
        else:
            assert not last[n].any()
            assert not mean[n].any()
    for layer in (fr.Last, fr.MeanPool):
        time_first, _ = layer(batch_first=False)(x.swapaxes(0, 1), lengths=LENGTHS)
        assert_same_bits(time_first, layer()(x, lengths=LENGTHS)[0], "time first")


def test_pooling_no_steps_gives_zeros():
    for layer in (fr.Last(), fr.Last(bidirectional=True), fr.MeanPool()):
        y, _, tape = layer.forward(np.zeros((2, 0, 4), np.float32))
        assert not y.any()
        assert layer.backward(tape, y)[0].shape == (2, 0, 4)


def test_sequential_passes_lengths_while_time_lasts():
    model = fr.Sequential(
        [
            fr.Linear(3, 4, seed=0),
            fr.GRU(4, 5, seed=1),
            fr.Linear(5, 6, seed=2),
            fr.Last(),
            fr.Linear(6, 2, seed=3),
        ]
    )
    padded = X.copy()
    for n, steps in enumerate(LENGTHS):
        padded[n, steps:] = np.nan
    y, state = model(padded, lengths=LENGTHS)
    assert np.isfinite(y).all()
    assert [part is None for part in state] == [True, False, True, True, True]
    for n, steps in enumerate(LENGTHS):
        if steps:
            assert_same_bits(model(X[n : n + 1, :steps])[0][0], y[n], "a row alone")


def test_a_state_carries_a_sequential_over_chunks():
    model = fr.Sequential([fr.LSTM(3, 5, 2, seed=0), fr.Linear(5, 2, seed=1)])
    whole, _ = model(X)
    first, state = model(X[:, :3])
    second, _ = model(X[:, 3:], state)
    assert_same_bits(np.concatenate([first, second], axis=1), whole, "y")


def test_a_layer_belongs_to_one_composition():
    layer = fr.GRU(3, 3, seed=0)
    with pytest.raises(ValueError, match=r"layers\[1\].*of its own"):
        fr.Stacked([layer, layer])
    before = layer.parameter_vector.copy()
    model = fr.Sequential([layer])
    assert_same_bits(model.parameter_vector, before, "values move along")
    with pytest.raises(ValueError, match="already part of a model"):
        fr.Sequential([layer])
