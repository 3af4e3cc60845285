"""Cross-entropy of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn._checks import FloatArray, any_float
from fastrnn.losses.places import weights_of_places


def softmax(scores: Any) -> NDArray[np.float64]:
    """Return probabilities of classes: exp(score) over the sum of all (Bishop 2006, eq. 4.62).

    Parameters
    ----------
    scores : ndarray, (..., C)

    Returns
    -------
    ndarray of float64, (..., C)
        From differences to the largest score, so that nothing overflows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> fr.losses.softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    exact = np.asarray(scores, np.float64)
    exponentials = np.exp(exact - exact.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Mean of -log softmax(outputs)[target] (Bishop 2006, eq. 4.108, with its gradient p - t).

    The mean is over target places, weighted by the mask. Places with mask 0 get a gradient of
    exactly zero, and what stands there (NaN, a target out of range) does not matter. With nothing
    unmasked the value is 0 and so is the gradient: a batch of nothing but padding changes nothing.
    Scores that are not finite, at a place that counts, give a value that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> loss = fr.losses.SoftmaxCrossEntropy()
    >>> value, gradient = loss(np.zeros((2, 4), np.float32), np.array([0, 3]))
    >>> round(value, 4), gradient[0].tolist()
    (1.3863, [-0.375, 0.125, 0.125, 0.125])
    """

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return the value and its gradient.

        Parameters
        ----------
        outputs : ndarray, (..., C)
            float32 or float64 scores before the softmax.
        targets : ndarray of int, (...)
            Classes, 0..C-1.
        mask : ndarray, (...), or None
            Weight of each place, bool or numbers of at least 0; None: all 1.

        Returns
        -------
        value : float
            Exponentials in the outputs' dtype; sums, logarithms and the mean in float64.
        doutputs : ndarray, (..., C)
            Of the outputs' dtype.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes are not as above or a class is out of range.
        """
        outputs = any_float("outputs", outputs)
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iu":
            raise TypeError(
                f"targets: expected integer classes, got {targets.dtype}; "
                "convert with targets.astype(numpy.int64)"
            )
        if outputs.ndim < 1 or outputs.shape[-1] < 1:
            raise ValueError(f"outputs: expected shape (..., C) with C >= 1, got {outputs.shape}")
        if targets.shape != outputs.shape[:-1]:
            raise ValueError(
                f"targets: expected shape {outputs.shape[:-1]} for outputs {outputs.shape}, "
                f"got {targets.shape}"
            )
        weights = weights_of_places(mask, targets.shape)
        classes = outputs.shape[-1]
        labels = np.ascontiguousarray(targets.ravel(), np.int64)
        # As unsigned numbers, negative ones are the largest
        if labels.size and labels.view(np.uint64).max() >= classes:
            _check_classes(targets, weights, classes)
        scores = np.ascontiguousarray(outputs).reshape(-1, classes)
        value, gradient = ops.softmax_cross_entropy(scores, labels, weights)
        return value, gradient.reshape(outputs.shape)


def _check_classes(
    targets: NDArray[Any], weights: NDArray[np.float64] | None, classes: int
) -> None:
    """Raise if a target that counts is no class, naming the first."""
    flat = targets.ravel()
    wrong = (flat < 0) | (flat >= classes)
    if weights is not None:
        wrong &= weights > 0
    if wrong.any():
        first = int(wrong.argmax())
        place = ", ".join(str(int(i)) for i in np.unravel_index(first, targets.shape))
        raise ValueError(f"targets[{place}]: expected 0..C-1 = 0..{classes - 1}, got {flat[first]}")
