"""The specification: every cell and its back-propagation through time, in plain NumPy.

Slow on purpose: one batch row and one time step at a time. The equations of the cells and their
sources are in `reference_cells`. Neither shares code with the kernels; every kernel test compares
with them, and PyTorch and ONNX check them. G is the number of a cell's gates, P the number of its
weights per hidden unit (peepholes, or the recurrent weight of an independent RNN).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrnn.reference_cells import CELLS, Array, Cell, Parameters, State

__all__ = ["CELLS", "Cell", "Gradients", "Result", "Weights", "bptt", "run"]


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one cell in PyTorch's shapes; no bias, or what the cell lacks, is None."""

    weight_ih: Array  # (G*H, I)
    weight_hh: Array | None  # (G*H, H); None for independent RNNs
    bias_ih: Array | None = None  # (G*H,)
    bias_hh: Array | None = None  # (G*H,); None for independent RNNs
    unit_weights: Array | None = None  # (P*H,): p_i p_f p_o, coupled p_i p_o; independent RNNs: u


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
    dweight_ih: Array  # (G*H, I), summed over rows and steps, as are the next four
    dweight_hh: Array | None  # (G*H, H), None if there is no such matrix
    dbias_ih: Array | None  # (G*H,), None if there is no such bias
    dbias_hh: Array | None  # (G*H,), None if there is no such bias
    dunit_weights: Array | None  # (P*H,), None if there are no such weights


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
    dweight_ih, *rest = totals
    given = (weights.weight_hh, weights.bias_ih, weights.bias_hh, weights.unit_weights)
    others = [None if one is None else total for one, total in zip(given, rest, strict=True)]
    return Gradients(dx, dstate0[0], dc0, dweight_ih, *others)


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
    (N, T, _), parameters = x.shape, _checked_weights(cell, x, weights)
    counts = np.full(N, T) if lengths is None else np.asarray(lengths)
    if counts.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got {counts.dtype}")
    counts = _checked_array("lengths", counts, "(N,)", (N,), counts.dtype)
    for n, count in enumerate(counts):
        if not 0 <= count <= T:
            raise ValueError(f"lengths[{n}]: expected 0..T = 0..{T}, got {count}")
    return parameters, [range(count)[:: -1 if reverse else 1] for count in counts]


def _checked_weights(cell: str, x: Array, weights: Weights) -> Parameters:
    # In x's dtype. Missing biases become zeros; what the cell does not have becomes empty.
    kind, I, H = CELLS[cell], x.shape[2], _hidden_size(cell, weights)  # noqa: E741
    G, P = kind.num_gates, len(kind.unit_weights)
    R = G if kind.has_recurrent_matrix else 0
    arrays = []
    for name, count, columns, symbol in (
        ("weight_ih", G, (I,), " I"),
        ("weight_hh", R, (H,), " H"),
        ("bias_ih", G, (), ""),
        ("bias_hh", R, (), ""),
        ("unit_weights", P, (), ""),
    ):
        array, shape = getattr(weights, name), (count * H, *columns)
        symbols = f"({count}*H,{symbol})"
        if array is None and count and not name.startswith("bias"):
            raise ValueError(f"{name}: expected shape {symbols} = {shape}, got None")
        if array is not None and not count:
            raise ValueError(f"{name}: expected None for {cell}, got shape {array.shape}")
        arrays.append(_checked_array(name, array, symbols, shape, x.dtype))
    return Parameters(*arrays)


def _hidden_size(cell: str, weights: Weights) -> int:
    return len(weights.weight_ih) // CELLS[cell].num_gates


def _checked_state(cell: str, x: Array, weights: Weights, **given: Array | None) -> Array:
    # The state's one or two (N, H) arrays, h and c, in x's dtype; None becomes zeros.
    count, items = 1 + CELLS[cell].has_cell_state, list(given.items())
    for name, array in items[count:]:
        if array is not None:
            raise ValueError(f"{name}: expected None for {cell}, got shape {array.shape}")
    shape = len(x), _hidden_size(cell, weights)
    return np.stack([_checked_array(*item, "(N, H)", shape, x.dtype) for item in items[:count]])
