"""Random generators, and the initial values that layers draw by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn._checks import FloatArray


def generator(seed: int | np.random.Generator | None) -> np.random.Generator:
    """Return a random generator: `seed` itself if it is one, else a new one.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        None draws fresh entropy.

    Raises
    ------
    TypeError, ValueError
        If `seed` is no seed.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is not None:
        if isinstance(seed, (bool, float)) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"seed: expected an integer or None, got {type(seed).__name__}")
        if seed < 0:
            raise ValueError(f"seed: expected at least 0, got {seed}")
    return np.random.default_rng(seed)


def random_key(rng: np.random.Generator) -> int:
    """Return 64 random bits: what all masks of one forward pass follow from."""
    return int(rng.integers(2**64, dtype=np.uint64))


def uniform_fan(vector: FloatArray, fan: int, rng: np.random.Generator) -> None:
    """Fill `vector` in place with U(-1/sqrt(fan), 1/sqrt(fan)), as PyTorch's recurrent layers.

    Parameters
    ----------
    vector : ndarray, (P,)
    fan : int
        hidden_size for recurrent layers, input_size for `Linear`.
    rng : numpy.random.Generator

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.initializers import uniform_fan
    >>> w = np.zeros(1000, np.float32)
    >>> uniform_fan(w, 4, np.random.default_rng(0))
    >>> bool(np.abs(w).max() <= 0.5)
    True
    """
    bound = 1.0 / np.sqrt(fan)
    fill_with(vector, rng.uniform(-bound, bound, vector.size))


def normal(vector: FloatArray, rng: np.random.Generator) -> None:
    """Fill `vector` in place with N(0, 1), as PyTorch's embeddings.

    Parameters
    ----------
    vector : ndarray, (P,)
    rng : numpy.random.Generator
    """
    fill_with(vector, rng.standard_normal(vector.size))


def fill_with(array: FloatArray, values: np.ndarray[Any, Any]) -> None:
    """Fill an array of any shape, (P,) or (R, C), in place.

    Parameters
    ----------
    array : ndarray, (P,) or (R, C)
    values : ndarray of float64, of the same shape
    """
    array[...] = values  # drawn in float64, so that both dtypes start from the same numbers
