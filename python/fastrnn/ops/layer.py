"""One recurrent layer in one direction, forward and back through time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads
from fastrnn.ops.buffers import LayerBuffers
from fastrnn.ops.inputs import kernel_input, optional_input
from fastrnn.ops.panels import LayerKind, Weights

Lengths = NDArray[np.int64] | None

# Sizes follow from the arguments alone; a query costs as much as allocating an output.
_dense_tape_size = lru_cache(kernels.tape_size)
_workspace_size = lru_cache(kernels.workspace_size)


class Record(NamedTuple):
    """What a forward pass keeps for one backward pass."""

    tape: NDArray[np.uint8]
    batch: int
    steps: int
    lengths: Lengths


def forward(
    kind: LayerKind,
    panels: FloatArray,
    x: FloatArray,
    h0: FloatArray | None,
    c0: FloatArray | None,
    lengths: Lengths,
    *,
    out: FloatArray | None,
    record: bool,
    buffers: LayerBuffers,
) -> tuple[FloatArray, FloatArray, FloatArray | None, Record | None]:
    """Run one layer in one direction over a batch of sequences.

    Parameters
    ----------
    kind : LayerKind
        The layer.
    panels : ndarray, (panel size,)
        Of the forward pass.
    x : ndarray, (N, T, I)
        Input, any strides.
    h0, c0 : ndarray, (N, H), or None
        Initial states; None is zero.
    lengths : ndarray of int64, (N,), or None
        Valid steps of each row.
    out : ndarray, (N, T, H), or None
        Where the output goes; features side by side.
    record : bool
        Whether to keep what the backward pass needs.
    buffers : LayerBuffers
        Where tapes and workspaces come from.

    Returns
    -------
    y : ndarray, (N, T, H)
    h_n : ndarray, (N, H)
    c_n : ndarray, (N, H), or None
    record : Record or None
    """
    batch, steps, _ = x.shape
    size = (kind.cell, batch, steps, kind.input_size, kind.hidden_size)
    itemsize = kind.weight_itemsize
    y = np.empty((batch, steps, kind.hidden_size), kind.dtype) if out is None else out
    h_n = np.empty((batch, kind.hidden_size), kind.dtype)
    c_n = np.empty((batch, kind.hidden_size), kind.dtype) if kind.has_cell_state else None
    tape = None
    if record:
        tape = buffers.tapes.take(
            _dense_tape_size(*size, None, itemsize)
            if lengths is None
            else kernels.tape_size(*size, lengths, itemsize)
        )
    workspace = buffers.forward.take(_workspace_size("forward", record, *size, itemsize))
    kernels.forward(
        kind.cell,
        panels,
        kernel_input(x),
        optional_input(h0),
        optional_input(c0),
        lengths,
        kind.reverse,
        get_num_threads(),
        y,
        h_n,
        c_n,
        tape,
        workspace,
    )
    buffers.forward.give(workspace)
    return y, h_n, c_n, None if tape is None else Record(tape, batch, steps, lengths)


def backward(
    kind: LayerKind,
    panels: FloatArray,
    record: Record,
    dy: FloatArray | None,
    dh_n: FloatArray | None,
    dc_n: FloatArray | None,
    gradients: Weights,
    *,
    input_gradient: bool,
    add_to: FloatArray | None,
    buffers: LayerBuffers,
) -> tuple[FloatArray | None, FloatArray, FloatArray | None]:
    """Back-propagate through time (Werbos 1990); weight gradients are added to `gradients`.

    Parameters
    ----------
    kind, panels, buffers
        As in `forward`, panels of the backward pass.
    record : Record
        Of one forward call; its tape is used up and goes back to `buffers`.
    dy : ndarray, (N, T, H), or None
        Gradient of the output; None is zero. Not read at invalid steps.
    dh_n, dc_n : ndarray, (N, H), or None
        Gradients of the final states.
    gradients : Weights
        Gradients of the weights.
    input_gradient : bool
        Whether dx is wanted.
    add_to : ndarray, (N, T, I), or None
        An array to which dx is added, and which is returned as dx.

    Returns
    -------
    dx : ndarray, (N, T, I), or None
    dh0 : ndarray, (N, H)
    dc0 : ndarray, (N, H), or None
    """
    tape, batch, steps, lengths = record
    size = (kind.cell, batch, steps, kind.input_size, kind.hidden_size)
    dx = add_to
    if input_gradient and dx is None:
        dx = np.empty((batch, steps, kind.input_size), kind.dtype)
    dh0 = np.empty((batch, kind.hidden_size), kind.dtype)
    dc0 = np.empty((batch, kind.hidden_size), kind.dtype) if kind.has_cell_state else None
    workspace = buffers.backward.take(
        _workspace_size("backward", True, *size, kind.weight_itemsize)
    )
    kernels.backward(
        kind.cell,
        panels,
        tape,
        optional_input(dy),
        optional_input(dh_n),
        optional_input(dc_n),
        batch,
        steps,
        lengths,
        kind.reverse,
        get_num_threads(),
        dx,
        add_to is not None,
        dh0,
        dc0,
        gradients.weight_ih,
        gradients.weight_hh,
        gradients.bias_ih,
        gradients.bias_hh,
        workspace,
    )
    buffers.backward.give(workspace)
    buffers.tapes.give(tape)
    return dx, dh0, dc0
