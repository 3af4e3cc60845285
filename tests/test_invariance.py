"""Bit for bit the same: whatever the other rows, padding, threads, strides or chunks of time."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from cases import draw, network, state_of
from fastrnn import ops
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_same_bits, leaves, random_lengths

DTYPES = ["float32", "float64"]


def run_all(layer, x, state, dy, dstate, lengths=None):
    """Return everything a training step gives, by name."""
    layer.zero_grad()
    y, final, tape = layer.forward(x, state, lengths=lengths)
    dx, dinitial = layer.backward(tape, dy, dstate)
    named = {"y": y, "dx": dx, "gradients": layer.gradient_vector.copy()}
    named |= {f"final {i}": part for i, part in enumerate(leaves(final))}
    return named | {f"dinitial {i}": part for i, part in enumerate(leaves(dinitial))}


def take(state, rows):
    return tuple(p[rows] for p in state) if isinstance(state, tuple) else state[rows]


def assert_all_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert_same_bits(actual[name], array, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_row_does_not_depend_on_the_others(cell, dtype, data):
    batch, steps = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 8))
    inputs, hidden = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    layer = RecurrentLayer(
        cell, inputs, hidden, reverse=data.draw(st.booleans()), dtype=dtype, seed=0
    )
    x, state, dy, dstate = draw(cell, (batch, steps, inputs, hidden), dtype, rng)
    lengths = random_lengths(rng, batch, steps)
    whole = run_all(layer, x, state, dy, dstate, lengths)
    rows = np.sort(rng.permutation(batch)[: max(1, batch // 3)])
    cut = max(1, int(lengths[rows].max()))  # the longest that is left
    part = run_all(
        layer, x[rows, :cut], take(state, rows), dy[rows, :cut], take(dstate, rows), lengths[rows]
    )
    for name, array in part.items():
        if name != "gradients":
            expected = whole[name][rows]
            expected = expected[:, :cut] if name in ("y", "dx") else expected
            assert_same_bits(array, expected, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_padding_changes_nothing(cell, dtype):
    rng = np.random.default_rng(0)
    layer = network(cell, 5, 17, 2, bidirectional=True, dtype=dtype, seed=0)
    x = rng.standard_normal((9, 7, 5)).astype(dtype)
    dy = rng.standard_normal((9, 7, 34)).astype(dtype)
    lengths = random_lengths(rng, 9, 7)
    padding = np.arange(7) >= lengths[:, None]
    results = []
    for content in (0.0, 1e30, np.inf, np.nan):
        x[padding], dy[padding] = content, content
        results.append(run_all(layer, x, None, dy, None, lengths))
        assert np.isfinite(results[-1]["gradients"]).all()
        assert_all_same(results[-1], results[0])
    assert not results[0]["y"][padding].any()
    assert not results[0]["dx"][padding].any()
    longer = np.concatenate([x, np.full_like(x, np.nan)], axis=1)
    longer_dy = np.concatenate([dy, np.full_like(dy, np.nan)], axis=1)
    more = run_all(layer, longer, None, longer_dy, None, lengths)
    more["y"], more["dx"] = more["y"][:, :7], more["dx"][:, :7]
    assert_all_same(more, results[0])


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "hidden"),
    [
        pytest.param(40, 25, 30, 150, id="by rows"),
        pytest.param(1, 400, 40, 270, id="one row by units"),
        pytest.param(3, 200, 40, 270, id="few rows by units"),
        pytest.param(3, 200, 5, 270, id="few rows by units, inputs fused"),
    ],
)
def test_threads_change_nothing(batch, steps, inputs, hidden, cell, ragged):
    rng = np.random.default_rng(0)
    layer = network(cell, inputs, hidden, bidirectional=True, seed=0)
    x = rng.standard_normal((batch, steps, inputs)).astype(np.float32)
    dy = rng.standard_normal((batch, steps, 2 * hidden)).astype(np.float32)
    lengths = random_lengths(rng, batch, steps) if ragged else None
    before = fr.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 7):
            fr.set_num_threads(threads)
            results.append(run_all(layer, x, None, dy, None, lengths))
            assert_all_same(results[-1], results[0])
    finally:
        fr.set_num_threads(before)


@pytest.mark.parametrize("cell", ops.CELLS)
def test_rows_that_end_where_a_chunk_of_bptt_begins(cell):
    """BPTT takes chunks of about 256 rows: here of six steps, of more when half the rows end."""
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 30, 64, seed=0)
    x, _, dy, _ = draw(cell, (40, 12, 30, 64), "float32", rng)
    before = fr.get_num_threads()
    try:
        for shorter in range(1, 12):
            lengths = np.repeat([12, shorter], 20)
            results = []
            for threads in (1, 2, 3):
                fr.set_num_threads(threads)
                results.append(run_all(layer, x, None, dy, None, lengths))
                assert np.isfinite(results[-1]["gradients"]).all()
                assert_all_same(results[-1], results[0])
    finally:
        fr.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize("lengths", [[120, 50, 7, 0, 3], [100, 40, 40], [100] + [10] * 9])
def test_units_split_between_threads_change_nothing(lengths, cell, reverse, dtype):
    """Rows that end and begin at different steps, while each thread has units of all rows."""
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 30, 270, reverse=reverse, dtype=dtype, seed=0)
    batch, steps = len(lengths), max(lengths)
    x, state, dy, dstate = draw(cell, (batch, steps, 30, 270), dtype, rng)
    before = fr.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 2, 3):
            fr.set_num_threads(threads)
            results.append(run_all(layer, x, state, dy, dstate, np.array(lengths)))
            assert_all_same(results[-1], results[0])
    finally:
        fr.set_num_threads(before)


@pytest.mark.parametrize("hidden", [16, 17, 33])
@pytest.mark.parametrize("cell", [cell for cell in ops.CELLS if not cell.endswith("relu")])
def test_an_infinite_input_saturates_gates_and_spoils_no_gradient(cell, hidden):
    layer = RecurrentLayer(cell, 5, hidden, seed=0)
    x, state, dy, dstate = draw(cell, (3, 6, 5, hidden), "float32", np.random.default_rng(0))
    x[0, 2, 1] = np.inf
    result = run_all(layer, x, state, dy, dstate)
    for name, array in result.items():
        if name != "gradients":  # those of weight_ih are 0 times infinity
            assert np.isfinite(array).all(), name
    for name in layer.gradients.keys() - {"weight_ih"}:
        assert np.isfinite(layer.gradients[name]).all(), name


def run_directions(layer, x, state, dy, dstate, lengths, threads, beside):
    """Run with the directions forced side by side, or one after the other."""
    before = fr.get_num_threads()
    try:
        fr.set_num_threads(threads)
        with mock.patch("fastrnn.ops.layer.side_by_side", return_value=beside) as plan:
            named = run_all(layer, x, state, dy, dstate, lengths)
            named["inference"] = layer(x, state, lengths=lengths)[0]
            assert plan.called
    finally:
        fr.set_num_threads(before)
    return named


def assert_directions_do_not_matter(layer, x, state, dy, dstate, lengths):
    arguments = (layer, x, state, dy, dstate, lengths)
    in_turn = run_directions(*arguments, threads=1, beside=False)
    for threads in (1, 2, 3):
        for beside in (False, True):
            assert_all_same(run_directions(*arguments, threads, beside), in_turn)
    before = in_turn["gradients"]
    _, _, tape = layer.forward(x, state, lengths=lengths)
    with mock.patch("fastrnn.ops.layer.side_by_side", return_value=True):
        layer.zero_grad()
        assert layer.backward(tape, dy, dstate, input_gradient=False)[0] is None
    assert_same_bits(layer.gradient_vector, before, "gradients without dx")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "hidden"), [(9, 60, 5, 33), (1, 150, 20, 70), (0, 3, 2, 2)]
)
def test_directions_side_by_side_change_nothing(
    batch, steps, inputs, hidden, cell, merge, ragged, dtype
):
    rng = np.random.default_rng(0)
    sizes = (batch, steps, inputs, hidden)
    layer = fr.Bidirectional(RecurrentLayer(cell, inputs, hidden, dtype=dtype, seed=0), merge)
    drawn = [draw(cell, sizes, dtype, rng) for _ in range(2)]
    (x, state, dy, dstate), (_, other_state, other_dy, other_dstate) = drawn
    if merge == "concat":
        dy = np.concatenate([dy, other_dy], axis=2)
    lengths = random_lengths(rng, batch, steps) if ragged and batch else None
    assert_directions_do_not_matter(
        layer, x, (state, other_state), dy, (dstate, other_dstate), lengths
    )


@pytest.mark.parametrize("time_first", [False, True])
def test_layers_of_bidirectional_layers_side_by_side_change_nothing(time_first):
    rng = np.random.default_rng(0)
    different = RecurrentLayer("lstm", 5, 6, seed=0)
    nested = fr.Bidirectional(  # the outer's second direction adds to the first's dx
        fr.Bidirectional(different, reverse_layer=RecurrentLayer("gru", 5, 6, reverse=True))
    )
    stacked = fr.GRU(5, 12, 2, bidirectional=True, batch_first=not time_first, seed=0)
    for layer in (nested, stacked):
        x = rng.standard_normal((9, 40, 5)).astype(np.float32)
        dy = rng.standard_normal((9, 40, 24)).astype(np.float32)
        lengths = random_lengths(rng, 9, 40)
        if layer is stacked and time_first:
            x, dy = x.swapaxes(0, 1), dy.swapaxes(0, 1)
        assert_directions_do_not_matter(layer, x, None, dy, None, lengths)


@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize("hidden", [17, 70])
def test_hoisted_input_products_change_nothing(cell, hidden):
    """Few rows take their input's products for many steps at once, many rows step by step."""
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 20, hidden, seed=0)
    x, state, dy, dstate = draw(cell, (30, 150, 20, hidden), "float32", rng)
    lengths = random_lengths(rng, 30, 150)
    whole = run_all(layer, x, state, dy, dstate, lengths)
    for rows in ([3], [5, 6], [0, 10, 20], [7, 8, 9, 11]):
        part = run_all(
            layer, x[rows], take(state, rows), dy[rows], take(dstate, rows), lengths[rows]
        )
        inference, _ = layer(x[rows], take(state, rows), lengths=lengths[rows])
        assert_same_bits(inference, whole["y"][rows], "y of inference")
        for name, array in part.items():
            if name != "gradients":
                assert_same_bits(array, whole[name][rows], name)


@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize(("batch", "inputs"), [(6, 5), (2, 20)])
def test_chunks_of_time_change_nothing(batch, inputs, cell):
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, inputs, 17, seed=0)
    x, state, _, _ = draw(cell, (batch, 11, inputs, 17), "float32", rng)
    whole, final = layer(x, state)
    for cuts in ([3], [1, 2, 9], list(range(1, 11))):
        pieces, carried = [], state
        for piece in np.split(x, cuts, axis=1):
            y, carried = layer(piece, carried)
            pieces.append(y)
        assert_same_bits(np.concatenate(pieces, axis=1), whole, "y")
        for got, expected in zip(leaves(carried), leaves(final), strict=True):
            assert_same_bits(got, expected, "final state")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 4), (5, 2)])
def test_rows_that_add_nothing_change_no_gradient(batch, steps, cell, dtype):
    """Gradients of up to 16 rows go straight to the public arrays, those of more by a panel."""
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 37, 21, dtype=dtype, seed=0)
    few = draw(cell, (batch, steps, 37, 21), dtype, rng)
    more = draw(cell, (batch + 40, steps, 37, 21), dtype, rng)
    for array, own in zip(leaves(more), leaves(few), strict=True):
        array[:batch] = own
    for gradient in leaves(more[2:]):
        gradient[batch:] = 0
    expected = run_all(layer, *few)["gradients"]
    assert_same_bits(run_all(layer, *more)["gradients"], expected, "gradients")


def strided(array):
    """Return copies of `array` in layouts that a user may come with, each with equal content."""
    time_major = np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)
    wide = np.full((*array.shape[:2], array.shape[2] + 3), np.nan, array.dtype)
    wide[..., 2:-1] = array
    spread = np.full((array.shape[0] * 2, array.shape[1] * 3, array.shape[2]), np.nan, array.dtype)
    spread[::2, ::3] = array
    backwards = np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    apart = np.full((*array.shape, 2), np.nan, array.dtype)
    apart[..., 0] = array
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    unaligned = raw[: array.nbytes].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    fortran = np.asfortranarray(array)
    return [
        time_major,
        wide[..., 2:-1],
        spread[::2, ::3],
        backwards,
        apart[..., 0],
        unaligned,
        fortran,
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_strides_change_nothing(cell, dtype):
    rng = np.random.default_rng(0)
    layer = RecurrentLayer(cell, 5, 17, dtype=dtype, seed=0)
    x, state, dy, dstate = draw(cell, (6, 4, 5, 17), dtype, rng)
    lengths = random_lengths(rng, 6, 4)
    expected = run_all(layer, x, state, dy, dstate, lengths)
    for x_view, dy_view in zip(strided(x), strided(dy), strict=True):
        assert_all_same(run_all(layer, x_view, state, dy_view, dstate, lengths), expected)
    for i, h_view in enumerate(strided(next(leaves(state))[None])):
        h = h_view[0]
        view = state_of(cell, h, list(leaves(state))[-1])
        assert_all_same(run_all(layer, x, view, dy, dstate, lengths), expected), i


@pytest.mark.parametrize("cell", ops.CELLS)
def test_time_first_is_batch_first_with_axes_swapped(cell):
    rng = np.random.default_rng(0)
    first = network(cell, 5, 17, 2, bidirectional=True, seed=0)
    second = network(cell, 5, 17, 2, bidirectional=True, batch_first=False, seed=0)
    x = rng.standard_normal((6, 4, 5)).astype(np.float32)
    dy = rng.standard_normal((6, 4, 34)).astype(np.float32)
    lengths = random_lengths(rng, 6, 4)
    expected = run_all(first, x, None, dy, None, lengths)
    swapped = run_all(
        second, x.swapaxes(0, 1).copy(), None, dy.swapaxes(0, 1).copy(), None, lengths
    )
    for name in ("y", "dx"):
        swapped[name] = swapped[name].swapaxes(0, 1)
    assert_all_same(swapped, expected)


def test_a_row_of_linear_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    layer = fr.Linear(37, 21, seed=0)
    x = rng.standard_normal((600, 37)).astype(np.float32)
    whole = layer(x)[0]
    for rows in ([0], [5, 599], list(range(100, 131))):
        assert_same_bits(layer(x[rows])[0], whole[rows], "y")
