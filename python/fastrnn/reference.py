"""The specification: every cell and its back-propagation through time in plain NumPy.

Slow on purpose. One batch row and one time step at a time, in the order of the papers; it shares no code with the kernels,
and every kernel test compares with it. PyTorch and ONNX check it in turn.

Symbols in the comments: W = weight_ih (G*H, I), U = weight_hh (G*H, H), b_i = bias_ih (G*H,), b_h = bias_hh (G*H,), and with
a gate's letter the H rows of that gate (U_n, b_hn); a is a pre-activation, s the logistic sigmoid, * works element by
element, @ is the matrix product and ^T the transpose; dv is the derivative of the scalar loss with respect to v. G is the
number of gates, I input_size, H hidden_size, N batch rows, T time steps. Gate order is i f g o (LSTM) and r z n (GRU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CELLS", "Cell", "Gradients", "Result", "StepGradients", "Weights", "bptt", "run"]

Array: TypeAlias = npt.NDArray[Any]
State: TypeAlias = tuple[Array, ...]  # (h,) or (h, c), each (H,)


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one cell in PyTorch's shapes, float32 or float64.

    Attributes
    ----------
    weight_ih : ndarray of shape (G*H, I)
        Multiplies the input.
    weight_hh : ndarray of shape (G*H, H)
        Multiplies the previous hidden state.
    bias_ih, bias_hh : ndarray of shape (G*H,) or None, default None
        Added to the two products; None means zero.
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """What `run` returns, in the dtype of x.

    Attributes
    ----------
    y : ndarray of shape (N, T, H)
        The hidden state after each step; exactly 0 at invalid steps.
    h_n : ndarray of shape (N, H)
        The hidden state after each row's last step.
    c_n : ndarray of shape (N, H) or None
        The cell state after each row's last step; None for a cell that has none.
    """

    y: Array
    h_n: Array
    c_n: Array | None


@dataclass(frozen=True, eq=False)
class Gradients:
    """What `bptt` returns, in the dtype of x: d + name has the shape of name.

    Attributes
    ----------
    dx : ndarray of shape (N, T, I)
        Exactly 0 at invalid steps.
    dh0 : ndarray of shape (N, H)
        With respect to the initial hidden state, given or not.
    dc0 : ndarray of shape (N, H) or None
        With respect to the initial cell state; None for a cell that has none.
    dweight_ih, dweight_hh : ndarray of shape (G*H, I), (G*H, H)
        Summed over rows and steps.
    dbias_ih, dbias_hh : ndarray of shape (G*H,) or None
        Summed over rows and steps; None where the weights have no such bias.
    """

    dx: Array
    dh0: Array
    dc0: Array | None
    dweight_ih: Array
    dweight_hh: Array
    dbias_ih: Array | None
    dbias_hh: Array | None


@dataclass(frozen=True, eq=False)
class StepGradients:
    """What one backward step of one row returns: dx (I,), dstate_prev like the state, and the step's share of dWeights."""

    dx: Array
    dstate_prev: State
    dweight_ih: Array
    dweight_hh: Array
    dbias_ih: Array
    dbias_hh: Array


@dataclass(frozen=True, eq=False)
class Cell:
    """The arithmetic of one time step of one row.

    Attributes
    ----------
    num_gates : int
        G, the number of blocks of H rows in the weights.
    has_cell_state : bool
        Whether the state is (h, c) rather than (h,).
    step : callable
        `step(weights, x, state_prev)` returns the new state; x has shape (I,), each state (H,).
    step_backward : callable
        `step_backward(weights, x, state_prev, dstate)` returns `StepGradients` for the derivative of the new state. What
        forward computed is computed again.
    """

    num_gates: int
    has_cell_state: bool
    step: Callable[[Weights, Array, State], State]
    step_backward: Callable[[Weights, Array, State, State], StepGradients]


def _sigmoid(a: Array) -> Array:
    # 1 / (1 + e^-a), written so that the exponential never overflows.
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


def _affine(weight: Array, bias: Array | None, v: Array) -> Array:
    return weight @ v if bias is None else weight @ v + bias


# Vanilla RNN: Elman (1990), "Finding structure in time", Cognitive Science 14(2), figure 2 (h is copied to the context units);
# the equations as in Goodfellow, Bengio and Courville (2016), "Deep learning", 10.8 and 10.9, with tanh; relu after Le, Jaitly
# and Hinton (2015), "A simple way to initialize recurrent networks of rectified linear units", arXiv:1504.00941.


def _rnn_pre_activation(weights: Weights, x: Array, h_prev: Array) -> Array:
    # a = W x + b_i + U h_prev + b_h
    return _affine(weights.weight_ih, weights.bias_ih, x) + _affine(weights.weight_hh, weights.bias_hh, h_prev)


def _rnn_tanh_step(weights: Weights, x: Array, state_prev: State) -> State:
    (h_prev,) = state_prev
    return (np.tanh(_rnn_pre_activation(weights, x, h_prev)),)


def _rnn_tanh_step_backward(weights: Weights, x: Array, state_prev: State, dstate: State) -> StepGradients:
    (h_prev,), (dh,) = state_prev, dstate
    h = np.tanh(_rnn_pre_activation(weights, x, h_prev))
    return _rnn_step_backward(weights, x, h_prev, da=dh * (1 - h * h))  # tanh' = 1 - tanh^2


def _rnn_relu_step(weights: Weights, x: Array, state_prev: State) -> State:
    (h_prev,) = state_prev
    return (np.maximum(_rnn_pre_activation(weights, x, h_prev), 0),)


def _rnn_relu_step_backward(weights: Weights, x: Array, state_prev: State, dstate: State) -> StepGradients:
    (h_prev,), (dh,) = state_prev, dstate
    a = _rnn_pre_activation(weights, x, h_prev)
    return _rnn_step_backward(weights, x, h_prev, da=np.where(a > 0, dh, 0))  # relu' = 1 for a > 0, else 0, also at a = 0


def _rnn_step_backward(weights: Weights, x: Array, h_prev: Array, da: Array) -> StepGradients:
    return StepGradients(
        dx=weights.weight_ih.T @ da,
        dstate_prev=(weights.weight_hh.T @ da,),
        dweight_ih=np.outer(da, x),
        dweight_hh=np.outer(da, h_prev),
        dbias_ih=da,
        dbias_hh=da,
    )


# LSTM: Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8), section 4, with the forget gate of
# Gers, Schmidhuber and Cummins (2000), "Learning to forget", Neural Computation 12(10), section 3. Forward and backward as in
# Greff et al. (2017), "LSTM: a search space odyssey", IEEE TNNLS 28(10), sections II.A and II.B, without its peepholes.


def _lstm_gates(weights: Weights, x: Array, h_prev: Array) -> tuple[Array, Array, Array, Array]:
    # a = W x + b_i + U h_prev + b_h;  i = s(a_i), f = s(a_f), g = tanh(a_g), o = s(a_o)
    a = _affine(weights.weight_ih, weights.bias_ih, x) + _affine(weights.weight_hh, weights.bias_hh, h_prev)
    a_i, a_f, a_g, a_o = np.split(a, 4)
    return _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_g), _sigmoid(a_o)


def _lstm_step(weights: Weights, x: Array, state_prev: State) -> State:
    # c = f * c_prev + i * g;  h = o * tanh(c)
    h_prev, c_prev = state_prev
    i, f, g, o = _lstm_gates(weights, x, h_prev)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c


def _lstm_step_backward(weights: Weights, x: Array, state_prev: State, dstate: State) -> StepGradients:
    (h_prev, c_prev), (dh, dc) = state_prev, dstate
    i, f, g, o = _lstm_gates(weights, x, h_prev)
    tanh_c = np.tanh(f * c_prev + i * g)

    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # the loss sees c directly, as c_prev of the next step, and through h
    da_i = dc * g * i * (1 - i)  # s' = s (1 - s)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g * g)
    da_o = dh * tanh_c * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o])
    return StepGradients(
        dx=weights.weight_ih.T @ da,
        dstate_prev=(weights.weight_hh.T @ da, dc * f),
        dweight_ih=np.outer(da, x),
        dweight_hh=np.outer(da, h_prev),
        dbias_ih=da,
        dbias_hh=da,
    )


# GRU, reset after: torch.nn.GRU as its documentation states it, the dialect of cuDNN and of ONNX's linear_before_reset = 1.
# The gates are those of Cho et al. (2014), below; r multiplies the finished recurrent product, bias included.


def _gru_gates(weights: Weights, x: Array, h_prev: Array) -> tuple[Array, Array, Array, Array]:
    # r = s(W_r x + b_ir + U_r h_prev + b_hr);  z = s(W_z x + b_iz + U_z h_prev + b_hz)
    # m = U_n h_prev + b_hn;  n = tanh(W_n x + b_in + r * m)
    x_r, x_z, x_n = np.split(_affine(weights.weight_ih, weights.bias_ih, x), 3)
    h_r, h_z, m = np.split(_affine(weights.weight_hh, weights.bias_hh, h_prev), 3)
    r = _sigmoid(x_r + h_r)
    z = _sigmoid(x_z + h_z)
    return r, z, np.tanh(x_n + r * m), m


def _gru_step(weights: Weights, x: Array, state_prev: State) -> State:
    # h = (1 - z) * n + z * h_prev
    (h_prev,) = state_prev
    _, z, n, _ = _gru_gates(weights, x, h_prev)
    return ((1 - z) * n + z * h_prev,)


def _gru_step_backward(weights: Weights, x: Array, state_prev: State, dstate: State) -> StepGradients:
    (h_prev,), (dh,) = state_prev, dstate
    r, z, n, m = _gru_gates(weights, x, h_prev)

    da_n = dh * (1 - z) * (1 - n * n)
    da_r = da_n * m * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    da_ih = np.concatenate([da_r, da_z, da_n])  # with respect to W x + b_i
    da_hh = np.concatenate([da_r, da_z, da_n * r])  # with respect to U h_prev + b_h: m is under the reset gate
    return StepGradients(
        dx=weights.weight_ih.T @ da_ih,
        dstate_prev=(dh * z + weights.weight_hh.T @ da_hh,),
        dweight_ih=np.outer(da_ih, x),
        dweight_hh=np.outer(da_hh, h_prev),
        dbias_ih=da_ih,
        dbias_hh=da_hh,
    )


# GRU, reset before: Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine
# translation", arXiv:1406.1078v3, equations 5 to 8, with biases; the dialect of Keras' reset_after=False and of ONNX's
# linear_before_reset = 0. r multiplies h_prev before the product; both biases of n stay outside r.


def _gru_reset_before_gates(weights: Weights, x: Array, h_prev: Array) -> tuple[Array, Array, Array]:
    # r = s(W_r x + b_ir + U_r h_prev + b_hr);  z = s(W_z x + b_iz + U_z h_prev + b_hz)
    # n = tanh(W_n x + b_in + U_n (r * h_prev) + b_hn)
    x_r, x_z, x_n = np.split(_affine(weights.weight_ih, weights.bias_ih, x), 3)
    h_r, h_z, _ = np.split(_affine(weights.weight_hh, weights.bias_hh, h_prev), 3)
    r = _sigmoid(x_r + h_r)
    z = _sigmoid(x_z + h_z)
    _, _, h_n = np.split(_affine(weights.weight_hh, weights.bias_hh, r * h_prev), 3)
    return r, z, np.tanh(x_n + h_n)


def _gru_reset_before_step(weights: Weights, x: Array, state_prev: State) -> State:
    # h = (1 - z) * n + z * h_prev
    (h_prev,) = state_prev
    _, z, n = _gru_reset_before_gates(weights, x, h_prev)
    return ((1 - z) * n + z * h_prev,)


def _gru_reset_before_step_backward(weights: Weights, x: Array, state_prev: State, dstate: State) -> StepGradients:
    (h_prev,), (dh,) = state_prev, dstate
    r, z, n = _gru_reset_before_gates(weights, x, h_prev)
    u_r, u_z, u_n = np.split(weights.weight_hh, 3)

    da_n = dh * (1 - z) * (1 - n * n)
    dp = u_n.T @ da_n  # p = r * h_prev, what U_n multiplies
    da_r = dp * h_prev * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    da = np.concatenate([da_r, da_z, da_n])
    return StepGradients(
        dx=weights.weight_ih.T @ da,
        dstate_prev=(dh * z + dp * r + u_r.T @ da_r + u_z.T @ da_z,),
        dweight_ih=np.outer(da, x),
        dweight_hh=np.concatenate([np.outer(da_r, h_prev), np.outer(da_z, h_prev), np.outer(da_n, r * h_prev)]),
        dbias_ih=da,
        dbias_hh=da,
    )


CELLS: Final[Mapping[str, Cell]] = {
    "rnn_tanh": Cell(1, False, _rnn_tanh_step, _rnn_tanh_step_backward),
    "rnn_relu": Cell(1, False, _rnn_relu_step, _rnn_relu_step_backward),
    "lstm": Cell(4, True, _lstm_step, _lstm_step_backward),
    "gru": Cell(3, False, _gru_step, _gru_step_backward),
    "gru_reset_before": Cell(3, False, _gru_reset_before_step, _gru_reset_before_step_backward),
}
