"""What the tests of the specification share: its arguments by name, cells as others in disguise."""

import dataclasses

import numpy as np

from fastrnn.reference import CELLS, Masks, Options, Weights, bptt, run

PLAIN = Options()
RAGGED = [4, 0, 2]  # lengths


def assert_close(actual, expected, what):
    """Two float64 implementations of one formula: rounding only."""
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12, err_msg=what)


def draw(cell, rng, sizes=(3, 4, 2, 3), *, bias=True, options=PLAIN):
    """Draw inputs, weights, states and upstream derivatives under the names of the API."""
    batch_size, steps, input_size, hidden_size = sizes
    kind, projection = CELLS[cell], options.projection_size
    rows, state_size = kind.num_gates * hidden_size, projection or hidden_size
    shapes = dict.fromkeys(("h0", "dh_n"), (batch_size, state_size))
    shapes |= dict.fromkeys(("c0", "dc_n"), (batch_size, hidden_size))
    shapes |= {"x": (batch_size, steps, input_size), "dy": (batch_size, steps, state_size)}
    shapes |= {"weight_ih": (rows, input_size), "weight_hh": (rows, state_size)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    shapes |= {"unit_weights": (len(kind.unit_weights) * hidden_size,)}
    shapes |= {"weight_hr": (projection, hidden_size)}
    products = 2 * (1 + kind.has_recurrent_matrix)
    shapes |= {"layer_norm": (products * rows + 2 * kind.has_cell_state * hidden_size,)}
    arrays = {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}
    absent = set() if kind.has_cell_state else {"c0", "dc_n"}
    absent |= set() if bias else {"bias_ih", "bias_hh"}
    absent |= set() if kind.has_recurrent_matrix else {"weight_hh", "bias_hh"}
    absent |= set() if kind.unit_weights else {"unit_weights"}
    absent |= set() if projection else {"weight_hr"}
    absent |= set() if options.layer_norm else {"layer_norm"}
    return {name: None if name in absent else array for name, array in arrays.items()}


def draw_masks(cell, rng, sizes, kinds, *, options=PLAIN):
    """Draw masks of these kinds: resets of every third step, shares of the state before, scales."""
    batch_size, steps, _, hidden_size = sizes
    state_size = options.projection_size or hidden_size
    shapes = {
        "resets": (batch_size, steps),
        "recurrent": (batch_size, state_size),
        "zoneout_h": (batch_size, steps, state_size),
        "zoneout_c": (batch_size, steps, hidden_size),
    }
    kinds = [kind for kind in kinds if kind != "zoneout_c" or CELLS[cell].has_cell_state]
    arrays = {kind: rng.uniform(0, 1, shapes[kind]) for kind in kinds}
    if "resets" in arrays:
        arrays["resets"] = arrays["resets"] < 1 / 3
    if "recurrent" in arrays:
        arrays["recurrent"] = np.round(arrays["recurrent"]) / 0.75
    return Masks(**arrays)


def usable(cell, options):
    """Return these options less those that the cell does not have."""
    absent = set()
    if not CELLS[cell].has_cell_state:
        absent |= {"output_activation", "cell_clip", "projection_size", "zoneout_c"}
    if "rnn" in cell:
        absent |= {"gate_activation"}
    if cell.endswith("rnn_relu"):
        absent |= {"candidate_activation"}
    return dataclasses.replace(options, **{name: getattr(PLAIN, name) for name in absent})


def weights_of(arrays):
    names = [field.name for field in dataclasses.fields(Weights)]
    return Weights(**{name: arrays.get(name) for name in names})


def public_name(cell, name):
    """Return what the layers call a field of Weights or Gradients."""
    unit = "weight_peephole" if CELLS[cell].has_recurrent_matrix else "weight_hh"
    return name.replace("unit_weights", unit)


def run_on(cell, arrays, **options):
    return run(cell, arrays["x"], weights_of(arrays), arrays["h0"], arrays["c0"], **options)


def bptt_on(cell, arrays, **options):
    rest = {name: arrays[name] for name in ("dy", "dh_n", "dc_n", "h0", "c0")}
    return bptt(cell, arrays["x"], weights_of(arrays), **rest, **options)


def given(result):
    """Name the arrays of a Result or Gradients that are not None."""
    return {name: array for name, array in vars(result).items() if array is not None}


def tied(cell, arrays):
    """Return a cell without couplings and diagonals, and weights with which it is this one.

    f = 1 - s(a_i) = s(-a_i): a gate f with all weights of i negated. u * h = diag(u) @ h.
    """
    if "coupled" in cell:
        kind = CELLS[cell]
        gates = dict.fromkeys(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), kind.num_gates)
        gates |= {"unit_weights": 2}
        wide = {}
        for name, count in gates.items():
            if arrays[name] is not None:
                i, *rest = np.split(arrays[name], count)
                wide[name] = np.concatenate([i, -i, *rest])
        return cell.replace("_coupled", ""), arrays | wide
    if cell.startswith("independent_"):
        dense = {"weight_hh": np.diag(arrays["unit_weights"]), "unit_weights": None}
        dense |= {"bias_hh": None if arrays["bias_ih"] is None else 0 * arrays["bias_ih"]}
        return cell.removeprefix("independent_"), arrays | dense
    return cell, arrays
