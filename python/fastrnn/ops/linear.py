"""The affine layer."""

from __future__ import annotations

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn.ops.buffers import BufferPool
from fastrnn.ops.inputs import kernel_input


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
    kernels.linear_forward(weight, bias, kernel_input(x), y, workspace)
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
        weight, kernel_input(x), kernel_input(dy), dx, dweight, dbias, workspace
    )
    buffers.give(workspace)
    return dx
