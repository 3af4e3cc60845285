"""Arrays of the caller that kernels can read."""

from __future__ import annotations

import numpy as np

from fastrnn._checks import FloatArray


def kernel_input(array: FloatArray) -> FloatArray:
    """Return `array`, copied only where kernels cannot read it: they want whole aligned rows."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    item = array.itemsize
    readable = flags.aligned and all(stride % item == 0 for stride in array.strides)
    if readable and (array.shape[-1] <= 1 or array.strides[-1] == item):
        return array
    return np.array(array, order="C", copy=True)


def optional_input(array: FloatArray | None) -> FloatArray | None:
    """Return what `kernel_input` returns, or None for None."""
    return None if array is None else kernel_input(array)
