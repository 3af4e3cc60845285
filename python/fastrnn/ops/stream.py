"""A stack of layers that runs step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn.ops.buffers import aligned_empty
from fastrnn.ops.panels import LayerKind, Weights, packed

#: One layer of a stream: the kernels' cell, "linear" or "add", input and output size, panels, for
#: "add" the stage whose input is added, and a cell's H.
Stage = tuple[Any, int, int, FloatArray, int, int]


def recurrent_stage(kind: LayerKind, weights: Weights) -> Stage:
    """Pack one recurrent layer for a stream.

    Parameters
    ----------
    kind : LayerKind
        The layer; it runs forward in time.
    weights : Weights
        Its weights.
    """
    panels = packed(kind, "forward", weights)
    return kind.kernel_cell, kind.input_size, kind.state_size, panels, 0, kind.hidden_size


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
    return "linear", inputs, outputs, panels, 0, 0


def add_stage(size: int, source: int, dtype: np.dtype[Any]) -> Stage:
    """Return a stage that adds what an earlier stage reads to what the one before puts out.

    Parameters
    ----------
    size : int
        Features of both.
    source : int
        Place of the earlier stage.
    dtype : dtype
        Of the stream.
    """
    return "add", size, size, np.empty(0, dtype), source, 0


def stream_stack(stages: list[Stage], batch: int) -> Any:
    """Return the kernels' stack of layers with its state.

    Parameters
    ----------
    stages : list of Stage
        Each reads the outputs of the one before.
    batch : int
        N.
    """
    double = stages[0][3].dtype == np.float64
    make = kernels.StreamFloat64 if double else kernels.StreamFloat32
    return make(stages, batch)
