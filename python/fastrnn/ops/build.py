"""How the kernels were compiled, and how they will run a call."""

from __future__ import annotations

from typing import Any

from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads
from fastrnn.ops.layer import side_by_side
from fastrnn.ops.panels import LayerKind, panel_size
from fastrnn.plan import LayerPlan


def build_info() -> dict[str, Any]:
    """How the loaded kernels were compiled."""
    return kernels.build_info()


def explain_plan(
    kind: LayerKind,
    batch: int,
    steps: int,
    name: str,
    beside: LayerKind | None = None,
    masks: tuple[bool, bool, bool, bool] = (False, False, False, False),
) -> LayerPlan:
    """Return how a dense forward pass will be run.

    Parameters
    ----------
    kind : LayerKind
    batch, steps : int
        N and T.
    name : str
        The layer's place in its network.
    beside : LayerKind or None
        The layer that reads the same x in the other direction.
    masks : tuple of bool
        Which of `Masks` a training pass has.
    """
    size = (kind.kernel_cell, batch, steps, kind.input_size, kind.hidden_size)
    itemsize = kind.weight_itemsize
    sides = beside is not None and side_by_side("forward", (kind, beside), batch, steps, None)
    plan = kernels.explain_plan(*size, 1 if sides else get_num_threads(), itemsize)
    build = build_info()
    return LayerPlan(
        name=name,
        module=build["instruction_set"],
        cell=kind.cell,
        dtype=kind.weight_dtype,
        batch_size=batch,
        steps=steps,
        input_size=kind.input_size,
        hidden_size=kind.hidden_size,
        projection_size=kind.options.projection_size,
        tile=(plan["tile_rows"], plan["tile_packets"] * build[f"{kind.dtype}_lanes"]),
        split=plan["split"],
        threads=plan["threads"],
        side_by_side=sides,
        hoisted=plan["hoisted"],
        bfloat16=plan["bfloat16"] if kind.bfloat16 else "",
        forward_panel_bytes=panel_size(kind, "forward") * kind.dtype.itemsize,
        backward_panel_bytes=0 if kind.bfloat16 else panel_size(kind, "backward") * itemsize,
        tape_bytes=0 if kind.bfloat16 else kernels.tape_size(*size, None, itemsize, masks),
        workspace_bytes=kernels.workspace_size("forward", False, *size, itemsize),
        flops=2 * plan["multiply_adds"],
    )
