"""Whether two frameworks computed the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.peers.frameworks import Arrays

#: Largest accepted error, relative to the largest number of an array. Wide enough for other orders
#: of summation over a thousand steps and for activations good to 1e-6 only, far below what a wrong
#: gate, bias or step would make.
TOLERANCES = {"float32": 2e-4, "float64": 1e-9}
PER_STEP = ("y", "dx")  # (N, T, F); what stands behind a row's length is not compared


class Mismatch(Exception):  # noqa: N818 - of two results; who is wrong is not known
    """Two frameworks computed different numbers."""


def compare(
    actual: Arrays, expected: Arrays, lengths: NDArray[np.int64] | None, dtype: str
) -> float:
    """Return the largest relative error.

    Raises
    ------
    Mismatch
        If names or shapes differ, or an error is above the tolerance of `dtype`.
    """
    if set(actual) != set(expected):
        raise Mismatch(f"expected {sorted(expected)}, got {sorted(actual)}")
    largest = 0.0
    for name, wanted in expected.items():
        got = actual[name]
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            raise Mismatch(
                f"{name}: expected {wanted.dtype} {wanted.shape}, got {got.dtype} {got.shape}"
            )
        difference = np.abs(got.astype(np.float64) - wanted)
        if lengths is not None and name in PER_STEP:
            difference = difference[np.arange(got.shape[1]) < lengths[:, None]]
        # All zero: the gradient of weight_hh after one step from a zero state.
        error = float(difference.max() / (np.abs(wanted).max() or 1.0))
        if not error <= TOLERANCES[dtype]:  # also if it is not a number
            raise Mismatch(f"{name}: error {error:.2g} above {TOLERANCES[dtype]:.2g}")
        largest = max(largest, error)
    return largest
