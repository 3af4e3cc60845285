"""What a layer's passes take and keep: masks, records, calls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray
from fastrnn.ops.buffers import LayerBuffers
from fastrnn.ops.panels import LayerKind, Weights

Lengths = NDArray[np.int64] | None


class Masks(NamedTuple):
    """Numbers that act on single rows and steps; None: none.

    Attributes
    ----------
    resets : ndarray of uint8, (N, T, 1), or None
        Where not zero, the state that crosses the boundary before this step is zero.
    recurrent : ndarray, (N, S), or None
        Multiplies h where it enters a product.
    zoneout_h : ndarray, (N, T, S), or None
        The share of the state before in h.
    zoneout_c : ndarray, (N, T, H), or None
        The same of c.
    """

    resets: NDArray[np.uint8] | None = None
    recurrent: FloatArray | None = None
    zoneout_h: FloatArray | None = None
    zoneout_c: FloatArray | None = None

    @property
    def kinds(self) -> tuple[bool, bool, bool, bool]:
        """Which of them there are."""
        return (
            self.resets is not None,
            self.recurrent is not None,
            self.zoneout_h is not None,
            self.zoneout_c is not None,
        )


class Record(NamedTuple):
    """What a forward pass keeps for one backward pass."""

    tape: NDArray[np.uint8]
    batch: int
    steps: int
    lengths: Lengths
    masks: Masks | None = None


class ForwardCall(NamedTuple):
    """One layer's forward pass, ready to run: `forward` fills y, h_n, c_n and the record.

    Attributes
    ----------
    kind : LayerKind
    lengths : ndarray of int64, (N,), or None
    arguments : tuple
        What the kernels take, the workspace last.
    y : ndarray, (N, T, S)
    h_n : ndarray, (N, S)
    c_n : ndarray, (N, H), or None
    record : Record or None
    buffers : LayerBuffers
    """

    kind: LayerKind
    lengths: Lengths
    arguments: tuple[Any, ...]
    y: FloatArray
    h_n: FloatArray
    c_n: FloatArray | None
    record: Record | None
    buffers: LayerBuffers


class BackwardCall(NamedTuple):
    """The arguments of one layer's backward pass.

    Attributes
    ----------
    kind : LayerKind
        The layer.
    panels : ndarray, (panel size,)
        Of the backward pass.
    record : Record
        Of one forward call; its tape is used up and goes back to `buffers`.
    dy : ndarray, (N, T, S), or None
        Gradient of the output; None is zero. Not read at invalid steps.
    dh_n : ndarray, (N, S), or None
    dc_n : ndarray, (N, H), or None
        Gradients of the final states.
    gradients : Weights
        Gradients of the weights, which are added to.
    buffers : LayerBuffers
        Where the workspace comes from.
    weight_sums : ndarray, (panel size,), or None
        Of `new_weight_sums`: what is added to instead of `gradients`.
    tokens : ndarray of int64, (N, T), or None
        Where x was rows of a table (V, I): which ones. dx is then the gradient of the table.
    """

    kind: LayerKind
    panels: FloatArray
    record: Record
    dy: FloatArray | None
    dh_n: FloatArray | None
    dc_n: FloatArray | None
    gradients: Weights
    buffers: LayerBuffers
    weight_sums: FloatArray | None
    tokens: NDArray[np.int64] | None = None
