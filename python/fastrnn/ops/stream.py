"""A stack of layers that runs step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn.ops.buffers import aligned_empty
from fastrnn.ops.panels import LayerKind, Weights, packed

#: One layer of a stream: a cell's name, "linear" or "add", input and output size, panels, and for
#: "add" the stage whose input is added.
Stage = tuple[str, int, int, FloatArray, int]


def recurrent_stage(kind: LayerKind, weights: Weights) -> Stage:
    """Pack one recurrent layer for a stream.

    Parameters
    ----------
    kind : LayerKind
        The layer; it runs forward in time.
    weights : Weights
        Its weights.
    """
    return kind.cell, kind.input_size, kind.hidden_size, packed(kind, "forward", weights), 0


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
    return "linear", inputs, outputs, panels, 0


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
    return "add", size, size, np.empty(0, dtype), source


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
