"""Every cell's h, c and gates at each step, of a whole network."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import kept_values, ops, sequences
from fastrnn._checks import FloatArray
from fastrnn.bidirectional import Bidirectional
from fastrnn.composition import Stacked
from fastrnn.dropout import Dropout
from fastrnn.kept_values import Kept, Names
from fastrnn.merging import merge_into
from fastrnn.protocol import Layer
from fastrnn.residual import Residual


def names(kind: ops.LayerKind, value: Any, x: Any) -> Names | None:
    """Return the names in a network's `return_all`; None stays None.

    Parameters
    ----------
    kind : LayerKind
        Of the network's cells.
    value : sequence of str, or None
    x : ndarray, (N, T, I)
        The network's input; no list of arrays, unless `value` is None.

    Raises
    ------
    TypeError, ValueError
        As `kept_values.names`, and for a list.
    """
    wanted = kept_values.names(kind, value)
    if wanted is not None and sequences.is_list(x):
        raise ValueError(
            "return_all: expected None for a list of sequences; "
            "give one padded array and lengths instead"
        )
    return wanted


def kept(
    stack: Layer,
    suffixes: list[str],
    x: FloatArray,
    state: Any,
    wanted: Names,
    *,
    batch_first: bool,
    **options: Any,
) -> tuple[FloatArray, Any, Kept]:
    """Run a network for inference, cell by cell, and return what each computes.

    Parameters
    ----------
    stack : layer
        `Stacked`, `Bidirectional`, `Residual` and `Dropout` (which does nothing at inference)
        around single cells, in the order of `suffixes`.
    suffixes : list of str
        What names end in: "_l0", "_l0_reverse", ...
    x : ndarray, (N, T, I)
    state : state or None
        As the stack takes it.
    wanted : tuple of str
        "h", "c", "gates".
    batch_first : bool
        Whether arrays stay (N, T, ...) or become (T, N, ...).
    **options
        What every call of a single cell gets, such as lengths.

    Returns
    -------
    y : ndarray, (N, T, output_size)
        Of no meaning at invalid steps.
    state : state
        The final one, as the stack returns it.
    kept : dict
        {"h_l0": ..., "h_l0_reverse": ..., "c_l0": ...}.
    """
    found: list[Kept] = []
    y, final = _run(stack, x, state, wanted, options, found)
    return (
        y,
        final,
        {
            name + suffix: of_cell[name] if batch_first else of_cell[name].swapaxes(0, 1)
            for name in wanted
            for suffix, of_cell in zip(suffixes, found, strict=True)
        },
    )


def _run(
    layer: Any,
    x: FloatArray,
    state: Any,
    wanted: Names,
    options: dict[str, Any],
    found: list[Kept],
) -> tuple[FloatArray, Any]:
    """Return y (N, T, output_size) and the final state of a layer; add its cells to `found`."""
    if isinstance(layer, Dropout):
        return x, None
    if isinstance(layer, Stacked):
        states = (None,) * len(layer.layers) if state is None else state
        final = []
        for child, initial in zip(layer.layers, states, strict=True):
            x, last = _run(child, x, initial, wanted, options, found)
            final.append(last)
        return x, tuple(final)
    if isinstance(layer, Bidirectional):
        initial, initial_reverse = (None, None) if state is None else state
        first, ahead = _run(layer.layer, x, initial, wanted, options, found)
        second, back = _run(layer.reverse_layer, x, initial_reverse, wanted, options, found)
        if layer.merge == "concat":
            return np.concatenate((first, second), axis=-1), (ahead, back)
        return merge_into(layer.merge, first, second, np.empty_like(first)), (ahead, back)
    if isinstance(layer, Residual):
        # At invalid steps, too, where the cells above read nothing.
        inner, last = _run(layer.layer, x, state, wanted, options, found)
        return np.add(x, inner), last
    y, last, of_cell = layer(x, state, return_all=wanted, **options)
    found.append(of_cell)
    return y, last
