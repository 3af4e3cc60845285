"""One recurrent layer in one direction, forward and back through time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads
from fastrnn.ops.buffers import BufferPool, LayerBuffers
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


class ForwardCall(NamedTuple):
    """The arguments of one layer's forward pass.

    Attributes
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
    """

    kind: LayerKind
    panels: FloatArray
    x: FloatArray
    h0: FloatArray | None
    c0: FloatArray | None
    lengths: Lengths
    out: FloatArray | None
    record: bool
    buffers: LayerBuffers


class Forwarded(NamedTuple):
    """What a forward pass returns.

    Attributes
    ----------
    y : ndarray, (N, T, H)
    h_n : ndarray, (N, H)
    c_n : ndarray, (N, H), or None
    record : Record or None
    """

    y: FloatArray
    h_n: FloatArray
    c_n: FloatArray | None
    record: Record | None


class BackwardCall(NamedTuple):
    """The arguments of one layer's backward pass.

    Attributes
    ----------
    kind, panels, buffers
        As for `ForwardCall`, panels of the backward pass.
    record : Record
        Of one forward call; its tape is used up and goes back to `buffers`.
    dy : ndarray, (N, T, H), or None
        Gradient of the output; None is zero. Not read at invalid steps.
    dh_n, dc_n : ndarray, (N, H), or None
        Gradients of the final states.
    gradients : Weights
        Gradients of the weights, which are added to.
    """

    kind: LayerKind
    panels: FloatArray
    record: Record
    dy: FloatArray | None
    dh_n: FloatArray | None
    dc_n: FloatArray | None
    gradients: Weights
    buffers: LayerBuffers


def side_by_side(
    pass_name: str, kinds: Sequence[LayerKind], batch: int, steps: int, lengths: Lengths
) -> bool:
    """Return whether layers that read the same x are done sooner side by side, one thread each.

    Parameters
    ----------
    pass_name : str
        ``"forward"`` or ``"backward"``.
    kinds : sequence of LayerKind
    batch, steps : int
        N and T.
    lengths : ndarray of int64, (N,), or None
    """
    layers = [(kind.cell, kind.input_size, kind.hidden_size) for kind in kinds]
    itemsize = kinds[0].dtype.itemsize
    return kernels.side_by_side(
        pass_name, layers, batch, steps, lengths, get_num_threads(), itemsize
    )


def forward(*calls: ForwardCall) -> list[Forwarded]:
    """Run layers in one direction each over the same x: one, or the two of a bidirectional layer.

    Several run side by side, one thread each, where that wins; results are the same either way.

    Parameters
    ----------
    calls : ForwardCall
        One for each layer.
    """
    prepared = [_forward_arguments(call) for call in calls]
    batch, steps = calls[0].x.shape[:2]
    if len(calls) > 1 and side_by_side(
        "forward", [call.kind for call in calls], batch, steps, calls[0].lengths
    ):
        kernels.forward_side_by_side([arguments for arguments, _ in prepared])
    else:
        for arguments, _ in prepared:
            kernels.forward(*arguments)
    for call, (arguments, _) in zip(calls, prepared, strict=True):
        call.buffers.forward.give(arguments[-1])
    return [results for _, results in prepared]


def _forward_arguments(call: ForwardCall) -> tuple[tuple[Any, ...], Forwarded]:
    """Return what the kernels take, the workspace last, and what they fill."""
    kind, buffers, x = call.kind, call.buffers, call.x
    batch, steps = x.shape[:2]
    size = (kind.cell, batch, steps, kind.input_size, kind.hidden_size)
    itemsize = kind.weight_itemsize
    y = np.empty((batch, steps, kind.hidden_size), kind.dtype) if call.out is None else call.out
    h_n = np.empty((batch, kind.hidden_size), kind.dtype)
    c_n = np.empty((batch, kind.hidden_size), kind.dtype) if kind.has_cell_state else None
    tape = None
    if call.record:
        tape = buffers.tapes.take(
            _dense_tape_size(*size, None, itemsize)
            if call.lengths is None
            else kernels.tape_size(*size, call.lengths, itemsize)
        )
    arguments = (
        kind.cell,
        call.panels,
        kernel_input(x),
        optional_input(call.h0),
        optional_input(call.c0),
        call.lengths,
        kind.reverse,
        get_num_threads(),
        y,
        h_n,
        c_n,
        tape,
        buffers.forward.take(_workspace_size("forward", call.record, *size, itemsize)),
    )
    record = None if tape is None else Record(tape, batch, steps, call.lengths)
    return arguments, Forwarded(y, h_n, c_n, record)


def backward(
    *calls: BackwardCall, input_gradient: bool, add_to: FloatArray | None
) -> tuple[FloatArray | None, list[tuple[FloatArray, FloatArray | None]]]:
    """Back-propagate through time (Werbos 1990) in layers that have read the same x.

    Several run side by side, one thread each, where that wins; results are the same either way.

    Parameters
    ----------
    calls : BackwardCall
        One for each layer.
    input_gradient : bool
        Whether dx is wanted.
    add_to : ndarray, (N, T, I), or None
        An array to which dx is added, and which is returned as dx.

    Returns
    -------
    dx : ndarray, (N, T, I), or None
        The sum over the layers, in their order.
    dstates : list of (dh0, dc0)
        dh0 : ndarray, (N, H); dc0 : ndarray, (N, H), or None.
    """
    kind, record = calls[0].kind, calls[0].record
    shape = (record.batch, record.steps, kind.input_size)
    dx = add_to
    if input_gradient and dx is None:
        dx = np.empty(shape, kind.dtype)
    beside = len(calls) > 1 and side_by_side(
        "backward", [call.kind for call in calls], record.batch, record.steps, record.lengths
    )
    # One after the other they add to one dx; side by side all but the first have their own.
    own: list[tuple[BufferPool, NDArray[np.uint8], FloatArray]] = []
    if beside and dx is not None:
        for call in calls[1:]:
            raw = call.buffers.dx.take(dx.nbytes)
            own.append((call.buffers.dx, raw, raw[: dx.nbytes].view(dx.dtype).reshape(shape)))
    targets = [dx, *[part for _, _, part in own]] if own else [dx] * len(calls)
    prepared = [
        _backward_arguments(call, target, add_to is not None if i == 0 else not beside)
        for i, (call, target) in enumerate(zip(calls, targets, strict=True))
    ]
    if beside:
        kernels.backward_side_by_side([arguments for arguments, _ in prepared])
    else:
        for arguments, _ in prepared:
            kernels.backward(*arguments)
    for call, (arguments, _) in zip(calls, prepared, strict=True):
        call.buffers.backward.give(arguments[-1])
        call.buffers.tapes.give(call.record.tape)
    for buffers, raw, part in own:
        assert dx is not None
        dx += part
        buffers.give(raw)
    return dx, [dstate for _, dstate in prepared]


def _backward_arguments(
    call: BackwardCall, dx: FloatArray | None, add_to_dx: bool
) -> tuple[tuple[Any, ...], tuple[FloatArray, FloatArray | None]]:
    """Return what the kernels take, the workspace last, and (dh0, dc0) that they fill."""
    kind, record, gradients = call.kind, call.record, call.gradients
    size = (kind.cell, record.batch, record.steps, kind.input_size, kind.hidden_size)
    dh0 = np.empty((record.batch, kind.hidden_size), kind.dtype)
    dc0 = np.empty((record.batch, kind.hidden_size), kind.dtype) if kind.has_cell_state else None
    arguments = (
        kind.cell,
        call.panels,
        record.tape,
        optional_input(call.dy),
        optional_input(call.dh_n),
        optional_input(call.dc_n),
        record.batch,
        record.steps,
        record.lengths,
        kind.reverse,
        get_num_threads(),
        dx,
        add_to_dx,
        dh0,
        dc0,
        gradients.weight_ih,
        gradients.weight_hh,
        gradients.bias_ih,
        gradients.bias_hh,
        call.buffers.backward.take(_workspace_size("backward", True, *size, kind.dtype.itemsize)),
    )
    return arguments, (dh0, dc0)
