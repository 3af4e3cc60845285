"""Where the gradient of a recurrent layer's input goes: an array, or the rows of an embedding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray


class EmbeddingGradient(NamedTuple):
    """The gradient of an embedding whose rows a recurrent layer has read as x.

    A layer adds to it by token: V rows are fewer than N * T.

    Attributes
    ----------
    tokens : ndarray of int64, (N, T)
        Which row x was, 0..V-1; any where a row has no step.
    weight : ndarray, (V, E)
        What is added to.
    """

    tokens: NDArray[np.int64]
    weight: FloatArray


#: To which a layer adds the gradient of its input, where there is one.
AddTo = FloatArray | EmbeddingGradient | None


def parts(add_to: AddTo) -> tuple[NDArray[np.int64] | None, FloatArray | None]:
    """Return the tokens, where there are such, and the array that is added to.

    Parameters
    ----------
    add_to : ndarray, (N, T, I), EmbeddingGradient or None
    """
    return add_to if isinstance(add_to, EmbeddingGradient) else (None, add_to)


def swapped(add_to: AddTo) -> AddTo:
    """Swap batch and time.

    Parameters
    ----------
    add_to : ndarray, (N, T, I), EmbeddingGradient or None
    """
    if isinstance(add_to, EmbeddingGradient):
        return EmbeddingGradient(add_to.tokens.swapaxes(0, 1), add_to.weight)
    return None if add_to is None else add_to.swapaxes(0, 1)


def of_each_step(add_to: AddTo) -> FloatArray | None:
    """Return `add_to` for a layer that adds to an array only (`Layer._adds_by_token`).

    Parameters
    ----------
    add_to : ndarray, (N, T, I), EmbeddingGradient or None

    Raises
    ------
    TypeError
        If it is an EmbeddingGradient.
    """
    if isinstance(add_to, EmbeddingGradient):
        raise TypeError("add_to: expected an array or None, got EmbeddingGradient")
    return add_to
