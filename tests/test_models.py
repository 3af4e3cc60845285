"""The usual model of sequences is the one that a user would build by hand."""

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.models import sequence_model, with_units
from fastrnn.testing import assert_same_bits

X = np.random.default_rng(0).standard_normal((3, 6, 2)).astype(np.float32)
LENGTHS = [6, 2, 4]


@pytest.mark.parametrize("pooling", ["last", "mean", None])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_model_by_hand(pooling, bidirectional):
    made = sequence_model(
        2, 4, cell="gru", hidden_size=5, bidirectional=bidirectional, dropout=0.2, pooling=pooling,
        standardize=fr.Standardize.fit(X), seed=0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    pools = {"last": [fr.Last(bidirectional=bidirectional)], "mean": [fr.MeanPool()], None: []}
    recurrent = fr.GRU(2, 5, bidirectional=bidirectional, seed=rng)
    linear = fr.Linear(10 if bidirectional else 5, 4, seed=rng)
    by_hand = fr.Sequential(
        [fr.Standardize.fit(X), recurrent, *pools[pooling], fr.Dropout(0.2), linear]
    )
    y, wanted = (model(X, lengths=LENGTHS)[0] for model in (made, by_hand))
    assert y.shape == ((3, 4) if pooling else (3, 6, 4))
    assert_same_bits(y, wanted, "y")
    for model in (made, by_hand):
        model.reseed(np.random.default_rng(7))
    y, wanted = (model.forward(X, lengths=LENGTHS)[0] for model in (made, by_hand))
    assert_same_bits(y, wanted, "y in training")
    assert not np.allclose(y, made(X, lengths=LENGTHS)[0])


def test_layers_options_and_units():
    made = sequence_model(
        2, 1, cell="rnn", hidden_size=[4, 3], dropout=0.1, dtype="float64", pooling="mean",
        network_options={"merge": "sum", "nonlinearity": "relu"}, seed=0,
    )  # fmt: skip
    assert [type(layer).__name__ for layer in made.layers] == [
        "RNN", "MeanPool", "Dropout", "Linear",
    ]  # fmt: skip
    recurrent = made.layers[0]
    assert (recurrent.merge, recurrent.nonlinearity, recurrent.dropout) == ("sum", "relu", 0.1)
    x = X.astype(np.float64)
    y = made(x)[0]
    np.testing.assert_allclose(with_units(made, [3.0], [0.25])(x)[0], y * 0.25 + 3, rtol=1e-13)
