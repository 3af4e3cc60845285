"""What is drawn at random in training: masks by seed, row and step; DropConnect and dropout."""

import re

import numpy as np
import pytest

import fastrnn as fr
from cases import network
from fastrnn import masks, ops
from fastrnn.recurrent import RecurrentLayer
from fastrnn.serialization import from_config
from fastrnn.testing import TOLERANCES, assert_near, assert_same_bits, check_gradients, leaves

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6, 3)).astype(np.float32)


# ---- masks ----


def drawn(layer, x=X, seed=5, **more):
    """Return the masks that one forward pass of a single layer draws, and that of its weights."""
    layer.reseed(np.random.default_rng(seed))
    _, _, tape = layer.forward(x, **more)
    kept = tape.content(layer)
    return kept.record.masks, kept.dropped


def noisy(cell="lstm", **more):
    zoneout = {"zoneout_h": 0.5}
    zoneout |= {"zoneout_c": 0.25} if ops.CELLS[cell].has_cell_state else {}
    options = {"options": zoneout, "recurrent_dropout": 0.5, "drop_connect": 0.2}
    return RecurrentLayer(cell, 3, 5, **({"seed": 0} | options | more))


def test_masks_follow_from_the_seed():
    layer = noisy()
    first, weights = drawn(layer)
    assert first.resets is None
    assert first.recurrent.shape == (4, 5)
    assert first.zoneout_h.shape == first.zoneout_c.shape == (4, 6, 5)
    assert set(np.unique(first.recurrent)) == {0.0, 2.0}
    assert set(np.unique(first.zoneout_h)) == set(np.unique(first.zoneout_c)) == {0.0, 1.0}
    assert set(np.unique(weights)) == {0.0, np.float32(1.25)}
    assert weights.shape == (20, 5)
    again, same_weights = drawn(noisy(seed=9))
    for mask, other in zip((*first[1:], weights), (*again[1:], same_weights), strict=True):
        assert_same_bits(mask, other, "masks of one seed")
    other, other_weights = drawn(layer, seed=6)
    assert not np.array_equal(other.zoneout_h, first.zoneout_h)
    assert not np.array_equal(other_weights, weights)
    _, _, tape = layer.forward(X)  # the generator has moved on
    assert not np.array_equal(tape.content(layer).record.masks.zoneout_h, other.zoneout_h)
    assert not np.array_equal(first.zoneout_h, first.zoneout_c)


def test_masks_are_drawn_from_one_key_by_stream_row_and_step():
    layer = noisy(dtype="float64")
    got, weights = drawn(layer, X.astype(float))
    key = int(np.random.default_rng(5).integers(2**64, dtype=np.uint64))
    sizes = (4, 6, 5)
    assert_same_bits(got.zoneout_h, masks.bernoulli(key, 1, *sizes, 0.5, dtype="float64"), "h")
    assert_same_bits(got.zoneout_c, masks.bernoulli(key, 2, *sizes, 0.25, dtype="float64"), "c")
    recurrent = masks.bernoulli(key, 0, 4, 1, 5, 0.5, scale=2.0, dtype="float64")
    assert_same_bits(got.recurrent, recurrent[:, 0], "recurrent")
    connect = masks.bernoulli(key, 3, 20, 1, 5, 0.8, scale=1.25, dtype="float64")
    assert_same_bits(weights, connect[:, 0], "drop_connect")


def test_shares_of_masks_are_the_probabilities():
    layer = RecurrentLayer(
        "lstm", 3, 64, options={"zoneout_h": 0.1, "zoneout_c": 0.7}, recurrent_dropout=0.3,
        drop_connect=0.6,
    )  # fmt: skip
    got, weights = drawn(layer, np.zeros((40, 10, 3), np.float32))
    for mask, share in (
        (got.zoneout_h, 0.1), (got.zoneout_c, 0.7), (got.recurrent > 0, 0.7), (weights > 0, 0.4),
    ):  # fmt: skip
        # Five standard deviations of the mean of independent draws.
        assert abs(mask.mean() - share) < 5 * np.sqrt(share * (1 - share) / mask.size)


def test_nothing_is_drawn_without_need():
    rng = np.random.default_rng(3)
    layer = fr.LSTM(3, 5, 2, seed=0)
    layer.reseed(rng)
    before = rng.bit_generator.state
    layer.forward(X)
    assert rng.bit_generator.state == before
    layer = noisy()
    layer.reseed(rng)
    layer(X)  # inference
    assert rng.bit_generator.state == before
    layer.forward(X)
    assert rng.bit_generator.state != before
    assert drawn(RecurrentLayer("gru", 3, 5)) == (None, None)


def test_given_masks_take_the_place_of_drawn_ones():
    layer = noisy(drop_connect=0.0)
    given = ops.Masks(None, np.full((4, 5), 0.5, np.float32), None, np.ones((4, 6, 5), np.float32))
    got, _ = drawn(layer, masks=given, reset=np.eye(4, 6, dtype=bool))
    assert_same_bits(got.recurrent, given.recurrent, "recurrent")
    assert got.zoneout_h is None
    assert_same_bits(got.resets, np.eye(4, 6, dtype=np.uint8)[:, :, None], "resets")
    strided = np.ones((4, 6, 10), np.float32)[:, :, ::2]
    assert drawn(layer, masks=ops.Masks(zoneout_h=strided))[0].zoneout_h.flags.c_contiguous
    for bad, error, message in (
        (ops.Masks(recurrent=np.ones((4, 4), np.float32)), ValueError,
         r"masks.recurrent: expected shape \(N, H\) = \(4, 5\), got \(4, 4\)"),
        (ops.Masks(zoneout_h=np.ones((4, 6, 5))), TypeError, "masks.zoneout_h: expected float32"),
        (ops.Masks(resets=np.ones((4, 6, 1), np.uint8)), ValueError, "masks.resets: expected None"),
        ((None, None), TypeError, "masks: expected ops.Masks or None, got tuple"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            layer.forward(X, masks=bad)
    with pytest.raises(ValueError, match="masks.zoneout_c: expected None, as this cell has no c"):
        noisy("gru").forward(X, masks=ops.Masks(zoneout_c=np.ones((4, 6, 5), np.float32)))


# ---- DropConnect: in Python ----


@pytest.mark.parametrize("cell", [c for c in ops.CELLS if ops.CELLS[c].has_recurrent_matrix])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_drop_connect_is_a_layer_with_masked_weights(cell, bidirectional):
    options = {"bidirectional": bidirectional, "seed": 0}
    layer = network(cell, 3, 5, 2, drop_connect=0.4, **options)
    plain = network(cell, 3, 5, 2, **options)
    assert_same_bits(layer(X)[0], plain(X)[0], "y at inference")
    layer.reseed(np.random.default_rng(1))
    y, final, tape = layer.forward(X)
    rng = np.random.default_rng(1)
    found = {}
    for place in layer._places:
        key = int(rng.integers(2**64, dtype=np.uint64))
        name = f"weight_hh{place.suffix}"
        shape = plain.parameters[name].shape
        mask = masks.bernoulli(key, 3, shape[0], 1, 5, 0.6, scale=1 / 0.6)[:, 0]
        assert 0 < (mask == 0).sum() < mask.size
        plain.parameters[name][...] *= mask
        found[name] = mask
    y_plain, final_plain, tape_plain = plain.forward(X)
    assert_same_bits(y, y_plain, "y")
    for got, expected in zip(leaves(final), leaves(final_plain), strict=True):
        assert_same_bits(got, expected, "state")
    for _ in range(2):  # gradients are added to what is there
        dx, dstate = layer.backward(tape, y)
        dx_plain, dstate_plain = plain.backward(tape_plain, y)
        assert_same_bits(dx, dx_plain, "dx")
        for got, expected in zip(leaves(dstate), leaves(dstate_plain), strict=True):
            assert_same_bits(got, expected, "dstate")
        layer.reseed(np.random.default_rng(1))
        tape, tape_plain = layer.forward(X)[2], plain.forward(X)[2]
    for name, gradient in plain.gradients.items():
        expected = gradient * found[name] if name in found else gradient
        assert_near(layer.gradients[name], expected, name)
        if name in found:
            assert not layer.gradients[name][found[name] == 0].any()


def test_drop_connect_sees_that_parameters_change():
    layer = fr.GRU(3, 5, drop_connect=0.4, seed=0)
    y, _, tape = layer.forward(X)
    layer.parameters["weight_hh_l0"][...] *= 2
    with pytest.raises(RuntimeError, match="tape: the parameters changed since forward"):
        layer.backward(tape, y)
    layer.reseed(np.random.default_rng(0))
    first = layer.forward(X)[0]
    layer.parameters["weight_ih_l0"][...] *= 2
    layer.reseed(np.random.default_rng(0))
    assert not np.array_equal(layer.forward(X)[0], first)


# ---- dropout in front ----


def test_input_dropout_is_dropout_on_x():
    layer = fr.GRU(3, 5, input_dropout=0.5, seed=0)
    plain, front = fr.GRU(3, 5, seed=0), fr.Dropout(0.5)
    assert list(layer.parameters) == list(plain.parameters)
    assert_same_bits(layer(X)[0], plain(X)[0], "y at inference")
    layer.reseed(np.random.default_rng(1))
    front.reseed(np.random.default_rng(1))
    y, h, tape = layer.forward(X)
    x, _, front_tape = front.forward(X)
    y_plain, h_plain, plain_tape = plain.forward(x)
    assert (x == 0).any()
    assert_same_bits(y, y_plain, "y")
    assert_same_bits(h, h_plain, "h")
    dx, dh = layer.backward(tape, y)
    dx_plain, dh_plain = plain.backward(plain_tape, y)
    assert_same_bits(dx, front.backward(front_tape, dx_plain)[0], "dx")
    assert_same_bits(dh, dh_plain, "dh")
    assert_same_bits(layer.gradient_vector, plain.gradient_vector, "gradients")
    y, _, tape = layer.forward(X)
    assert layer.backward(tape, y, input_gradient=False)[0] is None
    stream = fr.Stream(layer, 4)
    assert_same_bits(stream.step(X[:, 0]), plain(X[:, :1])[0][:, 0], "a step")


def test_input_dropout_in_both_directions_of_a_stack():
    layer = fr.Bidirectional(
        fr.LSTM(3, 4, 2, input_dropout=0.4, dropout=0.3, variational=True, dtype="float64", seed=0)
    )
    assert layer.reverse_layer.options.variational
    check = check_gradients(layer, X.astype(float), lengths=[6, 3, 0, 5])
    assert 0 < check.error < TOLERANCES["gradient"][0], check


@pytest.mark.parametrize("batch_first", [True, False])
def test_variational_dropout_has_one_mask_for_all_steps(batch_first):
    x = np.ones((40, 30, 20), np.float32)
    layer = fr.Dropout(0.25, variational=True, batch_first=batch_first, seed=0)
    y, _, tape = layer.forward(x)
    along = 1 if batch_first else 0
    assert (y == y.take([0], axis=along)).all()
    rows = y.take(0, axis=along)
    kept = rows != 0
    assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / kept.size)
    assert (rows[kept] == np.float32(1 / 0.75)).all()
    assert_same_bits(layer.backward(tape, x)[0], y, "dx")
    again = from_config(layer.config())
    assert (again.variational, again.batch_first) == (True, batch_first)
    each = fr.Dropout(0.25, batch_first=batch_first, seed=0).forward(x)[0]
    assert (each != each.take([0], axis=along)).any()
    with_vector = layer.forward(np.ones((5, 8), np.float32))[0]
    assert (with_vector[0] != with_vector[1]).any()


def test_dropout_between_layers_may_be_variational():
    layer = fr.GRU(3, 16, 2, dropout=0.5, input_dropout=0.5, variational=True, batch_first=False)
    front, _, between, _ = layer._stack.layers
    assert front.variational
    assert between.variational
    seen = []
    forward = between.forward
    between.forward = lambda x, *a, **k: seen.append((x, forward(x, *a, **k))) or seen[-1][1]
    layer.forward(X.swapaxes(0, 1))
    ((x, (y, _, _)),) = seen
    assert x.shape == (4, 6, 16)  # batch first inside
    zero = y == 0
    assert (zero == zero[:, :1]).all()
    assert (zero[0] != zero[1]).any()


def test_stacks_may_begin_with_dropout():
    stack = fr.Stacked([fr.Dropout(0.5), fr.GRU(3, 4, seed=0)])
    assert (stack.input_size, stack.output_size) == (3, 4)
    inner = fr.GRU(3, 4, seed=0).training_bytes(4, 6)
    assert stack.training_bytes(4, 6) == inner + 2 * 4 * 6 * 3 * 4
    with pytest.raises(TypeError, match=r"layers\[1\]: expected a recurrent layer, got Dropout"):
        fr.Stacked([fr.GRU(3, 4), fr.Dropout(0.5)])


# ---- checkpoints ----


def segmented(make, batch, steps):
    """Return a checkpointed layer that runs in several segments, and the layer by itself."""
    with pytest.raises(ValueError, match="memory_budget: expected at least") as caught:
        fr.Checkpointed(make(), memory_budget=1).segments(batch, steps)
    least = int(re.search(r"at least (\d+) bytes", str(caught.value))[1])
    layer = fr.Checkpointed(make(), memory_budget=least)
    assert len(layer.segments(batch, steps)) > 1
    return layer, make()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_segments_have_the_masks_of_the_whole(reverse, batch_first, monkeypatch):
    def make():
        return fr.LSTM(
            3, 8, 2, seed=0, dropout=0.3, input_dropout=0.2, zoneout_h=0.5, zoneout_c=0.25,
            recurrent_dropout=0.5, drop_connect=0.2, reverse=reverse, batch_first=batch_first,
        )  # fmt: skip

    layer, plain = segmented(make, 64, 60)
    calls = []
    call = ops.forward_call
    monkeypatch.setattr(ops, "forward_call", lambda *a, **k: calls.append((a, k)) or call(*a, **k))
    x = RNG.standard_normal((64, 60, 3)).astype(np.float32)
    reset = RNG.random((64, 60)) < 0.1
    if not batch_first:
        x, reset = x.swapaxes(0, 1), reset.T
    for model in (plain, layer):
        model.reseed(np.random.default_rng(4))
    y, _, tape = plain.forward(x, reset=reset)
    whole = [k["masks"] for _, k in calls]
    calls.clear()
    y_parts, _, tape_parts = layer.forward(x, reset=reset)
    times = layer.segments(64, 60)
    judged = [c for c in calls if c[0][2].shape[1] == 0]  # no steps: the state alone
    assert len(calls) - len(judged) == 2 * len(times)
    parts = [k["masks"] for a, k in calls if a[2].shape[1]]
    for level in range(2):
        for (start, stop), part in zip(times, parts[level::2], strict=True):
            assert_same_bits(part.recurrent, whole[level].recurrent, "recurrent")
            for name in ("resets", "zoneout_h", "zoneout_c"):
                expected = getattr(whole[level], name)[:, start:stop]
                assert_same_bits(getattr(part, name), np.ascontiguousarray(expected), name)
    first = list(parts)
    calls.clear()
    dx, _ = layer.backward(tape_parts, y)
    again = [k["masks"] for _, k in calls]
    assert len(again) == 2 * (len(times) - 1)
    for run, before in zip(again[:2], first[-4:-2], strict=True):  # the last segment but one
        for name in ops.Masks._fields:
            assert_same_bits(getattr(run, name), getattr(before, name), name)
    monkeypatch.undo()
    assert_same_bits(y_parts, y, "y")
    assert_same_bits(dx, plain.backward(tape, y)[0], "dx")
    for name, gradient in plain.gradients.items():
        assert_near(layer.gradients[name], gradient, name)
    # Both have drawn as many keys: the next masks are the same too.
    assert_same_bits(layer.forward(x)[0], plain.forward(x)[0], "the next y")


@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_of_segments_with_all_masks(ragged):
    def make():
        return fr.GRU(2, 3, 2, drop_connect=0.3, input_dropout=0.3, dtype="float64", seed=0)

    layer, _ = segmented(make, 40, 12)
    lengths = RNG.integers(0, 13, 40) if ragged else None
    check = check_gradients(layer, 0.5 * RNG.standard_normal((40, 12, 2)), lengths=lengths)
    assert 0 < check.error < TOLERANCES["gradient"][0], check
