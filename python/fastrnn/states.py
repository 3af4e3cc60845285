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


def continued(state: Any, reset: NDArray[np.bool_] | None) -> Any:
    """Return the state from which the next batch starts: `state`, but zero in rows that begin.

    Parameters
    ----------
    state : ndarray, (..., N, H), a tuple of states, or None
        After the batch before; None is zero.
    reset : ndarray of bool, (N,), or None
        Rows that begin a new sequence; None: all.

    Returns
    -------
    state, or None where all rows begin
    """
    if state is None or reset is None or reset.all():
        return None
    return like(state, lambda array: np.where(reset[:, None], array.dtype.type(0), array))
