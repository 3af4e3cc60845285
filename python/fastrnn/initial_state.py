"""Initial states that are learned: one vector per cell, the same for all rows of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn.protocol import Shapes, views

_PARTS = ("h0", "c0")


class LearnedInitialState:
    """The parameters h0 and c0 of a network's cells; they live in the network's vectors.

    Parameters
    ----------
    suffixes : list of str
        Of the cells: ``"_l0"``, ``"_l0_reverse"``, ...
    sizes : list of tuple
        For each cell the features of its parts: (H,), or for (h, c) (H, H) or (P, H).
    """

    def __init__(self, suffixes: list[str], sizes: list[tuple[int, ...]]) -> None:
        self.shapes: Shapes = {
            f"{part}{suffix}": (features,)
            for suffix, parts in zip(suffixes, sizes, strict=True)
            for part, features in zip(_PARTS, parts, strict=False)
        }
        self.count = sum(features for parts in sizes for features in parts)
        self._parts = len(sizes[0])

    def bind(self, parameters: FloatArray, gradients: FloatArray) -> None:
        """Live in `parameters` and `gradients`, each (count,), from now on."""
        self._values = list(views(parameters, self.shapes).values())
        self._gradients = list(views(gradients, self.shapes).values())

    def cells(self, batch: int) -> list[Any]:
        """Return one initial state per cell for N = `batch` rows, not copied: (N, S) or a pair."""
        arrays = [np.broadcast_to(value, (batch, value.size)) for value in self._values]
        return arrays if self._parts == 1 else list(zip(arrays[::2], arrays[1::2], strict=True))

    def add_gradients(self, cells: list[Any]) -> None:
        """Add the sums over rows of the cells' state gradients, each (N, S) or a pair of them."""
        flat = cells if self._parts == 1 else [part for cell in cells for part in cell]
        for gradient, rows in zip(self._gradients, flat, strict=True):
            gradient += rows.sum(axis=0)
