"""What options do to outputs, states and gradients, told without a second implementation."""

from itertools import pairwise

import numpy as np
import pytest

import fastrnn as fr
from cases import draw, network, state_of
from fastrnn import ops
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import (
    TOLERANCES,
    assert_near,
    assert_same_bits,
    check_gradients,
    leaves,
    like,
)

N, T, INPUTS, H = 4, 9, 3, 5
CELLS_WITH_MATRIX = [cell for cell in ops.CELLS if ops.CELLS[cell].has_recurrent_matrix]
CELLS_WITH_C = [cell for cell in ops.CELLS if ops.CELLS[cell].has_cell_state]


def row(state, n):
    return like(state, lambda array: array[n : n + 1])


# ---- resets ----


def by_pieces(layer, x, state, reset, length):
    """Run one row piece by piece between resets; return y and the final state."""
    y = np.zeros((1, T, H), x.dtype)
    cuts = [0, *(t for t in range(1, length) if reset[t]), length]
    pieces = list(pairwise(cuts)) if length else []
    if layer.reverse:
        pieces.reverse()
    elif length and reset[0]:
        state = None
    for k, (start, stop) in enumerate(pieces):
        part, state = layer(x[:, start:stop], state if k == 0 else None)
        y[:, start:stop] = part
    return y, state  # in reverse as step 0 leaves it: no step follows behind its boundary


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_a_reset_begins_anew(cell, reverse):
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, INPUTS, H, reverse=reverse, seed=0)
    x, state, _, _ = draw(cell, (N, T, INPUTS, H), "float32", rng)
    lengths = np.array([T, 0, 4, 7])
    reset = rng.random((N, T)) < 0.4
    reset[0, 0], reset[2, 0] = True, False
    reset[3, 7:] = True  # behind the end: nothing crosses there
    for run in (layer, layer.forward):
        y, final, *_ = run(x, state, lengths=lengths, reset=reset)
        for n in range(N):
            expected, last = by_pieces(
                layer, x[n : n + 1], row(state, n), reset[n], int(lengths[n])
            )
            if lengths[n] == 0:
                last = row(state, n)
            assert_same_bits(y[n : n + 1], expected, f"y of row {n}")
            for got, wanted in zip(leaves(row(final, n)), leaves(last), strict=True):
                assert_same_bits(got, wanted, f"state of row {n}")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_no_gradient_crosses_a_reset(cell, reverse):
    rng = np.random.default_rng(1)
    layer = RecurrentLayer(cell, 2, 3, reverse=reverse, dtype="float64", seed=0)
    layer.parameters["bias_ih"][...] += 1  # relu is not dead
    reset = np.zeros((3, 5), bool)
    reset[0, 3] = reset[1, 1] = reset[1, 2] = True
    x = rng.standard_normal((3, 5, 2))
    state = like(layer(x)[1], lambda array: 0.5 * rng.standard_normal(array.shape))
    check = check_gradients(layer, x, state, lengths=[5, 4, 0], reset=reset, seed=2)
    assert 0 < check.error < TOLERANCES["gradient"][0], check
    y, _, tape = layer.forward(x, state, reset=reset)
    dy = np.zeros_like(y)
    dy[0, 0 if reverse else 4] = 1.0  # the last step that is run
    dx, dstate = layer.backward(tape, dy)
    crossed = dx[0, 3:] if reverse else dx[0, :3]
    assert dx.any()
    assert not crossed.any()
    assert not any(part[0].any() for part in leaves(dstate))


# ---- masks ----


@pytest.mark.parametrize("cell", CELLS_WITH_MATRIX)
def test_a_recurrent_mask_is_a_mask_of_columns(cell):
    rng = np.random.default_rng(2)
    layer, plain = RecurrentLayer(cell, INPUTS, H, seed=0), RecurrentLayer(cell, INPUTS, H, seed=0)
    x, state, dy, _ = draw(cell, (N, T, INPUTS, H), "float32", rng)
    mask = rng.integers(0, 2, (N, H)).astype(np.float32) * 2
    y, final, tape = layer.forward(x, state, masks=ops.Masks(recurrent=mask))
    dx, dstate = layer.backward(tape, dy)
    weight, total = plain.parameters["weight_hh"].copy(), 0
    for n in range(N):
        plain.parameters["weight_hh"][...] = weight * mask[n]
        y_plain, final_plain, tape = plain.forward(x[n : n + 1], row(state, n))
        assert_near(y[n : n + 1], y_plain, "y")
        for got, wanted in zip(leaves(row(final, n)), leaves(final_plain), strict=True):
            assert_near(got, wanted, "state")
        plain.gradients["weight_hh"].fill(0)
        dx_plain, dstate_plain = plain.backward(tape, dy[n : n + 1])
        assert_near(dx[n : n + 1], dx_plain, "dx")
        for got, wanted in zip(leaves(row(dstate, n)), leaves(dstate_plain), strict=True):
            assert_near(got, wanted, "dstate")
        total = total + plain.gradients["weight_hh"] * mask[n]
    assert_near(layer.gradients["weight_hh"], total, "weight_hh")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_zoneout_masks_keep_or_renew_each_number(cell):
    rng = np.random.default_rng(3)
    layer = RecurrentLayer(cell, INPUTS, H, seed=0)
    x, state, _, _ = draw(cell, (N, T, INPUTS, H), "float32", rng)
    h0 = next(leaves(state))
    masks = [np.ones((N, T, H), np.float32) for _ in leaves(state)]
    y, final, _ = layer.forward(x, state, masks=ops.Masks(None, None, *masks))
    assert_same_bits(y, np.repeat(h0[:, None], T, axis=1), "y where all is kept")
    for got, wanted in zip(leaves(final), leaves(state), strict=True):
        assert_same_bits(got, wanted, "state where all is kept")
    y_plain, final_plain = layer(x, state)
    y, final, _ = layer.forward(x, state, masks=ops.Masks(None, None, *(0 * m for m in masks)))
    assert_near(y, y_plain, "y where nothing is kept")
    for got, wanted in zip(leaves(final), leaves(final_plain), strict=True):
        assert_near(got, wanted, "state where nothing is kept")
    some = rng.integers(0, 2, (N, 1, H)).astype(np.float32)
    y, _, _ = layer.forward(x[:, :1], state, masks=ops.Masks(zoneout_h=some))
    assert_near(y, np.where(some, h0[:, None], y_plain[:, :1]), "y after one step")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_zoneout_is_its_expectation_at_inference(cell):
    x, state, _, _ = draw(cell, (N, 1, INPUTS, H), "float64", np.random.default_rng(4))
    layer = network(cell, INPUTS, H, zoneout_h=0.3, dtype="float64", seed=0)
    plain = network(cell, INPUTS, H, dtype="float64", seed=0)
    state = like(state, lambda array: array[np.newaxis])
    expected = 0.3 * next(leaves(state))[0][:, None] + 0.7 * plain(x, state)[0]
    assert_near(layer(x, state)[0], expected, "y")


# ---- one step by hand ----

BY_HAND = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "hard_sigmoid": lambda a: np.clip(0.2 * a + 0.5, 0, 1),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "softsign": lambda a: a / (1 + np.abs(a)),
    "identity": lambda a: a,
}


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("nonlinearity", ops.ACTIVATIONS)
def test_activations_of_an_rnn(nonlinearity, independent, clip):
    rng = np.random.default_rng(5)
    layer = fr.RNN(
        INPUTS, H, nonlinearity=nonlinearity, independent=independent, activation_clip=clip,
        recurrent_bias=False, dtype="float64", seed=0,
    )  # fmt: skip
    x, h = 3 * rng.standard_normal((N, 1, INPUTS)), rng.standard_normal((1, N, H))
    w, r, b = layer.parameters.values()
    a = x[:, 0] @ w.T + b + (r * h[0] if independent else h[0] @ r.T)
    a = a if clip is None else np.clip(a, -clip, clip)
    assert_near(layer(x, h)[0][:, 0], BY_HAND[nonlinearity](a), "y")


@pytest.mark.parametrize("coupled", [False, True])
def test_activations_clips_and_projection_of_an_lstm(coupled):
    rng = np.random.default_rng(6)
    names = {"gate": "hard_sigmoid", "candidate": "softsign", "output": "identity"}
    layer = fr.LSTM(
        INPUTS, H, coupled_gates=coupled, proj_size=2, cell_clip=0.4, activation_clip=1.5,
        dtype="float64", seed=0, **{f"{k}_activation": name for k, name in names.items()},
    )  # fmt: skip
    gate, candidate, output = (BY_HAND[name] for name in names.values())
    x = 3 * rng.standard_normal((N, 1, INPUTS))
    h, c = rng.standard_normal((1, N, 2)), rng.standard_normal((1, N, H))
    w, r, b, b_hh, projection = layer.parameters.values()
    a = np.clip(x[:, 0] @ w.T + b + h[0] @ r.T + b_hh, -1.5, 1.5)
    i, *f, g, o = np.split(a, len(a[0]) // H, axis=1)
    keep = 1 - gate(i) if coupled else gate(f[0])
    unclipped = keep * c[0] + gate(i) * candidate(g)
    new = np.clip(unclipped, -0.4, 0.4)
    assert (np.abs(unclipped) > 0.4).any()
    y, (h_n, c_n) = layer(x, (h, c))
    assert_near(c_n[0], new, "c")
    assert_near(y[:, 0], (gate(o) * output(new)) @ projection.T, "y")
    assert_near(h_n[0], y[:, 0], "h")


# ---- gradients ----

#: Options, and which cells have them.
DIFFERENTIABLE = {
    "recurrent_dropout": ({"recurrent_dropout": 0.4}, ops.CELLS),
    "zoneout_h": ({"zoneout_h": 0.4}, ops.CELLS),
    "zoneout_c": ({"zoneout_h": 0.2, "zoneout_c": 0.4}, CELLS_WITH_C),
    "drop_connect": ({"drop_connect": 0.4}, CELLS_WITH_MATRIX),
    "input_dropout": ({"input_dropout": 0.4, "variational": True}, ops.CELLS),
    "layer_norm": ({"layer_norm": True}, ops.CELLS),
    "activation_clip": ({"activation_clip": 0.4}, ops.CELLS),
    "cell_clip": ({"cell_clip": 0.2}, CELLS_WITH_C),
    "proj_size": ({"proj_size": 2}, CELLS_WITH_C),
    "recurrent_bias": ({"recurrent_bias": False}, ops.CELLS),
    "proj_size, layer_norm, masks": (
        {"proj_size": 4, "layer_norm": True, "recurrent_dropout": 0.3, "zoneout_h": 0.3,
         "zoneout_c": 0.3, "drop_connect": 0.3, "bidirectional": True},
        CELLS_WITH_C,
    ),
}  # fmt: skip
# Two cells for each, in turn: test_options and test_network_pairs walk over all of them.
CASES = [
    (name, tuple(cells)[(i + k) % len(tuple(cells))])
    for i, (name, (_, cells)) in enumerate(DIFFERENTIABLE.items())
    for k in (0, len(tuple(cells)) // 2)
]


@pytest.mark.parametrize(("name", "cell"), CASES)
def test_gradients(name, cell):
    rng = np.random.default_rng(7)
    options, _ = DIFFERENTIABLE[name]
    # Few units are nearly equal at times, where normalisation bends more than differences can see.
    inputs, hidden = (4, 6) if "layer_norm" in options else (2, 3)
    layer = network(cell, inputs, hidden, 2, dtype="float64", seed=2, **options)
    x = rng.standard_normal((3, 4, inputs))
    reset = rng.random((3, 4)) < 0.2
    state = like(layer(x)[1], lambda array: 0.5 * rng.standard_normal(array.shape))
    step = 2e-6 if "layer_norm" in options else 1e-5
    check = check_gradients(layer, x, state, lengths=[4, 0, 3], reset=reset, seed=1, step=step)
    assert 0 < check.error < TOLERANCES["gradient"][0], check


@pytest.mark.parametrize("limit", ["gradient_clip_value", "gradient_clip_norm"])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_gradients_of_states_are_limited_at_every_step(cell, limit):
    rng = np.random.default_rng(8)
    layer = network(cell, INPUTS, H, dtype="float64", seed=0, **{limit: 1e-3})
    plain = network(cell, INPUTS, H, dtype="float64", seed=0)
    x = rng.standard_normal((N, T, INPUTS))
    zeros = np.zeros((1, N, H))
    state = state_of(cell, zeros, zeros)
    y, _, tape = layer.forward(x, state)
    assert_same_bits(y, plain(x, state)[0], "y")
    dx, dstate = layer.backward(tape, np.ones_like(y))
    _, _, tape = plain.forward(x, state)
    dx_plain, _ = plain.backward(tape, np.ones_like(y))
    both = np.concatenate(list(leaves(dstate)), axis=2)[0]  # a row's dh and dc
    size = np.abs(both) if limit == "gradient_clip_value" else np.linalg.norm(both, axis=1)
    assert size.max() == pytest.approx(1e-3, rel=1e-6)
    assert_same_bits(dx[:, -1], dx_plain[:, -1], "dx of the last step")
    assert (dx[:, :-1] != dx_plain[:, :-1]).any()
