"""`explain_plan`: says what a call does, in figures that can be checked."""

from unittest import mock

import numpy as np
import pytest

import fastrnn as fr
from cases import network
from fastrnn import ops
from fastrnn._isa import kernels


@pytest.fixture
def two_threads():
    before = fr.get_num_threads()
    fr.set_num_threads(2)
    yield
    fr.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "hidden", "split", "threads", "hoisted"),
    [
        (64, 50, 256, 256, "rows", 2, False),
        (1, 100, 128, 256, "units", 2, True),
        (3, 100, 4, 256, "units", 2, False),
        (1, 1, 16, 16, "rows", 1, True),
        (32, 1, 16, 16, "rows", 1, False),
    ],
)
def test_plans_of_an_lstm(batch, steps, inputs, hidden, split, threads, hoisted):
    (plan,) = fr.LSTM(inputs, hidden).explain_plan(batch, steps).layers
    assert (plan.split, plan.threads, plan.hoisted) == (split, threads, hoisted)
    assert plan.flops == 2 * batch * steps * 4 * hidden * (inputs + hidden)
    assert plan.module == ops.build_info()["instruction_set"]
    assert 1 <= plan.tile[0] <= batch


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "hidden"), [(8, 20, 12, 32), (32, 15, 12, 64), (64, 50, 256, 256)]
)
def test_directions_run_as_planned(batch, steps, inputs, hidden, threads):
    before = fr.get_num_threads()
    layer = fr.LSTM(inputs, hidden, bidirectional=True, seed=0)
    try:
        fr.set_num_threads(threads)
        plan = layer.explain_plan(batch, steps)
        with mock.patch.object(ops.layer, "kernels", wraps=kernels) as called:
            layer(np.zeros((batch, steps, inputs), np.float32))
    finally:
        fr.set_num_threads(before)
    large, small = hidden == 256, hidden == 32
    sides = threads > 1 and not small and not (large and threads > 2)
    assert called.forward_side_by_side.called == sides
    assert called.forward.called != sides
    alone = threads if large and not sides else 1
    for direction in plan.layers:
        assert (direction.side_by_side, direction.threads) == (sides, alone)
    assert str(plan).count("1 thread, side by side with the other direction") == 2 * sides


@pytest.mark.usefixtures("two_threads")
def test_short_lengths_leave_too_little_for_two_directions():
    layer = fr.LSTM(12, 64, bidirectional=True, seed=0)
    x = np.zeros((32, 15, 12), np.float32)
    for lengths, sides in ((None, True), ([15] * 32, True), ([3] * 32, False)):
        with mock.patch.object(ops.layer, "kernels", wraps=kernels) as called:
            _, _, tape = layer.forward(x, lengths=lengths)
            layer.backward(tape, None)
        assert called.forward_side_by_side.called == sides
        assert called.backward_side_by_side.called == sides


def test_memory_is_what_is_taken():
    layer = fr.GRU(5, 7)
    (plan,) = layer.explain_plan(3, 11).layers
    leaf = layer._stack.layers[0]
    _, _, tape = leaf.forward(np.zeros((3, 11, 5), np.float32))
    assert tape.content(leaf).record.tape.nbytes == plan.tape_bytes


def test_tiles():
    lanes = ops.build_info()["float32_lanes"]
    tallest = 6 if lanes == 16 else 3

    def tile(layer, batch):
        return layer.explain_plan(batch, 9).layers[0].tile

    assert tile(fr.LSTM(9, 64), 32) == (tallest, 4 * lanes)
    assert tile(fr.LSTM(9, 2 * lanes), 2) == (2, 8 * lanes)  # two unit blocks for few rows
    assert tile(fr.LSTM(9, lanes), 2) == (2, 4 * lanes)  # there is one only
    assert tile(fr.LSTM(512, 512), 3) == (3, 4 * lanes)
    assert tile(fr.RNN(9, 2 * lanes), 1) == (1, 2 * lanes)
    assert tile(fr.GRU(9, 64, reset_after=False), 1) == (1, 3 * lanes)


@pytest.mark.parametrize("cell", ops.CELLS)
def test_it_prints(cell):
    plan = network(cell, 5, 7, 2, bidirectional=True, dropout=0.1).explain_plan(3, 11)
    assert [layer.name for layer in plan.layers] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    text = str(plan)
    assert text.count("threads") == 4
    assert f"l1_reverse: {cell} float32, N 3, T 11, I 14, H 7" in text


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="batch_size: expected"):
        fr.LSTM(2, 3).explain_plan(0, 1)
    with pytest.raises(ValueError, match="steps: expected"):
        fr.LSTM(2, 3).explain_plan(1, 0)
