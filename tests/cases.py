"""What several test files share: layers by cell, reference weights, stored vectors."""

import json
from pathlib import Path

import numpy as np

import fastrnn as fr
from fastrnn import ops, reference
from fastrnn.recurrent import RecurrentLayer

VECTORS = dict(np.load(Path(__file__).parent / "data" / "reference_vectors.npz"))
VECTOR_CASES = {case["name"]: case for case in map(json.loads, VECTORS["index"].tolist())}


#: The public layer of each cell, and what to give it.
LAYERS = {
    "lstm": (fr.LSTM, {}),
    "lstm_peephole": (fr.LSTM, {"peepholes": True}),
    "lstm_coupled": (fr.LSTM, {"coupled_gates": True}),
    "lstm_coupled_peephole": (fr.LSTM, {"coupled_gates": True, "peepholes": True}),
    "gru": (fr.GRU, {}),
    "gru_reset_before": (fr.GRU, {"reset_after": False}),
    "rnn_tanh": (fr.RNN, {}),
    "rnn_relu": (fr.RNN, {"nonlinearity": "relu"}),
    "independent_rnn_tanh": (fr.RNN, {"independent": True}),
    "independent_rnn_relu": (fr.RNN, {"independent": True, "nonlinearity": "relu"}),
}


def network(cell, input_size, hidden_size, num_layers=None, **options):
    """Return the public layer of a cell."""
    layer, variant = LAYERS[cell]
    return layer(input_size, hidden_size, num_layers, **variant, **options)


def state_of(cell, h, c):
    """Return the state argument of a cell."""
    return (h, c) if ops.CELLS[cell].has_cell_state else h


def parts(cell, state):
    """Return h and c of a state; None where the cell has no c."""
    return state if ops.CELLS[cell].has_cell_state else (state, None)


def draw(cell, sizes, dtype, rng):
    """Return x, state, dy, dstate for sizes (N, T, I, H)."""
    batch, steps, inputs, hidden = sizes

    def array(*shape):
        return rng.standard_normal(shape).astype(dtype)

    state = state_of(cell, array(batch, hidden), array(batch, hidden))
    dstate = state_of(cell, array(batch, hidden), array(batch, hidden))
    return array(batch, steps, inputs), state, array(batch, steps, hidden), dstate


def reference_name(cell, name):
    """Return the field of `reference.Weights` that a parameter of a layer is."""
    has_matrix = ops.CELLS[cell].has_recurrent_matrix
    return "unit_weights" if name == ("weight_peephole" if has_matrix else "weight_hh") else name


def reference_weights(layer: RecurrentLayer):
    """Return the parameters of a layer in float64 as the reference takes them."""
    given = {reference_name(layer.cell, k): v.astype(float) for k, v in layer.parameters.items()}
    return reference.Weights(**dict.fromkeys(("weight_ih", "weight_hh")) | given)


def vectors(name):
    """Return the stored arrays of one case, with the prefix removed."""
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in VECTORS.items() if k.startswith(prefix)}
