"""Lists of sequences in, lists of sequences out: padded on the way through a layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer, Tape
from fastrnn.ragged import Ragged


def is_list(x: Any) -> bool:
    """Return whether x is a list (or tuple) of arrays, and not one array-like."""
    return isinstance(x, (list, tuple)) and len(x) > 0 and isinstance(x[0], np.ndarray)


def call(
    layer: Layer, x: Any, state: Any, lengths: Any, out: Any = None, reset: Any = None
) -> tuple[Any, Any]:
    """Return what ``layer(x, state)`` does for a list x of N sequences (T_n, F).

    Parameters
    ----------
    layer : layer
    x : list of ndarray, (T_n, F) or (T_n,)
    state : state or None
    lengths, out, reset : None
        Have no meaning here.

    Returns
    -------
    y : list of ndarray, (T_n, F); or the layer's y where it has no time axis
    state : the layer's
    """
    padded, valid = _padded(layer, "x", x, lengths, out, reset)
    y, final = layer(padded, state, lengths=valid)
    return _rows(layer, y, valid) if layer.keeps_time else y, final


def forward(
    layer: Layer, x: Any, state: Any, lengths: Any, out: Any = None, reset: Any = None
) -> tuple[Any, Any, Tape]:
    """As `call`, for training; the tape takes dy as a list and gives dx as a list.

    Parameters
    ----------
    layer : layer
    x : list of ndarray, (T_n, F) or (T_n,)
    state : state or None
    lengths, out, reset : None
    """
    padded, valid = _padded(layer, "x", x, lengths, out, reset)
    y, final, tape = layer.forward(padded, state, lengths=valid)
    kept = _ListTape(layer, (tape, valid, y.shape[-1], y.dtype))
    return _rows(layer, y, valid) if layer.keeps_time else y, final, kept


class _ListTape(Tape):
    """The tape of a forward pass over a list: (tape of the padded pass, lengths, F and dtype)."""

    __slots__ = ()

    def backward(
        self, layer: Layer, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[Any, Any]:
        tape, lengths, features, dtype = self.content(layer)
        if dy is not None and layer.keeps_time:
            if not isinstance(dy, (list, tuple)) or len(dy) != len(lengths):
                got = f"{len(dy)}" if isinstance(dy, (list, tuple)) else type(dy).__name__
                raise ValueError(f"dy: expected a list of N = {len(lengths)} arrays, got {got}")
            checked = [
                _checks.of_shape(f"dy[{n}]", part, "(T_n, F)", (steps, features), dtype)
                for n, (part, steps) in enumerate(zip(dy, lengths.tolist(), strict=True))
            ]
            dy, _ = _padded(layer, "dy", checked)
        dx, dinitial = tape.backward(layer, dy, dstate, input_gradient=input_gradient)
        self.use(layer)
        return None if dx is None else _rows(layer, dx, lengths), dinitial

    def discard(self) -> None:
        self.use(self._owner)[0].discard()


def _padded(
    layer: Layer,
    name: str,
    sequences: Iterable[Any],
    lengths: Any = None,
    out: Any = None,
    reset: Any = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sequences as one array, (N, T, F) or (T, N, F) as `layer` has it, and lengths."""
    for argument, value in (("lengths", lengths), ("out", out), ("reset", reset)):
        if value is not None:
            raise ValueError(f"{argument}: expected None for a list of sequences, got an array")
    ragged = Ragged.from_list(name, sequences, columns=False)
    padded = ragged.padded(np.arange(len(ragged)))
    return padded if layer.batch_first else padded.swapaxes(0, 1), ragged.lengths


def _rows(layer: Layer, array: FloatArray, lengths: NDArray[np.int64]) -> list[FloatArray]:
    """Cut a padded array (N, T, F) or (T, N, F) into its rows' valid steps."""
    rows = array if layer.batch_first else array.swapaxes(0, 1)
    return [row[:steps] for row, steps in zip(rows, lengths.tolist(), strict=True)]
