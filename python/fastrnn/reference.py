"""The specification: every cell and its back-propagation through time, in plain NumPy.

Slow on purpose: one batch row and one time step at a time. The equations of the cells and their
sources are in `reference_cells`, what options change in them in `reference_options`. None shares
code with the kernels; every kernel test compares with them, and PyTorch, Keras and ONNX check them.
G is the number of a cell's gates, U the number of its weights per hidden unit (peepholes, or the
recurrent weight of an independent RNN), P the size of a projection, S the numbers of h: P or H.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrnn.reference_cells import CELLS, Array, Cell, Parameters, State, Variant
from fastrnn.reference_options import ACTIVATIONS, PLAIN, Masks, Options, clamp

__all__ = ["CELLS", "Cell", "Gradients", "Masks", "Options", "Result", "Weights", "bptt", "run"]


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one cell in PyTorch's shapes; no bias, or what the cell lacks, is None."""

    weight_ih: Array  # (G*H, I)
    weight_hh: Array | None  # (G*H, S); None for independent RNNs
    bias_ih: Array | None = None  # (G*H,)
    bias_hh: Array | None = None  # (G*H,); None for independent RNNs
    unit_weights: Array | None = None  # (U*H,): p_i p_f p_o, coupled p_i p_o; independent RNNs: u
    weight_hr: Array | None = None  # (P, H), with a projection
    # With layer normalisation: gain and shift of W x (G*H each), of R h (G*H each; not of
    # independent RNNs), and of c (H each; where there is a c), one after the other.
    layer_norm: Array | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """What `run` returns, in the dtype of x."""

    y: Array  # (N, T, S), h after each step; exactly 0 at invalid steps
    h_n: Array  # (N, S), h after each row's last step
    c_n: Array | None  # (N, H), c after each row's last step; None if the cell has no c


@dataclass(frozen=True, eq=False)
class Gradients:
    """What `bptt` returns, in the dtype of x; each has the shape of what it is named after."""

    dx: Array  # (N, T, I), exactly 0 at invalid steps
    dh0: Array  # (N, S), whether or not h0 was given
    dc0: Array | None  # (N, H), whether or not c0 was given; None if the cell has no c
    dweight_ih: Array  # (G*H, I), summed over rows and steps, as are the next six
    dweight_hh: Array | None  # (G*H, S), None if there is no such matrix
    dbias_ih: Array | None  # (G*H,), None if there is no such bias
    dbias_hh: Array | None  # (G*H,), None if there is no such bias
    dunit_weights: Array | None  # (U*H,), None if there are no such weights
    dweight_hr: Array | None  # (P, H), None without a projection
    dlayer_norm: Array | None  # as Weights.layer_norm, None without layer normalisation


def run(
    cell: str,
    x: Array,
    weights: Weights,
    h0: Array | None = None,
    c0: Array | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    reverse: bool = False,
    options: Options = PLAIN,
    masks: Masks | None = None,
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
    h0 : ndarray of shape (N, S), default None
    c0 : ndarray of shape (N, H), default None
        The initial states, converted to the dtype of x; None means zeros.
    lengths : array_like of int of shape (N,), default None
        The number of valid steps of each row, 0 to T; None means T.
    reverse : bool, default False
        Step from `lengths[n] - 1` down to 0; y stays aligned with x.
    options : Options, default none
    masks : Masks, default None

    Returns
    -------
    Result
        Outputs and final states.

    Raises
    ------
    ValueError
        For an unknown cell, a shape that does not fit, a length outside 0..T, a cell state
        given to a cell that has none, or an option that the cell cannot have.
    TypeError
        If x is neither float32 nor float64, or lengths are not integers.

    Notes
    -----
    At a step, in this order: a reset zeroes the state (h_prev, c_prev); the cell computes h~ and c~
    from it, h_prev times the recurrent mask in its products; zoneout keeps shares z_h, z_c of the
    state: h = z_h h_prev + (1 - z_h) h~ and c = z_c c_prev + (1 - z_c) c~. Zoneout: Krueger et al.
    (2016), "Zoneout: regularizing RNNs by randomly preserving hidden activations",
    arXiv:1606.01305, section 3.2; z are masks, or the rates, which are their expectation.

    Examples
    --------
    >>> x, one = np.array([[[1.0], [2.0], [4.0]]]), np.ones((1, 1))
    >>> run("rnn_relu", x, Weights(one, one)).y.tolist()
    [[[1.0], [3.0], [7.0]]]
    >>> run("rnn_relu", x, Weights(one, one), lengths=[2], reverse=True).y.tolist()
    [[[3.0], [2.0], [0.0]]]
    >>> run("rnn_relu", x, Weights(one, one), options=Options(activation_clip=5)).y.tolist()
    [[[1.0], [3.0], [5.0]]]
    >>> run("rnn_relu", x, Weights(one, one), masks=Masks(resets=np.array([[0, 1, 0]]))).y.tolist()
    [[[1.0], [2.0], [6.0]]]
    """
    rows = _checked(cell, x, weights, lengths, reverse, options, masks)
    state0 = _checked_state(cell, x, weights, options, h0=h0, c0=c0)
    y, state_n = np.zeros((*x.shape[:2], state0[0].shape[1]), x.dtype), _empty_like(state0)
    for n, row in enumerate(rows):
        states = _states(row, x[n], tuple(part[n] for part in state0))
        for t, (h, *_) in zip(row.order, states[1:], strict=True):
            y[n, t] = h
        for part, last in zip(state_n, states[-1], strict=True):
            part[n] = last
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
    options: Options = PLAIN,
    masks: Masks | None = None,
) -> Gradients:
    """Back-propagate through time: the derivatives of a loss whose derivatives at `run` are given.

    Forward is computed again; nothing is changed in place. A row of length 0 passes dh_n and dc_n
    on to dh0 and dc0.

    Parameters
    ----------
    cell, x, weights, h0, c0, lengths, reverse, options, masks
        As in `run`, x of shape (N, T, I), h0 of shape (N, S) and c0 of shape (N, H).
    dy : ndarray of shape (N, T, S)
        The derivative of the loss with respect to y; ignored at invalid steps.
    dh_n : ndarray of shape (N, S), default None
    dc_n : ndarray of shape (N, H), default None
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

    What arrives at the state before a step, the first included, is limited where the options say
    so: each element to +-gradient_clip_value, as Graves (2013), "Generating sequences with
    recurrent neural networks", arXiv:1308.0850, section 2.1, does with derivatives within the
    network; then the row's (dh, dc) to the norm gradient_clip_norm by a factor, algorithm 1 of
    Pascanu, Mikolov, Bengio (2013), arXiv:1211.5063, at each step.

    Examples
    --------
    >>> x, one = np.array([[[1.0], [2.0], [4.0]]]), np.ones((1, 1))
    >>> gradients = bptt("rnn_relu", x, Weights(one, one), dy=np.ones((1, 3, 1)))
    >>> gradients.dx.tolist(), gradients.dweight_ih.tolist()
    ([[[3.0], [2.0], [1.0]]], [[11.0]])
    """
    rows = _checked(cell, x, weights, lengths, reverse, options, masks)
    state0 = _checked_state(cell, x, weights, options, h0=h0, c0=c0)
    dstate_n = _checked_state(cell, x, weights, options, dh_n=dh_n, dc_n=dc_n)
    dy_symbols = "(N, T, S)" if options.projection_size else "(N, T, H)"
    dy = _checked_array("dy", dy, dy_symbols, (*x.shape[:2], state0[0].shape[1]), x.dtype)
    dx, dstate0 = np.zeros_like(x), _empty_like(state0)
    parameters = _checked_weights(cell, x, weights, options)
    totals = [np.zeros_like(parameter) for parameter in parameters]
    for n, row in enumerate(rows):
        states = _states(row, x[n], tuple(part[n] for part in state0))
        dstate: State = tuple(part[n] for part in dstate_n)
        for k in reversed(range(len(row.order))):
            t, state_prev = row.order[k], _crossed(row.resets[k], states[k])
            dstate = (dstate[0] + dy[n, t], *dstate[1:])
            dkept, dcandidate = _zoneout_backward(row, t, dstate)
            dx[n, t], dstate, terms = row.kind.step_backward(
                row.parameters, x[n, t], state_prev, dcandidate, row.variant
            )
            dstate = tuple(d + kept for d, kept in zip(dstate, dkept, strict=True))
            dstate = _limited(options, _crossed(row.resets[k], dstate))
            totals = [total + term for total, term in zip(totals, terms, strict=True)]
        for part, first in zip(dstate0, dstate, strict=True):
            part[n] = first
    dc0 = dstate0[1] if CELLS[cell].has_cell_state else None
    dweight_ih, *rest = totals[:6]
    rest.append(np.concatenate([norm.ravel() for norm in totals[6:]]))
    given = [weights.weight_hh, weights.bias_ih, weights.bias_hh, weights.unit_weights]
    given += [weights.weight_hr, weights.layer_norm]
    others = [None if one is None else total for one, total in zip(given, rest, strict=True)]
    return Gradients(dx, dstate0[0], dc0, dweight_ih, *others)


# ---- one row ----


@dataclass(frozen=True, eq=False)
class _Row:
    kind: Cell
    parameters: Parameters
    variant: Variant
    order: range  # the valid steps in the order they are taken
    resets: list[bool]  # whether the state before each of them is zero
    zoneout: tuple[Array | None, ...]  # (T, S) of h and (T, H) of c; None: nothing is kept


def _crossed(reset: bool, state: State) -> State:
    # The state, or its derivative, on the other side of a boundary.
    return tuple(np.zeros_like(part) for part in state) if reset else state


def _states(row: _Row, x: Array, state0: State) -> list[State]:
    # The initial state and that after each step, in the order they are taken; x (T, I).
    states = [state0]
    for k, t in enumerate(row.order):
        state_prev = _crossed(row.resets[k], states[-1])
        candidate = row.kind.step(row.parameters, x[t], state_prev, row.variant)
        states.append(
            tuple(
                new if z is None else z[t] * old + (1 - z[t]) * new
                for z, old, new in zip(row.zoneout, state_prev, candidate, strict=True)
            )
        )
    return states


def _zoneout_backward(row: _Row, t: int, dstate: State) -> tuple[State, State]:
    # The derivatives of state_prev by itself, and of what the cell computed.
    pairs = list(zip(row.zoneout, dstate, strict=True))
    kept = tuple(np.zeros_like(d) if z is None else z[t] * d for z, d in pairs)
    return kept, tuple(d if z is None else (1 - z[t]) * d for z, d in pairs)


def _limited(options: Options, dstate: State) -> State:
    dstate = tuple(clamp(d, options.gradient_clip_value) for d in dstate)
    norm, limit = np.sqrt(sum((d * d).sum() for d in dstate)), options.gradient_clip_norm
    return tuple(d * (limit / norm) for d in dstate) if limit and norm > limit else dstate


# ---- arguments ----


def _empty_like(arrays: State) -> State:
    return tuple(np.empty_like(array) for array in arrays)


def _checked_array(
    what: str, array: Array | None, symbols: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    if array is None:
        return np.zeros(shape, dtype)
    if array.shape != shape:
        raise ValueError(f"{what}: expected shape {symbols} = {shape}, got {array.shape}")
    return array.astype(dtype)


def _checked(
    cell: str,
    x: Array,
    weights: Weights,
    lengths: npt.ArrayLike | None,
    reverse: bool,
    options: Options,
    masks: Masks | None,
) -> list[_Row]:
    # Each row's steps and what acts on them, in x's dtype.
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x: expected float32 or float64, got {x.dtype}")
    if x.ndim != 3:
        raise ValueError(f"x: expected shape (N, T, I), got {x.shape}")
    _check_options(cell, options)
    (N, T, _), parameters = x.shape, _checked_weights(cell, x, weights, options)
    counts = np.full(N, T) if lengths is None else np.asarray(lengths)
    if counts.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got {counts.dtype}")
    counts = _checked_array("lengths", counts, "(N,)", (N,), counts.dtype)
    for n, count in enumerate(counts):
        if not 0 <= count <= T:
            raise ValueError(f"lengths[{n}]: expected 0..T = 0..{T}, got {count}")
    S, H = _state_sizes(cell, weights, options)
    masks = masks or Masks()
    resets = _checked_array("resets", masks.resets, "(N, T)", (N, T), np.dtype(bool))
    recurrent = masks.recurrent
    if recurrent is not None:
        recurrent = _checked_array("recurrent", recurrent, "(N, S)", (N, S), x.dtype)
    zoneout = [_zoneout("zoneout_h", masks.zoneout_h, options.zoneout_h, "S", S, x)]
    if CELLS[cell].has_cell_state:
        zoneout.append(_zoneout("zoneout_c", masks.zoneout_c, options.zoneout_c, "H", H, x))
    elif masks.zoneout_c is not None:
        raise ValueError(f"zoneout_c: expected None for {cell}, got {masks.zoneout_c.shape}")
    rows = []
    for n, count in enumerate(counts):
        order = range(count)[:: -1 if reverse else 1]
        # In reverse the boundary that a step is entered by is that of the step behind it in time.
        crossings = [bool(resets[n, t + reverse]) for t in order if t + reverse < count]
        crossings = [False] * (len(order) - len(crossings)) + crossings
        variant = Variant(options, 1.0 if recurrent is None else recurrent[n])
        shares = tuple(None if z is None else z[n] for z in zoneout)
        rows.append(_Row(CELLS[cell], parameters, variant, order, crossings, shares))
    return rows


def _zoneout(
    name: str, mask: Array | None, rate: float, symbol: str, size: int, x: Array
) -> Array | None:
    shape = (*x.shape[:2], size)
    if mask is not None:
        return _checked_array(name, mask, f"(N, T, {symbol})", shape, x.dtype)
    return np.full(shape, rate, x.dtype) if rate else None


def _check_options(cell: str, options: Options) -> None:
    for name in ("gate_activation", "candidate_activation", "output_activation"):
        if (activation := getattr(options, name)) not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"{name}: expected one of {known}, got {activation!r}")
    for name, value in vars(options).items():
        if name.endswith(("clip", "size", "_h", "_c", "_value", "_norm")) and value < 0:
            raise ValueError(f"{name}: expected at least 0, got {value}")
    if not CELLS[cell].has_cell_state:
        for name in ("cell_clip", "projection_size", "zoneout_c"):
            if value := getattr(options, name):
                raise ValueError(f"{name}: expected 0 for {cell}, got {value}")


def _checked_weights(cell: str, x: Array, weights: Weights, options: Options) -> Parameters:
    # In x's dtype. Missing biases become zeros; what the cell does not have becomes empty.
    kind, I = CELLS[cell], x.shape[2]  # noqa: E741
    S, H = _state_sizes(cell, weights, options)
    G, U, P = kind.num_gates, len(kind.unit_weights), options.projection_size
    R = G if kind.has_recurrent_matrix else 0
    norms = [2 * G, 2 * R, 2 * kind.has_cell_state] if options.layer_norm else [0, 0, 0]
    arrays = []
    for name, count, columns, symbol in (
        ("weight_ih", G, (I,), " I"),
        ("weight_hh", R, (S,), " S" if P else " H"),
        ("bias_ih", G, (), ""),
        ("bias_hh", R, (), ""),
        ("unit_weights", U, (), ""),
        ("weight_hr", P, (H,), " H"),
        ("layer_norm", sum(norms), (), ""),
    ):
        array = getattr(weights, name)
        shape = (count if name == "weight_hr" else count * H, *columns)
        symbols = "(P, H)" if name == "weight_hr" else f"({count}*H,{symbol})"
        if array is None and count and not name.startswith("bias"):
            raise ValueError(f"{name}: expected shape {symbols} = {shape}, got None")
        if array is not None and not count:
            raise ValueError(f"{name}: expected None for {cell}, got shape {array.shape}")
        arrays.append(_checked_array(name, array, symbols, shape, x.dtype))
    flat = np.split(arrays.pop(), np.cumsum(norms)[:2] * H)
    return Parameters(*arrays, *(norm.reshape(2, -1) for norm in flat))


def _state_sizes(cell: str, weights: Weights, options: Options) -> tuple[int, int]:
    # S and H
    H = len(weights.weight_ih) // CELLS[cell].num_gates
    return options.projection_size or H, H


def _checked_state(
    cell: str, x: Array, weights: Weights, options: Options, **given: Array | None
) -> State:
    # The state's one or two arrays, h (N, S) and c (N, H), in x's dtype; None becomes zeros.
    count, items = 1 + CELLS[cell].has_cell_state, list(given.items())
    for name, array in items[count:]:
        if array is not None:
            raise ValueError(f"{name}: expected None for {cell}, got shape {array.shape}")
    sizes = _state_sizes(cell, weights, options)
    symbols = "(N, S)" if options.projection_size else "(N, H)", "(N, H)"
    return tuple(
        _checked_array(name, array, symbol, (len(x), size), x.dtype)
        for (name, array), symbol, size in zip(items[:count], symbols, sizes, strict=False)
    )
