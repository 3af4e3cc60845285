"""Reading what a recurrent layer's kernels keep."""

from __future__ import annotations

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn.ops.calls import ForwardCall
from fastrnn.ops.panels import CELLS


def forward_and_read(call: ForwardCall) -> tuple[FloatArray | None, FloatArray]:
    """Run one layer for inference, with a tape that is read and let go.

    Parameters
    ----------
    call : ForwardCall
        Without a record; y, h_n and c_n are filled as by `forward`.

    Returns
    -------
    c : ndarray, (N, T, H), or None
        After each step; None where the cell has no c.
    gates : ndarray, (N, T, G, H)
        Activations, in the order of the weights. Both are zero at invalid steps.
    """
    kind, lengths, buffers = call.kind, call.lengths, call.buffers
    *inputs, _, masks, small_workspace = call.arguments
    buffers.forward.give(small_workspace)
    batch, steps, _ = call.y.shape
    gate_count = CELLS[kind.cell].gates
    size = (kind.kernel_cell, batch, steps, kind.input_size, kind.hidden_size)
    kinds = (False,) * 4 if masks is None else masks.kinds
    tape = buffers.tapes.take(kernels.tape_size(*size, lengths, kind.dtype.itemsize, kinds))
    workspace = buffers.forward.take(
        kernels.workspace_size("forward", True, *size, kind.dtype.itemsize, kinds)
    )
    arguments = (*inputs, tape, masks, workspace)
    kernels.forward(*arguments)
    c = np.empty((batch, steps, kind.hidden_size), kind.dtype) if kind.has_cell_state else None
    gates = np.empty((batch, steps, gate_count * kind.hidden_size), kind.dtype)
    kernels.read_tape(
        kind.kernel_cell, tape, kind.input_size, lengths, kind.reverse, masks, c, gates, workspace
    )
    buffers.forward.give(workspace)
    buffers.tapes.give(tape)
    return c, gates.reshape(batch, steps, gate_count, kind.hidden_size)
