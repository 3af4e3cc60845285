"""States of any structure: an array (..., N, H), a tuple of states, or None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray


def leaves(state: Any) -> Iterator[FloatArray]:
    """Yield the arrays of a state: an array, a nested tuple of them, or None.

    Parameters
    ----------
    state : ndarray, (N, H) or any shape; tuple or list of states; or None
    """
    if isinstance(state, (tuple, list)):
        for part in state:
            yield from leaves(part)
    elif state is not None:
        yield state


def like(state: Any, make: Callable[[FloatArray], Any]) -> Any:
    """Return a state of the same structure with `make(array)` for each array.

    Parameters
    ----------
    state : ndarray, (N, H) or any shape; tuple or list of states; or None
    make : callable
    """
    if isinstance(state, (tuple, list)):
        return tuple(like(part, make) for part in state)
    return None if state is None else make(state)


def replaced(state: Any, rows: NDArray[np.bool_], begin: Any) -> Any:
    """Return a state with some rows from another one of the same structure.

    Parameters
    ----------
    state, begin : ndarray, (..., N, H), or a tuple of states
    rows : ndarray of bool, (N,)
        Those to take from `begin`.
    """
    others = leaves(begin)
    return like(state, lambda array: np.where(rows[:, None], next(others), array))
