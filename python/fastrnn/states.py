"""A network's state as users see it and as its cells have it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray

_SYMBOLS = "(num_layers * num_directions, N, H)"


class StateLayout:
    """Between the public state of a network and the states of its cells, level by level.

    Each part of the public state (h, and c for the LSTM) holds one (N, H), or for h with a
    projection (N, P), for each cell: stacked,
    (num_layers * num_directions, N, H), where all cells have one size, else in a tuple. Either
    way its k-th entry belongs to cell k.

    Parameters
    ----------
    sizes : list of tuple
        For each cell the features of its parts: (H,), or for (h, c) (H, H) or (P, H).
    dtype : dtype
    """

    def __init__(self, sizes: list[tuple[int, ...]], dtype: np.dtype[Any]) -> None:
        self.sizes = sizes
        self._dtype = dtype
        self._has_cell_state = len(sizes[0]) == 2
        by_part = list(zip(*sizes, strict=True))
        # The features of a part whose cells agree, else None.
        self._common = [part[0] if len(set(part)) == 1 else None for part in by_part]
        self._join = [tuple if size is None else _stacked for size in self._common]

    def cut(self, name: str, state: Any, batch: int) -> Iterable[Any]:
        """Return the state of each cell in turn: (N, H), or a pair of them.

        Parameters
        ----------
        name : str
            Of the argument, for messages.
        state : ndarray, (num_layers * num_directions, N, H), a tuple of (N, H), or a pair of these
        batch : int
            N.
        """
        if not self._has_cell_state:
            return self._part(name, state, 0, batch)
        h, c = _checks.pair(name, state)
        both = self._part(f"{name}[0]", h, 0, batch), self._part(f"{name}[1]", c, 1, batch)
        return zip(*both, strict=True)

    def _part(self, name: str, value: Any, part: int, batch: int) -> Iterable[FloatArray]:
        size, count = self._common[part], len(self.sizes)
        if size is not None:
            array = _checks.single(name, value)
            return _checks.of_shape(name, array, _SYMBOLS, (count, batch, size), self._dtype)
        if not isinstance(value, (tuple, list)) or len(value) != count:
            got = f"{len(value)}" if isinstance(value, (tuple, list)) else type(value).__name__
            raise ValueError(
                f"{name}: expected a tuple of num_layers * num_directions = {count} arrays (N, H), "
                f"as the layers differ in size, got {got}"
            )
        return [
            _checks.of_shape(f"{name}[{k}]", entry, "(N, H)", (batch, sizes[part]), self._dtype)
            for k, (entry, sizes) in enumerate(zip(value, self.sizes, strict=True))
        ]

    def packed(self, cells: list[Any]) -> Any:
        """Return the public state made of one state per cell: the inverse of `cut`."""
        if not self._has_cell_state:
            return self._join[0](cells)
        return self._join[0]([h for h, _ in cells]), self._join[1]([c for _, c in cells])


def _stacked(arrays: list[FloatArray]) -> FloatArray:
    """Return np.stack(arrays), with less overhead: it runs four times in every training step."""
    if len(arrays) == 1:
        return arrays[0][np.newaxis]
    result = np.empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
    for place, array in zip(result, arrays, strict=True):
        place[...] = array
    return result
