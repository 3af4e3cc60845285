"""Functions over arrays: the only caller of the compiled kernels."""

from fastrnn.ops.buffers import BufferPool, LayerBuffers, aligned_empty
from fastrnn.ops.build import build_info, explain_plan
from fastrnn.ops.layer import (
    BackwardCall,
    ForwardCall,
    Lengths,
    Masks,
    Record,
    add_weight_sums,
    backward,
    backward_beside,
    discard,
    forward,
    forward_beside,
    forward_call,
    new_weight_sums,
    side_by_side,
    training_bytes,
)
from fastrnn.ops.linear import linear_backward, linear_forward
from fastrnn.ops.masks import bernoulli
from fastrnn.ops.panels import ACTIVATIONS, CELLS, CellOptions, LayerKind, Panels, Weights
from fastrnn.ops.stream import Stage, add_stage, linear_stage, recurrent_stage, stream_stack

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "BackwardCall",
    "BufferPool",
    "CellOptions",
    "ForwardCall",
    "LayerBuffers",
    "LayerKind",
    "Lengths",
    "Masks",
    "Panels",
    "Record",
    "Stage",
    "Weights",
    "add_stage",
    "add_weight_sums",
    "aligned_empty",
    "backward",
    "backward_beside",
    "bernoulli",
    "build_info",
    "discard",
    "explain_plan",
    "forward",
    "forward_beside",
    "forward_call",
    "linear_backward",
    "linear_forward",
    "linear_stage",
    "new_weight_sums",
    "recurrent_stage",
    "side_by_side",
    "stream_stack",
    "training_bytes",
]
