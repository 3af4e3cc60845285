"""What is installed and loaded: versions, the instruction set, threads."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from fastrnn import _isa, ops
from fastrnn._threads import get_num_threads


def collect() -> dict[str, Any]:
    """Return what `show_config` prints, as JSON values."""
    build = ops.build_info()
    return {
        "fastrnn": build["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction_set": build["instruction_set"],
        "available_instruction_sets": list(_isa.available()),
        "float32_lanes": build["float32_lanes"],
        "float64_lanes": build["float64_lanes"],
        "fused_multiply_add": build["fused_multiply_add"],
        "bfloat16": build["bfloat16"],
        "compiler": build["compiler"],
        "eigen": build["eigen"],
        "threads": get_num_threads(),
    }


def show_config() -> None:
    """Print versions, the instruction set of the loaded kernels, and the number of threads.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.show_config()  # doctest: +ELLIPSIS
    fastrnn                     ...
    """
    for name, value in collect().items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<28}{text}")
