"""What one cell can hand out of each step: h, c and the activations of its gates."""

from __future__ import annotations

from typing import Any

from fastrnn import ops
from fastrnn._checks import FloatArray

Names = tuple[str, ...]
Kept = dict[str, FloatArray]


def names(kind: ops.LayerKind, value: Any) -> Names | None:
    """Return the names in `return_all`; None stays None.

    Parameters
    ----------
    kind : LayerKind
    value : sequence of str, or None
        Of "h", "gates" and, where the cell has one, "c".

    Raises
    ------
    TypeError
        If it is no sequence of names.
    ValueError
        If there is no such thing to return.
    """
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or not all(isinstance(name, str) for name in value):
        got = repr(value) if isinstance(value, str) else type(value).__name__
        raise TypeError(f'return_all: expected names such as ("h", "gates"), got {got}')
    allowed = ("h", "c", "gates") if kind.has_cell_state else ("h", "gates")
    for name in value:
        if name not in allowed:
            why = f", and {kind.cell} has no c" if name == "c" else ""
            raise ValueError(
                f"return_all: expected names of {', '.join(allowed)}, got {name!r}{why}"
            )
    if kind.bfloat16 and set(value) != {"h"}:
        raise ValueError(
            'return_all: expected ("h",) for a layer with bfloat16 weights, whose kernels keep '
            f"nothing else, got {tuple(value)}"
        )
    return tuple(value)


def run(call: ops.ForwardCall, wanted: Names) -> Kept:
    """Run a layer and return what `wanted` names.

    Parameters
    ----------
    call : ForwardCall
        Of inference; y and the states are filled as by `ops.forward`.
    wanted : tuple of str
        Of `names`.

    Returns
    -------
    dict
        "h": y itself, (N, T, S); "c": (N, T, H); "gates": (N, T, G, H).
    """
    found: dict[str, FloatArray | None] = {"h": call.y}
    if set(wanted) <= {"h"}:
        ops.forward(call)
    else:
        found["c"], found["gates"] = ops.forward_and_read(call)
    return {name: array for name in wanted if (array := found[name]) is not None}
