"""Functions over arrays: the only caller of the compiled kernels."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads
from fastrnn.plan import LayerPlan

_ALIGNMENT = 64

#: Gates of each cell in the public weights, by name.
CELLS = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}

Lengths = NDArray[np.int64] | None


def aligned_empty(count: int, dtype: Any) -> NDArray[Any]:
    """Return a flat array of `count` elements at an address that kernels can load registers from.

    Parameters
    ----------
    count : int
        Elements.
    dtype : dtype
        Element type.
    """
    dtype = np.dtype(dtype)
    raw = np.empty(count * dtype.itemsize + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + count * dtype.itemsize].view(dtype)


class BufferPool:
    """Byte buffers used again from call to call; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return an aligned buffer of at least `size` bytes: the smallest free one that fits."""
        with self._lock:
            self._free.sort(key=len)
            for i, buffer in enumerate(self._free):
                if buffer.size >= size:
                    return self._free.pop(i)
            if self._free:
                self._free.pop()  # outgrown: replaced by the larger one below
        return aligned_empty(size, np.uint8)

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """Take a buffer back."""
        with self._lock:
            self._free.append(buffer)


@dataclass(frozen=True)
class Weights:
    """Weights (or their gradients) of one layer and direction, each C-contiguous.

    Attributes
    ----------
    weight_ih : ndarray, (G*H, I)
    weight_hh : ndarray, (G*H, H)
    bias_ih, bias_hh : ndarray, (G*H,), or None
    """

    weight_ih: FloatArray
    weight_hh: FloatArray
    bias_ih: FloatArray | None
    bias_hh: FloatArray | None


@dataclass(frozen=True)
class LayerKind:
    """What a layer's kernels depend on beside its weights."""

    cell: str
    input_size: int
    hidden_size: int
    reverse: bool
    dtype: np.dtype[Any]

    @property
    def has_cell_state(self) -> bool:
        """Whether the state is (h, c)."""
        return self.cell == "lstm"


class Panels:
    """Weights packed for the kernels, kept until the weights change.

    Weights may be written in place at any time, so each use compares them with what was packed.
    """

    def __init__(self, kind: LayerKind) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._packed_from: NDArray[Any] | None = None
        self._panels: dict[str, FloatArray] = {}
        self._current: set[str] = set()
        self.version = 0

    def get(self, pass_name: str, weights: Weights, vector: FloatArray) -> tuple[FloatArray, int]:
        """Return up-to-date panels and the version of the weights they hold.

        Parameters
        ----------
        pass_name : str
            ``"forward"`` or ``"backward"``.
        weights : Weights
            Views of `vector`.
        vector : ndarray, (parameters,)
            All weights of the layer, contiguous.
        """
        bits = vector.view(np.int32)  # compares bits: no trouble with NaN or signed zeros
        with self._lock:
            if self._packed_from is None or (self._packed_from != bits).any():
                self._packed_from = bits.copy()
                self._current.clear()
                self.version += 1
            if pass_name not in self._current:
                self._pack(pass_name, weights)
                self._current.add(pass_name)
            return self._panels[pass_name], self.version

    def last(self, pass_name: str) -> FloatArray:
        """Return the panels that the last `get` returned for this pass."""
        return self._panels[pass_name]

    def _pack(self, pass_name: str, weights: Weights) -> None:
        kind = self._kind
        if pass_name not in self._panels:
            count = kernels.panel_size(
                pass_name, kind.cell, kind.input_size, kind.hidden_size, kind.dtype.itemsize
            )
            self._panels[pass_name] = aligned_empty(count, kind.dtype)
        kernels.pack(
            pass_name,
            kind.cell,
            weights.weight_ih,
            weights.weight_hh,
            weights.bias_ih,
            weights.bias_hh,
            self._panels[pass_name],
        )


@dataclass(frozen=True)
class Record:
    """What a forward pass keeps for one backward pass."""

    tape: NDArray[np.uint8]
    batch: int
    steps: int
    lengths: Lengths


def _kernel_input(array: FloatArray) -> FloatArray:
    """Return `array`, copied only where kernels cannot read it: they want whole aligned rows."""
    item = array.itemsize
    readable = array.flags.aligned and all(stride % item == 0 for stride in array.strides)
    if readable and (array.shape[-1] <= 1 or array.strides[-1] == item):
        return array
    return np.array(array, order="C", copy=True)


def _optional_input(array: FloatArray | None) -> FloatArray | None:
    return None if array is None else _kernel_input(array)


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
    buffers: BufferPool,
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
    buffers : BufferPool
        Where tapes and workspaces come from.

    Returns
    -------
    y : ndarray, (N, T, H)
    h_n : ndarray, (N, H)
    c_n : ndarray, (N, H), or None
    record : Record or None
    """
    batch, steps = x.shape[:2]
    size = (kind.cell, batch, steps, kind.input_size, kind.hidden_size)
    itemsize = kind.dtype.itemsize
    y = np.empty((batch, steps, kind.hidden_size), kind.dtype) if out is None else out
    h_n = np.empty((batch, kind.hidden_size), kind.dtype)
    c_n = np.empty_like(h_n) if kind.has_cell_state else None
    tape = buffers.take(kernels.tape_size(*size, lengths, itemsize)) if record else None
    workspace = buffers.take(kernels.workspace_size("forward", record, *size, itemsize))
    kernels.forward(
        kind.cell,
        panels,
        _kernel_input(x),
        _optional_input(h0),
        _optional_input(c0),
        lengths,
        kind.reverse,
        get_num_threads(),
        y,
        h_n,
        c_n,
        tape,
        workspace,
    )
    buffers.give(workspace)
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
    buffers: BufferPool,
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
    batch, steps = record.batch, record.steps
    size = (kind.cell, batch, steps, kind.input_size, kind.hidden_size)
    dx = add_to
    if input_gradient and dx is None:
        dx = np.empty((batch, steps, kind.input_size), kind.dtype)
    dh0 = np.empty((batch, kind.hidden_size), kind.dtype)
    dc0 = np.empty_like(dh0) if kind.has_cell_state else None
    workspace = buffers.take(kernels.workspace_size("backward", True, *size, kind.dtype.itemsize))
    kernels.backward(
        kind.cell,
        panels,
        record.tape,
        _optional_input(dy),
        _optional_input(dh_n),
        _optional_input(dc_n),
        batch,
        steps,
        record.lengths,
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
    buffers.give(workspace)
    buffers.give(record.tape)
    return dx, dh0, dc0


def linear_forward(
    weight: FloatArray, bias: FloatArray | None, x: FloatArray, buffers: BufferPool
) -> FloatArray:
    """Return x weight^T + bias.

    Parameters
    ----------
    weight : ndarray, (O, I)
    bias : ndarray, (O,), or None
    x : ndarray, (N, I)
    buffers : BufferPool

    Returns
    -------
    ndarray, (N, O)
    """
    outputs, inputs = weight.shape
    y = np.empty((x.shape[0], outputs), weight.dtype)
    size = kernels.linear_workspace_size(x.shape[0], inputs, outputs, weight.itemsize)
    workspace = buffers.take(size)
    kernels.linear_forward(weight, bias, _kernel_input(x), y, workspace)
    buffers.give(workspace)
    return y


def linear_backward(
    weight: FloatArray,
    x: FloatArray,
    dy: FloatArray,
    dweight: FloatArray,
    dbias: FloatArray | None,
    *,
    input_gradient: bool,
    buffers: BufferPool,
) -> FloatArray | None:
    """Return dx; add the weight gradients to `dweight` and `dbias`.

    Parameters
    ----------
    weight, dweight : ndarray, (O, I)
    x : ndarray, (N, I)
    dy : ndarray, (N, O)
    dbias : ndarray, (O,), or None
    input_gradient : bool
        Whether dx is wanted.
    buffers : BufferPool

    Returns
    -------
    ndarray, (N, I), or None
    """
    outputs, inputs = weight.shape
    dx = np.empty((x.shape[0], inputs), weight.dtype) if input_gradient else None
    size = kernels.linear_workspace_size(x.shape[0], inputs, outputs, weight.itemsize)
    workspace = buffers.take(size)
    kernels.linear_backward(
        weight, _kernel_input(x), _kernel_input(dy), dx, dweight, dbias, workspace
    )
    buffers.give(workspace)
    return dx


#: One layer of a stream: a cell's name or "linear", input and output size, panels.
Stage = tuple[str, int, int, FloatArray]


def recurrent_stage(kind: LayerKind, weights: Weights) -> Stage:
    """Pack one recurrent layer for a stream.

    Parameters
    ----------
    kind : LayerKind
        The layer; it runs forward in time.
    weights : Weights
        Its weights.
    """
    count = kernels.panel_size(
        "forward", kind.cell, kind.input_size, kind.hidden_size, kind.dtype.itemsize
    )
    panels = aligned_empty(count, kind.dtype)
    kernels.pack(
        "forward",
        kind.cell,
        weights.weight_ih,
        weights.weight_hh,
        weights.bias_ih,
        weights.bias_hh,
        panels,
    )
    return kind.cell, kind.input_size, kind.hidden_size, panels


def linear_stage(weight: FloatArray, bias: FloatArray | None) -> Stage:
    """Pack an affine layer for a stream.

    Parameters
    ----------
    weight : ndarray, (O, I)
    bias : ndarray, (O,), or None
    """
    outputs, inputs = weight.shape
    count = kernels.linear_panel_size(inputs, outputs, weight.itemsize)
    panels = aligned_empty(count, weight.dtype)
    kernels.pack_linear(weight, bias, panels)
    return "linear", inputs, outputs, panels


def stream_stack(stages: list[Stage], batch: int) -> Any:
    """Return the kernels' stack of layers with its state.

    Parameters
    ----------
    stages : list of Stage
        Each reads the outputs of the one before.
    batch : int
        N.
    """
    single = stages[0][3].dtype == np.float32
    make = kernels.StreamFloat32 if single else kernels.StreamFloat64
    return make(stages, batch)


def explain_plan(kind: LayerKind, batch: int, steps: int, name: str) -> LayerPlan:
    """Return how a dense forward pass will be run.

    Parameters
    ----------
    kind : LayerKind
    batch, steps : int
        N and T.
    name : str
        The layer's place in its network.
    """
    size = (kind.cell, batch, steps, kind.input_size, kind.hidden_size)
    itemsize = kind.dtype.itemsize
    plan = kernels.explain_plan(*size, get_num_threads(), itemsize)
    build = kernels.build_info()
    forward_panels, backward_panels = (
        kernels.panel_size(pass_name, kind.cell, kind.input_size, kind.hidden_size, itemsize)
        for pass_name in ("forward", "backward")
    )
    return LayerPlan(
        name=name,
        module=build["instruction_set"],
        cell=kind.cell,
        dtype=str(kind.dtype),
        batch_size=batch,
        steps=steps,
        input_size=kind.input_size,
        hidden_size=kind.hidden_size,
        tile=(plan["tile_rows"], plan["tile_packets"] * build[f"{kind.dtype}_lanes"]),
        split=plan["split"],
        threads=plan["threads"],
        hoisted=plan["hoisted"],
        forward_panel_bytes=forward_panels * itemsize,
        backward_panel_bytes=backward_panels * itemsize,
        tape_bytes=kernels.tape_size(*size, None, itemsize),
        workspace_bytes=kernels.workspace_size("forward", False, *size, itemsize),
        flops=2 * plan["multiply_adds"],
    )


def build_info() -> dict[str, Any]:
    """How the loaded kernels were compiled."""
    return kernels.build_info()
