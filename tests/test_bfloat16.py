"""Weights in bfloat16: what is rounded and what is not, and that nothing else depends on them."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from cases import network, parts, state_of
from fastrnn import ops
from fastrnn.ops import panels as panels_module
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_same_bits, leaves, random_lengths

DOT = ops.build_info()["bfloat16"] == "dot product"


def rounded(array):
    """Return the nearest bfloat16 values, ties to even, as float32."""
    bits = np.asarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def dot(cell):
    """Whether the cell's products round x and h."""
    return DOT and cell != "gru_reset_before"


def pair(cell, sizes, seed=0):
    """Return a layer of bfloat16 weights, and one of float32 weights with the same values."""
    layer = RecurrentLayer(cell, *sizes, seed=seed).to("bfloat16")
    plain = layer.to("float32")
    for array in plain.parameters.values():
        if array.ndim == 2:  # biases and weights per hidden unit stay float32
            array[...] = rounded(array)
    return layer, plain


def draw(cell, batch, steps, inputs, hidden, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, inputs)).astype(np.float32)
    state = [rng.uniform(-1, 1, (batch, hidden)).astype(np.float32) for _ in range(2)]
    return x, state_of(cell, *state)


def one_step(cell, layer, x, state):
    """Return h after one step in float64, products of rounded numbers."""
    given = {name: array.astype(np.float64) for name, array in layer.parameters.items()}
    h, c = parts(cell, state)
    from_x = rounded(x) @ given["weight_ih"].T + given["bias_ih"]
    if cell.startswith("independent"):  # h is rounded for matrices only
        from_h = h * given["weight_hh"]
    else:
        from_h = rounded(h) @ given["weight_hh"].T + given["bias_hh"]

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    if cell.startswith("lstm"):
        gates = ops.CELLS[cell].gates
        a_i, *a_f, g, a_o = np.split(from_x + from_h, gates, axis=1)
        p = given.get("weight_peephole", np.zeros((gates - 1) * h.shape[1]))
        p_i, *p_f, p_o = np.split(p, gates - 1)
        i = sigmoid(a_i + p_i * c)
        f = sigmoid(a_f[0] + p_f[0] * c) if a_f else 1 - i
        c = f * c + i * np.tanh(g)
        return sigmoid(a_o + p_o * c) * np.tanh(c)
    if cell == "gru":
        (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(from_x, 3, axis=1), np.split(from_h, 3, axis=1)
        z = sigmoid(z_x + z_h)
        return (1 - z) * np.tanh(n_x + sigmoid(r_x + r_h) * n_h) + z * h
    a = from_x + from_h
    return np.tanh(a) if cell.endswith("rnn_tanh") else np.maximum(a, 0)


@pytest.mark.parametrize("sizes", [(1, 1), (16, 16), (17, 33), (6, 70), (32, 64)])
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_one_step(cell, batch, sizes):
    layer, plain = pair(cell, sizes)
    x, state = draw(cell, batch, 1, *sizes)
    y, _ = layer(x, state)
    if dot(cell):
        expected = one_step(cell, plain, x[:, 0], state)
        np.testing.assert_allclose(y[:, 0], expected, rtol=1e-5, atol=3e-6)
    else:
        assert_same_bits(y, plain(x, state)[0], "y")


def test_only_the_dot_product_rounds_x_and_h():
    """So that `test_one_step` can tell the two ways apart."""
    layer, plain = pair("lstm", (17, 33))
    x, state = draw("lstm", 7, 1, 17, 33)
    difference = np.abs(layer(x, state)[0] - plain(x, state)[0]).max()
    if dot("lstm"):
        assert 1e-4 < difference < 1e-2
    else:
        assert difference == 0


@pytest.mark.parametrize("cell", ops.CELLS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_bits_do_not_depend_on_how_a_sequence_is_run(cell, data):
    batch, steps = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 9))
    inputs, hidden = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    layer, _ = pair(cell, (inputs, hidden))
    x, state = draw(cell, batch, steps, inputs, hidden)
    lengths = random_lengths(rng, batch, steps)
    y, final = layer(x, state, lengths=lengths)

    row = data.draw(st.integers(0, batch - 1))
    own = tuple(part[row : row + 1] for part in leaves(state))
    alone, last = layer(
        x[row : row + 1, : lengths[row]], state_of(cell, own[0], own[-1]), lengths=None
    )
    assert_same_bits(alone[0], y[row, : lengths[row]], "a row alone")
    for got, expected in zip(leaves(last), leaves(final), strict=True):
        assert_same_bits(got[0], expected[row], "its state")

    dense, _ = layer(x)
    stream = fr.Stream(layer, batch)
    for t in range(steps):
        assert_same_bits(stream.step(x[:, t]), dense[:, t], "a stream")
    cut = steps // 2
    first, between = layer(x[:, :cut])
    second, _ = layer(x[:, cut:], between)
    assert_same_bits(np.concatenate([first, second], axis=1), dense, "in two chunks of time")


@pytest.mark.parametrize("sizes", [(1, 100, 128, 256), (2, 60, 4, 300), (40, 60, 32, 64)])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_threads(cell, sizes):
    batch, steps, inputs, hidden = sizes
    layer, _ = pair(cell, (inputs, hidden))
    x, state = draw(cell, batch, steps, inputs, hidden)
    before = fr.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            fr.set_num_threads(threads)
            results.append(layer(x, state)[0])
    finally:
        fr.set_num_threads(before)
    for y in results[1:]:
        assert_same_bits(y, results[0], "y")


def test_a_stream_goes_on_from_a_state():
    model = fr.LSTM(5, 40, 2, seed=0).to("bfloat16")
    x = np.random.default_rng(0).standard_normal((3, 8, 5)).astype(np.float32)
    y, final = model(x)
    stream = fr.Stream(model, 3)
    stream.state = model(x[:, :4])[1]
    for t in range(4, 8):
        assert_same_bits(stream.step(x[:, t]), y[:, t], "y")
    for got, expected in zip(leaves(stream.state), leaves(final), strict=True):
        assert_same_bits(got, expected, "state")


def test_every_layer_can_be_converted():
    net = fr.Sequential(
        [
            fr.Standardize(np.zeros(5), np.ones(5)),
            network("gru", 5, 6, 2, bidirectional=True, dropout=0.1, seed=0),
            fr.Bidirectional(fr.Stacked([fr.LSTM(12, 4, seed=1), fr.RNN(4, 3, seed=2)]), seed=3),
            fr.Linear(6, 2, seed=4),
        ]
    )
    x = np.random.default_rng(0).standard_normal((3, 7, 5)).astype(np.float32)
    y, _ = net(x)
    for layer in (net, net.to("float64")):
        half = layer.to("bfloat16")
        assert half.dtype == np.float32
        assert_same_bits(half.parameter_vector, net.parameter_vector, "parameters")
        got, _ = half(x)
        assert got.dtype == np.float32
        assert 0 < np.abs(got - y).max() < 0.02
        assert_same_bits(pickle.loads(pickle.dumps(half))(x)[0], got, "unpickled")
        assert_same_bits(half.to("bfloat16")(x)[0], got, "again")
        assert_same_bits(half.to("float32")(x)[0], y, "and back")
    double, _ = net.to("float64")(x.astype(np.float64))
    np.testing.assert_allclose(double, y, rtol=1e-4, atol=1e-6)


def test_a_file_keeps_it(tmp_path):
    model = fr.GRU(4, 20, seed=0).to("bfloat16")
    fr.save(model, tmp_path / "model.safetensors")
    x = np.ones((2, 3, 4), np.float32)
    assert_same_bits(fr.load(tmp_path / "model.safetensors")(x)[0], model(x)[0], "y")


def test_written_parameters_are_rounded_at_the_next_call():
    layer, plain = pair("rnn_relu", (1, 1))
    x = np.ones((1, 1, 1), np.float32)
    for layer_of in (layer, plain):
        for value in layer_of.parameters.values():
            value[...] = 0
    layer.parameters["weight_ih"][...] = 1 + 2.0**-8 + 2.0**-16  # over half a step above one
    plain.parameters["weight_ih"][...] = 1 + 2.0**-7
    assert_same_bits(layer(x)[0], plain(x)[0], "y")
    layer.parameters["weight_ih"][...] = 1 + 2.0**-8  # half a step: to the even neighbour
    assert layer(x)[0].item() == 1.0
    layer.parameters["weight_ih"][...] = np.nan
    layer.parameters["bias_ih"][...] = 1 + 2.0**-20  # biases are not rounded
    assert np.isnan(layer(x)[0]).all()
    layer.parameters["weight_ih"][...] = 0
    assert layer(x)[0].item() == np.float32(1 + 2.0**-20)


def test_training_is_refused():
    for layer in (fr.LSTM(3, 4).to("bfloat16"), fr.Bidirectional(fr.GRU(3, 4)).to("bfloat16")):
        with pytest.raises(RuntimeError, match=r"got one with bfloat16 weights, which are for inf"):
            layer.forward(np.zeros((1, 2, 3), np.float32))


def test_the_boundary_refuses_what_has_no_kernel():
    layer = RecurrentLayer("gru", 2, 3).to("bfloat16")
    panels = panels_module.packed(layer._kind, "forward", layer._weights)
    assert panels.dtype == np.uint32
    with pytest.raises(ValueError, match="panels: expected those of a forward pass"):
        panels_module.packed(layer._kind, "backward", layer._weights)
    x = np.zeros((1, 2, 2), np.float32)
    call = ops.forward_call(
        layer._kind, panels, x, None, None, None, out=None, record=True, buffers=ops.LayerBuffers()
    )
    with pytest.raises(ValueError, match="tape: expected None, bfloat16 weights are for inference"):
        ops.forward(call)


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match="dtype: expected float32 or float64, got float16"):
        fr.LSTM(3, 4).to("float16")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_the_plan_tells(cell):
    layer = RecurrentLayer(cell, 32, 64)
    full = layer.explain_plan(1, 10)
    plan = layer.to("bfloat16").explain_plan(1, 10)
    blocks = ops.CELLS[cell].gates + (cell == "gru")  # n's two products have two biases
    biases = 4 * 64 * (blocks + ops.CELLS[cell].unit_weights)  # these are not halved
    assert plan.forward_panel_bytes - biases == (full.forward_panel_bytes - biases) // 2
    assert plan.dtype == "bfloat16"
    assert plan.bfloat16 == ("dot product" if dot(cell) else "widened")
    assert f", {plan.bfloat16}, read each step\n" in str(plan)
    assert (plan.backward_panel_bytes, plan.tape_bytes) == (0, 0)
    assert not any(word in str(plan) for word in ("BPTT", "tape", "training"))
    assert full.bfloat16 == ""
    assert all(word in str(full) for word in ("BPTT", "tape", "training"))


@pytest.mark.parametrize(
    "options",
    [{"zoneout_h": 0.4}, {"proj_size": 9}, {"proj_size": 9, "zoneout_h": 0.4, "zoneout_c": 0.2}],
)
def test_what_options_make_of_h_is_what_the_next_product_reads(options):
    layer = fr.LSTM(7, 33, 2, seed=0, **options)
    layer.parameters["weight_hh_l0"][...] *= 4  # h counts
    x = np.random.default_rng(0).standard_normal((3, 12, 7)).astype(np.float32)
    y = layer.to("bfloat16")(x)[0]
    assert np.abs(y - layer(x)[0]).max() < 0.03 * np.abs(y).max()


@pytest.mark.parametrize("layer", [fr.LSTM, fr.GRU, fr.RNN])
def test_a_reset_begins_anew(layer):
    model = layer(7, 33, seed=0).to("bfloat16")
    x = np.random.default_rng(0).standard_normal((4, 10, 7)).astype(np.float32)
    reset = np.zeros((4, 10), bool)
    reset[:, 6] = True
    y = model(x, reset=reset)[0]
    assert_same_bits(y[:, 6:], model(x[:, 6:])[0], "y behind the reset")
    assert_same_bits(y[:, :6], model(x[:, :6])[0], "y before it")
