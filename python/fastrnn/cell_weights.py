"""The parameters of one cell: their names, shapes and order, and the kernels' view of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastrnn import _checks, ops
from fastrnn._checks import FloatArray
from fastrnn.protocol import Shapes, views


def weight_shapes(
    cell: str,
    input_size: int,
    hidden_size: int,
    *,
    bias: bool,
    recurrent_bias: bool = True,
    options: ops.CellOptions = ops.PLAIN,
) -> Shapes:
    """Return names and shapes of a cell's parameters, in the order of the vector.

    Parameters
    ----------
    cell : str
        A name in `ops.CELLS`.
    input_size, hidden_size : int
        I and H.
    bias, recurrent_bias : bool
        Whether there are biases, and among them bias_hh.
    options : ops.CellOptions
    """
    table = ops.CELLS[cell]
    rows, projection = table.gates * hidden_size, options.projection_size
    shapes: Shapes = {"weight_ih": (rows, input_size)}
    if table.has_recurrent_matrix:
        shapes["weight_hh"] = (rows, projection or hidden_size)
    else:  # one recurrent weight per unit
        shapes["weight_hh"] = (hidden_size,)
    if bias:
        shapes["bias_ih"] = (rows,)
        if table.has_recurrent_matrix and recurrent_bias:
            shapes["bias_hh"] = (rows,)
    if table.has_recurrent_matrix and table.unit_weights:
        shapes["weight_peephole"] = (table.unit_weights * hidden_size,)
    if projection:
        shapes["weight_hr"] = (projection, hidden_size)
    if options.layer_norm:  # last and in this order: the kernels take them as one vector
        products = ("ih", "hh") if table.has_recurrent_matrix else ("ih",)
        sizes = dict.fromkeys(products, rows) | ({"c": hidden_size} if table.has_cell_state else {})
        for place, size in sizes.items():
            shapes |= {f"norm_weight_{place}": (size,), f"norm_bias_{place}": (size,)}
    return shapes


def weights(vector: FloatArray, shapes: Shapes) -> ops.Weights:
    """Return a cell's parameters, or their gradients, as the kernels take them.

    Parameters
    ----------
    vector : ndarray, (P,)
    shapes : dict
        Of `weight_shapes`.
    """
    named = views(vector, shapes)
    matrix: FloatArray | None = named["weight_hh"]
    unit_weights = named.get("weight_peephole")
    if matrix is not None and matrix.ndim == 1:  # an independent RNN's
        matrix, unit_weights = None, matrix
    normalisation = sum(array.size for name, array in named.items() if name.startswith("norm_"))
    return ops.Weights(
        named["weight_ih"],
        matrix,
        named.get("bias_ih"),
        named.get("bias_hh"),
        unit_weights,
        named.get("weight_hr"),
        vector[-normalisation:] if normalisation else None,
    )


def begin_normalisation(parameters: Mapping[str, FloatArray]) -> None:
    """Set the gains of layer normalisation to 1 and its shifts to 0, in place.

    Parameters
    ----------
    parameters : mapping of name to ndarray, (G*H,) or (H,)
        All of a cell.
    """
    for name, array in parameters.items():
        if name.startswith("norm_"):
            array[...] = 1.0 if name.startswith("norm_weight_") else 0.0


def checked_options(
    cell: str, hidden_size: int, options: ops.CellOptions | Mapping[str, Any]
) -> ops.CellOptions:
    """Return the options of a cell; raise unless the cell has them and their values are sensible.

    Parameters
    ----------
    cell : str
        A name in `ops.CELLS`.
    hidden_size : int
        H.
    options : ops.CellOptions, or mapping of some of its fields
    """
    if not isinstance(options, ops.CellOptions):
        known = ops.CellOptions._fields
        for name in options:
            _checks.choice("options", name, known)
        options = ops.CellOptions(**options)
    for name in ("gate_activation", "candidate_activation", "output_activation"):
        _checks.choice(name, getattr(options, name), ops.ACTIVATIONS)
    for name in ("zoneout_h", "zoneout_c"):
        _checks.probability(name, getattr(options, name))
    for name in ("activation_clip", "cell_clip", "gradient_clip_value", "gradient_clip_norm"):
        if not _checks.number(name, getattr(options, name)) >= 0:
            raise ValueError(f"{name}: expected at least 0, got {getattr(options, name)}")
    _checks.projection("projection_size", options.projection_size, (hidden_size,))
    for name in _not_of(cell):
        if getattr(options, name) != getattr(ops.PLAIN, name):
            raise ValueError(
                f"{name}: expected {getattr(ops.PLAIN, name)!r}, which is all that {cell} knows, "
                f"got {getattr(options, name)!r}"
            )
    return options


def _not_of(cell: str) -> list[str]:
    """Return the options that a cell does not have."""
    names = []
    if not ops.CELLS[cell].has_cell_state:
        names += ["output_activation", "cell_clip", "projection_size", "zoneout_c"]
    if "rnn" in cell:
        names.append("gate_activation")
    if cell.endswith("rnn_relu"):
        names.append("candidate_activation")
    return names


def json_options(options: ops.CellOptions) -> dict[str, Any]:
    """Return the options that are on, as JSON values."""
    usual = ops.PLAIN._asdict()
    return {name: value for name, value in options._asdict().items() if value != usual[name]}
