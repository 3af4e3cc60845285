"""JAX: each cell as a lax.scan under jit, its input projection one product before the scan.

The fastest of the forms tried (jax 0.10, one Zen 4 core, float32): unrolling the scan by 4 is no
faster at inference and half as fast in training. Weights stored transposed, or sequences with time
first, make no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.frameworks.program import Arrays, Program
from bench.peers.points import Point
from bench.peers.problem import Problem

Weights = dict[str, jax.Array]
State = tuple[jax.Array, ...]


def version() -> str:
    """Return JAX's version."""
    return str(jax.__version__)


def set_num_threads(count: int) -> None:
    """Do nothing: JAX takes its threads from the processors that the process may run on."""


def _lstm(projected: jax.Array, state: State, weights: Weights) -> State:
    h, c = state
    i, f, g, o = jnp.split(projected + h @ weights["weight_hh_l0"].T, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _lstm_for_inference(projected: jax.Array, state: State, weights: Weights) -> State:
    h, c = state
    gates = projected + h @ weights["weight_hh_l0"].T
    g = jnp.tanh(jnp.split(gates, 4, axis=-1)[2])
    # Of all four, one too many: XLA makes longer vectors of it. Sensor: 2.3 ms instead of 4.2; in
    # training it costs a tenth.
    i, f, _, o = jnp.split(jax.nn.sigmoid(gates), 4, axis=-1)
    c = f * c + i * g
    return o * jnp.tanh(c), c


def _gru(projected: jax.Array, state: State, weights: Weights) -> State:
    (h,) = state
    # Without the barrier XLA merges product and bias into a slow loop where there is one row:
    # seq1_h64 460 microseconds instead of 190.
    hidden = jax.lax.optimization_barrier(h @ weights["weight_hh_l0"].T) + weights["bias_hh_l0"]
    input_r, input_z, input_n = jnp.split(projected, 3, axis=-1)
    hidden_r, hidden_z, hidden_n = jnp.split(hidden, 3, axis=-1)
    r, z = jax.nn.sigmoid(input_r + hidden_r), jax.nn.sigmoid(input_z + hidden_z)
    n = jnp.tanh(input_n + r * hidden_n)
    return ((1 - z) * n + z * h,)


def _rnn(projected: jax.Array, state: State, weights: Weights) -> State:
    (h,) = state
    return (jnp.tanh(projected + h @ weights["weight_hh_l0"].T),)


Cell = Callable[[jax.Array, State, Weights], State]
CELLS: dict[str, dict[str, Cell]] = {
    "inference": {"lstm": _lstm_for_inference, "gru": _gru, "rnn": _rnn},
    "training": {"lstm": _lstm, "gru": _gru, "rnn": _rnn},
}


def _layer(
    point: Point, weights: Weights, x: jax.Array, state: State, lengths: jax.Array | None
) -> tuple[jax.Array, State]:
    """Return y (N, T, H) and the final state; both stand still behind a row's length."""
    advance = CELLS[point.mode][point.cell]
    bias = weights["bias_ih_l0"]
    if point.cell != "gru":  # whose reset gate acts on the recurrent bias
        bias = bias + weights["bias_hh_l0"]
    projected = x.swapaxes(0, 1) @ weights["weight_ih_l0"].T + bias

    def step(state: State, inputs: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        t, row = inputs
        new = advance(row, state, weights)
        if lengths is not None:
            valid = (t < lengths)[:, None]
            new = tuple(jnp.where(valid, a, b) for a, b in zip(new, state, strict=True))
        return new, new[0]

    # (T, N, G*H) beside 0..T-1
    steps = jnp.arange(x.shape[1], dtype=jnp.int32)
    final, y = jax.lax.scan(step, state, (steps, projected))
    return y.swapaxes(0, 1), final


def prepare(problem: Problem) -> Program:
    """Compile the forward pass, or it with the pull-back to all weights and x."""
    point = problem.point
    jax.config.update("jax_enable_x64", point.dtype == "float64")
    weights = {name: jnp.asarray(array) for name, array in problem.weights.items()}
    x, dy = jnp.asarray(problem.x), jnp.asarray(problem.dy)
    lengths = None if problem.lengths is None else jnp.asarray(problem.lengths.astype(np.int32))
    zero = jnp.zeros((point.case.batch, point.case.hidden_size), point.dtype)
    initial = (zero, zero) if problem.has_cell_state else (zero,)

    @jax.jit
    def forward(weights: Weights, x: jax.Array, state: State) -> Any:
        return _layer(point, weights, x, state, lengths)

    @jax.jit
    def forward_and_backward(weights: Weights, x: jax.Array, dy: jax.Array) -> Any:
        def outputs(weights: Weights, x: jax.Array) -> Any:
            return _layer(point, weights, x, initial, lengths)

        y, pull_back, state = jax.vjp(outputs, weights, x, has_aux=True)
        return y, state, pull_back(dy)

    carried = initial

    def infer() -> Any:
        return jax.block_until_ready(forward(weights, x, initial))

    def step() -> Any:
        nonlocal carried
        y, carried = jax.block_until_ready(forward(weights, x, carried))
        return y, carried

    def infer_result(result: Any) -> Arrays:
        y, state = result
        parts = zip(("h_n", "c_n"), state, strict=False)
        return {"y": np.asarray(y)} | {name: np.asarray(part) for name, part in parts}

    def train() -> Any:
        return jax.block_until_ready(forward_and_backward(weights, x, dy))

    def train_result(result: Any) -> Arrays:
        y, _, (dweights, dx) = result
        gradients = {f"d{name}": np.asarray(array) for name, array in dweights.items()}
        return {"y": np.asarray(y), "dx": np.asarray(dx)} | gradients

    if point.mode == "training":
        return Program(train, train_result)
    return Program(step if point.carries_state else infer, infer_result)
