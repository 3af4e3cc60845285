"""Options of LSTM, GRU and RNN that are composed: each against the same thing done by hand."""

import numpy as np
import pytest

import fastrnn as fr
from cases import network, state_of
from fastrnn import ops
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_near, assert_same_bits, leaves, like

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 7, 3)).astype(np.float32)  # asymmetric in time
LENGTHS = np.array([7, 3, 0, 5, 1])


def padded_with(x, lengths, value):
    x = x.copy()
    for n, steps in enumerate(lengths):
        x[n, steps:] = value
    return x


def assert_same_state(actual, expected):
    for got, wanted in zip(leaves(actual), leaves(expected), strict=True):
        assert_same_bits(got, wanted, "state")


# ---- merge ----


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product"])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_merge_is_that_of_bidirectional(cell, merge):
    layer = network(cell, 3, 4, 2, bidirectional=True, merge=merge, seed=0)
    width = 8 if merge == "concat" else 4
    composed = fr.Stacked(
        [
            fr.Bidirectional(RecurrentLayer(cell, size, 4, seed=0), merge, seed=0)
            for size in (3, width)
        ]
    )
    composed.parameter_vector[...] = layer.parameter_vector
    assert list(layer.parameters) == list(network(cell, 3, 4, 2, bidirectional=True).parameters)
    y, state = layer(X, lengths=LENGTHS)
    assert y.shape[2] == layer.output_size == width
    assert_same_bits(y, composed(X, lengths=LENGTHS)[0], "y")
    assert next(leaves(state)).shape == (4, 5, 4)
    twin = layer.reversed_twin(0)
    assert (twin.merge, twin.output_size) == (merge, width)


def test_bad_merges():
    with pytest.raises(ValueError, match="merge: expected one of concat, sum, mean, product, got"):
        fr.LSTM(3, 4, bidirectional=True, merge="add")
    with pytest.raises(ValueError, match="merge: expected bidirectional=True with 'sum', got Fals"):
        fr.LSTM(3, 4, merge="sum")


# ---- hidden sizes ----


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_different_sizes_are_layers_one_by_one(cell, bidirectional):
    layer = network(cell, 3, [6, 2, 5], bidirectional=bidirectional, seed=0)
    assert (layer.num_layers, layer.hidden_size) == (3, (6, 2, 5))
    directions = 2 if bidirectional else 1
    y, states, below = X, [], 3
    singles = []
    for level, size in enumerate((6, 2, 5)):
        single = network(cell, below, size, bidirectional=bidirectional, seed=0)
        for name, view in single.parameters.items():
            view[...] = layer.parameters[name.replace("_l0", f"_l{level}")]
        y, state = single(y, lengths=LENGTHS)
        states.append(state)
        singles.append(single)
        below = size * directions
    got, final = layer(X, lengths=LENGTHS)
    assert_same_bits(got, y, "y")
    has_c = ops.CELLS[cell].has_cell_state
    if has_c:
        expected = tuple([row for state in states for row in state[k]] for k in range(2))
    else:
        expected = [row for state in states for row in state]
    assert_same_state(final, expected)
    assert isinstance(final[0] if has_c else final, tuple)
    assert sum(view.size for view in layer.parameters.values()) == layer.parameter_vector.size

    # The state carries on, and its gradients come back in the same form.
    whole, _ = layer(X)
    first, state = layer(X[:, :4])
    if not bidirectional:
        second, _ = layer(X[:, 4:], state)
        assert_same_bits(np.concatenate([first, second], axis=1), whole, "y in chunks")
    y, final, tape = layer.forward(X, state, lengths=LENGTHS)
    _, dstate = layer.backward(tape, y, like(final, np.ones_like))
    shapes = [part.shape for part in leaves(state)]
    assert [part.shape for part in leaves(dstate)] == shapes
    for part in leaves(dstate):
        assert (part[2] == 1).all()  # a row of no steps returns its initial state
        assert (part[0] != 1).any()


def test_equal_sizes_are_one_size():
    one, several = fr.LSTM(3, 4, 2, seed=0), fr.LSTM(3, [4, 4], seed=0)
    assert one.config() == several.config()
    assert_same_bits(one.parameter_vector, several.parameter_vector, "parameters")
    assert several(X)[1][0].shape == (2, 5, 4)
    assert fr.GRU(3, (4,)).hidden_size == 4


def test_sizes_stream_and_explain():
    layer = fr.LSTM(3, [6, 2], seed=0)
    y, final = layer(X)
    stream = fr.Stream(layer, 5)
    stream.state = layer(X[:, :3])[1]
    for t in range(3, 7):
        assert_same_bits(stream.step(X[:, t]), y[:, t], "y")
    assert_same_state(stream.state, final)
    assert [plan.hidden_size for plan in layer.explain_plan(5, 7).layers] == [6, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([4, 5], 3), ValueError, "num_layers: expected 2 like the sizes in hidden_size, got 3"),
        (([4, 5], 1), ValueError, "num_layers: expected 2 like"),
        (([],), ValueError, "hidden_size: expected at least one size, got none"),
        (([4, 0],), ValueError, r"hidden_size\[1\]: expected at least 1, got 0"),
        (([4, 2.0],), TypeError, r"hidden_size\[1\]: expected an integer, got float"),
        (([4], "1"), TypeError, "num_layers: expected an integer, got str"),
    ],
)
def test_bad_sizes(arguments, error, message):
    with pytest.raises(error, match=message):
        fr.GRU(3, *arguments)


def test_bad_states_of_different_sizes():
    layer = fr.LSTM(3, [6, 2], seed=0)
    h, c = layer(X)[1]
    for state, message in (
        ((h, c[:1]), r"state\[1\]: expected a tuple of num_layers \* num_directions = 2 arrays"),
        ((h[0], c), r"state\[0\]: expected a tuple .*, got ndarray"),
        ((h, c[::-1]), r"state\[1\]\[0\]: expected shape \(N, H\) = \(5, 6\), got \(5, 2\)"),
        (h, r"state\[0\]: expected a tuple .*, got ndarray"),
    ):
        with pytest.raises(ValueError, match=message):
            layer(X, state)
        y, _, tape = layer.forward(X)
        with pytest.raises(ValueError, match=message.replace("state", "dstate", 1)):
            layer.backward(tape, y, state)
    assert not layer.gradient_vector.any()


# ---- residual ----


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_residual_adds_what_a_layer_reads(cell, bidirectional):
    layer = network(cell, 3, 4, 3, residual=True, bidirectional=bidirectional, seed=0)
    plain = network(cell, 3, 4, 3, bidirectional=bidirectional, seed=0)
    assert list(layer.parameters) == list(plain.parameters)
    assert_same_bits(layer.parameter_vector, plain.parameter_vector, "parameters")
    y, states = X, []
    for level, below in enumerate((3, *[8 if bidirectional else 4] * 2)):
        single = network(cell, below, 4, bidirectional=bidirectional, seed=0)
        for name, view in single.parameters.items():
            view[...] = layer.parameters[name.replace("_l0", f"_l{level}")]
        above, state = single(y, lengths=LENGTHS)
        y = above + y if level else above
        states.append(state)
    got, final = layer(padded_with(X, LENGTHS, np.nan), lengths=LENGTHS)
    assert_same_bits(got, y, "y")
    parts = [np.concatenate(part) for part in zip(*[tuple(leaves(s)) for s in states], strict=True)]
    assert_same_state(final, parts)


def test_residual_alone_with_lengths_and_padding():
    for batch_first in (True, False):
        inner = fr.GRU(3, 3, batch_first=batch_first, seed=0)
        layer = fr.Residual(fr.GRU(3, 3, batch_first=batch_first, seed=0))

        def axes(array, batch_first=batch_first):
            return array if batch_first else array.swapaxes(0, 1)

        x = padded_with(X, LENGTHS, np.nan)
        y_inner, h_inner = inner(axes(x), lengths=LENGTHS)
        expected = y_inner + axes(padded_with(X, LENGTHS, 0))
        out = np.full(axes(X).shape, 7, np.float32)
        for run in (layer, layer.forward):
            y, h, *_ = run(axes(x), lengths=LENGTHS)
            assert_same_bits(y, expected, "y")
            assert_same_bits(h, h_inner, "state")
            assert run(axes(x), lengths=LENGTHS, out=out)[0] is out
            assert_same_bits(out, expected, "y in a place given")
        _, _, tape = layer.forward(axes(x), h, lengths=LENGTHS)
        _, _, tape_inner = inner.forward(axes(x), h, lengths=LENGTHS)
        dy = axes(padded_with(np.ones_like(X), LENGTHS, np.nan))
        dx, dh = layer.backward(tape, dy)
        dx_inner, dh_inner = inner.backward(tape_inner, dy)
        assert_same_bits(dx, dx_inner + axes(padded_with(np.ones_like(X), LENGTHS, 0)), "dx")
        assert_same_bits(dh, dh_inner, "dstate")
        assert_same_bits(layer.gradient_vector, inner.gradient_vector, "gradients")


def test_residual_without_gradients_asked_or_given():
    layer = fr.Residual(fr.LSTM(3, 3, seed=0))
    y, _, tape = layer.forward(X)
    assert layer.backward(tape, y, input_gradient=False)[0] is None
    assert layer.gradient_vector.any()
    _, state, tape = layer.forward(X)
    layer.zero_grad()
    dx, _ = layer.backward(tape, None, like(state, np.ones_like))
    assert dx.any()
    assert layer.gradient_vector.any()


def test_what_residual_is_not_for():
    with pytest.raises(ValueError, match="layer: expected output_size = input_size = 3, .* got 4"):
        fr.Residual(fr.LSTM(3, 4))
    with pytest.raises(TypeError, match="layer: expected one from .*, got Last"):
        fr.Residual(fr.Last())
    with pytest.raises(TypeError, match="layer: expected one from .*, got Sequential"):
        fr.Residual(fr.Sequential([fr.LSTM(3, 3), fr.Last(), fr.Linear(3, 3)]))
    with pytest.raises(TypeError, match="layer: expected a layer, got int"):
        fr.Residual(3)
    with pytest.raises(TypeError, match="layer: expected a recurrent layer .* got Linear"):
        fr.Bidirectional(fr.Residual(fr.Linear(3, 3)))
    with pytest.raises(
        ValueError, match="residual: expected layer 1 to have as many .* = 4, got 5"
    ):
        fr.LSTM(3, [4, 5], residual=True)
    with pytest.warns(UserWarning, match="residual: acts between layers, so it does nothing"):
        fr.LSTM(3, 4, residual=True)
    layer = fr.Residual(fr.LSTM(3, 3, seed=0))
    with pytest.raises(ValueError, match=r"x: expected shape \(\.\.\., I\) = \(\.\.\., 3\)"):
        layer(X[..., :2])
    y, _, tape = layer.forward(X)
    with pytest.raises(ValueError, match="dy: expected shape that of x"):
        layer.backward(tape, y[:, 1:])
    layer.backward(tape, y)


# ---- padding of outputs ----


@pytest.mark.parametrize("padding", ["zero", "repeat", -2.5, 0])
@pytest.mark.parametrize("batch_first", [True, False])
def test_padding_of_outputs(batch_first, padding):
    options = {"bidirectional": True, "batch_first": batch_first, "seed": 0}
    plain, layer = fr.LSTM(3, 4, 2, **options), fr.LSTM(3, 4, 2, pad_output=padding, **options)
    x = X if batch_first else X.swapaxes(0, 1)
    expected, state = plain(x, lengths=LENGTHS)
    rows = expected if batch_first else expected.swapaxes(0, 1)
    for n, steps in enumerate(LENGTHS):
        for t in range(steps, 7):
            if padding == "repeat":
                rows[n, t] = rows[n, steps - 1] if steps else 0
            else:
                rows[n, t] = 0 if padding == "zero" else padding
    for run in (layer, layer.forward):
        out = np.empty_like(expected)
        y, final, *_ = run(x, lengths=LENGTHS, out=out)
        assert_same_bits(y, expected, "y")
        assert_same_bits(out, expected, "out")
        assert_same_state(final, state)
        assert_same_bits(run(x)[0], plain(x)[0], "y without lengths")


def test_gradients_of_repeated_outputs_belong_to_the_last_step():
    plain, layer = fr.GRU(3, 4, seed=0), fr.GRU(3, 4, pad_output="repeat", seed=0)
    dy = RNG.standard_normal((5, 7, 4)).astype(np.float32)
    by_hand = dy.copy()
    for n, steps in enumerate(LENGTHS):
        if steps:
            by_hand[n, steps - 1] += dy[n, steps:].sum(axis=0)
    lengths = LENGTHS.copy()
    _, _, tape = layer.forward(X, lengths=lengths)
    lengths[:] = 0  # the caller's own
    before = dy.copy()
    dx, dh = layer.backward(tape, dy)
    assert_same_bits(dy, before, "dy, which is the caller's")
    _, _, tape = plain.forward(X, lengths=LENGTHS)
    dx_plain, dh_plain = plain.backward(tape, by_hand)
    assert_same_bits(dx, dx_plain, "dx")
    assert_same_bits(dh, dh_plain, "dstate")
    assert_same_bits(layer.gradient_vector, plain.gradient_vector, "gradients")


def test_bad_padding():
    with pytest.raises(ValueError, match="pad_output: expected one of zero, repeat, got 'last'"):
        fr.GRU(3, 4, pad_output="last")
    for bad in (None, True, [1.0]):
        with pytest.raises(TypeError, match="pad_output: expected a number, got"):
            fr.GRU(3, 4, pad_output=bad)


# ---- learned initial states ----


def learner(cell, **options):
    """Return a layer whose initial states are not zero, and its state for 5 rows."""
    layer = network(cell, 3, 4, 2, learn_initial_state=True, seed=0, **options)
    names = [name for name in layer.parameters if name[:2] in ("h0", "c0")]
    for k, name in enumerate(names):
        layer.parameters[name][...] = 0.1 * (k + np.arange(4))
    parts = []
    for part in ("h0", "c0"):
        rows = [layer.parameters[name] for name in names if name.startswith(part)]
        parts.append(np.stack([np.tile(row, (5, 1)) for row in rows]) if rows else None)
    return layer, state_of(cell, *parts)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_learned_states_stand_where_none_is_given(cell, bidirectional):
    layer, by_hand = learner(cell, bidirectional=bidirectional)
    plain = network(cell, 3, 4, 2, bidirectional=bidirectional, seed=0)
    size = plain.parameter_vector.size
    assert_same_bits(layer.parameter_vector[:size], plain.parameter_vector, "parameters")
    y, final, tape = layer.forward(X, lengths=LENGTHS)
    y_plain, final_plain, tape_plain = plain.forward(X, by_hand, lengths=LENGTHS)
    assert_same_bits(y, y_plain, "y")
    assert_same_bits(layer(X, lengths=LENGTHS)[0], y_plain, "y at inference")
    assert_same_state(final, final_plain)
    for got, given in zip(leaves(final), leaves(by_hand), strict=True):
        assert_same_bits(got[:, 2], given[:, 2], "state of a row without steps")
    dfinal = like(final, lambda array: RNG.standard_normal(array.shape).astype(np.float32))
    dx, dstate = layer.backward(tape, y, dfinal)
    dx_plain, dstate_plain = plain.backward(tape_plain, y, dfinal)
    assert_same_bits(dx, dx_plain, "dx")
    assert_same_state(dstate, dstate_plain)
    assert_same_bits(layer.gradient_vector[:size], plain.gradient_vector, "gradients")
    for part, rows in zip(("h0", "c0"), leaves(dstate), strict=False):
        for suffix, cell_rows in zip(
            [n.removeprefix("h0") for n in layer.parameters if n.startswith("h0")],
            rows,
            strict=True,
        ):
            assert_near(layer.gradients[part + suffix], cell_rows.sum(axis=0), part + suffix)


def test_learned_states_wait_where_one_is_given():
    layer, by_hand = learner("lstm")
    zero = like(by_hand, np.zeros_like)
    y, _, tape = layer.forward(X, zero)
    assert_same_bits(y, fr.LSTM(3, 4, 2, seed=0)(X)[0], "y")
    layer.backward(tape, y)
    assert layer.gradient_vector.any()
    assert not any(layer.gradients[n].any() for n in layer.parameters if n[:2] in ("h0", "c0"))


def test_gradients_of_learned_states_add_up():
    layer, _ = learner("gru")
    for count in (1, 2):
        y, _, tape = layer.forward(X)
        layer.backward(tape, y)
        if count == 1:
            once = layer.gradients["h0_l1"].copy()
    assert once.any()
    assert_near(layer.gradients["h0_l1"], 2 * once, "h0_l1")


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_streams_begin_with_learned_states(cell, batch):
    layer, by_hand = learner(cell)
    by_hand = like(by_hand, lambda array: array[:, :batch])
    model = fr.Sequential([layer, fr.Linear(4, 2, seed=1)])
    y, final = model(X[:batch])
    stream = fr.Stream(model, batch)
    layer.parameters["h0_l0"][...] = 9.0  # the stream has the values of its beginning
    for _ in range(2):
        assert_same_state(stream.state[0], by_hand)
        for t in range(7):
            assert_same_bits(stream.step(X[:batch, t]), y[:, t], "y")
        assert_same_state(stream.state, final)
        stream.reset()
    stream = fr.Stream(fr.LSTM(3, 4, learn_initial_state=True, seed=0))
    assert not any(part.any() for part in leaves(stream.state))


def test_training_moves_learned_states():
    # Nothing comes in and no bias: only the initial state can make a difference.
    rng = np.random.default_rng(0)
    x = np.zeros((32, 3, 1), np.float32)
    y = np.full((32, 1), 0.5, np.float32)
    model = fr.Sequential(
        [
            fr.GRU(1, 4, bias=False, learn_initial_state=True, seed=rng),
            fr.Last(),
            fr.Linear(4, 1, bias=False, seed=rng),
        ]
    )
    assert not model.parameters["0.h0_l0"].any()
    model.parameters["0.h0_l0"][...] = 0.01
    trainer = fr.Trainer(model, "mean_squared_error", optimizer=fr.optim.Adam(0.02))
    history = trainer.fit((x, y), epochs=60, seed=0, progress=False)
    assert history.epochs[-1].loss < 0.01 * history.epochs[0].loss
    assert np.abs(model.parameters["0.h0_l0"]).max() > 0.1


def test_learned_states_take_initial_values_by_name():
    layer = fr.LSTM(3, 4, learn_initial_state=True, initializer={"h0": "normal", "c0_l0":
        fr.initializers.Constant(0.5)}, seed=0)  # fmt: skip
    assert layer.parameters["h0_l0"].any()
    assert (layer.parameters["c0_l0"] == 0.5).all()
    layer = fr.LSTM(3, 4, learn_initial_state=True, initializer="uniform", seed=0)
    assert not layer.parameters["h0_l0"].any()
    assert fr.LSTM(3, 4, learn_initial_state=True).to("float64").parameters["c0_l0"].shape == (4,)
    with pytest.raises(ValueError, match=r"initializer\['h0'\]: expected a key among"):
        fr.LSTM(3, 4, initializer={"h0": "normal"})


@pytest.mark.parametrize("make", [
    lambda: fr.Residual(fr.GRU(2, 2, seed=0)),
    lambda: fr.Bidirectional(fr.GRU(2, 2, seed=0), "product", seed=1),
    lambda: fr.Bidirectional(fr.GRU(2, 2, seed=0), "sum", seed=1),
])  # fmt: skip
def test_out_of_another_shape_or_dtype_is_refused(make):
    layer, x = make(), np.ones((3, 6, 2), np.float32)
    with pytest.raises(ValueError, match="out: expected shape"):
        layer(x, out=np.empty((2, 3, 6, 2), np.float32))
    with pytest.raises(TypeError, match="out: expected float32"):
        layer(x, out=np.empty((3, 6, 2)))


def test_a_residual_may_write_over_its_input():
    layer, x = fr.Residual(fr.GRU(2, 2, seed=0)), np.ones((3, 6, 2), np.float32)
    for lengths in (None, [6, 2, 0]):
        expected, _ = layer(x, lengths=lengths)
        there = x.copy()
        layer(there, lengths=lengths, out=there)
        assert_same_bits(there, expected, "y")
