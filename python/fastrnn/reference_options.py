"""The specification's options: activations, clips and layer normalisation in plain NumPy.

`reference_cells` has the equations that they change, `reference` what acts between steps: zoneout,
resets, clipped gradients. Nothing here shares code with the kernels. Symbols: S numbers of h (P
with a projection, else H), * works element by element, dv is the derivative of the loss with
respect to v.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIVATIONS", "PLAIN", "Activation", "Array", "Masks", "Options", "clamp"]

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Options:
    """What a layer computes otherwise than its cell's plain equations; zero: not at all."""

    gate_activation: str = "sigmoid"  # of i f o, r z
    candidate_activation: str = "tanh"  # of g, n and the h of rnn_tanh and independent_rnn_tanh
    output_activation: str = "tanh"  # of c in h = o * f(c)
    activation_clip: float = 0.0  # what gates' and candidates' activations see lies within -+ this
    cell_clip: float = 0.0  # c lies within -+ this
    projection_size: int = 0  # P
    layer_norm: bool = False
    zoneout_h: float = 0.0  # the share of h_prev in h where there is no mask of it
    zoneout_c: float = 0.0  # the share of c_prev in c where there is no mask of it
    gradient_clip_value: float = 0.0  # of each element of dh_prev and dc_prev
    gradient_clip_norm: float = 0.0  # of a row's dh_prev and dc_prev together


PLAIN: Final = Options()


@dataclass(frozen=True, eq=False)
class Masks:
    """Numbers that act on single rows and steps; None: none."""

    # (N, T): where true, the state that crosses the boundary between this step and the one before
    # it in time is zero. Running forward, also h0 and c0 of a row at its step 0; in reverse, that
    # of step 0 is not read.
    resets: Array | None = None
    recurrent: Array | None = None  # (N, S), multiplies h_prev where it enters a product
    zoneout_h: Array | None = None  # (N, T, S), the share of h_prev in h, 0 to 1
    zoneout_c: Array | None = None  # (N, T, H), the share of c_prev in c, 0 to 1


class Activation(NamedTuple):
    """A function of a pre-activation and its derivative."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _sigmoid(a: Array) -> Array:
    # s(a) = 1 / (1 + e^-a), written so that the exponential never overflows
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1 / (1 + e), e / (1 + e))


def _sigmoid_slope(a: Array) -> Array:
    s = _sigmoid(a)
    slope: Array = s * (1 - s)  # s' = s * (1 - s)
    return slope


def _tanh_slope(a: Array) -> Array:
    t = np.tanh(a)  # tanh' = 1 - tanh^2
    return 1 - t * t


def _softsign(a: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(a), np.sign(a), a / (1 + np.abs(a)))


# hard_sigmoid: the operator HardSigmoid of ONNX with its defaults alpha = 0.2, beta = 0.5, which
# are those of Theano and Keras 2. Courbariaux, Bengio, David (2015), "BinaryConnect",
# arXiv:1511.00363, equation 3, has 0.5 a + 0.5, and Keras 3 a / 6 + 0.5.
# hard_tanh: Collobert (2004), "Large scale machine learning", thesis, section 6.4.1.
# softsign: Bergstra, Desjardins, Lamblin, Bengio (2009), "Quadratic polynomials learn better image
# features", equation 3.
# The derivative where two pieces meet is 0, as that of relu at 0.
ACTIVATIONS: Final[Mapping[str, Activation]] = {
    "sigmoid": Activation(_sigmoid, _sigmoid_slope),
    "tanh": Activation(np.tanh, _tanh_slope),
    "relu": Activation(lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(a.dtype)),
    "hard_sigmoid": Activation(
        lambda a: np.clip(0.2 * a + 0.5, 0, 1),
        lambda a: 0.2 * (np.abs(0.2 * a) < 0.5).astype(a.dtype),
    ),
    "hard_tanh": Activation(lambda a: np.clip(a, -1, 1), lambda a: (np.abs(a) < 1).astype(a.dtype)),
    "softsign": Activation(_softsign, lambda a: 1 / (1 + np.abs(a)) ** 2),
    "identity": Activation(lambda a: a, np.ones_like),
}


def clamp(v: Array, limit: float) -> Array:
    """Return what of v (any shape) lies within -+limit; v where the limit is 0."""
    return np.clip(v, -limit, limit) if limit else v


def clamp_backward(v: Array, limit: float, d: Array) -> Array:
    """Return dv from the derivative with respect to clamp(v, limit): 0 where v was clamped."""
    return np.where(np.abs(v) < limit, d, 0) if limit else d


def clipped(name: str, limit: float) -> Activation:
    """Return the activation of a pre-activation that is clamped before: the attribute clip of ONNX.

    Parameters
    ----------
    name : str
        A name in `ACTIVATIONS`.
    limit : float
        0: no clip.
    """
    value, slope = ACTIVATIONS[name]
    return Activation(
        lambda a: value(clamp(a, limit)),
        lambda a: clamp_backward(a, limit, slope(clamp(a, limit))),
    )


# Layer normalisation. Ba, Kiros, Hinton (2016), "Layer normalization", arXiv:1607.06450, equations
# 3 and 4 with the epsilon of the usual implementations; what is normalised together is a group.
#   LN(v; gain, shift) = gain * (v - mean(v)) / sqrt(variance(v) + epsilon) + shift

EPSILON: Final = 1e-5


def _standardized(v: Array) -> tuple[Array, Array]:
    # The numbers with mean 0 and variance 1, and what they were divided by.
    scale = np.sqrt(v.var() + v.dtype.type(EPSILON))
    return (v - v.mean()) / scale, scale


def _slices(groups: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(groups).tolist()
    return [slice(end - size, end) for end, size in zip(ends, groups, strict=True)]


def normalize(v: Array, norm: Array, groups: tuple[int, ...]) -> Array:
    """Normalise each group of v; return v itself where there is no normalisation.

    Parameters
    ----------
    v : ndarray of shape (sum of groups,)
    norm : ndarray of shape (2, sum of groups)
        Gain and shift; of shape (2, 0) where there is no normalisation.
    groups : tuple of int
        How many numbers each group has.
    """
    gain, shift = norm
    if not gain.size:
        return v
    u = np.concatenate([_standardized(v[s])[0] for s in _slices(groups)])
    result: Array = gain * u + shift
    return result


def normalize_backward(
    v: Array, norm: Array, groups: tuple[int, ...], d: Array
) -> tuple[Array, Array]:
    """Return dv and dnorm, the derivatives of gain and shift.

    With u = (v - mean(v)) / s and du = gain * d:  dv = (du - mean(du) - u * mean(du * u)) / s.

    Parameters
    ----------
    v, norm, groups
        As in `normalize`, v of shape (sum of groups,).
    d : ndarray of shape (sum of groups,)
        The derivative with respect to the result.
    """
    gain, _ = norm
    if not gain.size:
        return d, norm  # the derivatives of nothing: empty
    dv, u = np.empty_like(v), np.empty_like(v)
    for s in _slices(groups):
        u[s], scale = _standardized(v[s])
        du = gain[s] * d[s]
        dv[s] = (du - du.mean() - u[s] * (du * u[s]).mean()) / scale
    return dv, np.stack([d * u, d])
