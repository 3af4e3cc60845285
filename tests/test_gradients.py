"""Gradients against central differences in float64: every cell with every option, every layer."""

import numpy as np
import pytest

import fastrnn as fr
from cases import network
from fastrnn import ops
from fastrnn.protocol import Layer
from fastrnn.testing import TOLERANCES, check_gradients, like, random_lengths

BATCH, STEPS, INPUTS, HIDDEN = 3, 4, 2, 3

#: Options of the layer, and whether to give lengths and an initial state.
VARIANTS = {
    "plain": ({}, False, False),
    "no bias": ({"bias": False}, False, False),
    "ragged": ({}, True, False),
    "reversed": ({"reverse": True}, False, True),
    "reversed, ragged": ({"reverse": True}, True, True),
    "initial and final state": ({}, False, True),
    "two layers": ({"num_layers": 2}, True, True),
    "bidirectional": ({"bidirectional": True}, True, True),
    "two layers, bidirectional": ({"num_layers": 2, "bidirectional": True}, True, True),
    "dropout": ({"num_layers": 2, "dropout": 0.4}, False, False),
    "time first": ({"batch_first": False, "bidirectional": True}, True, True),
    "sum": ({"num_layers": 2, "bidirectional": True, "merge": "sum"}, True, True),
    "mean": ({"num_layers": 2, "bidirectional": True, "merge": "mean"}, True, True),
    "product": ({"num_layers": 2, "bidirectional": True, "merge": "product"}, True, True),
    "different sizes": ({"hidden_size": [4, 2, 3], "bidirectional": True}, True, True),
    "residual": ({"num_layers": 3, "residual": True, "dropout": 0.3}, True, True),
    "residual, bidirectional": (
        {"num_layers": 2, "residual": True, "bidirectional": True},
        True,
        True,
    ),
    "repeated padding": ({"pad_output": "repeat", "bidirectional": True}, True, True),
    "padding with a number": ({"pad_output": -2.0, "batch_first": False}, True, True),
    "learned initial state": (
        {"learn_initial_state": True, "bidirectional": True, "hidden_size": [3, 2]},
        True,
        False,
    ),
}

CELLS = [
    "lstm", "lstm_peephole", "lstm_coupled", "lstm_coupled_peephole", "gru", "gru_reset_before",
    "rnn_tanh", "rnn_relu", "independent_rnn_tanh", "independent_rnn_relu",
]  # fmt: skip


def test_every_cell_has_its_cases():
    assert set(CELLS) == set(ops.CELLS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_gradients(cell, variant):
    options, ragged, with_state = VARIANTS[variant]
    rng = np.random.default_rng(3)
    options = {"hidden_size": HIDDEN} | options
    layer = network(cell, INPUTS, dtype="float64", seed=2, **options)
    for name, array in layer.parameters.items():
        if name[:2] in ("h0", "c0"):
            array[...] = rng.uniform(0.2, 0.8, array.shape)  # not zero, as at first
    x = rng.standard_normal(
        (STEPS, BATCH, INPUTS) if options.get("batch_first") is False else (BATCH, STEPS, INPUTS)
    )
    lengths = random_lengths(rng, BATCH, STEPS) if ragged else None
    state = None
    if with_state:
        state = like(layer(x)[1], lambda array: 0.5 * rng.standard_normal(array.shape))
    check = check_gradients(layer, x, state, lengths=lengths, seed=1)
    assert 0 < check.error < TOLERANCES["gradient"][0], check


OTHER_LAYERS = {
    "Linear": lambda: fr.Linear(INPUTS, 5, dtype="float64", seed=0),
    "Linear without bias": lambda: fr.Linear(INPUTS, 5, bias=False, dtype="float64", seed=0),
    "Dropout": lambda: fr.Dropout(0.5, seed=0),
    "Last": lambda: fr.Last(),
    "Last, bidirectional": lambda: fr.Last(bidirectional=True),
    "MeanPool": lambda: fr.MeanPool(),
    "Standardize": lambda: fr.Standardize([0.5, -1.0], [2.0, 3.0], dtype="float64"),
    "Stacked": lambda: fr.Stacked(
        [fr.GRU(INPUTS, 3, dtype="float64", seed=0), fr.LSTM(3, 4, dtype="float64", seed=1)]
    ),
    "Bidirectional, sum": lambda: fr.Bidirectional(
        fr.GRU(INPUTS, 3, dtype="float64", seed=0), "sum", seed=1
    ),
    "Bidirectional, product": lambda: fr.Bidirectional(
        fr.GRU(INPUTS, 3, dtype="float64", seed=0), "product", seed=1
    ),
    "Residual": lambda: fr.Residual(
        fr.Sequential(
            [
                fr.LSTM(INPUTS, 4, dtype="float64", seed=0),
                fr.Linear(4, INPUTS, dtype="float64", seed=1),
            ]
        )
    ),
    "Residual, both directions": lambda: fr.Bidirectional(
        fr.Residual(fr.GRU(INPUTS, INPUTS, dtype="float64", seed=0)), "mean", seed=1
    ),
    "Checkpointed": lambda: fr.Checkpointed(  # in one segment; more: test_checkpointing.py
        fr.GRU(INPUTS, 3, dtype="float64", seed=0), memory_budget=10**6
    ),
    "Bidirectional of a stack": lambda: fr.Bidirectional(
        fr.LSTM(INPUTS, 3, 2, dtype="float64", seed=0), seed=1
    ),
    "Sequential": lambda: fr.Sequential(
        [
            fr.Linear(INPUTS, 3, dtype="float64", seed=0),
            fr.LSTM(3, 3, dtype="float64", bidirectional=True, seed=1),
            fr.Dropout(0.3, seed=2),
            fr.Last(bidirectional=True),
            fr.Linear(6, 2, dtype="float64", seed=3),
        ]
    ),
}


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", OTHER_LAYERS)
def test_other_gradients(name, ragged):
    rng = np.random.default_rng(4)
    lengths = random_lengths(rng, BATCH, STEPS) if ragged else None
    layer = OTHER_LAYERS[name]()
    check = check_gradients(layer, rng.standard_normal((BATCH, STEPS, INPUTS)), lengths=lengths)
    assert check.error < TOLERANCES["gradient"][0], check


@pytest.mark.parametrize("ragged", [False, True])
def test_embedding_gradients(ragged):
    rng = np.random.default_rng(4)
    tokens = rng.integers(0, 4, (BATCH, STEPS))  # several of the same
    lengths = random_lengths(rng, BATCH, STEPS) if ragged else None
    layer = fr.Sequential(
        [fr.Embedding(6, 2, dtype="float64", seed=0), fr.GRU(2, 3, dtype="float64", seed=1)]
    )
    check = check_gradients(layer, tokens, lengths=lengths)
    assert check.error < TOLERANCES["gradient"][0], check


@pytest.mark.parametrize("lengths", [None, [6, 0, 3], [0, 0, 0]])
def test_embedding_gradients_add_up(lengths):
    tokens = np.array([[2, 0, 2, 4, 2, 0], [1, 1, 1, 1, 1, 1], [4, 2, 0, 3, 3, 3]])
    layer = fr.Embedding(5, 2, seed=0)
    expected = np.zeros((5, 2), np.float32)
    for seed in (1, 2):  # whole numbers: sums have no rounding
        dy = np.random.default_rng(seed).integers(-9, 9, (3, 6, 2)).astype(np.float32)
        layer.backward(layer.forward(tokens, lengths=lengths)[2], dy)
        for n, steps in enumerate(lengths or [6] * 3):
            for t in range(steps):
                expected[tokens[n, t]] += dy[n, t]
    np.testing.assert_array_equal(layer.gradients["weight"], expected)


def test_every_public_layer_has_a_case():
    covered = {name.split(",")[0].split(" ")[0] for name in OTHER_LAYERS}
    covered |= {
        "LSTM",
        "GRU",
        "RNN",
        "Embedding",
        "TiedSequential",
        "EncoderDecoder",  # in test_encoder_decoder.py
    }
    public = {name: getattr(fr, name) for name in fr.__all__}
    layers = {n for n, c in public.items() if isinstance(c, type) and issubclass(c, Layer)}
    assert covered == layers


def test_the_check_sees_a_wrong_gradient(monkeypatch):
    layer = fr.GRU(INPUTS, HIDDEN, dtype="float64", seed=0)
    backward = ops.backward

    def wrong(*arguments, **options):
        dx, dstates = backward(*arguments, **options)
        return dx * 1.0001, dstates

    monkeypatch.setattr(ops, "backward", wrong)
    assert check_gradients(layer, np.ones((BATCH, STEPS, INPUTS))).error > 1e-5
