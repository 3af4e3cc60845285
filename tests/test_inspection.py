"""What `return_all` hands out: every cell's h, c and gates, against the specification."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from cases import draw, network, state_of
from fastrnn import _isa, ops, reference, reference_cells
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_near, assert_same_bits, random_lengths

SIZES = [(5, 9, 3, 4), (70, 11, 2, 33), (1, 3, 1, 1)]  # the second: several chunks, padded lanes


def lstm_gates(row, x, before, *, coupled=False):
    gates = reference_cells._lstm_gates(coupled, row.parameters, x, before, row.variant)
    s, t = row.variant.gate.value, row.variant.candidate.value
    forget = [] if gates.a_f is None else [s(gates.a_f)]
    return [s(gates.a_i), *forget, t(gates.a_g), s(gates.a_o)]


def gru_gates(row, x, before, *, of=reference_cells._gru_parts):
    a_r, a_z, a_n, *_ = of(row.parameters, x, before, row.variant)
    s, t = row.variant.gate.value, row.variant.candidate.value
    return [s(a_r), s(a_z), t(a_n)]


def rnn_gates(row, x, before):
    return row.kind.step(row.parameters, x, before, row.variant)  # h is the one activation


#: The specification's gates of one step, from its row, x (I,) and the state before.
GATES = {
    "lstm": lstm_gates,
    "lstm_coupled": partial(lstm_gates, coupled=True),
    "gru": gru_gates,
    "gru_reset_before": partial(gru_gates, of=reference_cells._gru_reset_before_parts),
}
GATES |= {f"{cell}_peephole": GATES[cell] for cell in ("lstm", "lstm_coupled")}
GATES |= {cell: rnn_gates for cell in ops.CELLS if ops.CELLS[cell].gates == 1}


def names_of(cell):
    return ("h", "c", "gates") if ops.CELLS[cell].has_cell_state else ("h", "gates")


def expected(layer, x, state, lengths, resets=None):
    """Run the specification step by step: h (N, T, S), c (N, T, H), gates (N, T, G, H)."""
    cell, x = layer.cell, x.astype(float)
    given = {k: None if w is None else w.astype(float) for k, w in vars(layer._weights).items()}
    rows = reference._checked(
        cell,
        x,
        reference.Weights(**given),
        lengths,
        layer.reverse,
        reference.Options(**layer.options._asdict()),
        reference.Masks(resets=resets),
    )
    batch, steps, hidden_size = *x.shape[:2], layer.hidden_size
    found = {"h": np.zeros((batch, steps, layer.output_size))}
    found["c"] = np.zeros((batch, steps, hidden_size))
    found["gates"] = np.zeros((batch, steps, ops.CELLS[cell].gates, hidden_size))
    for n, row in enumerate(rows):
        states = reference._states(row, x[n], tuple(part[n].astype(float) for part in state))
        for k, t in enumerate(row.order):
            before = reference._crossed(row.resets[k], states[k])
            found["h"][n, t], *c = states[k + 1]
            if c:
                found["c"][n, t] = c[0]
            found["gates"][n, t] = GATES[cell](row, x[n, t], before)
    return {name: found[name] for name in names_of(cell)}


def parts_of(cell, state):
    return state if ops.CELLS[cell].has_cell_state else (state,)


def check(cell, sizes, dtype, *, reverse, lengths, seed=0):
    rng = np.random.default_rng(seed)
    x, state, _, _ = draw(cell, sizes, dtype, rng)
    layer = RecurrentLayer(cell, *sizes[2:], reverse=reverse, dtype=dtype, seed=seed)
    y, final, kept = layer(x, state, lengths=lengths, return_all=names_of(cell))
    plain_y, plain_final = layer(x, state, lengths=lengths)
    assert_same_bits(y, plain_y, "y")
    for part, plain in zip(parts_of(cell, final), parts_of(cell, plain_final), strict=True):
        assert_same_bits(part, plain, "state")
    assert tuple(kept) == names_of(cell)
    for name, values in expected(layer, x, parts_of(cell, state), lengths).items():
        assert kept[name].dtype == dtype
        assert_near(kept[name], values, f"{cell} {name}")
    if lengths is not None:
        for name, values in kept.items():
            for row, steps in zip(values, lengths, strict=True):
                assert not row[steps:].any(), f"{name} at invalid steps"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_a_layer_agrees_with_the_reference(cell, dtype, ragged, reverse):
    for sizes in SIZES:
        lengths = random_lengths(np.random.default_rng(1), *sizes[:2]) if ragged else None
        check(cell, sizes, dtype, reverse=reverse, lengths=lengths)


#: What changes what a step computes; "zoneout_c" and others are for cells with c.
OPTIONS = {
    "activations": {"gate_activation": "hard_sigmoid", "candidate_activation": "softsign"},
    "clips": {"activation_clip": 0.4, "cell_clip": 0.3},
    "layer normalisation": {"layer_norm": True},
    "zoneout": {"zoneout_h": 0.25, "zoneout_c": 0.375},
    "projection": {"projection_size": 5, "output_activation": "identity"},
}
OPTIONS["all"] = {name: value for options in OPTIONS.values() for name, value in options.items()}
OPTIONS["none"] = {}
FOR_CELLS_WITH_C = ("cell_clip", "zoneout_c", "projection_size", "output_activation")


def options_of(cell, name):
    """Return those options that the cell can have."""
    options = dict(OPTIONS[name])
    for option in () if ops.CELLS[cell].has_cell_state else FOR_CELLS_WITH_C:
        options.pop(option, None)
    if ops.CELLS[cell].gates == 1:
        options.pop("gate_activation", None)
    if cell.endswith("relu"):
        options.pop("candidate_activation", None)
    return options


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_options_agree_with_the_reference(cell, name, reset, reverse):
    """c is that after a step, also where the next one begins with a reset."""
    rng = np.random.default_rng(3)
    options = options_of(cell, name)
    layer = RecurrentLayer(cell, 3, 19, reverse=reverse, dtype="float64", seed=0, options=options)
    layer.parameter_vector[...] += 0.2 * rng.standard_normal(layer.parameter_vector.shape)
    x, lengths = rng.standard_normal((40, 15, 3)), random_lengths(rng, 40, 15)
    resets = rng.random((40, 15)) < 0.3 if reset else None
    state = state_of(
        cell, rng.standard_normal((40, layer.output_size)), rng.standard_normal((40, 19))
    )
    y, _, kept = layer(x, state, lengths=lengths, reset=resets, return_all=names_of(cell))
    assert_same_bits(y, layer(x, state, lengths=lengths, reset=resets)[0], "y")
    for key, values in expected(layer, x, parts_of(cell, state), lengths, resets).items():
        assert_near(kept[key], values, f"{cell} {key}")


def test_resets_of_a_network_act_in_every_cell():
    net = fr.LSTM(3, 4, 2, bidirectional=True, batch_first=False, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, resets = rng.standard_normal((9, 2, 3)), rng.random((9, 2)) < 0.3  # (T, N)
    y, _, kept = net(x, reset=resets, return_all=("h", "c", "gates"))
    below = x.swapaxes(0, 1)
    for level in range(2):
        for suffix in (f"_l{level}", f"_l{level}_reverse"):
            zero = (np.zeros((2, 4)),) * 2
            values = expected(cells_of(net)[suffix], below, zero, None, resets.T)
            for name, array in values.items():
                assert_near(kept[name + suffix].swapaxes(0, 1), array, name + suffix)
        both = (kept[f"h_l{level}"], kept[f"h_l{level}_reverse"])
        below = np.concatenate(both, axis=-1).swapaxes(0, 1)
    assert_same_bits(y, np.ascontiguousarray(below.swapaxes(0, 1)), "y")


def test_there_are_gates_for_every_cell():
    assert set(GATES) == set(ops.CELLS)


@settings(max_examples=30, deadline=None)
@given(
    cell=st.sampled_from(list(ops.CELLS)),
    sizes=st.tuples(*(st.integers(1, most) for most in (7, 9, 6, 40))),
    reverse=st.booleans(),
    seed=st.integers(0, 9),
)
def test_random_sizes_agree_with_the_reference(cell, sizes, reverse, seed):
    lengths = random_lengths(np.random.default_rng(seed), *sizes[:2])
    check(cell, sizes, "float64", reverse=reverse, lengths=lengths, seed=seed)


def cells_of(net):
    """Name the single cells of a network by suffix."""
    return {place.suffix: place.layer for place in net._places}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_every_cell_of_a_network_is_named_and_right(cell, dtype):
    """Two layers, both directions, dropout (which is off), ragged: level by level by hand."""
    net = network(cell, 3, 5, 2, bidirectional=True, dropout=0.5, dtype=dtype, seed=4)
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 6, 3)).astype(dtype)
    lengths = np.array([6, 0, 3, 5])
    h0, c0 = (rng.standard_normal((4, 4, 5)).astype(dtype) for _ in range(2))
    state = state_of(cell, h0, c0)
    y, final, kept = net(x, state, lengths=lengths, return_all=names_of(cell))
    plain_y, _ = net(x, state, lengths=lengths)
    assert_same_bits(y, plain_y, "y")
    suffixes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    assert set(kept) == {name + suffix for name in names_of(cell) for suffix in suffixes}
    below = x
    for level in range(2):
        outputs = []
        for direction in range(2):
            place = 2 * level + direction
            initial = tuple(part[place] for part in parts_of(cell, state))
            values = expected(cells_of(net)[suffixes[place]], below, initial, lengths)
            for name, array in values.items():
                assert_near(kept[name + suffixes[place]], array, name + suffixes[place])
            outputs.append(kept["h" + suffixes[place]])
        below = np.concatenate(outputs, axis=-1)
    assert_same_bits(y, below, "y of both directions")
    last = parts_of(cell, final)[0]
    assert_same_bits(last[2][0], kept["h_l1"][0, -1], "h after the last step")


@pytest.mark.parametrize("merge", [None, "concat", "sum", "mean", "product"])
@pytest.mark.parametrize("residual", [False, True])
def test_each_level_reads_what_it_reads_without(merge, residual):
    """The layers themselves, one by one; what x holds behind the ends of rows does not matter."""
    inputs = 10 if merge == "concat" else 5
    directions = {} if merge is None else {"bidirectional": True, "merge": merge}
    net = fr.LSTM(inputs, 5, 3, residual=residual, seed=1, dropout=0.3, **directions)
    rng = np.random.default_rng(0)
    x, lengths = rng.standard_normal((3, 7, inputs)).astype(np.float32), [7, 4, 0]
    x[1, 4:] = np.nan
    y, _, kept = net(x, lengths=lengths, return_all=["h"])
    below = x
    levels = [layer for layer in net._stack.layers if not isinstance(layer, fr.Dropout)]
    for i, layer in enumerate(levels):
        inner = layer.layer if isinstance(layer, fr.Residual) else layer
        cells = {"": inner} if merge is None else {"": inner.layer, "_reverse": inner.reverse_layer}
        for suffix, single in cells.items():
            h, _ = single(below, lengths=lengths)
            assert_same_bits(kept[f"h_l{i}{suffix}"], h, f"level {i} {suffix}")
        below, _ = layer(below, lengths=lengths)
    assert_same_bits(y, below, "y")


def test_layers_of_several_sizes_learned_states_padding_and_time_first():
    options = {"learn_initial_state": True, "pad_output": "repeat", "seed": 2}
    net = fr.LSTM(3, [4, 6], batch_first=False, **options)
    net.parameters["h0_l1"][...] = 0.5
    net.parameters["c0_l0"][...] = -0.5
    x = np.random.default_rng(0).standard_normal((8, 2, 3)).astype(np.float32)  # (T, N, I)
    y, _, kept = net(x, lengths=[8, 5], return_all=("gates", "h", "c"))
    assert list(kept) == ["gates_l0", "gates_l1", "h_l0", "h_l1", "c_l0", "c_l1"]
    assert kept["gates_l1"].shape == (8, 2, 4, 6)
    assert kept["c_l0"].shape == (8, 2, 4)
    assert_same_bits(y[:, 0], kept["h_l1"][:, 0], "a full row")
    assert y[5:, 1].any()
    assert not kept["h_l1"][5:, 1].any()
    below = x.swapaxes(0, 1)
    for level in range(2):
        layer = cells_of(net)[f"_l{level}"]
        initial = tuple(
            np.broadcast_to(net.parameters[f"{part}0_l{level}"], (2, layer.hidden_size))
            for part in "hc"
        )
        values = expected(layer, below, initial, [8, 5])
        for name, array in values.items():
            assert_near(kept[f"{name}_l{level}"].swapaxes(0, 1), array, f"{name}_l{level}")
        below = kept[f"h_l{level}"].swapaxes(0, 1)


def test_out_is_filled_and_nothing_may_be_asked_for():
    net = fr.GRU(3, 4, seed=0)
    x = np.ones((2, 5, 3), np.float32)
    out = np.zeros((2, 5, 4), np.float32)
    y, state, kept = net(x, out=out, return_all=())
    assert y is out
    assert kept == {}
    assert_same_bits(out[:, -1], state[0], "y")
    assert_same_bits(net(x, return_all=("h",))[2]["h_l0"], out, "h")


def test_no_steps_and_no_rows():
    layer = fr.LSTM(3, 4, seed=0)
    for batch, steps in ((0, 5), (2, 0)):
        x = np.zeros((batch, steps, 3), np.float32)
        _, _, kept = layer(x, return_all=("h", "c", "gates"))
        assert kept["c_l0"].shape == (batch, steps, 4)
        assert kept["gates_l0"].shape == (batch, steps, 4, 4)


def test_training_goes_on_as_before():
    """The buffers that are read go back to the layer, each to its place; its next tape is whole."""
    layer = RecurrentLayer("lstm", 3, 4, seed=0)
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    y, _, tape = layer.forward(x)
    layer(x, return_all=("gates",))  # between forward and backward
    dx, _ = layer.backward(tape, y)
    y, _, tape = layer.forward(x)
    assert_same_bits(layer.backward(tape, y)[0], dx, "dx")
    layer(x, return_all=("gates",))
    buffers = [*layer._buffers.tapes._free, *layer._buffers.forward._free]
    assert len(buffers) == len({buffer.ctypes.data for buffer in buffers}) == 3


X = np.zeros((2, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("layer", "value", "error", "text"),
    [
        (fr.GRU(3, 4), ("c",), ValueError, "expected names of h, gates, got 'c', and gru has no c"),
        (fr.RNN(3, 4), ["h", "c"], ValueError, "and rnn_tanh has no c"),
        (fr.LSTM(3, 4), ("cell",), ValueError, "expected names of h, c, gates, got 'cell'"),
        (fr.LSTM(3, 4), "h", TypeError, 'expected names such as ("h", "gates"), got \'h\''),
        (fr.LSTM(3, 4), True, TypeError, 'expected names such as ("h", "gates"), got bool'),
        (fr.LSTM(3, 4), (1,), TypeError, "expected names such as"),
        (RecurrentLayer("gru", 3, 4), ("c",), ValueError, "and gru has no c"),
        (fr.LSTM(3, 4).to("bfloat16"), ("h", "c"), ValueError, "with bfloat16 weights"),
    ],
)
def test_bad_names_are_refused(layer, value, error, text):
    with pytest.raises(error) as caught:
        layer(X, return_all=value)
    assert str(caught.value).startswith("return_all: ")
    assert text in str(caught.value)


def test_h_of_bfloat16_layers_is_there():
    layer = fr.LSTM(3, 4, seed=0).to("bfloat16")
    y, _, kept = layer(X + 1, return_all=("h",))
    assert_same_bits(kept["h_l0"], y, "h")


def test_a_list_of_sequences_is_refused():
    with pytest.raises(ValueError, match="return_all: expected None for a list of sequences"):
        fr.LSTM(3, 4)([X[0], X[1, :2]], return_all=("h",))


def test_the_kernel_refuses_what_does_not_fit():
    kernels = _isa.kernels
    size = ("gru", 2, 3, 3, 4)
    tape = ops.aligned_empty(kernels.tape_size(*size, None, 4), np.uint8)
    workspace = ops.aligned_empty(kernels.workspace_size("forward", True, *size, 4), np.uint8)
    tape.fill(0)
    gates = np.zeros((2, 3, 12), np.float32)
    good = {"cell": "gru", "tape": tape, "input_size": 3, "lengths": None, "reverse": False}
    good |= {"masks": None, "c": None, "gates": gates, "workspace": workspace}
    kernels.read_tape(**good)
    for change, text in [
        ({"gates": gates[0]}, "gates: expected 3 axes"),
        ({"gates": np.zeros((2, 3, 11), np.float32)}, "gates: expected 3 axes"),
        ({"gates": np.zeros((2, 4, 12), np.float32)}, "tape: expected at least"),
        ({"gates": gates.astype(int)}, "gates: expected dtype float32 or float64"),
        ({"c": np.zeros((2, 3, 4), np.float32)}, "c: expected None, this cell has no c"),
        ({"lengths": np.array([4, 1])}, r"lengths\[0\]: expected 0..T = 0..3, got 4"),
        ({"tape": tape[64:]}, "tape: expected at least"),
        ({"workspace": workspace[64:]}, "workspace: expected at least"),
        ({"input_size": 0}, "input_size: expected at least 1, got 0"),
    ]:
        with pytest.raises((TypeError, ValueError), match=text):
            kernels.read_tape(**good | change)
