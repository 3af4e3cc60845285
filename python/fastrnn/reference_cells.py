"""The specification's cells: one time step and its derivatives in plain NumPy, as in the papers.

`reference` runs them over sequences; they share no code with the kernels.

Notation: W, U = weight_ih, weight_hh; b_i, b_h = bias_ih, bias_hh; p = unit_weights, u where they
are an independent RNN's; with a gate's letter the H rows of that gate (U_n, b_hn, p_o); a is a
pre-activation, s the logistic sigmoid, * works element by element, @ is the matrix product, ^T the
transpose, dv the derivative of the loss with respect to v. The gate order is i f g o (LSTM), i g o
(LSTM with coupled gates) and r z n (GRU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CELLS", "Array", "Cell", "Parameters", "State"]

Array: TypeAlias = npt.NDArray[Any]


class Parameters(NamedTuple):
    """The parameters of one cell, or their derivatives; what a cell does not have is empty."""

    W: Array  # (G*H, I)
    U: Array  # (G*H, H), or (0, H) without a recurrent matrix
    b_i: Array  # (G*H,), zeros without biases
    b_h: Array  # (G*H,), zeros without biases, or (0,) without a recurrent matrix
    p: Array  # (P*H,), one H after the other for each of the P weights per hidden unit


State: TypeAlias = tuple[Array, ...]  # (h,) or (h, c), each (H,)
Backward: TypeAlias = tuple[Array, State, Parameters]  # dx (I,), dstate_prev, dparameters


@dataclass(frozen=True, eq=False)
class Cell:
    """The arithmetic of one time step of one row; step_backward computes again what step did."""

    num_gates: int  # G, the blocks of H rows in the weights
    has_cell_state: bool  # the state is (h, c) rather than (h,)
    # parameters, x (I,), state_prev -> state
    step: Callable[[Parameters, Array, State], State]
    # parameters, x (I,), state_prev, dstate -> dx, dstate_prev, dparameters
    step_backward: Callable[[Parameters, Array, State, State], Backward]
    has_recurrent_matrix: bool = True  # whether there are U and b_h
    unit_weights: str = ""  # P, the weights per hidden unit: one letter for each, as in p_i


def _sigmoid(a: Array) -> Array:
    # s(a) = 1 / (1 + e^-a), written so that the exponential never overflows
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


_EMPTY: Final = np.zeros(0)  # the dp of a cell without p


def _products_backward(
    parameters: Parameters, x: Array, h_prev: Array, da_i: Array, da_h: Array, dp: Array = _EMPTY
) -> tuple[Array, Array, Parameters]:
    # a_i = W @ x + b_i:  dx = W^T @ da_i,  dW = da_i @ x^T,  db_i = da_i;  likewise a_h
    dW, dU = np.outer(da_i, x), np.outer(da_h, h_prev)
    dx, dh_prev = parameters.W.T @ da_i, parameters.U.T @ da_h
    return dx, dh_prev, Parameters(dW, dU, da_i, da_h, dp)


# Activations: f(a), and da from f(a) and the derivative with respect to it.
Activation: TypeAlias = tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]
_TANH: Final[Activation] = np.tanh, lambda h, dh: dh * (1 - h * h)  # tanh' = 1 - tanh^2
_RELU: Final[Activation] = lambda a: np.maximum(a, 0), lambda h, dh: np.where(h > 0, dh, 0)


# Vanilla RNN. Elman (1990), "Finding structure in time", Cognitive Science 14(2), figure 2; the
# equations as 10.8 and 10.9 of Goodfellow, Bengio, Courville (2016), "Deep learning". With relu:
# Le, Jaitly, Hinton (2015), "A simple way to initialize recurrent networks of rectified linear
# units", arXiv:1504.00941.
#   a = W @ x + b_i + U @ h_prev + b_h;  h = tanh(a) or max(a, 0), whose derivative at 0 is 0


def _rnn(activation: Activation) -> Cell:
    activate, derive = activation

    def step(parameters: Parameters, x: Array, state_prev: State) -> State:
        (W, U, b_i, b_h, _), (h_prev,) = parameters, state_prev
        return (activate(W @ x + b_i + U @ h_prev + b_h),)

    def backward(parameters: Parameters, x: Array, state_prev: State, dstate: State) -> Backward:
        da = derive(step(parameters, x, state_prev)[0], dstate[0])
        dx, dh_prev, dparameters = _products_backward(parameters, x, state_prev[0], da, da)
        return dx, (dh_prev,), dparameters

    return Cell(1, False, step, backward)


# Independent RNN. Li et al. (2018), "Independently recurrent neural network (IndRNN): building a
# longer and deeper RNN", arXiv:1803.04831, section 3. u is one weight per unit; no U and no b_h.
#   a = W @ x + b_i + u * h_prev;  h = tanh(a) or max(a, 0)


def _independent_rnn(activation: Activation) -> Cell:
    activate, derive = activation

    def step(parameters: Parameters, x: Array, state_prev: State) -> State:
        (W, _, b_i, _, u), (h_prev,) = parameters, state_prev
        return (activate(W @ x + b_i + u * h_prev),)

    def backward(parameters: Parameters, x: Array, state_prev: State, dstate: State) -> Backward:
        (W, U, _, b_h, u), (h_prev,) = parameters, state_prev
        da = derive(step(parameters, x, state_prev)[0], dstate[0])
        dparameters = Parameters(np.outer(da, x), U, da, b_h, da * h_prev)  # U and b_h are empty
        return W.T @ da, (da * u,), dparameters

    return Cell(1, False, step, backward, has_recurrent_matrix=False, unit_weights="u")


# LSTM. Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8),
# section 4; forget gate: Gers, Schmidhuber, Cummins (2000), "Learning to forget", Neural
# Computation 12(10), section 3; peepholes p: Gers and Schmidhuber (2000), "Recurrent nets that time
# and count", IJCNN. Forward and backward as in Greff et al. (2017), "LSTM: a search space odyssey",
# IEEE TNNLS 28(10), sections II.A and II.B; without peepholes, p = 0.
#   a = W @ x + b_i + U @ h_prev + b_h
#   i = s(a_i + p_i * c_prev), f = s(a_f + p_f * c_prev), g = tanh(a_g)
#   c = f * c_prev + i * g;  o = s(a_o + p_o * c);  h = o * tanh(c)


def _peepholes(parameters: Parameters, count: int, c: Array) -> list[Array]:
    # (H,) for each gate that has one; zeros in a cell without
    return np.split(parameters.p, count) if parameters.p.size else [np.zeros_like(c)] * count


def _lstm_gates(parameters: Parameters, x: Array, state_prev: State) -> tuple[Array, ...]:
    (W, U, b_i, b_h, _), (h_prev, c_prev) = parameters, state_prev
    p_i, p_f, p_o = _peepholes(parameters, 3, c_prev)
    a_i, a_f, a_g, a_o = np.split(W @ x + b_i + U @ h_prev + b_h, 4)
    i, f, g = _sigmoid(a_i + p_i * c_prev), _sigmoid(a_f + p_f * c_prev), np.tanh(a_g)
    c = f * c_prev + i * g
    return i, f, g, _sigmoid(a_o + p_o * c), c


def _lstm_step(parameters: Parameters, x: Array, state_prev: State) -> State:
    _, _, _, o, c = _lstm_gates(parameters, x, state_prev)
    return o * np.tanh(c), c


def _lstm_backward(parameters: Parameters, x: Array, state_prev: State, dstate: State) -> Backward:
    (h_prev, c_prev), (dh, dc) = state_prev, dstate
    i, f, g, o, c = _lstm_gates(parameters, x, state_prev)
    p_i, p_f, p_o = _peepholes(parameters, 3, c)
    tanh_c = np.tanh(c)
    da_o = dh * tanh_c * o * (1 - o)  # s' = s * (1 - s)
    # c reaches the loss as the next c_prev, through h and through the peephole of o
    dc = dc + dh * o * (1 - tanh_c * tanh_c) + da_o * p_o
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g * g)
    da = np.concatenate([da_i, da_f, da_g, da_o])
    dp = np.concatenate([da_i * c_prev, da_f * c_prev, da_o * c])[: parameters.p.size]
    dx, dh_prev, dparameters = _products_backward(parameters, x, h_prev, da, da, dp)
    return dx, (dh_prev, dc * f + da_i * p_i + da_f * p_f), dparameters


# LSTM with coupled gates: what is forgotten makes room for what is written. The variant CIFG of
# Greff et al. (2017); also ONNX input_forget = 1. As above, but f = 1 - i:
#   c = (1 - i) * c_prev + i * g


def _lstm_coupled_gates(parameters: Parameters, x: Array, state_prev: State) -> tuple[Array, ...]:
    (W, U, b_i, b_h, _), (h_prev, c_prev) = parameters, state_prev
    p_i, p_o = _peepholes(parameters, 2, c_prev)
    a_i, a_g, a_o = np.split(W @ x + b_i + U @ h_prev + b_h, 3)
    i, g = _sigmoid(a_i + p_i * c_prev), np.tanh(a_g)
    c = (1 - i) * c_prev + i * g
    return i, g, _sigmoid(a_o + p_o * c), c


def _lstm_coupled_step(parameters: Parameters, x: Array, state_prev: State) -> State:
    _, _, o, c = _lstm_coupled_gates(parameters, x, state_prev)
    return o * np.tanh(c), c


def _lstm_coupled_backward(
    parameters: Parameters, x: Array, state_prev: State, dstate: State
) -> Backward:
    (h_prev, c_prev), (dh, dc) = state_prev, dstate
    i, g, o, c = _lstm_coupled_gates(parameters, x, state_prev)
    p_i, p_o = _peepholes(parameters, 2, c)
    tanh_c = np.tanh(c)
    da_o = dh * tanh_c * o * (1 - o)
    dc = dc + dh * o * (1 - tanh_c * tanh_c) + da_o * p_o
    da_i = dc * (g - c_prev) * i * (1 - i)
    da_g = dc * i * (1 - g * g)
    da = np.concatenate([da_i, da_g, da_o])
    dp = np.concatenate([da_i * c_prev, da_o * c])[: parameters.p.size]
    dx, dh_prev, dparameters = _products_backward(parameters, x, h_prev, da, da, dp)
    return dx, (dh_prev, dc * (1 - i) + da_i * p_i), dparameters


# GRU, reset after. The documentation of torch.nn.GRU; also cuDNN, ONNX linear_before_reset = 1.
#   r = s(W_r @ x + b_ir + U_r @ h_prev + b_hr);  z = s(W_z @ x + b_iz + U_z @ h_prev + b_hz)
#   m = U_n @ h_prev + b_hn;  n = tanh(W_n @ x + b_in + r * m);  h = (1 - z) * n + z * h_prev


def _gru_gates(parameters: Parameters, x: Array, h_prev: Array) -> tuple[Array, ...]:
    W, U, b_i, b_h, _ = parameters
    x_r, x_z, x_n = np.split(W @ x + b_i, 3)
    h_r, h_z, m = np.split(U @ h_prev + b_h, 3)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    return r, z, np.tanh(x_n + r * m), m


def _gru_step(parameters: Parameters, x: Array, state_prev: State) -> State:
    (h_prev,) = state_prev
    _, z, n, _ = _gru_gates(parameters, x, h_prev)
    return ((1 - z) * n + z * h_prev,)


def _gru_backward(parameters: Parameters, x: Array, state_prev: State, dstate: State) -> Backward:
    (h_prev,), (dh,) = state_prev, dstate
    r, z, n, m = _gru_gates(parameters, x, h_prev)
    da_n = dh * (1 - z) * (1 - n * n)
    da_r = da_n * m * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    da_i = np.concatenate([da_r, da_z, da_n])
    da_h = np.concatenate([da_r, da_z, da_n * r])  # dm = da_n * r
    dx, dh_prev, dparameters = _products_backward(parameters, x, h_prev, da_i, da_h)
    return dx, (dh_prev + dh * z,), dparameters


# GRU, reset before. Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder
# for statistical machine translation", arXiv:1406.1078v3, equations 5 to 8, with biases; also Keras
# reset_after=False, ONNX linear_before_reset = 0. r, z and h as above, but
#   n = tanh(W_n @ x + b_in + U_n @ (r * h_prev) + b_hn)


def _gru_reset_before_gates(parameters: Parameters, x: Array, h_prev: Array) -> tuple[Array, ...]:
    W, U, b_i, b_h, _ = parameters
    U_r, U_z, U_n = np.split(U, 3)
    x_r, x_z, x_n = np.split(W @ x + b_i + b_h, 3)
    r, z = _sigmoid(x_r + U_r @ h_prev), _sigmoid(x_z + U_z @ h_prev)
    return r, z, np.tanh(x_n + U_n @ (r * h_prev))


def _gru_reset_before_step(parameters: Parameters, x: Array, state_prev: State) -> State:
    (h_prev,) = state_prev
    _, z, n = _gru_reset_before_gates(parameters, x, h_prev)
    return ((1 - z) * n + z * h_prev,)


def _gru_reset_before_backward(
    parameters: Parameters, x: Array, state_prev: State, dstate: State
) -> Backward:
    (W, U, _, _, p), (h_prev,), (dh,) = parameters, state_prev, dstate
    r, z, n = _gru_reset_before_gates(parameters, x, h_prev)
    U_r, U_z, U_n = np.split(U, 3)
    da_n = dh * (1 - z) * (1 - n * n)
    dp = U_n.T @ da_n  # p = r * h_prev, what U_n multiplies
    da_r = dp * h_prev * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    da = np.concatenate([da_r, da_z, da_n])
    dU_rz = np.outer(np.concatenate([da_r, da_z]), h_prev)
    dU = np.concatenate([dU_rz, np.outer(da_n, r * h_prev)])
    dh_prev = dh * z + dp * r + U_r.T @ da_r + U_z.T @ da_z
    return W.T @ da, (dh_prev,), Parameters(np.outer(da, x), dU, da, da, p)  # p is empty


CELLS: Final[Mapping[str, Cell]] = {
    "rnn_tanh": _rnn(_TANH),
    "rnn_relu": _rnn(_RELU),
    "independent_rnn_tanh": _independent_rnn(_TANH),
    "independent_rnn_relu": _independent_rnn(_RELU),
    "lstm": Cell(4, True, _lstm_step, _lstm_backward),
    "lstm_peephole": Cell(4, True, _lstm_step, _lstm_backward, unit_weights="ifo"),
    "lstm_coupled": Cell(3, True, _lstm_coupled_step, _lstm_coupled_backward),
    "lstm_coupled_peephole": Cell(
        3, True, _lstm_coupled_step, _lstm_coupled_backward, unit_weights="io"
    ),
    "gru": Cell(3, False, _gru_step, _gru_backward),
    "gru_reset_before": Cell(3, False, _gru_reset_before_step, _gru_reset_before_backward),
}
