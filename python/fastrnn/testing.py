"""Help for tests: tolerances, random cases, gradient checks. Useful for tests of own layers too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer
from fastrnn.state_trees import leaves, like

__all__ = [
    "TOLERANCES",
    "GradientCheck",
    "assert_near",
    "assert_same_bits",
    "check_gradients",
    "leaves",
    "like",
    "random_lengths",
]

#: Largest accepted error, relative to the largest number compared (at least 1), and why.
TOLERANCES: dict[str, tuple[float, str]] = {
    "float64": (1e-11, "sums of some hundred terms in another order, over tens of steps"),
    "float32": (2e-5, "the same with 2^-24 for 2^-53, and 4 ulp of the activations"),
    "gradient": (1e-7, "central differences in float64 with a step near the cube root of 2^-53"),
}


def assert_near(actual: Any, expected: Any, what: str, kind: str | None = None) -> None:
    """Raise AssertionError unless two arrays agree within the tolerance of their kind.

    Parameters
    ----------
    actual, expected : ndarray
        Of one shape, any.
    what : str
        For the message.
    kind : str or None
        A key of `TOLERANCES`; None: the dtype of `actual`.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shapes {actual.shape}, {expected.shape}"
    tolerance, reason = TOLERANCES[str(actual.dtype) if kind is None else kind]
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    error = float(np.abs(actual - expected).max(initial=0.0)) / scale
    assert error <= tolerance, f"{what}: error {error:.3g} above {tolerance:.3g} ({reason})"


def assert_same_bits(actual: Any, expected: Any, what: str) -> None:
    """Raise AssertionError unless two arrays are equal bit for bit.

    Parameters
    ----------
    actual, expected : ndarray
        Of one shape and dtype, any.
    what : str
        For the message.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype, f"{what}: dtypes {actual.dtype}, {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shapes {actual.shape}, {expected.shape}"
    bits = np.dtype(f"u{actual.dtype.itemsize}")
    a, b = (np.ascontiguousarray(v).view(bits) for v in (actual, expected))
    assert np.array_equal(a, b), f"{what}: {int((a != b).sum())} of {a.size} numbers differ"


def random_lengths(rng: np.random.Generator, batch: int, steps: int) -> NDArray[np.int64]:
    """Return lengths (N,) with, where there is room, one of zero and one of T.

    Parameters
    ----------
    rng : numpy.random.Generator
    batch, steps : int
    """
    lengths = rng.integers(0, steps + 1, batch)
    places = rng.permutation(batch)
    if batch > 1:
        lengths[places[0]] = 0
    lengths[places[-1]] = steps
    return lengths.astype(np.int64)


@dataclass(frozen=True)
class GradientCheck:
    """The largest relative error found, and where."""

    error: float
    where: str


def check_gradients(
    layer: Layer,
    x: Any,
    state: Any = None,
    *,
    lengths: Any = None,
    reset: Any = None,
    seed: int = 0,
    step: float = 1e-5,
) -> GradientCheck:
    """Compare `backward` with central differences of `forward`, number by number.

    The loss is a random weighting of all outputs and final states. All masks are the same for every
    evaluation.

    Parameters
    ----------
    layer : layer
        Of dtype float64; its parameters are moved and put back.
    x : ndarray, (N, T, F) or what the layer takes
        float64 (or integer tokens, which have no gradient).
    state : state or None
    lengths : ndarray of int, (N,), or None
    reset : ndarray of bool, (N, T), or None
        For layers that carry a state.
    seed : int, default 0
        Of the weighting and the masks.
    step : float, default 1e-5
        Half the distance of the difference.

    Returns
    -------
    GradientCheck
        |analytic - numeric| / (|analytic| + |numeric|) in the norm of each array, and the name of
        the array with the largest.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> from fastrnn.testing import check_gradients
    >>> layer = fr.GRU(2, 3, dtype="float64", seed=0)
    >>> x = np.random.default_rng(0).standard_normal((2, 4, 2))
    >>> check_gradients(layer, x).error < 1e-7
    True
    """
    x = np.array(x)
    state = like(state, np.array)
    more = {} if reset is None else {"reset": reset}

    def run() -> tuple[FloatArray, Any, Any]:
        layer.reseed(np.random.default_rng(seed))
        return layer.forward(x, state, lengths=lengths, **more)

    rng = np.random.default_rng(seed)
    y, final, tape = run()
    dy = rng.standard_normal(y.shape)
    dfinal = like(final, lambda array: rng.standard_normal(array.shape))

    def loss() -> float:
        y, final, _ = run()
        value = float((y * dy).sum())
        for array, weight in zip(leaves(final), leaves(dfinal), strict=True):
            value += float((array * weight).sum())
        return value

    layer.zero_grad()
    dx, dstate = layer.backward(tape, dy, dfinal)
    pairs = [(name, layer.parameters[name], layer.gradients[name]) for name in layer.parameters]
    if dx is not None:
        pairs.append(("x", x, dx))
    if state is not None:
        initial = zip(leaves(state), leaves(dstate), strict=True)
        pairs += [(f"state {i}", array, gradient) for i, (array, gradient) in enumerate(initial)]
    worst = GradientCheck(0.0, "nothing")
    for name, array, gradient in pairs:
        numeric = _differences(array, loss, step)
        size = float(np.linalg.norm(gradient) + np.linalg.norm(numeric))
        error = float(np.linalg.norm(gradient - numeric)) / size if size > 1e-12 else size
        if error >= worst.error:
            worst = GradientCheck(error, name)
    return worst


def _differences(array: FloatArray, loss: Callable[[], float], step: float) -> FloatArray:
    numeric = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + step
        up = loss()
        array[index] = before - step
        down = loss()
        array[index] = before
        numeric[index] = (up - down) / (2 * step)
    return numeric
