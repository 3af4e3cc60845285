"""Every kernel against the specification: forward and BPTT, odd sizes, both dtypes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import draw, parts, reference_name, reference_weights, state_of
from fastrnn import ops, reference
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_near, assert_same_bits, random_lengths

# No multiple of any packet or tile, one below and one above; one row, one step, one unit.
SIZES = [
    (1, 1, 1, 1),
    (5, 7, 3, 17),
    (13, 4, 3, 65),
    (1, 9, 17, 3),
    (13, 1, 65, 17),
    (5, 6, 1, 130),
    (70, 5, 5, 16),
    (300, 2, 3, 5),
    (32, 9, 40, 17),  # chunks of exactly 256 rows in BPTT
    (1, 300, 40, 17),
]


def exact(value):
    return None if value is None else np.asarray(value).astype(np.float64)


def check_against_reference(cell, sizes, dtype, *, reverse, lengths, bias, seed=0):
    rng = np.random.default_rng(seed)
    layer = RecurrentLayer(
        cell, sizes[2], sizes[3], bias=bias, reverse=reverse, dtype=dtype, seed=seed
    )
    x, state, dy, dstate = draw(cell, sizes, dtype, rng)
    h0, c0 = map(exact, parts(cell, state))
    dh_n, dc_n = map(exact, parts(cell, dstate))
    weights, options = reference_weights(layer), {"lengths": lengths, "reverse": reverse}
    expected = reference.run(cell, exact(x), weights, h0, c0, **options)
    slopes = reference.bptt(cell, exact(x), weights, exact(dy), dh_n, dc_n, h0, c0, **options)

    y, final = layer(x, state, lengths=lengths)
    y_training, final_training, tape = layer.forward(x, state, lengths=lengths)
    layer.gradient_vector.fill(0.5)  # gradients are added to what is there
    dx, dinitial = layer.backward(tape, dy, dstate)

    assert_same_bits(y_training, y, "y of training and inference")
    for got, again in zip(parts(cell, final), parts(cell, final_training), strict=True):
        if got is not None:
            assert_same_bits(again, got, "final state of training and inference")
    assert_near(y, expected.y, "y")
    names = ("h_n", "c_n")
    for name, got in zip(names, parts(cell, final), strict=True):
        if got is not None:
            assert_near(got, getattr(expected, name), name)
    assert_near(dx, slopes.dx, "dx")
    for name, got in zip(("dh0", "dc0"), parts(cell, dinitial), strict=True):
        if got is not None:
            assert_near(got, getattr(slopes, name), name)
    for name, got in layer.gradients.items():
        expected_slope = getattr(slopes, f"d{reference_name(cell, name)}")
        assert_near(got - got.dtype.type(0.5), expected_slope, f"d{name}")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_kernels_agree_with_the_reference(cell, dtype, sizes, ragged, reverse):
    rng = np.random.default_rng(1)
    lengths = random_lengths(rng, *sizes[:2]) if ragged else None
    check_against_reference(cell, sizes, dtype, reverse=reverse, lengths=lengths, bias=True)


@pytest.mark.parametrize("cell", ops.CELLS)
def test_kernels_without_bias_agree_with_the_reference(cell):
    check_against_reference(cell, (5, 6, 3, 17), "float64", reverse=False, lengths=None, bias=False)


def test_the_reference_has_every_kernel():
    assert set(reference.CELLS) == set(ops.CELLS)


@settings(max_examples=60, deadline=None)
@given(
    cell=st.sampled_from(sorted(ops.CELLS)),
    batch=st.integers(1, 40),
    steps=st.integers(1, 12),
    inputs=st.integers(1, 40),
    hidden=st.integers(1, 70),
    reverse=st.booleans(),
    bias=st.booleans(),
    data=st.data(),
)
def test_random_sizes_agree_with_the_reference(
    cell, batch, steps, inputs, hidden, reverse, bias, data
):
    lengths = data.draw(
        st.none() | st.lists(st.integers(0, steps), min_size=batch, max_size=batch).map(np.array)
    )
    check_against_reference(
        cell, (batch, steps, inputs, hidden), "float64", reverse=reverse, lengths=lengths, bias=bias
    )


@pytest.mark.parametrize("cell", ops.CELLS)
def test_missing_states_and_gradients_are_zeros(cell):
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 3, 17, seed=0)
    x, _, _, _ = draw(cell, (5, 4, 3, 17), "float32", rng)
    zero = state_of(cell, *(np.zeros((5, 17), np.float32) for _ in range(2)))
    y, _, tape = layer.forward(x)
    y_zero, _, tape_zero = layer.forward(x, zero)
    assert_same_bits(y, y_zero, "y")
    dx, _ = layer.backward(tape, None, zero)
    assert not dx.any()
    dx, _ = layer.backward(tape_zero, np.zeros_like(y))
    assert not dx.any()
    assert not layer.gradient_vector.any()


@pytest.mark.parametrize("cell", ops.CELLS)
def test_the_input_gradient_may_be_left_out_or_added(cell):
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 3, 17, seed=0)
    x, state, dy, dstate = draw(cell, (5, 4, 3, 17), "float32", rng)
    lengths = np.array([4, 0, 2, 3, 1])
    results = []
    for options in ({}, {"input_gradient": False}):
        _, _, tape = layer.forward(x, state, lengths=lengths)
        layer.zero_grad()
        dx, _ = layer.backward(tape, dy, dstate, **options)
        results.append((dx, layer.gradient_vector.copy()))
    assert results[1][0] is None
    assert_same_bits(results[1][1], results[0][1], "gradients")
    _, _, tape = layer.forward(x, state, lengths=lengths)
    target = np.ones_like(x)
    dx, _ = layer._backward(tape, dy, dstate, input_gradient=True, add_to=target)
    assert dx is target
    assert_same_bits(target, 1 + results[0][0], "dx added to ones")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_nothing_to_do(cell):
    layer = RecurrentLayer(cell, 3, 4, seed=0)
    for batch, steps in ((0, 5), (3, 0), (0, 0)):
        x = np.zeros((batch, steps, 3), np.float32)
        h = np.full((batch, 4), 2, np.float32)
        y, final, tape = layer.forward(x, state_of(cell, h, h))
        assert y.shape == (batch, steps, 4)
        for part in parts(cell, final):
            if part is not None:
                assert_same_bits(part, h, "final state")
        dx, dstate = layer.backward(tape, y, state_of(cell, h, h))
        assert dx.shape == x.shape
        assert_same_bits(parts(cell, dstate)[0], h, "gradient of the state")
    assert not layer.gradient_vector.any()
