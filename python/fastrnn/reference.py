"""The specification: every cell and its back-propagation through time, in plain NumPy.

Slow on purpose: one batch row and one time step at a time, in the order of the papers. It shares
no code with the kernels; every kernel test compares with it, and PyTorch and ONNX check it.

Notation: W, U = weight_ih, weight_hh; b_i, b_h = bias_ih, bias_hh; with a gate's letter the H rows
of that gate (U_n, b_hn); a is a pre-activation, s the logistic sigmoid, * works element by element,
@ is the matrix product, ^T the transpose, dv the derivative of the loss with respect to v. G is the
number of gates; the gate order is i f g o (LSTM) and r z n (GRU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CELLS", "Cell", "Gradients", "Result", "Weights", "bptt", "run"]

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one cell in PyTorch's shapes; None is no bias."""

    weight_ih: Array  # (G*H, I)
    weight_hh: Array  # (G*H, H)
    bias_ih: Array | None = None  # (G*H,)
    bias_hh: Array | None = None  # (G*H,)


@dataclass(frozen=True, eq=False)
class Result:
    """What `run` returns, in the dtype of x."""

    y: Array  # (N, T, H), h after each step; exactly 0 at invalid steps
    h_n: Array  # (N, H), h after each row's last step
    c_n: Array | None  # (N, H), c after each row's last step; None if the cell has no c


@dataclass(frozen=True, eq=False)
class Gradients:
    """What `bptt` returns, in the dtype of x; each has the shape of what it is named after."""

    dx: Array  # (N, T, I), exactly 0 at invalid steps
    dh0: Array  # (N, H), whether or not h0 was given
    dc0: Array | None  # (N, H), whether or not c0 was given; None if the cell has no c
    dweight_ih: Array  # (G*H, I), summed over rows and steps, as are the next three
    dweight_hh: Array  # (G*H, H)
    dbias_ih: Array | None  # (G*H,), None if there is no such bias
    dbias_hh: Array | None  # (G*H,), None if there is no such bias


Parameters: TypeAlias = tuple[Array, Array, Array, Array]  # W, U, b_i, b_h; no bias is zeros
State: TypeAlias = tuple[Array, ...]  # (h,) or (h, c), each (H,)
Backward: TypeAlias = tuple[Array, State, Parameters]  # dx (I,), dstate_prev, (dW, dU, db_i, db_h)


@dataclass(frozen=True, eq=False)
class Cell:
    """The arithmetic of one time step of one row; step_backward computes again what step did."""

    num_gates: int  # G, the blocks of H rows in the weights
    has_cell_state: bool  # the state is (h, c) rather than (h,)
    # parameters, x (I,), state_prev -> state
    step: Callable[[Parameters, Array, State], State]
    # parameters, x (I,), state_prev, dstate -> dx, dstate_prev, dparameters
    step_backward: Callable[[Parameters, Array, State, State], Backward]


def _sigmoid(a: Array) -> Array:
    # s(a) = 1 / (1 + e^-a), written so that the exponential never overflows
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


def _products_backward(
    parameters: Parameters, x: Array, h_prev: Array, da_i: Array, da_h: Array
) -> tuple[Array, Array, Parameters]:
    # a_i = W @ x + b_i:  dx = W^T @ da_i,  dW = da_i @ x^T,  db_i = da_i;  likewise a_h
    W, U, _, _ = parameters
    return W.T @ da_i, U.T @ da_h, (np.outer(da_i, x), np.outer(da_h, h_prev), da_i, da_h)


# Vanilla RNN. Elman (1990), "Finding structure in time", Cognitive Science 14(2), figure 2; the
# equations as 10.8 and 10.9 of Goodfellow, Bengio, Courville (2016), "Deep learning". With relu:
# Le, Jaitly, Hinton (2015), "A simple way to initialize recurrent networks of rectified linear
# units", arXiv:1504.00941.
#   a = W @ x + b_i + U @ h_prev + b_h;  h = tanh(a) or max(a, 0), whose derivative at 0 is 0


def _rnn(activate: Callable[[Array], Array], derive: Callable[[Array, Array], Array]) -> Cell:
    def step(parameters: Parameters, x: Array, state_prev: State) -> State:
        (W, U, b_i, b_h), (h_prev,) = parameters, state_prev
        return (activate(W @ x + b_i + U @ h_prev + b_h),)

    def backward(parameters: Parameters, x: Array, state_prev: State, dstate: State) -> Backward:
        da = derive(step(parameters, x, state_prev)[0], dstate[0])
        dx, dh_prev, dparameters = _products_backward(parameters, x, state_prev[0], da, da)
        return dx, (dh_prev,), dparameters

    return Cell(1, False, step, backward)


# LSTM. Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8),
# section 4; forget gate: Gers, Schmidhuber, Cummins (2000), "Learning to forget", Neural
# Computation 12(10), section 3. Forward and backward as in Greff et al. (2017), "LSTM: a search
# space odyssey", IEEE TNNLS 28(10), sections II.A and II.B, without the peepholes.
#   a = W @ x + b_i + U @ h_prev + b_h;  i = s(a_i), f = s(a_f), g = tanh(a_g), o = s(a_o)
#   c = f * c_prev + i * g;  h = o * tanh(c)


def _lstm_gates(parameters: Parameters, x: Array, h_prev: Array) -> tuple[Array, ...]:
    W, U, b_i, b_h = parameters
    a_i, a_f, a_g, a_o = np.split(W @ x + b_i + U @ h_prev + b_h, 4)
    return _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_g), _sigmoid(a_o)


def _lstm_step(parameters: Parameters, x: Array, state_prev: State) -> State:
    h_prev, c_prev = state_prev
    i, f, g, o = _lstm_gates(parameters, x, h_prev)
    c = f * c_prev + i * g
    return o * np.tanh(c), c


def _lstm_backward(parameters: Parameters, x: Array, state_prev: State, dstate: State) -> Backward:
    (h_prev, c_prev), (dh, dc) = state_prev, dstate
    i, f, g, o = _lstm_gates(parameters, x, h_prev)
    tanh_c = np.tanh(f * c_prev + i * g)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # c reaches the loss as the next c_prev and through h
    da_i = dc * g * i * (1 - i)  # s' = s * (1 - s)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g * g)
    da_o = dh * tanh_c * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o])
    dx, dh_prev, dparameters = _products_backward(parameters, x, h_prev, da, da)
    return dx, (dh_prev, dc * f), dparameters


# GRU, reset after. The documentation of torch.nn.GRU; also cuDNN, ONNX linear_before_reset = 1.
#   r = s(W_r @ x + b_ir + U_r @ h_prev + b_hr);  z = s(W_z @ x + b_iz + U_z @ h_prev + b_hz)
#   m = U_n @ h_prev + b_hn;  n = tanh(W_n @ x + b_in + r * m);  h = (1 - z) * n + z * h_prev


def _gru_gates(parameters: Parameters, x: Array, h_prev: Array) -> tuple[Array, ...]:
    W, U, b_i, b_h = parameters
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
    W, U, b_i, b_h = parameters
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
    (W, U, _, _), (h_prev,), (dh,) = parameters, state_prev, dstate
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
    return W.T @ da, (dh_prev,), (np.outer(da, x), dU, da, da)


CELLS: Final[Mapping[str, Cell]] = {
    "rnn_tanh": _rnn(np.tanh, lambda h, dh: dh * (1 - h * h)),  # tanh' = 1 - tanh^2
    "rnn_relu": _rnn(lambda a: np.maximum(a, 0), lambda h, dh: np.where(h > 0, dh, 0)),
    "lstm": Cell(4, True, _lstm_step, _lstm_backward),
    "gru": Cell(3, False, _gru_step, _gru_backward),
    "gru_reset_before": Cell(3, False, _gru_reset_before_step, _gru_reset_before_backward),
}


def run(
    cell: str,
    x: Array,
    weights: Weights,
    h0: Array | None = None,
    c0: Array | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    reverse: bool = False,
) -> Result:
    """Run a cell over a batch of sequences.

    Row n is the sequence `x[n, :lengths[n]]`; what lies beyond, NaN included, changes nothing. A
    row of length 0 returns its initial state. Nothing is changed in place.

    Parameters
    ----------
    cell : str
        A name in `CELLS`.
    x : ndarray of shape (N, T, I), float32 or float64
        The inputs. Everything is computed in this dtype.
    weights : Weights
        Converted to the dtype of x.
    h0, c0 : ndarray of shape (N, H), default None
        The initial states, converted to the dtype of x; None means zeros.
    lengths : array_like of int of shape (N,), default None
        The number of valid steps of each row, 0 to T; None means T.
    reverse : bool, default False
        Step from `lengths[n] - 1` down to 0; y stays aligned with x.

    Returns
    -------
    Result
        Outputs and final states.

    Raises
    ------
    ValueError
        For an unknown cell, a shape that does not fit, a length outside 0..T, or a cell state
        given to a cell that has none.
    TypeError
        If x is neither float32 nor float64, or lengths are not integers.

    Examples
    --------
    >>> x, one = np.array([[[1.0], [2.0], [4.0]]]), np.ones((1, 1))
    >>> run("rnn_relu", x, Weights(one, one)).y.tolist()
    [[[1.0], [3.0], [7.0]]]
    >>> run("rnn_relu", x, Weights(one, one), lengths=[2], reverse=True).y.tolist()
    [[[3.0], [2.0], [0.0]]]
    """
    parameters, orders = _checked(cell, x, weights, lengths, reverse)
    state0 = _checked_state(cell, x, weights, h0=h0, c0=c0)
    y, state_n = np.zeros((*x.shape[:2], state0.shape[2]), x.dtype), np.empty_like(state0)
    for n, order in enumerate(orders):
        state: State = tuple(state0[:, n])
        for t in order:
            state = CELLS[cell].step(parameters, x[n, t], state)
            y[n, t] = state[0]
        state_n[:, n] = state
    return Result(y, state_n[0], state_n[1] if CELLS[cell].has_cell_state else None)


def bptt(
    cell: str,
    x: Array,
    weights: Weights,
    dy: Array,
    dh_n: Array | None = None,
    dc_n: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    reverse: bool = False,
) -> Gradients:
    """Back-propagate through time: the derivatives of a loss whose derivatives at `run` are given.

    Forward is computed again; nothing is changed in place. A row of length 0 passes dh_n and dc_n
    on to dh0 and dc0.

    Parameters
    ----------
    cell, x, weights, h0, c0, lengths, reverse
        As in `run`, x of shape (N, T, I), h0 and c0 of shape (N, H).
    dy : ndarray of shape (N, T, H)
        The derivative of the loss with respect to y; ignored at invalid steps.
    dh_n, dc_n : ndarray of shape (N, H), default None
        The derivatives with respect to h_n and c_n, besides those of y; None means zeros.

    Returns
    -------
    Gradients
        Of x, the initial states and the weights.

    Raises
    ------
    ValueError, TypeError
        As in `run`.

    Notes
    -----
    Werbos (1990), "Backpropagation through time: what it does and how to do it", Proceedings of
    the IEEE 78(10), section III: from the last step to the first, the derivative of a state is
    what the loss sees of it directly plus what arrives through the next step.

    Examples
    --------
    >>> x, one = np.array([[[1.0], [2.0], [4.0]]]), np.ones((1, 1))
    >>> gradients = bptt("rnn_relu", x, Weights(one, one), dy=np.ones((1, 3, 1)))
    >>> gradients.dx.tolist(), gradients.dweight_ih.tolist()
    ([[[3.0], [2.0], [1.0]]], [[11.0]])
    """
    parameters, orders = _checked(cell, x, weights, lengths, reverse)
    state0 = _checked_state(cell, x, weights, h0=h0, c0=c0)
    dstate_n = _checked_state(cell, x, weights, dh_n=dh_n, dc_n=dc_n)
    dy = _checked_array("dy", dy, "(N, T, H)", (*x.shape[:2], state0.shape[2]), x.dtype)
    step, backward = CELLS[cell].step, CELLS[cell].step_backward
    dx, dstate0 = np.zeros_like(x), np.empty_like(state0)
    totals = [np.zeros_like(parameter) for parameter in parameters]
    for n, order in enumerate(orders):
        states: list[State] = [tuple(state0[:, n])]
        for t in order:
            states.append(step(parameters, x[n, t], states[-1]))
        dstate: State = tuple(dstate_n[:, n])
        for t, state_prev in zip(reversed(order), reversed(states[:-1]), strict=True):
            dstate = (dstate[0] + dy[n, t], *dstate[1:])
            dx[n, t], dstate, terms = backward(parameters, x[n, t], state_prev, dstate)
            totals = [total + term for total, term in zip(totals, terms, strict=True)]
        dstate0[:, n] = dstate
    dc0 = dstate0[1] if CELLS[cell].has_cell_state else None
    dbias_ih = None if weights.bias_ih is None else totals[2]
    dbias_hh = None if weights.bias_hh is None else totals[3]
    return Gradients(dx, dstate0[0], dc0, totals[0], totals[1], dbias_ih, dbias_hh)


def _checked_array(
    what: str, array: Array | None, symbols: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    if array is None:
        return np.zeros(shape, dtype)
    if array.shape != shape:
        raise ValueError(f"{what}: expected shape {symbols} = {shape}, got {array.shape}")
    return array.astype(dtype)


def _checked(
    cell: str, x: Array, weights: Weights, lengths: npt.ArrayLike | None, reverse: bool
) -> tuple[Parameters, list[range]]:
    # The parameters in x's dtype, and for each row its valid steps in the order they are taken.
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x: expected float32 or float64, got {x.dtype}")
    if x.ndim != 3:
        raise ValueError(f"x: expected shape (N, T, I), got {x.shape}")
    (N, T, I), H, G = x.shape, weights.weight_hh.shape[-1], CELLS[cell].num_gates  # noqa: E741
    W = _checked_array("weight_ih", weights.weight_ih, f"({G}*H, I)", (G * H, I), x.dtype)
    U = _checked_array("weight_hh", weights.weight_hh, f"({G}*H, H)", (G * H, H), x.dtype)
    b_i = _checked_array("bias_ih", weights.bias_ih, f"({G}*H,)", (G * H,), x.dtype)
    b_h = _checked_array("bias_hh", weights.bias_hh, f"({G}*H,)", (G * H,), x.dtype)
    counts = np.full(N, T) if lengths is None else np.asarray(lengths)
    if counts.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got {counts.dtype}")
    counts = _checked_array("lengths", counts, "(N,)", (N,), counts.dtype)
    for n, count in enumerate(counts):
        if not 0 <= count <= T:
            raise ValueError(f"lengths[{n}]: expected 0..T = 0..{T}, got {count}")
    return (W, U, b_i, b_h), [range(count)[:: -1 if reverse else 1] for count in counts]


def _checked_state(cell: str, x: Array, weights: Weights, **given: Array | None) -> Array:
    # The state's one or two (N, H) arrays, h and c, in x's dtype; None becomes zeros.
    count, items = 1 + CELLS[cell].has_cell_state, list(given.items())
    for name, array in items[count:]:
        if array is not None:
            raise ValueError(f"{name}: expected None for {cell}, got shape {array.shape}")
    shape = len(x), weights.weight_hh.shape[1]
    return np.stack([_checked_array(*item, "(N, H)", shape, x.dtype) for item in items[:count]])
