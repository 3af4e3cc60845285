"""Chosen activations and clips: a NumPy loop, central differences, and one row beside others."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fastrnn import ops
from fastrnn.testing import assert_near, assert_same_bits

STEPS, INPUTS, HIDDEN = 5, 3, 19  # more units than a register of float32 holds

FUNCTIONS = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "hard_sigmoid": lambda a: np.clip(0.2 * a + 0.5, 0, 1),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "softsign": lambda a: a / (1 + np.abs(a)),
    "identity": lambda a: a,
}

#: Every activation in every place, with and without clips that numbers reach.
OPTIONS = [
    ops.CellOptions(gate_activation=gate, candidate_activation=candidate, output_activation=output)
    for gate, candidate, output in zip(
        ops.ACTIVATIONS,
        ops.ACTIVATIONS[1:] + ops.ACTIVATIONS[:1],
        ops.ACTIVATIONS[2:] + ops.ACTIVATIONS[:2],
        strict=True,
    )
]
OPTIONS += [ops.CellOptions(activation_clip=0.4), ops.CellOptions(cell_clip=0.3)]
OPTIONS += [option._replace(activation_clip=0.6, cell_clip=0.25) for option in OPTIONS[:7]]


def of_cell(options, cell):
    """Return the options that the cell has, the others as they are by default."""
    plain = ops.CellOptions()
    if not ops.CELLS[cell].has_cell_state:
        options = options._replace(cell_clip=0.0, output_activation=plain.output_activation)
    if "rnn" in cell:
        options = options._replace(gate_activation=plain.gate_activation)
    if cell.endswith("relu"):
        options = options._replace(candidate_activation=plain.candidate_activation)
    return options


CASES = {
    f"{cell}-{'-'.join(map(str, options[:5]))}": (cell, options)
    for cell in ops.CELLS
    for options in (of_cell(options, cell) for options in OPTIONS)
    if options != ops.CellOptions()
}
every_case = pytest.mark.parametrize(("cell", "options"), CASES.values(), ids=CASES)


def kind_of(cell, options, dtype="float64", *, reverse=False):
    return ops.LayerKind(cell, INPUTS, HIDDEN, reverse, np.dtype(dtype), options=options)


def random_weights(kind, seed=0):
    cell, rng = ops.CELLS[kind.cell], np.random.default_rng(seed)
    rows = cell.gates * HIDDEN

    def draw(*shape):
        return rng.uniform(-0.6, 0.6, shape).astype(kind.dtype)

    recurrent = cell.has_recurrent_matrix
    return ops.Weights(
        draw(rows, INPUTS),
        draw(rows, HIDDEN) / 3 if recurrent else None,
        draw(rows),
        draw(rows) if recurrent else None,
        draw(cell.unit_weights * HIDDEN) / 2 if cell.unit_weights else None,
    )


def random_inputs(kind, batch, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, STEPS, INPUTS)).astype(kind.dtype)
    h0, c0 = (0.5 * rng.standard_normal((batch, HIDDEN)).astype(kind.dtype) for _ in range(2))
    return x, h0, c0 if kind.has_cell_state else None


def run(kind, weights, x, h0, c0, *, record=False):
    panels, buffers = ops.panels.packed(kind, "forward", weights), ops.LayerBuffers()
    call = ops.forward_call(kind, panels, x, h0, c0, None, out=None, record=record, buffers=buffers)
    ops.forward(call)
    return call


def numpy_step(cell, options, weights, x, h, c):
    """One step of a cell in NumPy: the new h and c."""

    def seen(a):
        return np.clip(a, -options.activation_clip, options.activation_clip)

    def clipped(c):
        return np.clip(c, -options.cell_clip, options.cell_clip) if options.cell_clip else c

    def function(name):
        f = FUNCTIONS[name]
        return (lambda a: f(seen(a))) if options.activation_clip else f

    gate, candidate = function(options.gate_activation), function(options.candidate_activation)
    from_x = x @ weights.weight_ih.T + weights.bias_ih
    if cell.startswith("independent_rnn"):
        f = function("relu") if cell.endswith("relu") else candidate
        return f(from_x + weights.unit_weights * h), c
    from_h = h @ weights.weight_hh.T + weights.bias_hh
    if cell.startswith("rnn"):
        return (function("relu") if cell == "rnn_relu" else candidate)(from_x + from_h), c
    if cell == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (np.split(a, 3, axis=-1) for a in (from_x, from_h))
        r, z = gate(x_r + h_r), gate(x_z + h_z)
        return (1 - z) * candidate(x_n + r * h_n) + z * h, c
    if cell == "gru_reset_before":
        (x_r, x_z, x_n), (h_r, h_z, _) = (np.split(a, 3, axis=-1) for a in (from_x, from_h))
        r, z = gate(x_r + h_r), gate(x_z + h_z)
        last = slice(2 * HIDDEN, None)
        n = candidate(x_n + (r * h) @ weights.weight_hh[last].T + weights.bias_hh[last])
        return (1 - z) * n + z * h, c
    *inputs, a_g, a_o = np.split(from_x + from_h, ops.CELLS[cell].gates, axis=-1)
    peepholes = [0.0] * (len(inputs) + 1)
    if weights.unit_weights is not None:
        peepholes = np.split(weights.unit_weights, len(peepholes))
    i, *forget = (gate(a + p * c) for a, p in zip(inputs, peepholes, strict=False))
    f = forget[0] if forget else 1 - i
    c = clipped(f * c + i * candidate(a_g))
    o = gate(a_o + peepholes[-1] * c)
    return o * FUNCTIONS[options.output_activation](c), c


def numpy_layer(kind, weights, x, h, c):
    y = np.empty((*x.shape[:2], HIDDEN), kind.dtype)
    for t in range(STEPS)[:: -1 if kind.reverse else 1]:
        h, c = numpy_step(kind.cell, kind.options, weights, x[:, t], h, c)
        y[:, t] = h
    return y, h, c


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_is_that_of_a_numpy_loop(cell, dtype, options):
    for batch, reverse in itertools.product((1, 2, 3, 7), (False, True)):
        kind = kind_of(cell, options, dtype, reverse=reverse)
        weights, inputs = random_weights(kind), random_inputs(kind, batch)
        y, h, c = numpy_layer(kind, weights, *inputs)
        for record in (False, True):
            call = run(kind, weights, *inputs, record=record)
            assert_near(call.y, y, "y")
            assert_near(call.h_n, h, "h_n")
            if c is not None:
                assert_near(call.c_n, c, "c_n")


@every_case
def test_a_stream_gives_the_same_bits(cell, options):
    kind = kind_of(cell, options, "float32")
    weights, (x, _, _) = random_weights(kind), random_inputs(kind, 3)
    stream = ops.stream_stack([ops.recurrent_stage(kind, weights)], 3)
    y = np.empty((3, STEPS, HIDDEN), "float32")
    for t in range(STEPS):
        out = np.empty((3, HIDDEN), "float32")
        stream.step(np.ascontiguousarray(x[:, t]), out)
        y[:, t] = out
    assert_same_bits(y, run(kind, weights, x, None, None).y, "y")


@every_case
def test_bfloat16_weights(cell, options):
    kind = kind_of(cell, options, "float32")
    weights, inputs = random_weights(kind), random_inputs(kind, 3)
    rounded = run(replace(kind, bfloat16=True), weights, *inputs).y
    error = np.abs(rounded - run(kind, weights, *inputs).y).max(axis=(0, 2))
    assert 0 < error[0] < 0.02  # some of the cells grow, and roundings with them
    assert 0 < error[1] < 0.02


@every_case
def test_options_have_an_effect(cell, options):
    kind = kind_of(cell, options)
    weights, inputs = random_weights(kind), random_inputs(kind, 2)
    plain = run(replace(kind, options=ops.CellOptions()), weights, *inputs)
    assert np.abs(run(kind, weights, *inputs).y - plain.y).max() > 1e-3


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_is_the_same_bits_beside_others(cell, dtype, options):
    kind = kind_of(cell, options, dtype)
    weights, (x, h0, c0) = random_weights(kind), random_inputs(kind, 7)
    dy = np.random.default_rng(2).standard_normal((7, STEPS, HIDDEN)).astype(dtype)

    def both_passes(rows):
        call = run(kind, weights, x[rows], h0[rows], None if c0 is None else c0[rows], record=True)
        dx, (dh0, _), _ = back(kind, weights, call, dy[rows])
        return call.y, dx, dh0

    together = both_passes(slice(None))
    for rows in (slice(0, 1), slice(1, 3), slice(3, 6)):
        for name, alone, beside in zip(
            ("y", "dx", "dh0"), both_passes(rows), together, strict=True
        ):
            assert_same_bits(alone, beside[rows], name)


def back(kind, weights, call, dy, dh_n=None, dc_n=None):
    arrays = {name: value for name, value in vars(weights).items() if value is not None}
    gradients = replace(weights, **{name: np.zeros_like(array) for name, array in arrays.items()})
    panels = ops.panels.packed(kind, "backward", weights)
    backward = ops.BackwardCall(
        kind, panels, call.record, dy, dh_n, dc_n, gradients, call.buffers, None
    )
    dx, dstate = ops.backward(backward, input_gradient=True, add_to=None)
    return dx, dstate, gradients


@every_case
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_gradients_are_central_differences(cell, reverse, options):
    kind = kind_of(cell, options, reverse=reverse)
    weights, rng = random_weights(kind), np.random.default_rng(4)
    x, h0, c0 = inputs = random_inputs(kind, 3)
    dy = rng.standard_normal((3, STEPS, HIDDEN))
    dh_n, dc_n = rng.standard_normal((2, 3, HIDDEN))
    call = run(kind, weights, *inputs, record=True)
    dx, (dh0, dc0), gradients = back(
        kind, weights, call, dy, dh_n, dc_n if kind.has_cell_state else None
    )

    def loss():
        result = run(kind, weights, *inputs)
        total = np.vdot(result.y, dy) + np.vdot(result.h_n, dh_n)
        return total if result.c_n is None else total + np.vdot(result.c_n, dc_n)

    # Along random directions, in each array.
    pairs = {"x": (x, dx), "h0": (h0, dh0), "c0": (c0, dc0)}
    pairs |= {name: (array, getattr(gradients, name)) for name, array in vars(weights).items()}
    for name, (array, gradient) in pairs.items():
        if array is None:
            continue
        kept, direction = array.copy(), rng.standard_normal(array.shape)
        direction /= np.linalg.norm(direction)
        losses = []
        for step in (1e-6, -1e-6):
            array[...] = kept + step * direction
            losses.append(loss())
        array[...] = kept
        expected = (losses[0] - losses[1]) / 2e-6
        error = abs(np.vdot(gradient, direction) - expected)
        assert error < 1e-7 * max(1, abs(expected), np.linalg.norm(gradient)), name
