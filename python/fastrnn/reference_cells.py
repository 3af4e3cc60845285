"""The specification's cells: one time step and its derivatives in plain NumPy, as in the papers.

`reference` runs them over sequences; they share no code with the kernels.

Notation: W, R = weight_ih, weight_hh; b_i, b_h = bias_ih, bias_hh; p = unit_weights, u where they
are an independent RNN's; V = weight_hr; with a gate's letter the H rows of that gate (R_n, b_hn,
p_o); a is a pre-activation, * works element by element, @ is the matrix product, ^T the transpose,
dv the derivative of the loss with respect to v. The gate order is i f g o (LSTM), i g o (LSTM with
coupled gates) and r z n (GRU).

What `reference_options` adds to the equations, and what it is without options: s, t, k are the
activations of gates, candidates and c, which see clamped numbers where there is a clip (sigmoid,
tanh, tanh); m is the mask of h_prev (ones); L_i, L_h, L_c are the layer normalisations of W @ x,
of R @ h and of c (nothing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from fastrnn.reference_options import (
    ACTIVATIONS,
    PLAIN,
    Activation,
    Array,
    Options,
    clamp,
    clamp_backward,
    clipped,
    normalize,
    normalize_backward,
)

__all__ = ["CELLS", "Array", "Cell", "Parameters", "State", "Variant"]

_EMPTY: Final = np.zeros(0)
_NO_NORM: Final = np.zeros((2, 0))


class Parameters(NamedTuple):
    """The parameters of one cell, or their derivatives.

    What a cell does not have is empty, and so is its derivative: cells replace the others.
    """

    W: Array  # (G*H, I)
    R: Array  # (G*H, S), or (0, H) without a recurrent matrix
    b_i: Array  # (G*H,), zeros without biases
    b_h: Array  # (G*H,), zeros without biases, or (0,) without a recurrent matrix
    p: Array  # (U*H,), one H after the other for each of the U weights per hidden unit
    V: Array = _EMPTY  # (P, H)
    L_i: Array = _NO_NORM  # (2, G*H), gain and shift
    L_h: Array = _NO_NORM  # (2, G*H), never of an independent RNN
    L_c: Array = _NO_NORM  # (2, H), only where there is a c


class Variant(NamedTuple):
    """What a step computes otherwise than its cell's plain equations."""

    options: Options = PLAIN
    mask: Array | float = 1.0  # (S,), m

    @property
    def gate(self) -> Activation:
        """The activation s of gates."""
        return clipped(self.options.gate_activation, self.options.activation_clip)

    @property
    def candidate(self) -> Activation:
        """The activation t of candidates."""
        return clipped(self.options.candidate_activation, self.options.activation_clip)

    @property
    def output(self) -> Activation:
        """The activation k of c."""
        return ACTIVATIONS[self.options.output_activation]


_PLAIN: Final = Variant()

State: TypeAlias = tuple[Array, ...]  # (h,) or (h, c); h (S,), c (H,)
Backward: TypeAlias = tuple[Array, State, Parameters]  # dx (I,), dstate_prev, dparameters


@dataclass(frozen=True, eq=False)
class Cell:
    """The arithmetic of one time step of one row; step_backward computes again what step did."""

    num_gates: int  # G, the blocks of H rows in the weights
    has_cell_state: bool  # the state is (h, c) rather than (h,)
    # parameters, x (I,), state_prev, Variant -> state; plain where none is given
    step: Callable[..., State]
    # parameters, x (I,), state_prev, dstate, Variant -> dx, dstate_prev, dparameters
    step_backward: Callable[..., Backward]
    has_recurrent_matrix: bool = True  # whether there are R and b_h
    unit_weights: str = ""  # U, the weights per hidden unit: one letter for each, as in p_i


def _input_part(parameters: Parameters, x: Array, groups: tuple[int, ...]) -> Array:
    # x_ = L_i(W @ x) + b_i
    return normalize(parameters.W @ x, parameters.L_i, groups) + parameters.b_i


def _input_part_backward(
    parameters: Parameters, x: Array, groups: tuple[int, ...], d: Array
) -> tuple[Array, Array, Array]:
    # dx, dW, dL_i from d of x_: db_i = d, and of v = W @ x: dx = W^T @ dv, dW = dv @ x^T
    dv, dnorm = normalize_backward(parameters.W @ x, parameters.L_i, groups, d)
    return parameters.W.T @ dv, np.outer(dv, x), dnorm


def _recurrent_part(parameters: Parameters, h_in: Array, groups: tuple[int, ...]) -> Array:
    # h_ = L_h(R @ h_in) + b_h
    return normalize(parameters.R @ h_in, parameters.L_h, groups) + parameters.b_h


def _recurrent_part_backward(
    parameters: Parameters, h_in: Array, groups: tuple[int, ...], d: Array
) -> tuple[Array, Array, Array]:
    # dh_in, dR, dL_h from d of h_, likewise
    dv, dnorm = normalize_backward(parameters.R @ h_in, parameters.L_h, groups, d)
    return parameters.R.T @ dv, np.outer(dv, h_in), dnorm


# Vanilla RNN. Elman (1990), "Finding structure in time", Cognitive Science 14(2), figure 2; the
# equations as 10.8 and 10.9 of Goodfellow, Bengio, Courville (2016), "Deep learning". With relu:
# Le, Jaitly, Hinton (2015), "A simple way to initialize recurrent networks of rectified linear
# units", arXiv:1504.00941. Layer normalisation: Ba et al. (2016), equation 4, and W @ x by itself.
#   a = L_i(W @ x) + b_i + L_h(R @ (m * h_prev)) + b_h;  h = t(a), where t' of relu is 0 at 0


def _rnn_activation(relu: bool, variant: Variant) -> Activation:
    clip = variant.options.activation_clip
    return clipped("relu", clip) if relu else variant.candidate


def _rnn(relu: bool) -> Cell:
    def pre_activation(
        parameters: Parameters, x: Array, state_prev: State, variant: Variant
    ) -> Array:
        (h_prev,), H = state_prev, len(parameters.b_i)
        h_part = _recurrent_part(parameters, variant.mask * h_prev, (H,))
        return _input_part(parameters, x, (H,)) + h_part

    def step(
        parameters: Parameters, x: Array, state_prev: State, variant: Variant = _PLAIN
    ) -> State:
        a = pre_activation(parameters, x, state_prev, variant)
        return (_rnn_activation(relu, variant).value(a),)

    def backward(
        parameters: Parameters,
        x: Array,
        state_prev: State,
        dstate: State,
        variant: Variant = _PLAIN,
    ) -> Backward:
        (h_prev,), (dh,), H = state_prev, dstate, len(parameters.b_i)
        a, m = pre_activation(parameters, x, state_prev, variant), variant.mask
        da = dh * _rnn_activation(relu, variant).slope(a)
        dx, dW, dL_i = _input_part_backward(parameters, x, (H,), da)
        dh_in, dR, dL_h = _recurrent_part_backward(parameters, m * h_prev, (H,), da)
        dparameters = parameters._replace(W=dW, R=dR, b_i=da, b_h=da, L_i=dL_i, L_h=dL_h)
        return dx, (m * dh_in,), dparameters

    return Cell(1, False, step, backward)


# Independent RNN. Li et al. (2018), "Independently recurrent neural network (IndRNN): building a
# longer and deeper RNN", arXiv:1803.04831, section 3. u is one weight per unit; no R and no b_h.
#   a = L_i(W @ x) + b_i + u * m * h_prev;  h = t(a)


def _independent_rnn(relu: bool) -> Cell:
    def pre_activation(
        parameters: Parameters, x: Array, state_prev: State, variant: Variant
    ) -> Array:
        (h_prev,), u = state_prev, parameters.p
        return _input_part(parameters, x, (len(u),)) + u * (variant.mask * h_prev)

    def step(
        parameters: Parameters, x: Array, state_prev: State, variant: Variant = _PLAIN
    ) -> State:
        a = pre_activation(parameters, x, state_prev, variant)
        return (_rnn_activation(relu, variant).value(a),)

    def backward(
        parameters: Parameters,
        x: Array,
        state_prev: State,
        dstate: State,
        variant: Variant = _PLAIN,
    ) -> Backward:
        (h_prev,), (dh,), u, m = state_prev, dstate, parameters.p, variant.mask
        a = pre_activation(parameters, x, state_prev, variant)
        da = dh * _rnn_activation(relu, variant).slope(a)
        dx, dW, dL_i = _input_part_backward(parameters, x, (len(u),), da)
        dparameters = parameters._replace(W=dW, b_i=da, p=da * (m * h_prev), L_i=dL_i)
        return dx, (da * u * m,), dparameters

    return Cell(1, False, step, backward, has_recurrent_matrix=False, unit_weights="u")


# LSTM. Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8),
# section 4; forget gate: Gers, Schmidhuber, Cummins (2000), "Learning to forget", Neural
# Computation 12(10), section 3; peepholes p: Gers and Schmidhuber (2000), "Recurrent nets that time
# and count", IJCNN. Forward and backward as in Greff et al. (2017), "LSTM: a search space odyssey",
# IEEE TNNLS 28(10), sections II.A and II.B; without peepholes, p = 0. Layer normalisation: Ba et
# al. (2016), equations 20 to 22. Projection V, and cell_clip: Sak, Senior, Beaufays (2014), "Long
# short-term memory based recurrent neural network architectures", arXiv:1402.1128, equations 1 to 7
# (no V: the identity); also torch.nn.LSTM with proj_size. m: Gal and Ghahramani (2016), "A
# theoretically grounded application of dropout in recurrent neural networks", equation 7.
#   a = L_i(W @ x) + b_i + L_h(R @ (m * h_prev)) + b_h
#   i = s(a_i + p_i * c_prev), f = s(a_f + p_f * c_prev), g = t(a_g)
#   c = clamp(f * c_prev + i * g);  o = s(a_o + p_o * c);  h = V @ (o * k(L_c(c)))
# With coupled gates what is forgotten makes room for what is written: the variant CIFG of Greff et
# al. (2017); also ONNX input_forget = 1. There are no a_f and p_f, and f = 1 - i.


class _Gates(NamedTuple):
    # Pre-activations with peepholes, each (H,); e is c before its clamp, v = L_c(c).
    a_i: Array
    a_f: Array | None  # None: coupled
    a_g: Array
    a_o: Array
    f: Array
    e: Array
    c: Array
    v: Array


def _peepholes(parameters: Parameters, count: int, H: int) -> list[Array]:
    # (H,) for each gate that has one; zeros in a cell without
    zeros = np.zeros(H, parameters.W.dtype)
    return np.split(parameters.p, count) if parameters.p.size else [zeros] * count


def _lstm_gates(
    coupled: bool, parameters: Parameters, x: Array, state_prev: State, variant: Variant
) -> _Gates:
    (h_prev, c_prev), s, t = state_prev, variant.gate, variant.candidate
    rows, H = len(parameters.b_i), len(c_prev)
    h_part = _recurrent_part(parameters, variant.mask * h_prev, (rows,))
    a = _input_part(parameters, x, (rows,)) + h_part
    if coupled:
        (a_i, a_g, a_o), (p_i, p_o) = np.split(a, 3), _peepholes(parameters, 2, H)
        a_i, a_f = a_i + p_i * c_prev, None
        f = 1 - s.value(a_i)
    else:
        (a_i, a_f, a_g, a_o), (p_i, p_f, p_o) = np.split(a, 4), _peepholes(parameters, 3, H)
        a_i, a_f = a_i + p_i * c_prev, a_f + p_f * c_prev
        f = s.value(a_f)
    e = f * c_prev + s.value(a_i) * t.value(a_g)
    c = clamp(e, variant.options.cell_clip)
    return _Gates(a_i, a_f, a_g, a_o + p_o * c, f, e, c, normalize(c, parameters.L_c, (H,)))


def _lstm(coupled: bool, unit_weights: str = "") -> Cell:
    def step(
        parameters: Parameters, x: Array, state_prev: State, variant: Variant = _PLAIN
    ) -> State:
        gates = _lstm_gates(coupled, parameters, x, state_prev, variant)
        h = variant.gate.value(gates.a_o) * variant.output.value(gates.v)
        return parameters.V @ h if parameters.V.size else h, gates.c

    def backward(
        parameters: Parameters,
        x: Array,
        state_prev: State,
        dstate: State,
        variant: Variant = _PLAIN,
    ) -> Backward:
        (h_prev, c_prev), (dh, dc), m, V = state_prev, dstate, variant.mask, parameters.V
        s, t, k = variant.gate, variant.candidate, variant.output
        a_i, a_f, a_g, a_o, f, e, c, v = _lstm_gates(coupled, parameters, x, state_prev, variant)
        rows, H = len(parameters.b_i), len(c)
        p_i, *p_f, p_o = _peepholes(parameters, 2 if coupled else 3, H)
        i, g, o = s.value(a_i), t.value(a_g), s.value(a_o)
        dV = np.outer(dh, o * k.value(v)) if V.size else V
        dh = V.T @ dh if V.size else dh
        da_o = dh * k.value(v) * s.slope(a_o)
        # c reaches the loss as the next c_prev, through h and through the peephole of o
        through_h, dL_c = normalize_backward(c, parameters.L_c, (H,), dh * o * k.slope(v))
        dc = dc + through_h + da_o * p_o
        de = clamp_backward(e, variant.options.cell_clip, dc)
        da_g = de * i * t.slope(a_g)
        if a_f is None:
            da_i = de * (g - c_prev) * s.slope(a_i)
            da, dp = [da_i, da_g, da_o], [da_i * c_prev, da_o * c]
            dc_prev = de * f + da_i * p_i
        else:
            da_i = de * g * s.slope(a_i)
            da_f = de * c_prev * s.slope(a_f)
            da, dp = [da_i, da_f, da_g, da_o], [da_i * c_prev, da_f * c_prev, da_o * c]
            dc_prev = de * f + da_i * p_i + da_f * p_f[0]
        d, dp_all = np.concatenate(da), np.concatenate(dp)[: parameters.p.size]
        dx, dW, dL_i = _input_part_backward(parameters, x, (rows,), d)
        dh_in, dR, dL_h = _recurrent_part_backward(parameters, m * h_prev, (rows,), d)
        dparameters = Parameters(dW, dR, d, d, dp_all, dV, dL_i, dL_h, dL_c)
        return dx, (m * dh_in, dc_prev), dparameters

    return Cell(3 if coupled else 4, True, step, backward, unit_weights=unit_weights)


# GRU, reset after. The documentation of torch.nn.GRU; also cuDNN, ONNX linear_before_reset = 1.
# Layer normalisation: Ba et al. (2016), supplement, the GRU of the skip-thoughts experiment: r and
# z are normalised together, n by itself. m as in Keras: z passes h_prev itself.
#   x_ = L_i(W @ x) + b_i;  h_ = L_h(R @ (m * h_prev)) + b_h
#   r = s(x_r + h_r), z = s(x_z + h_z), n = t(x_n + r * h_n);  h = (1 - z) * n + z * h_prev


def _gru_parts(
    parameters: Parameters, x: Array, state_prev: State, variant: Variant
) -> tuple[Array, ...]:
    # a_r, a_z, a_n, h_n
    (h_prev,), H = state_prev, len(state_prev[0])
    x_r, x_z, x_n = np.split(_input_part(parameters, x, (2 * H, H)), 3)
    h_part = _recurrent_part(parameters, variant.mask * h_prev, (2 * H, H))
    h_r, h_z, h_n = np.split(h_part, 3)
    return x_r + h_r, x_z + h_z, x_n + variant.gate.value(x_r + h_r) * h_n, h_n


def _gru_step(
    parameters: Parameters, x: Array, state_prev: State, variant: Variant = _PLAIN
) -> State:
    _, a_z, a_n, _ = _gru_parts(parameters, x, state_prev, variant)
    z, n = variant.gate.value(a_z), variant.candidate.value(a_n)
    return ((1 - z) * n + z * state_prev[0],)


def _gru_backward(
    parameters: Parameters, x: Array, state_prev: State, dstate: State, variant: Variant = _PLAIN
) -> Backward:
    (h_prev,), (dh,), s, t, m = state_prev, dstate, variant.gate, variant.candidate, variant.mask
    a_r, a_z, a_n, h_n = _gru_parts(parameters, x, state_prev, variant)
    (r, z, n), groups = (s.value(a_r), s.value(a_z), t.value(a_n)), (2 * len(dh), len(dh))
    da_n = dh * (1 - z) * t.slope(a_n)
    da_r = da_n * h_n * s.slope(a_r)
    da_z = dh * (h_prev - n) * s.slope(a_z)
    d_i = np.concatenate([da_r, da_z, da_n])
    d_h = np.concatenate([da_r, da_z, da_n * r])  # dh_n = da_n * r
    dx, dW, dL_i = _input_part_backward(parameters, x, groups, d_i)
    dh_in, dR, dL_h = _recurrent_part_backward(parameters, m * h_prev, groups, d_h)
    dparameters = parameters._replace(W=dW, R=dR, b_i=d_i, b_h=d_h, L_i=dL_i, L_h=dL_h)
    return dx, (m * dh_in + dh * z,), dparameters


# GRU, reset before. Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder
# for statistical machine translation", arXiv:1406.1078v3, equations 5 to 8, with biases; also Keras
# reset_after=False, ONNX linear_before_reset = 0. x_, r, z and h as above, but
#   n = t(x_n + L_hn(R_n @ (r * m * h_prev)) + b_hn)


def _rows(parameters: Parameters, rows: slice) -> Parameters:
    # Those rows of the recurrent part: of r and z, or of n.
    L_h = parameters.L_h[:, rows]
    return parameters._replace(R=parameters.R[rows], b_h=parameters.b_h[rows], L_h=L_h)


def _gru_reset_before_parts(
    parameters: Parameters, x: Array, state_prev: State, variant: Variant
) -> tuple[Array, ...]:
    # a_r, a_z, a_n
    (h_prev,), H = state_prev, len(state_prev[0])
    rz, n = (_rows(parameters, rows) for rows in (np.s_[: 2 * H], np.s_[2 * H :]))
    h_in = variant.mask * h_prev
    x_r, x_z, x_n = np.split(_input_part(parameters, x, (2 * H, H)), 3)
    h_r, h_z = np.split(_recurrent_part(rz, h_in, (2 * H,)), 2)
    r = variant.gate.value(x_r + h_r)
    return x_r + h_r, x_z + h_z, x_n + _recurrent_part(n, r * h_in, (H,))


def _gru_reset_before_step(
    parameters: Parameters, x: Array, state_prev: State, variant: Variant = _PLAIN
) -> State:
    _, a_z, a_n = _gru_reset_before_parts(parameters, x, state_prev, variant)
    z, n = variant.gate.value(a_z), variant.candidate.value(a_n)
    return ((1 - z) * n + z * state_prev[0],)


def _gru_reset_before_backward(
    parameters: Parameters, x: Array, state_prev: State, dstate: State, variant: Variant = _PLAIN
) -> Backward:
    (h_prev,), (dh,), s, t, m = state_prev, dstate, variant.gate, variant.candidate, variant.mask
    a_r, a_z, a_n = _gru_reset_before_parts(parameters, x, state_prev, variant)
    (r, z, n), H = (s.value(a_r), s.value(a_z), t.value(a_n)), len(dh)
    rows_rz, rows_n = (_rows(parameters, rows) for rows in (np.s_[: 2 * H], np.s_[2 * H :]))
    h_in = m * h_prev
    da_n = dh * (1 - z) * t.slope(a_n)
    dq, dR_n, dL_hn = _recurrent_part_backward(rows_n, r * h_in, (H,), da_n)  # q = r * h_in
    da_r = dq * h_in * s.slope(a_r)
    da_z = dh * (h_prev - n) * s.slope(a_z)
    da_rz = np.concatenate([da_r, da_z])
    dh_in, dR_rz, dL_hrz = _recurrent_part_backward(rows_rz, h_in, (2 * H,), da_rz)
    d = np.concatenate([da_rz, da_n])
    dx, dW, dL_i = _input_part_backward(parameters, x, (2 * H, H), d)
    dR, dL_h = np.concatenate([dR_rz, dR_n]), np.concatenate([dL_hrz, dL_hn], axis=1)
    dparameters = parameters._replace(W=dW, R=dR, b_i=d, b_h=d, L_i=dL_i, L_h=dL_h)
    return dx, (dh * z + m * (dh_in + dq * r),), dparameters


CELLS: Final[Mapping[str, Cell]] = {
    "rnn_tanh": _rnn(relu=False),
    "rnn_relu": _rnn(relu=True),
    "independent_rnn_tanh": _independent_rnn(relu=False),
    "independent_rnn_relu": _independent_rnn(relu=True),
    "lstm": _lstm(coupled=False),
    "lstm_peephole": _lstm(coupled=False, unit_weights="ifo"),
    "lstm_coupled": _lstm(coupled=True),
    "lstm_coupled_peephole": _lstm(coupled=True, unit_weights="io"),
    "gru": Cell(3, False, _gru_step, _gru_backward),
    "gru_reset_before": Cell(3, False, _gru_reset_before_step, _gru_reset_before_backward),
}
