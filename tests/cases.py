"""What several test files share: layers by cell, reference weights, stored vectors."""

import json
from pathlib import Path

import numpy as np

import fastrnn as fr
from fastrnn import reference
from fastrnn.recurrent import RecurrentLayer

VECTORS = dict(np.load(Path(__file__).parent / "data" / "reference_vectors.npz"))
VECTOR_CASES = {case["name"]: case for case in map(json.loads, VECTORS["index"].tolist())}


def network(cell, input_size, hidden_size, num_layers=None, **options):
    """Return the public layer of a cell."""
    match cell:
        case "lstm":
            return fr.LSTM(input_size, hidden_size, num_layers, **options)
        case "gru":
            return fr.GRU(input_size, hidden_size, num_layers, **options)
        case "gru_reset_before":
            return fr.GRU(input_size, hidden_size, num_layers, reset_after=False, **options)
        case "rnn_tanh":
            return fr.RNN(input_size, hidden_size, num_layers, **options)
        case "rnn_relu":
            return fr.RNN(input_size, hidden_size, num_layers, nonlinearity="relu", **options)
    raise ValueError(cell)


def state_of(cell, h, c):
    """Return the state argument of a cell."""
    return (h, c) if cell == "lstm" else h


def draw(cell, sizes, dtype, rng):
    """Return x, state, dy, dstate for sizes (N, T, I, H)."""
    batch, steps, inputs, hidden = sizes

    def array(*shape):
        return rng.standard_normal(shape).astype(dtype)

    state = state_of(cell, array(batch, hidden), array(batch, hidden))
    dstate = state_of(cell, array(batch, hidden), array(batch, hidden))
    return array(batch, steps, inputs), state, array(batch, steps, hidden), dstate


def reference_weights(layer: RecurrentLayer):
    """Return the parameters of a layer in float64 as the reference takes them."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    values = [layer.parameters.get(name) for name in names]
    return reference.Weights(*[None if v is None else v.astype(np.float64) for v in values])


def vectors(name):
    """Return the stored arrays of one case, with the prefix removed."""
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in VECTORS.items() if k.startswith(prefix)}
