"""Dot-product attention (Luong, Pham and Manning 2015) over valid steps, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, ops
from fastrnn._checks import FloatArray


@dataclass(frozen=True)
class Memory:
    """What attention reads: the outputs of an encoder. Made by `Memory.of`.

    Attributes
    ----------
    values : ndarray, (N, S, H)
        Contiguous, zero at invalid steps.
    transposed : ndarray, (N, H, S)
        The same, contiguous.
    lengths : ndarray of int64, (N,)
        Valid steps of each row.
    """

    values: FloatArray
    transposed: FloatArray
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, values: Any, lengths: Any = None) -> Memory:
        """Make a memory of all valid steps.

        Parameters
        ----------
        values : ndarray, (N, S, H)
            float32 or float64, S at least 1. What it holds at invalid steps does not matter.
        lengths : ndarray of int, (N,), or None, default None
            None: all S.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.
        """
        values = np.ascontiguousarray(_checks.any_float("values", values))
        if values.ndim != 3 or values.shape[1] < 1:
            raise ValueError(
                f"values: expected shape (N, S, H) with S >= 1, got {np.shape(values)}"
            )
        batch, steps, _ = values.shape
        valid = _checks.lengths(lengths, batch, steps)
        if valid is None:
            valid = np.full(batch, steps, np.int64)
        elif (valid < steps).any():
            behind = np.arange(steps) >= valid[:, None]
            values = np.where(behind[..., None], values.dtype.type(0), values)
        return cls(values, np.ascontiguousarray(values.transpose(0, 2, 1)), valid)

    def rows(self, indices: NDArray[np.intp]) -> Memory:
        """Return the memory of some rows.

        Parameters
        ----------
        indices : ndarray of int, (n,)
        """
        return Memory(self.values[indices], self.transposed[indices], self.lengths[indices])


def attend(
    queries: Any, memory: Memory, lengths: Any = None, *, buffers: ops.BufferPool | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return for each query the mean of the memory, weighted by a softmax of dot products.

    With q_t a query and m_s a valid step of the memory of the same row::

        a_ts = exp(q_t . m_s) / sum_s' exp(q_t . m_s')        (Luong et al. 2015, equations 7 and 8)
        c_t = sum_s a_ts m_s

    Each sum is taken in one fixed order: the results for a query are the same bits whatever the
    other queries, rows and the padding are.

    Parameters
    ----------
    queries : ndarray, (N, T, H)
        Of the memory's dtype.
    memory : Memory
        Of N rows.
    lengths : ndarray of int, (N,), or None, default None
        Valid queries of each row; None: all T.
    buffers : ops.BufferPool or None
        Kept by a caller that calls often.

    Returns
    -------
    context : ndarray, (N, T, H)
        Zero for invalid queries, and where a memory has no valid step.
    weights : ndarray, (N, T, S)
        a, zero at invalid steps and for invalid queries.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.seq2seq import Memory, attend
    >>> memory = Memory.of(np.array([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]]), lengths=[2])
    >>> context, weights = attend(np.array([[[0.0, 0.0]]]), memory)
    >>> context.tolist(), weights.tolist()
    ([[[0.5, 0.5]]], [[[0.5, 0.5, 0.0]]])
    """
    queries, counts = _queries("queries", queries, memory, lengths)
    buffers = ops.BufferPool() if buffers is None else buffers
    batch, steps, _ = queries.shape
    # Row by row in the kernels of the affine layer: at N = 256, T = S = 8, H = 256 a product takes
    # 1.3 ms against 0.1 ms of NumPy's matmul, whose bits depend on the padding (one Zen core).
    # All of attention is 7 % of a training step of `EncoderDecoder` at these sizes.
    limits = list(zip(counts.tolist(), memory.lengths.tolist(), strict=True))
    weights = np.full((batch, steps, memory.values.shape[1]), -np.inf, queries.dtype)
    for n, (t, s) in enumerate(limits):
        if t and s:
            weights[n, :t, :s] = ops.linear_forward(
                memory.values[n, :s], None, queries[n, :t], buffers
            )
    _softmax(weights)
    context = np.zeros_like(queries)
    for n, (t, s) in enumerate(limits):
        if t and s:  # with weights of zero behind s: `transposed` is whole, as kernels want it
            context[n, :t] = ops.linear_forward(memory.transposed[n], None, weights[n, :t], buffers)
    return context, weights


def attend_backward(
    queries: FloatArray,
    memory: Memory,
    weights: FloatArray,
    dcontext: Any,
    lengths: Any = None,
    *,
    buffers: ops.BufferPool | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Back-propagate through `attend`.

    ``da_ts = dc_t . m_s``, and with e the dot products ``de_ts = a_ts (da_ts - sum_s' a_ts'
    da_ts')``, ``dq_t = sum_s de_ts m_s``, ``dm_s = sum_t (de_ts q_t + a_ts dc_t)``.

    Parameters
    ----------
    queries : ndarray, (N, T, H)
    memory : Memory
    weights : ndarray, (N, T, S)
        What `attend` returned for these.
    dcontext : ndarray, (N, T, H)
        Gradient of the context; not read for invalid queries.
    lengths : ndarray of int, (N,), or None, default None
        As for `attend`.
    buffers : ops.BufferPool or None

    Returns
    -------
    dqueries : ndarray, (N, T, H)
        Zero for invalid queries.
    dmemory : ndarray, (N, S, H)
        Gradient of the memory's values, zero at invalid steps.
    """
    queries, counts = _queries("queries", queries, memory, lengths)
    dcontext, _ = _queries("dcontext", dcontext, memory, lengths)
    buffers = ops.BufferPool() if buffers is None else buffers
    limits = list(zip(counts.tolist(), memory.lengths.tolist(), strict=True))
    dweights = np.zeros_like(weights)
    for n, (t, s) in enumerate(limits):
        if t and s:
            dweights[n, :t, :s] = ops.linear_forward(
                memory.values[n, :s], None, dcontext[n, :t], buffers
            )
    dscores = weights * dweights
    dscores -= weights * _totals(dscores)
    dqueries, dmemory = np.zeros_like(queries), np.zeros_like(memory.values)
    for n, (t, s) in enumerate(limits):
        if not (t and s):
            continue
        values, gradient = memory.values[n, :s], dmemory[n, :s]
        dqueries[n, :t] = ops.linear_backward(
            values, queries[n, :t], np.ascontiguousarray(dscores[n, :t, :s]), gradient, None,
            input_gradient=True, buffers=buffers,
        )  # fmt: skip
        ops.linear_backward(
            values, dcontext[n, :t], np.ascontiguousarray(weights[n, :t, :s]), gradient, None,
            input_gradient=False, buffers=buffers,
        )  # fmt: skip
    return dqueries, dmemory


def _queries(
    name: str, value: Any, memory: Memory, lengths: Any
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return queries (N, T, H), contiguous, and how many of each row are valid."""
    batch, _, size = memory.values.shape
    queries = _checks.sequence(name, value, size, memory.values.dtype, symbol="H")
    if queries.shape[0] != batch:
        raise ValueError(f"{name}: expected N = {batch} rows like memory, got {queries.shape[0]}")
    counts = _checks.lengths(lengths, *queries.shape[:2])
    if counts is None:
        counts = np.full(batch, queries.shape[1], np.int64)
    return np.ascontiguousarray(queries), counts


def _softmax(scores: FloatArray) -> None:
    """Replace scores (..., S) by their softmax, in place; minus infinity becomes zero."""
    largest = scores.max(axis=-1, keepdims=True)
    scores -= np.where(largest == -np.inf, 0, largest)  # rows with nothing valid stay zero
    np.exp(scores, out=scores)
    total = _totals(scores)
    scores /= np.where(total == 0, 1, total)


def _totals(values: FloatArray) -> FloatArray:
    """Return sums over the last axis, (..., 1), added one after the other.

    NumPy's own sum adds in pairs from 8 numbers on, so that zeros of padding would change bits.
    """
    return np.asarray(np.add.accumulate(values, axis=-1)[..., -1:])
