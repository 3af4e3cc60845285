"""DropConnect: a mask on the recurrent matrix, for one forward and one backward pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn.ops.panels import Weights


def masked_weights(weights: Weights, mask: FloatArray) -> Weights:
    """Return the weights with weight_hh times a mask (Wan et al. 2013, "DropConnect").

    Parameters
    ----------
    weights : Weights
    mask : ndarray, (G*H, S)
    """
    assert weights.weight_hh is not None
    return replace(weights, weight_hh=weights.weight_hh * mask)


def masked_gradients(gradients: Weights) -> Weights:
    """Return the gradients with zeros for that of the masked weight_hh: for `add_masked`.

    Parameters
    ----------
    gradients : Weights
    """
    assert gradients.weight_hh is not None
    return replace(gradients, weight_hh=np.zeros_like(gradients.weight_hh))


def add_masked(gradients: Weights, masked: Weights, mask: FloatArray) -> None:
    """Add the gradient of the masked weight_hh, times the mask, to that of weight_hh.

    Parameters
    ----------
    gradients : Weights
    masked : Weights
        Of `masked_gradients`, after the backward pass.
    mask : ndarray, (G*H, S)
    """
    total, added = gradients.weight_hh, masked.weight_hh
    assert total is not None
    assert added is not None
    total += mask * added
