"""Embeddings below recurrent layers: gradients that are summed by token, before any product."""

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import feedforward, ops
from fastrnn._isa import kernels
from fastrnn.testing import (
    TOLERANCES,
    assert_near,
    assert_same_bits,
    check_gradients,
    leaves,
    like,
)
from test_boundary import BACKWARD

V, E, H = 3, 5, 6
LENGTHS = np.array([7, 0, 3, 5])
RESET = np.random.default_rng(1).random((4, 7)) < 0.3
NETWORKS = {
    "lstm": (fr.LSTM, {}),
    "gru": (fr.GRU, {}),
    "gru, reset before": (fr.GRU, {"reset_after": False}),
    "rnn": (fr.RNN, {}),
    "independent": (fr.RNN, {"independent": True}),
    "two layers": (fr.GRU, {"num_layers": 2}),
    "both directions": (fr.LSTM, {"num_layers": 2, "bidirectional": True}),
    "reverse": (fr.LSTM, {"reverse": True}),
    "normalised": (fr.LSTM, {"layer_norm": True}),
    "projected": (fr.LSTM, {"proj_size": 4}),
    "peepholes": (fr.LSTM, {"peepholes": True, "coupled_gates": True}),
    "dropped": (fr.GRU, {"recurrent_dropout": 0.3, "drop_connect": 0.3, "zoneout_h": 0.2}),
    "without biases": (fr.GRU, {"bias": False}),
    "learned state": (fr.GRU, {"learn_initial_state": True}),
    "time first": (fr.GRU, {"batch_first": False}),
}


def model_of(name, sizes=(V, E, H), dtype="float64", kind=fr.Sequential):
    make, options = NETWORKS[name]
    num_embeddings, features, units = sizes
    network = make(features, units, dtype=dtype, seed=1, **options)
    batch_first = options.get("batch_first", True)
    below = fr.Embedding(num_embeddings, features, batch_first=batch_first, dtype=dtype, seed=0)
    above = [
        fr.Linear(network.output_size, features, batch_first=batch_first, dtype=dtype, seed=2),
        fr.Linear(features, num_embeddings, batch_first=batch_first, dtype=dtype, seed=3),
    ]
    return kind([below, network, *above])


def tokens_of(model, shape=(4, 7), count=V):
    tokens = np.random.default_rng(2).integers(0, count, shape)
    return tokens if model.batch_first else np.ascontiguousarray(tokens.T)


def gradients_of(model, tokens, **more):
    """Return the gradients of all parameters, and of the state."""
    model.zero_grad()
    model.reseed(np.random.default_rng(3))
    y, state, tape = model.forward(tokens, **more)
    _, dstate = model.backward(tape, np.cos(y), like(state, np.sin), input_gradient=False)
    return {name: value.copy() for name, value in model.gradients.items()}, list(leaves(dstate))


@pytest.fixture
def by_token(monkeypatch):
    """The embedding has no backward pass of its own."""

    def refused(*_):
        raise AssertionError("rows were added one by one")

    monkeypatch.setattr(feedforward, "_add_rows", refused)


@pytest.fixture
def count_rows(monkeypatch):
    """Return the list that fills with the rows added one by one."""
    counts, add_rows = [], feedforward._add_rows

    def counted(sums, places, rows):
        counts.append(len(places))
        add_rows(sums, places, rows)

    monkeypatch.setattr(feedforward, "_add_rows", counted)
    return counts


def row_by_row(model, tokens, **more):
    """Return what `gradients_of` does, less the sums by token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fr.Embedding, "_embedding_gradient", lambda *_, **__: None)
        return gradients_of(model, tokens, **more)


def assert_agree(model, tokens, **more):
    bound = 1e-11 if model.dtype == np.float64 else 2e-5
    expected, dstate = row_by_row(model, tokens, **more)
    actual, actual_dstate = gradients_of(model, tokens, **more)
    for name, wanted in expected.items():
        error = np.abs(actual[name] - wanted).max()
        assert error <= bound * max(np.abs(wanted).max(), 1e-3), (name, error)
    for got, wanted in zip(actual_dstate, dstate, strict=True):
        assert_same_bits(got, wanted, "dstate")


# ---- right ----


@pytest.mark.usefixtures("by_token")
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients(name, ragged):
    model = model_of(name)
    check = check_gradients(model, tokens_of(model), lengths=LENGTHS if ragged else None)
    assert check.error < TOLERANCES["gradient"][0], check


@pytest.mark.usefixtures("by_token")
@pytest.mark.parametrize("name", ["lstm", "both directions", "two layers"])
def test_gradients_with_resets(name):
    model = model_of(name)
    check = check_gradients(model, tokens_of(model), lengths=LENGTHS, reset=RESET)
    assert check.error < TOLERANCES["gradient"][0], check


@pytest.mark.usefixtures("by_token")
def test_gradients_of_tied_weights():
    model = model_of("gru", kind=fr.TiedSequential)
    check = check_gradients(model, tokens_of(model), lengths=LENGTHS)
    assert check.error < TOLERANCES["gradient"][0], check


def test_tied_weights_are_added_to_by_both():
    model = model_of("gru", (9, E, H), kind=fr.TiedSequential)
    assert_agree(model, tokens_of(model, (8, 9), 9))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_those_of_single_rows_over_several_chunks(name, dtype, count_rows):
    model = model_of(name, (19, 17, 33), dtype)
    tokens = tokens_of(model, (40, 20), 18)  # the last one does not occur
    assert_agree(model, tokens)
    lengths = np.random.default_rng(4).integers(0, 21, 40)
    assert_agree(model, tokens, lengths=lengths)
    assert count_rows == [800, lengths.sum()]


@pytest.mark.parametrize("shape", [(1, 4), (1, 600), (300, 2), (5, 1)])
def test_one_token(shape, count_rows):
    assert_agree(model_of("lstm", (1, E, H)), np.zeros(shape, int))
    assert count_rows == [np.prod(shape)]
    if np.prod(shape) >= 12:
        assert_agree(model_of("lstm"), np.ones(shape, int))


def test_tokens_that_do_not_occur_have_no_gradient():
    model = model_of("lstm", (6, E, H))
    gradients, _ = gradients_of(model, tokens_of(model, (4, 7), 4))
    assert gradients["0.weight"][:4].all()
    assert not gradients["0.weight"][4:].any()


# ---- the same bits ----


@pytest.mark.parametrize("name", ["lstm", "gru", "both directions", "normalised", "projected"])
@pytest.mark.parametrize("shape", [(64, 20), (2, 120)])  # rows are split, and units
def test_they_do_not_depend_on_threads(name, shape):
    before = fr.get_num_threads()
    model = model_of(name, (20, 24, 96), "float32")
    tokens = tokens_of(model, shape, 20)
    results = []
    try:
        for threads in (1, 2):
            fr.set_num_threads(threads)
            results.append(gradients_of(model, tokens))
    finally:
        fr.set_num_threads(before)
    for one, two in zip(results[0][0].items(), results[1][0].items(), strict=True):
        assert_same_bits(one[1], two[1], one[0])


def test_two_directions_side_by_side(monkeypatch):
    model = model_of("both directions", (9, E, H), "float32")
    tokens = tokens_of(model, (8, 9), 9)
    results = []
    for beside in (True, False):
        monkeypatch.setattr(ops.layer, "side_by_side", lambda *_, beside=beside: beside)
        results.append(gradients_of(model, tokens, lengths=np.arange(1, 9))[0])
    for name, gradient in results[0].items():
        assert_same_bits(gradient, results[1][name], name)


@pytest.mark.usefixtures("by_token")
@pytest.mark.parametrize("name", ["gru", "both directions"])
def test_calls_add_up(name):
    model = model_of(name)
    tokens = tokens_of(model)
    once, _ = gradients_of(model, tokens)
    y, state, tape = model.forward(tokens)
    model.backward(tape, np.cos(y), like(state, np.sin))
    for name, gradient in model.gradients.items():
        assert_near(gradient, 2 * once[name], name)


# ---- where it is done, and where not ----


def test_few_steps_are_added_one_by_one(count_rows):
    model = model_of("gru")
    gradients_of(model, tokens_of(model, (1, 11)))
    assert count_rows == [11]
    gradients_of(model, tokens_of(model, (1, 12)))
    assert count_rows == [11]


OTHERS = {
    "input dropout": lambda: fr.GRU(E, H, input_dropout=0.2, dtype="float64", seed=1),
    "residual": lambda: fr.Residual(fr.GRU(E, E, dtype="float64", seed=1)),
    "checkpoints": lambda: fr.Checkpointed(
        fr.GRU(E, H, dtype="float64", seed=1), memory_budget=10**6
    ),
    "checkpoints one way": lambda: fr.Bidirectional(
        fr.GRU(E, H, dtype="float64", seed=1),
        reverse_layer=fr.Checkpointed(
            fr.GRU(E, H, dtype="float64", reverse=True, seed=2), memory_budget=10**6
        ),
    ),
    "linear": lambda: fr.Linear(E, H, dtype="float64", seed=1),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_above(name, count_rows):
    model = fr.Sequential([fr.Embedding(V, E, dtype="float64", seed=0), OTHERS[name]()])
    tokens = tokens_of(model)
    check = check_gradients(model, tokens, lengths=LENGTHS)
    assert check.error < TOLERANCES["gradient"][0], check
    assert count_rows == [15]


def test_a_sequence_in_a_sequence(by_token):
    inner = fr.Sequential([fr.GRU(E, H, dtype="float64", seed=1)])
    model = fr.Sequential([fr.Embedding(V, E, dtype="float64", seed=0), inner])
    check = check_gradients(model, tokens_of(model), lengths=LENGTHS)
    assert check.error < TOLERANCES["gradient"][0], check


def test_checkpoints_agree_to_rounding():
    lstm = fr.LSTM(E, H, dtype="float64", seed=1)
    other = fr.LSTM(E, H, dtype="float64", seed=1)
    checkpointed = fr.Checkpointed(other, memory_budget=300_000)
    assert len(checkpointed.segments(2, 2000)) > 1
    tokens = np.random.default_rng(2).integers(0, V, (2, 2000))
    results = []
    for layer in (lstm, checkpointed):
        model = fr.Sequential([fr.Embedding(V, E, dtype="float64", seed=0), layer])
        results.append(gradients_of(model, tokens)[0])
    for name, gradient in results[0].items():
        assert_near(results[1][name], gradient, name)


def test_the_tape_is_used_up(by_token):
    model = model_of("gru")
    y, _, tape = model.forward(tokens_of(model))
    inner = tape.content(model)[0]
    model.backward(tape, y)
    with pytest.raises(RuntimeError, match="already used"):
        inner.content(model.layers[0])


# ---- memory ----


WRONG_TOKENS = {
    "dtype": (lambda t: t.astype(np.int32), TypeError),
    "a step less": (lambda t: t[:, 1:], ValueError),
    "two axes": (lambda t: t[..., 0], ValueError),
    "negative": (lambda t: t - 1, ValueError),
    "too large": (lambda t: t + 1, ValueError),
}
WRONG_GRADIENTS = {
    "none": (lambda _: None, ValueError),
    "by step": (lambda _: np.zeros((4, 7, E)), ValueError),
    "no embedding": (lambda d: d[:0], ValueError),
    "another size": (lambda d: d[:, 1:], ValueError),
    "dtype": (lambda d: d.astype(np.float32), TypeError),
}


def refused(monkeypatch, error, match, places):
    """Call the kernels with some arguments changed: {place: change}."""
    backward = kernels.backward
    model = model_of("gru")
    y, _, tape = model.forward(tokens_of(model))

    def changed(*arguments):
        backward(*(places.get(i, lambda a: a)(a) for i, a in enumerate(arguments)))

    class Kernels:
        backward = staticmethod(changed)

    monkeypatch.setattr(ops.layer, "kernels", Kernels)
    with pytest.raises(error, match=match):
        model.backward(tape, y)


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_the_kernels_refuse_wrong_tokens(wrong, monkeypatch):
    change, error = WRONG_TOKENS[wrong]
    refused(monkeypatch, error, "tokens: expected", {BACKWARD.index("tokens"): change})


@pytest.mark.parametrize("wrong", WRONG_GRADIENTS)
def test_the_kernels_refuse_wrong_gradients(wrong, monkeypatch):
    change, error = WRONG_GRADIENTS[wrong]
    refused(monkeypatch, error, "dx: expected", {BACKWARD.index("dx"): change})


def test_the_kernels_refuse_a_workspace_without_room_for_tokens(monkeypatch):
    def without_room(workspace):
        size = ("gru", 4, 7, E, H, 8)
        return workspace[: kernels.workspace_size("backward", True, *size)]

    refused(
        monkeypatch, ValueError, "workspace: expected", {BACKWARD.index("workspace"): without_room}
    )
