"""Cross-entropy of things that are there or not, each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray, any_float
from fastrnn.losses.places import placed, selection


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Mean of -t log s - (1 - t) log(1 - s), s = sigmoid(outputs) (Bishop 2006, eq. 4.90).

    For output x and target t, a number counts max(x, 0) - x t + log(1 + exp(-|x|)),
    which no x overflows, and its gradient is sigmoid(x) - t. Numbers with mask 0 get a gradient of
    exactly zero, and what stands there does not matter. With nothing unmasked the value is 0 and
    so is the gradient. Outputs that are not finite, where they count, give a value that is not
    finite.

    Parameters
    ----------
    sum_features : bool, default False
        Sum over the last axis instead of taking its mean: the value is then the negative
        log-likelihood of a whole step in nats, as it is reported for polyphonic music, where the
        last axis is the 88 notes (Boulanger-Lewandowski, Bengio and Vincent 2012).

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> loss = fr.losses.BinaryCrossEntropy()
    >>> value, gradient = loss(np.zeros((1, 4)), np.array([[1, 0, 0, 1]]))
    >>> round(value, 4), gradient.tolist()
    (0.6931, [[-0.125, 0.125, 0.125, -0.125]])
    """

    sum_features: bool = False

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return the value and its gradient.

        Parameters
        ----------
        outputs : ndarray, (..., F)
            float32 or float64 scores before the sigmoid.
        targets : ndarray, (..., F)
            Bool or numbers from 0 to 1 (a probability is allowed).
        mask : ndarray, (...) or (..., F), or None
            Weight of each place or number, bool or numbers of at least 0; None: all 1. With
            `sum_features` the value is the weighted mean over places, and the mask is (...).

        Returns
        -------
        value : float
            Exponentials in the outputs' dtype; sums and the mean in float64.
        doutputs : ndarray, (..., F)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above, or a target that counts is not from 0 to 1.
        """
        outputs = any_float("outputs", outputs)
        targets = np.asarray(targets)
        if targets.dtype.kind not in "biuf":
            raise TypeError(f"targets: expected booleans or numbers, got {targets.dtype}")
        if outputs.ndim < 1:
            raise ValueError(f"outputs: expected shape (..., F), got {outputs.shape}")
        if targets.shape != outputs.shape:
            raise ValueError(
                f"targets: expected shape {outputs.shape} like outputs, got {targets.shape}"
            )
        per_number = not self.sum_features and np.shape(mask) == outputs.shape
        chosen, weights = selection(mask, outputs.shape if per_number else outputs.shape[:-1])
        features = 1 if per_number else outputs.shape[-1]
        columns = (outputs.size if per_number else -1, max(features, 1))
        scores, wanted = outputs.reshape(columns), targets.reshape(columns)
        if chosen is not None:
            scores, wanted = scores[chosen], wanted[chosen]
        if not scores.size:
            return 0.0, np.zeros(outputs.shape, outputs.dtype)
        outside = ~((wanted >= 0) & (wanted <= 1))
        if outside.any():
            raise ValueError(f"targets: expected numbers from 0 to 1, got {wanted[outside][0]}")
        wanted = wanted.astype(outputs.dtype, copy=False)
        if weights is None:
            share: Any = 1.0 / len(scores)
        else:
            share = (weights / weights.sum())[:, None]
        if not self.sum_features:
            share = share / features
        with np.errstate(all="ignore"):
            small = np.exp(-np.abs(scores))  # in (0, 1]
            each = np.maximum(scores, 0) - scores * wanted + np.log1p(small)
            value = float((each * share).sum(dtype=np.float64))
            # sigmoid(x) = 1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) where x < 0
            gradient = np.where(scores >= 0, 1, small) / (1 + small) - wanted
            gradient *= np.asarray(share, outputs.dtype)
        return value, placed(gradient, chosen, outputs)
