"""Truncated BPTT against loops by hand over the reference; replicas against unrolled networks."""

import numpy as np
import pytest

import fastrnn as fr
from cases import draw, parts, reference_weights
from fastrnn import ops, reference
from fastrnn.protocol import walk
from fastrnn.recurrent import RecurrentLayer
from fastrnn.reference_cells import Parameters
from fastrnn.testing import assert_near, assert_same_bits, leaves, like, random_lengths

N, T, I, H = 4, 13, 3, 5  # noqa: E741
# Windows know nothing of a step's arithmetic, and the loops here know four kinds of weights.
CELLS = [cell for cell, table in ops.CELLS.items() if not table.unit_weights]
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def cell_layer(cell, **options):
    return RecurrentLayer(cell, I, H, dtype="float64", seed=0, **options)


def truncated_by_hand(cell, x, weights, dy, state, lengths, k1, k2, rate):
    """Truncated BPTT with gradient descent, loss sum(dy * y): weights, gradients, windows."""
    weights = [np.array(w) for w in weights]
    end = T if lengths is None else max(lengths)
    full = np.full(N, T) if lengths is None else np.asarray(lengths)
    first, windows, totals = 0, [], [np.zeros_like(w) for w in weights]

    def inside(begin, end):
        return [min(max(length - begin, 0), end - begin) for length in full]

    for start in range(0, end, k1):
        stop = min(start + k1, end)
        here = reference.Weights(*weights)
        run = reference.run(
            cell, x[:, first:stop], here, *state, lengths=inside(first, stop)
        )  # fmt: skip
        dwindow = np.array(dy[:, first:stop])
        dwindow[:, : start - first] = 0
        gradients = reference.bptt(
            cell, x[:, first:stop], here, dwindow, None, None, *state, lengths=inside(first, stop)
        )
        steps = [gradients.dweight_ih, gradients.dweight_hh, gradients.dbias_ih, gradients.dbias_hh]
        windows.append((first, start, stop, run.y[:, start - first :], gradients.dx))
        following = max(min(stop + k1, end) - k2, 0)
        if following > first:
            moved = reference.run(
                cell, x[:, first:following], here, *state, lengths=inside(first, following)
            )
            state, first = (moved.h_n, moved.c_n), following
        totals = [total + step for total, step in zip(totals, steps, strict=True)]
        weights = [w - rate * step for w, step in zip(weights, steps, strict=True)]
    return weights, totals, windows


@pytest.mark.parametrize("rate", [0.0, 0.003])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(
    "steps", [(1, 1), (1, 4), (3, 3), (3, 5), (4, 8), (5, 6), (2, 13), (5, 40), (13, 13), (20, 30)]
)
@pytest.mark.parametrize("cell", CELLS)
def test_windows_are_those_by_hand(cell, steps, ragged, rate):
    rng = np.random.default_rng(1)
    layer = cell_layer(cell)
    x, state, dy, _ = draw(cell, (N, T, I, H), "float64", rng)
    lengths = random_lengths(rng, N, T - 1) if ragged else None  # none is as long as x
    if ragged:
        for n, valid in enumerate(lengths):
            x[n, valid:], dy[n, valid:] = np.nan, 0
    weights = reference_weights(layer)
    given = like(state, np.copy)
    hand = parts(cell, state)
    expected, totals, windows = truncated_by_hand(
        cell, np.nan_to_num(x), [getattr(weights, name) for name in NAMES], dy, hand, lengths,
        *steps, rate,
    )  # fmt: skip
    optimizer = fr.optim.SGD(rate) if rate else None
    gradients = np.zeros_like(layer.gradient_vector)
    seen = fr.truncated_bptt(layer, x, steps, given, lengths=lengths)
    for part in leaves(given):  # it was copied
        part.fill(np.nan)
    for window, (first, start, stop, y, dx) in zip(seen, windows, strict=True):
        assert (window.first, window.start, window.stop) == (first, start, stop)
        assert_near(window.outputs, y, "outputs")
        layer.zero_grad()
        got = window.backward(dy[:, start:stop], input_gradient=True)
        assert_near(got, dx, "dx")
        gradients += layer.gradient_vector
        if optimizer is not None:
            optimizer.step(layer.parameter_vector, layer.gradient_vector)
    assert_near(gradients, np.concatenate([t.ravel() for t in totals]), "gradients")
    assert_near(layer.parameter_vector, np.concatenate([w.ravel() for w in expected]), "weights")


def models():
    return {
        "LSTM": lambda: fr.LSTM(I, H, 2, seed=0),
        "Stacked": lambda: fr.Stacked([fr.GRU(I, 4, seed=0), fr.LSTM(4, H, seed=1)]),
        "Sequential": lambda: fr.Sequential(
            [fr.Linear(I, 4, seed=0), fr.GRU(4, H, 2, dropout=0.0, seed=1), fr.Linear(H, 2, seed=2)]
        ),
        "Checkpointed": lambda: fr.Checkpointed(fr.GRU(I, H, seed=0), memory_budget=10**6),
    }


def assert_same_state(actual, expected):
    for got, wanted in zip(leaves(actual), leaves(expected), strict=True):
        assert_same_bits(got, wanted, "state")


@pytest.mark.parametrize("steps", [T, (T, T), (T, 3 * T), (2 * T, 2 * T)])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", models())
def test_windows_of_all_steps_are_full_bptt_bit_for_bit(name, ragged, steps):
    rng = np.random.default_rng(2)
    model, full = (models()[name]() for _ in range(2))
    x = rng.standard_normal((N, T, I)).astype(np.float32)
    lengths = [T, 0, 3, 7] if ragged else None
    _, state = full(x)
    y, final, tape = full.forward(x, state, lengths=lengths)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, _ = full.backward(tape, dy)
    windows = fr.truncated_bptt(model, x, steps, state, lengths=lengths)
    window = next(windows)
    assert_same_bits(window.outputs, y, "outputs")
    assert_same_state(window.state, final)
    assert_same_bits(window.backward(dy, input_gradient=True), dx, "dx")
    assert_same_bits(model.gradient_vector, full.gradient_vector, "gradients")
    assert next(windows, None) is None


@pytest.mark.parametrize("steps", [(1, 1), (2, 5), (3, 3), (4, 6), (5, 50)])
@pytest.mark.parametrize("name", models())
def test_outputs_and_states_are_those_of_the_whole_sequence(name, steps):
    model = models()[name]()
    x = np.random.default_rng(3).standard_normal((N, T, I)).astype(np.float32)
    lengths = np.array([T, 0, 3, 7])
    y, final = model(x, lengths=lengths)
    windows = list(fr.truncated_bptt(model, x, steps, lengths=lengths))
    assert_same_bits(np.concatenate([w.outputs for w in windows], axis=1), y, "outputs")
    assert_same_state(windows[-1].state, final)
    assert sum(w.lengths for w in windows).tolist() == lengths.tolist()
    assert not model.gradient_vector.any()
    for window in windows:  # each lasts until the next
        with pytest.raises(RuntimeError, match="window: already used by .*, or the next one has"):
            window.backward(np.zeros_like(window.outputs))


@pytest.mark.parametrize("k1", [1, 2, 5, 12])
def test_windows_back_to_the_beginning_add_up_to_full_bptt(k1):
    """Williams and Peng inject each error once, so nothing is counted twice."""
    rng = np.random.default_rng(4)
    model = fr.Sequential(
        [fr.LSTM(I, H, 2, dtype="float64", seed=0), fr.Linear(H, 2, dtype="float64", seed=1)]
    )
    x, dy = rng.standard_normal((N, T, I)), rng.standard_normal((N, T, 2))
    _, _, tape = model.forward(x)
    model.backward(tape, dy)
    full = model.gradient_vector.copy()
    model.zero_grad()
    for window in fr.truncated_bptt(model, x, (k1, T)):
        assert window.first == 0
        window.backward(dy[:, window.start : window.stop])  # adds
    assert_near(model.gradient_vector, full, "gradients")


def test_a_gradient_reaches_back_k2_steps_and_no_further():
    layer = cell_layer("gru")
    x = np.random.default_rng(5).standard_normal((1, T, I))
    for window in fr.truncated_bptt(layer, x, (2, 5)):
        layer.zero_grad()
        dy = np.zeros_like(window.outputs)
        dy[:, -1] = 1
        dx = window.backward(dy, input_gradient=True)
        assert dx.shape[1] == window.stop - window.first == min(5, window.stop)
        assert np.all(np.abs(dx).max(axis=(0, 2)) > 0)


def test_tokens_and_models_without_a_gradient_of_x():
    model = fr.Sequential(
        [fr.Embedding(7, I, seed=0), fr.GRU(I, H, seed=1), fr.Linear(H, 7, seed=2)]
    )
    tokens = np.random.default_rng(6).integers(0, 7, (N, T))
    for window in fr.truncated_bptt(model, tokens, (4, 6)):
        assert window.backward(np.ones_like(window.outputs), input_gradient=True) is None
    assert all(gradient.any() for gradient in model.gradients.values())


def test_windows_work_in_the_memory_of_those_before():
    model = fr.Sequential([fr.LSTM(I, H, 2, seed=0), fr.Linear(H, 2, seed=1)])
    pools = [p._buffers.tapes for p in walk(model) if isinstance(p, RecurrentLayer)]
    x = np.ones((N, 60, I), np.float32)
    for i, window in enumerate(fr.truncated_bptt(model, x, (5, 12))):
        if i % 2:
            window.backward(np.ones_like(window.outputs))
        assert sum(len(pool._free) for pool in pools) <= 3 * len(pools)
    assert all(1 <= len(pool._free) <= 3 for pool in pools)  # a window has up to three pieces
    windows = fr.truncated_bptt(model, x, (5, 5))
    next(windows)
    windows.close()  # in the middle
    with pytest.raises(StopIteration):
        next(windows)


def test_a_bad_gradient_leaves_the_window_usable():
    layer = cell_layer("gru")
    windows = fr.truncated_bptt(layer, np.ones((N, T, I)), (3, 5))
    window = next(windows)
    good = np.ones((N, 3, H))
    for bad, error in ((good[:, :2], ValueError), (good.astype(np.float32), TypeError)):
        with pytest.raises(error, match="doutputs: expected"):
            window.backward(bad)
    assert not layer.gradient_vector.any()
    assert window.backward(good) is None
    with pytest.raises(RuntimeError, match="window: already used"):
        window.backward(good)
    window = next(windows)
    layer.parameters["weight_hh"][...] *= 2
    layer.zero_grad()
    with pytest.raises(RuntimeError, match="tape: the parameters changed since forward"):
        window.backward(good)
    assert not layer.gradient_vector.any()


def test_no_valid_step_is_no_window():
    layer = cell_layer("gru")
    assert list(fr.truncated_bptt(layer, np.ones((N, T, I)), 3, lengths=[0] * N)) == []
    assert list(fr.truncated_bptt(layer, np.ones((N, 0, I)), 3)) == []


X = np.ones((N, T, I), np.float32)
BAD = [
    (lambda: fr.GRU(I, H, bidirectional=True), {}, "expected layers that run forward in time, got"),
    (lambda: fr.GRU(I, H, reverse=True), {}, "expected layers that run forward in time, got"),
    (
        lambda: fr.Sequential([fr.Bidirectional(fr.GRU(I, H)), fr.Linear(2 * H, 2)]),
        {},
        "a bidirectional or reversed one: what it reads begins at a sequence's end",
    ),
    (
        lambda: fr.Checkpointed(fr.GRU(I, H, reverse=True), memory_budget=10**6),
        {},
        "a bidirectional or reversed one",
    ),
    (lambda: fr.Sequential([fr.GRU(I, H), fr.Last()]), {}, "keep the time axis, got Last"),
    (lambda: fr.GRU(I, H, batch_first=False), {}, "batch_first, got a GRU without"),
    (lambda: 3, {}, "model: expected a layer, got int"),
    (lambda: fr.GRU(I, H), {"bptt_steps": 0}, "bptt_steps: expected at least 1, got 0"),
    (lambda: fr.GRU(I, H), {"bptt_steps": 2.0}, "bptt_steps: expected an integer, got float"),
    (lambda: fr.GRU(I, H), {"bptt_steps": (3, 0)}, r"bptt_steps\[1\]: expected at least 1"),
    (lambda: fr.GRU(I, H), {"bptt_steps": (3, 2)}, "expected k1 <= k2, got k1 = 3, k2 = 2"),
    (lambda: fr.GRU(I, H), {"bptt_steps": (1, 2, 3)}, r"pair \(k1, k2\), got 3 values"),
    (lambda: fr.GRU(I, H), {"replicas": "max"}, "replicas: expected one of sum, mean, got 'max'"),
    (lambda: fr.GRU(I, H), {"x": X[0, 0]}, "x: expected shape"),
    (lambda: fr.GRU(I, H), {"lengths": [T + 1] * N}, r"lengths\[0\]: expected 0..T = 0..13"),
]


@pytest.mark.parametrize(("make", "options", "message"), BAD)
def test_bad_arguments_are_refused_at_once(make, options, message):
    options = {"x": X, "bptt_steps": 3} | options
    with pytest.raises((TypeError, ValueError), match=message):
        fr.truncated_bptt(make(), **options)


# ---- replicas ----


def unrolled(cell, x, weights, dy, lengths):
    """Return the gradients of T copies of the weights, one a time step, and how many are used."""
    # The reference's cells take weights per unit as a fifth, which these cells have none of.
    parameters = Parameters(*(getattr(weights, name) for name in NAMES), np.zeros(0))
    copies = [Parameters(*(np.array(p) for p in parameters)) for _ in range(T)]
    gradients = [[np.zeros_like(p) for p in parameters] for _ in range(T)]
    step, backward = reference.CELLS[cell].step, reference.CELLS[cell].step_backward
    width = 1 + ops.CELLS[cell].has_cell_state
    for n, valid in enumerate(lengths):
        states = [(np.zeros(H),) * width]
        for t in range(valid):
            states.append(step(copies[t], x[n, t], states[-1]))
        dstate = (np.zeros(H),) * width
        for t in reversed(range(valid)):
            dstate = (dstate[0] + dy[n, t], *dstate[1:])
            _, dstate, terms = backward(copies[t], x[n, t], states[t], dstate)
            for total, term in zip(gradients[t], terms, strict=True):
                total += term
    return gradients[: max(lengths)]


@pytest.mark.parametrize("lengths", [[T] * N, [9, 0, 3, 10]])
@pytest.mark.parametrize("cell", CELLS)
def test_the_mean_is_that_over_the_copies_of_an_unrolled_network(cell, lengths):
    rng = np.random.default_rng(7)
    layer = cell_layer(cell)
    x, _, dy, _ = draw(cell, (N, T, I, H), "float64", rng)
    replicas = unrolled(cell, x, reference_weights(layer), dy, lengths)
    assert len(replicas) == max(lengths)
    for combine, average in ((np.sum, False), (np.mean, True)):
        layer.zero_grad()
        _, _, tape = layer.forward(x, lengths=lengths)
        layer.backward(tape, dy)
        if average:
            fr.average_replicas(layer, max(lengths))
        for i, name in enumerate(NAMES):
            expected = combine([replica[i] for replica in replicas], axis=0)
            scale = max(1.0, np.abs(expected).max())
            assert np.abs(layer.gradients[name] - expected).max() / scale < 1e-12, name


@pytest.mark.parametrize("cell", CELLS)
def test_the_mean_is_that_over_layers_of_one_step(cell):
    """The same from T layers with a step and a gradient vector each, below a head."""
    rng = np.random.default_rng(8)
    x, dout = rng.standard_normal((N, T, I)), rng.standard_normal((N, T, 2))
    layers = [cell_layer(cell) for _ in range(T)]
    head = fr.Linear(H, 2, dtype="float64", seed=1)
    state, tapes = None, []
    for t, layer in enumerate(layers):
        y, state, tape = layer.forward(x[:, t : t + 1], state)
        _, _, head_tape = head.forward(y)
        tapes.append((tape, head_tape))
    dstate = None
    for t in reversed(range(T)):
        dy, _ = head.backward(tapes[t][1], dout[:, t : t + 1])
        _, dstate = layers[t].backward(tapes[t][0], dy, dstate)
    mean = np.mean([layer.gradient_vector for layer in layers], axis=0)

    model = fr.Sequential([cell_layer(cell), fr.Linear(H, 2, dtype="float64", seed=1)])
    (window,) = _used(fr.truncated_bptt(model, x, T, replicas="mean"), dout)
    assert window.stop == T
    expected = np.concatenate([mean, head.gradient_vector])  # the head's is the sum
    scale = max(1.0, np.abs(expected).max())
    assert np.abs(model.gradient_vector - expected).max() / scale < 1e-12


def _used(windows, dout):
    """Run the backward pass of all windows."""
    seen = []
    for window in windows:
        window.backward(dout[:, window.start : window.stop])
        seen.append(window)
    return seen


@pytest.mark.parametrize("steps", [(3, 3), (4, 7)])
def test_a_window_divides_what_it_adds_by_its_own_steps(steps):
    rng = np.random.default_rng(9)
    x, dout = rng.standard_normal((N, T, I)), rng.standard_normal((N, T, 2))

    def make():
        return fr.Sequential([cell_layer("lstm"), fr.Linear(H, 2, dtype="float64", seed=1)])

    model, by_hand = make(), make()
    size = model.layers[0].gradient_vector.size
    model.gradient_vector[...] = 7  # adds to what is there
    expected = np.full_like(model.gradient_vector, 7)
    lengths = [T - 2, 0, 3, 7]
    for window in fr.truncated_bptt(by_hand, x, steps, lengths=lengths):
        by_hand.zero_grad()
        window.backward(dout[:, window.start : window.stop])
        by_hand.gradient_vector[:size] /= window.stop - window.first
        expected += by_hand.gradient_vector
    _used(fr.truncated_bptt(model, x, steps, lengths=lengths, replicas="mean"), dout)
    assert_near(model.gradient_vector, expected, "gradients")


def test_the_number_of_replicas_is_a_positive_integer():
    for steps, error in ((0, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match="steps: expected"):
            fr.average_replicas(fr.GRU(I, H), steps)
