"""One recurrent layer in one direction, forward and back through time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads
from fastrnn.ops.buffers import LayerBuffers
from fastrnn.ops.calls import BackwardCall, ForwardCall, Lengths, Masks, Record
from fastrnn.ops.inputs import kernel_input, optional_input
from fastrnn.ops.panels import LayerKind, Weights, panel_size

State = tuple[FloatArray, FloatArray | None]

# Sizes follow from the arguments alone; a query costs as much as allocating an output.
_dense_tape_size = lru_cache(kernels.tape_size)
_workspace_size = lru_cache(kernels.workspace_size)


_NO_MASKS = (False, False, False, False)


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
    layers = [(kind.kernel_cell, kind.input_size, kind.hidden_size) for kind in kinds]
    itemsize = kinds[0].dtype.itemsize
    return kernels.side_by_side(
        pass_name, layers, batch, steps, lengths, get_num_threads(), itemsize
    )


def forward_call(
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
    masks: Masks | None = None,
) -> ForwardCall:
    """Return the forward pass of one layer in one direction, with memory for its results.

    Parameters
    ----------
    kind : LayerKind
        The layer.
    panels : ndarray, (panel size,)
        Of the forward pass.
    x : ndarray, (N, T, I)
        Input, any strides.
    h0 : ndarray, (N, S), or None
    c0 : ndarray, (N, H), or None
        Initial states; None is zero. S is H, or P where there is a projection.
    lengths : ndarray of int64, (N,), or None
        Valid steps of each row.
    out : ndarray, (N, T, S), or None
        Where the output goes; features side by side.
    record : bool
        Whether to keep what the backward pass needs.
    buffers : LayerBuffers
        Where tapes and workspaces come from.
    masks : Masks or None
    """
    batch, steps, _ = x.shape
    hidden_size, dtype, itemsize = kind.hidden_size, kind.dtype, kind.weight_itemsize
    size = (kind.kernel_cell, batch, steps, kind.input_size, hidden_size)
    mask_kinds = _NO_MASKS if masks is None else masks.kinds
    y = np.empty((batch, steps, kind.state_size), dtype) if out is None else out
    h_n = np.empty((batch, kind.state_size), dtype)
    c_n = np.empty((batch, hidden_size), dtype) if kind.has_cell_state else None
    kept = None
    if record:
        tape = buffers.tapes.take(
            _dense_tape_size(*size, None, itemsize, mask_kinds)
            if lengths is None
            else kernels.tape_size(*size, lengths, itemsize, mask_kinds)
        )
        kept = Record(tape, batch, steps, lengths, masks)
    arguments = (
        kind.kernel_cell,
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
        None if kept is None else kept.tape,
        masks,
        buffers.forward.take(_workspace_size("forward", record, *size, itemsize, mask_kinds)),
    )
    return ForwardCall(kind, lengths, arguments, y, h_n, c_n, kept, buffers)


def discard(record: Record, buffers: LayerBuffers) -> None:
    """Take back the memory of a record that no backward pass will use.

    Parameters
    ----------
    record : Record
        Of one forward call with these buffers.
    buffers : LayerBuffers
    """
    buffers.tapes.give(record.tape)


def training_bytes(
    kind: LayerKind,
    batch: int,
    steps: int,
    lengths: Lengths,
    masks: tuple[bool, bool, bool, bool] = _NO_MASKS,
) -> int:
    """Return the bytes of the tape, of both passes' workspaces and of masks.

    Parameters
    ----------
    kind : LayerKind
    batch, steps : int
        N and T.
    lengths : ndarray of int64, (N,), or None
    masks : tuple of bool
        Which of `Masks` there are.
    """
    size = (kind.kernel_cell, batch, steps, kind.input_size, kind.hidden_size)
    itemsize = kind.weight_itemsize
    passes = ("forward", "backward")
    workspaces = sum(_workspace_size(name, True, *size, itemsize, masks) for name in passes)
    resets, recurrent, zoneout_h, zoneout_c = masks
    numbers = recurrent * kind.state_size
    numbers += steps * (zoneout_h * kind.state_size + zoneout_c * kind.hidden_size)
    of_masks = batch * (numbers * kind.dtype.itemsize + steps * resets)
    return kernels.tape_size(*size, lengths, itemsize, masks) + workspaces + of_masks


def forward(call: ForwardCall) -> None:
    """Run one layer.

    Parameters
    ----------
    call : ForwardCall
        Of `forward_call`; to be run once.
    """
    kernels.forward(*call.arguments)
    call.buffers.forward.give(call.arguments[-1])


def forward_beside(first: ForwardCall, second: ForwardCall) -> None:
    """Run the two directions of a bidirectional layer over the same x.

    Side by side, one thread each, where that wins; results are the same either way.

    Parameters
    ----------
    first, second : ForwardCall
    """
    batch, steps, _ = first.y.shape
    if not side_by_side("forward", (first.kind, second.kind), batch, steps, first.lengths):
        forward(first)
        forward(second)
        return
    kernels.forward_side_by_side([first.arguments, second.arguments])
    for call in (first, second):
        call.buffers.forward.give(call.arguments[-1])


def backward(
    call: BackwardCall, *, input_gradient: bool, add_to: FloatArray | None
) -> tuple[FloatArray | None, State]:
    """Back-propagate through time (Werbos 1990) in one layer.

    Parameters
    ----------
    call : BackwardCall
    input_gradient : bool
        Whether dx is wanted.
    add_to : ndarray, (N, T, I), or None
        An array to which dx is added, and which is returned as dx; (V, I), and not None, where the
        call has tokens.

    Returns
    -------
    dx : ndarray, (N, T, I) or (V, I), or None
    dstate : tuple
        dh0 : ndarray, (N, S); dc0 : ndarray, (N, H), or None.
    """
    dx = _new_input_gradient(call) if input_gradient and add_to is None else add_to
    arguments, dstate = _backward_arguments(call, dx, add_to is not None)
    kernels.backward(*arguments)
    _give_back(call, arguments)
    return dx, dstate


def new_weight_sums(kind: LayerKind, buffers: LayerBuffers) -> FloatArray:
    """Return zero sums of weight gradients that go on over several backward passes.

    Passes over segments of a sequence, the last one first, add to them in the order of one pass
    over all, so that they end in the same bits where segments are whole chunks of equal rows.

    Parameters
    ----------
    kind : LayerKind
    buffers : LayerBuffers
        Where they come from; `add_weight_sums` gives them back.

    Returns
    -------
    ndarray, (panel size,)
    """
    size = panel_size(kind, "forward") * kind.dtype.itemsize
    sums: FloatArray = buffers.weight_sums.take(size)[:size].view(kind.dtype)
    sums.fill(0)
    return sums


def add_weight_sums(
    kind: LayerKind, weight_sums: FloatArray, gradients: Weights, buffers: LayerBuffers
) -> None:
    """Add what several backward passes have summed to the gradients of the weights.

    Parameters
    ----------
    kind : LayerKind
    weight_sums : ndarray, (panel size,)
        Of `new_weight_sums`.
    gradients : Weights
    buffers : LayerBuffers
    """
    kernels.add_weight_sums(
        kind.kernel_cell,
        weight_sums,
        gradients.weight_ih,
        gradients.weight_hh,
        gradients.bias_ih,
        gradients.bias_hh,
        gradients.unit_weights,
        gradients.weight_hr,
        gradients.layer_norm,
    )
    buffers.weight_sums.give(weight_sums.view(np.uint8))


def backward_beside(
    first: BackwardCall, second: BackwardCall, *, input_gradient: bool, add_to: FloatArray | None
) -> tuple[FloatArray | None, tuple[State, State]]:
    """Back-propagate in the two directions of a bidirectional layer, which have read the same x.

    Side by side, one thread each, where that wins; results are the same either way.

    Parameters
    ----------
    first, second : BackwardCall
    input_gradient, add_to
        As for `backward`.

    Returns
    -------
    dx : ndarray, (N, T, I) or (V, I), or None
        The sum over both, in their order.
    dstates : tuple
        What `backward` returns, of each.
    """
    _, batch, steps, lengths, _ = first.record
    if not side_by_side("backward", (first.kind, second.kind), batch, steps, lengths):
        dx, dstate = backward(first, input_gradient=input_gradient, add_to=add_to)
        dx, second_dstate = backward(second, input_gradient=input_gradient, add_to=dx)
        return dx, (dstate, second_dstate)
    dx = _new_input_gradient(first) if input_gradient and add_to is None else add_to
    raw = second_dx = None
    if dx is not None:
        raw = second.buffers.dx.take(dx.nbytes)
        second_dx = raw[: dx.nbytes].view(dx.dtype).reshape(dx.shape)
    arguments, dstate = _backward_arguments(first, dx, add_to is not None)
    second_arguments, second_dstate = _backward_arguments(second, second_dx, False)
    kernels.backward_side_by_side([arguments, second_arguments])
    _give_back(first, arguments)
    _give_back(second, second_arguments)
    if dx is not None and second_dx is not None and raw is not None:
        dx += second_dx
        second.buffers.dx.give(raw)
    return dx, (dstate, second_dstate)


def _new_input_gradient(call: BackwardCall) -> FloatArray:
    shape = (call.record.batch, call.record.steps, call.kind.input_size)
    return np.empty(shape, call.kind.dtype)


def _backward_arguments(
    call: BackwardCall, dx: FloatArray | None, add_to_dx: bool
) -> tuple[tuple[Any, ...], State]:
    """Return what the kernels take, the workspace last, and (dh0, dc0) that they fill."""
    kind, panels, record, dy, dh_n, dc_n, gradients, buffers, weight_sums, tokens = call
    tape, batch, steps, lengths, masks = record
    size = (kind.kernel_cell, batch, steps, kind.input_size, kind.hidden_size)
    mask_kinds = _NO_MASKS if masks is None else masks.kinds
    num_embeddings = 0 if tokens is None or dx is None else dx.shape[0]
    dh0 = np.empty((batch, kind.state_size), kind.dtype)
    dc0 = np.empty((batch, kind.hidden_size), kind.dtype) if kind.has_cell_state else None
    arguments = (
        kind.kernel_cell,
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
        add_to_dx,
        dh0,
        dc0,
        gradients.weight_ih,
        gradients.weight_hh,
        gradients.bias_ih,
        gradients.bias_hh,
        gradients.unit_weights,
        gradients.weight_hr,
        gradients.layer_norm,
        weight_sums,
        masks,
        None if tokens is None else tokens[..., None],
        buffers.backward.take(
            _workspace_size(
                "backward", True, *size, kind.weight_itemsize, mask_kinds, num_embeddings
            )
        ),
    )
    return arguments, (dh0, dc0)


def _give_back(call: BackwardCall, arguments: tuple[Any, ...]) -> None:
    call.buffers.backward.give(arguments[-1])
    call.buffers.tapes.give(call.record.tape)
