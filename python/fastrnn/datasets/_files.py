"""Reads the bundled files."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_arrays(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a bundled .npz, newly read.

    Parameters
    ----------
    name : str
        Without the suffix.
    """
    source = resources.files("fastrnn.datasets").joinpath(f"{name}.npz")
    with source.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}
