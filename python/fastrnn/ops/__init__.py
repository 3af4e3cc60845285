"""Functions over arrays: the only caller of the compiled kernels."""

from fastrnn.ops.buffers import BufferPool, LayerBuffers, aligned_empty
from fastrnn.ops.build import build_info, explain_plan
from fastrnn.ops.calls import BackwardCall, ForwardCall, Lengths, Masks, Record
from fastrnn.ops.drop_connect import add_masked, masked_gradients, masked_weights
from fastrnn.ops.layer import (
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
from fastrnn.ops.panels import (
    ACTIVATIONS,
    CELLS,
    PLAIN,
    CellOptions,
    LayerKind,
    Panels,
    Weights,
    packed,
    panel_size,
)
from fastrnn.ops.stream import Stage, add_stage, linear_stage, recurrent_stage, stream_stack
from fastrnn.ops.tape import forward_and_read
from fastrnn.ops.updates import adam, softmax_cross_entropy, sum_of_squares

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "PLAIN",
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
    "adam",
    "add_masked",
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
    "forward_and_read",
    "forward_beside",
    "forward_call",
    "linear_backward",
    "linear_forward",
    "linear_stage",
    "masked_gradients",
    "masked_weights",
    "new_weight_sums",
    "packed",
    "panel_size",
    "recurrent_stage",
    "side_by_side",
    "softmax_cross_entropy",
    "stream_stack",
    "sum_of_squares",
    "training_bytes",
]
