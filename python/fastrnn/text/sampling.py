"""The next token, drawn from a model's scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks


def probabilities(
    scores: Any, *, temperature: float = 1.0, top_k: int | None = None
) -> NDArray[np.float64]:
    """Return softmax(scores / temperature) of the `top_k` largest scores, zero for the others.

    Computed in float64 from differences to the largest score, so that nothing overflows. As the
    temperature goes to 0 the largest score takes all (of equal ones, the first); as it grows, all
    become alike.

    Parameters
    ----------
    scores : ndarray, (..., C)
        -inf rules a class out.
    temperature : float, default 1.0
        At least 0.
    top_k : int or None, default None
        At least 1; of equal scores the first ones count. None: all.

    Returns
    -------
    ndarray of float64, (..., C)
        Sums over the last axis are 1 to rounding.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or scores are NaN, infinite, or all -inf.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.text import probabilities
    >>> scores = np.log([1.0, 2.0, 5.0])
    >>> probabilities(scores).round(3).tolist()
    [0.125, 0.25, 0.625]
    >>> probabilities(scores, top_k=2).round(3).tolist()
    [0.0, 0.286, 0.714]
    >>> probabilities(scores, temperature=0.0).tolist()
    [0.0, 0.0, 1.0]
    """
    check_options(temperature, top_k)
    numbers = np.asarray(scores)
    if numbers.dtype.kind != "f":
        raise TypeError(f"scores: expected floats, got {numbers.dtype}")
    if numbers.ndim < 1 or numbers.shape[-1] < 1:
        raise ValueError(f"scores: expected shape (..., C) with C >= 1, got {numbers.shape}")
    numbers = numbers.astype(np.float64)
    largest = numbers.max(axis=-1, keepdims=True)
    if not np.isfinite(largest).all():  # NaN comes through max
        wrong = largest[~np.isfinite(largest)][0]
        raise ValueError(f"scores: expected a finite largest score, got {wrong}")
    if temperature == 0.0:
        first = numbers.argmax(axis=-1)[..., None]
        return np.asarray(np.arange(numbers.shape[-1]) == first, np.float64)
    numbers -= largest
    if top_k is not None and top_k < numbers.shape[-1]:
        order = np.argsort(-numbers, axis=-1, kind="stable")
        np.put_along_axis(numbers, order[..., top_k:], -np.inf, axis=-1)
    with np.errstate(over="ignore", under="ignore"):  # to -inf: a probability of zero
        numbers /= temperature
        np.exp(numbers, out=numbers)
    numbers /= numbers.sum(axis=-1, keepdims=True)
    return numbers


def sample(
    scores: Any,
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> NDArray[np.intp]:
    """Draw one class for each row of scores, from `probabilities`.

    By inversion, with one uniform number a row: what is drawn follows from the scores and the
    generator's state alone.

    Parameters
    ----------
    scores : ndarray, (..., C)
        As for `probabilities`.
    rng : numpy.random.Generator
        Advances by one number a row, at any temperature.
    temperature : float, default 1.0
    top_k : int or None, default None

    Returns
    -------
    ndarray of int, (...)
        Only classes with a probability above zero.

    Raises
    ------
    TypeError, ValueError
        As for `probabilities`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.text import sample
    >>> rng = np.random.default_rng(0)
    >>> drawn = sample(np.tile(np.log([1.0, 2.0, 5.0]), (8000, 1)), rng)
    >>> (np.bincount(drawn) / 1000).round(1).tolist()
    [1.0, 2.0, 5.0]
    """
    cumulative = np.cumsum(probabilities(scores, temperature=temperature, top_k=top_k), axis=-1)
    # A product below the last sum: the class where the sum first exceeds it has a share of it.
    drawn = rng.random(cumulative.shape[:-1]) * cumulative[..., -1]
    return np.asarray((cumulative <= drawn[..., None]).sum(axis=-1), np.intp)


def check_options(temperature: Any, top_k: Any) -> None:
    """Raise unless temperature and top_k are as `probabilities` takes them."""
    value = _checks.number("temperature", temperature)
    if not 0.0 <= value < math.inf:
        raise ValueError(f"temperature: expected a finite number of at least 0, got {temperature}")
    if top_k is not None:
        _checks.positive_integer("top_k", top_k)
