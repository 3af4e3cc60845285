"""The network of a character model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrnn.composition import Sequential
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Embedding, Linear
from fastrnn.layers import CELLS
from fastrnn.protocol import Layer
from fastrnn.tied_sequential import TiedSequential


def network(
    num_tokens: int,
    cell: str,
    hidden_size: Any,
    num_layers: int | None,
    embedding_size: int,
    dropout: float,
    tied: bool,
    rng: np.random.Generator,
    options: Mapping[str, Any],
) -> Sequential:
    """Return Embedding, recurrent layers, Dropout and Linear, in a sequence.

    Dropout acts between recurrent layers and behind the last. Where the embedding is tied and the
    recurrent layers have another size, a Linear without bias leads back to it.

    Parameters
    ----------
    num_tokens : int
        V.
    cell : {"lstm", "gru", "rnn"}
    hidden_size, num_layers
        As for `LSTM`.
    embedding_size : int
        E.
    dropout : float
    tied : bool
    rng : numpy.random.Generator
        Of all initial values.
    options : mapping
        More arguments of the recurrent layers.
    """
    dtype = options.get("dtype", "float32")
    several = num_layers is None or num_layers > 1  # with one there is no between
    recurrent = CELLS[cell](
        embedding_size,
        hidden_size,
        num_layers,
        dropout=dropout if several else 0.0,
        seed=rng,
        **options,
    )
    layers: list[Layer] = [Embedding(num_tokens, embedding_size, dtype=dtype, seed=rng), recurrent]
    if dropout:
        layers.append(Dropout(dropout, seed=rng))
    features = recurrent.output_size
    if tied and features != embedding_size:
        layers.append(Linear(features, embedding_size, bias=False, dtype=dtype, seed=rng))
        features = embedding_size
    layers.append(Linear(features, num_tokens, dtype=dtype, seed=rng))
    return TiedSequential(layers) if tied else Sequential(layers)
