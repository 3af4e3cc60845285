"""Weights that make up for classes of which there are many or few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.mini_batch import Batch


def class_weights(
    y: Any, weights: str | Mapping[int, float], num_classes: int | None = None
) -> NDArray[np.float64]:
    """Return one weight per class.

    Parameters
    ----------
    y : ndarray of int, of any shape, or Dataset, or ParallelStreams, or list
        Classes. Steps behind a sequence's end and targets with mask 0 do not count. Not read where
        `weights` is a dict.
    weights : "balanced", or dict of class to weight
        "balanced" is n / (C n_c) for the n_c targets of class c among n, C being the number of
        classes that there are (scikit-learn's formula, after King and Zeng 2001, "Logistic
        regression in rare events data"). Classes that are not there, or not in the dict, get 1.
    num_classes : int or None, default None
        Length of the result; None is the largest class plus one.

    Returns
    -------
    ndarray of float64, (num_classes,)

    Raises
    ------
    TypeError, ValueError
        If classes are no integers of 0..num_classes-1, weights are not as above, or "balanced"
        would have to read all of a source that is read as it goes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> fr.data.class_weights(np.array([0, 0, 0, 1]), "balanced").round(3).tolist()
    [0.667, 2.0]
    >>> fr.data.class_weights(None, {2: 0.5}).tolist()
    [1.0, 1.0, 0.5]
    """
    if num_classes is not None:
        num_classes = _checks.positive_integer("num_classes", num_classes)
    if isinstance(weights, Mapping):
        return _from_mapping(weights, num_classes)
    if not isinstance(weights, str) or weights != "balanced":
        raise ValueError(
            f'class_weight: expected "balanced" or a dict of class to weight, got {weights!r}'
        )
    counts = _counts(y)
    if num_classes is not None:
        if len(counts) > num_classes:
            raise ValueError(
                f"class_weight: expected classes 0..{num_classes - 1}, got {len(counts) - 1}"
            )
        counts = np.pad(counts, (0, num_classes - len(counts)))
    there = counts > 0
    balanced = np.ones(len(counts))
    balanced[there] = counts.sum() / (there.sum() * counts[there])
    return balanced


def with_class_weights(batch: Batch, weights: NDArray[np.floating[Any]]) -> Batch:
    """Return a batch whose mask is multiplied by the weights of its targets' classes.

    Parameters
    ----------
    batch : Batch
        With integer classes as targets.
    weights : ndarray of float, (C,)
        As `class_weights` gives them; targets outside 0..C-1 keep their weight.

    Raises
    ------
    TypeError
        If the targets are no integers.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> batch = fr.data.Dataset(np.zeros((3, 2, 1)), np.array([0, 1, 1])).batch([0, 1, 2])
    >>> fr.data.with_class_weights(batch, np.array([3.0, 0.5])).mask.tolist()
    [3.0, 0.5, 0.5]
    """
    y = _classes(batch.y)
    known = (y >= 0) & (y < len(weights))
    each = np.where(known, weights[np.where(known, y, 0)], 1.0)
    return replace(batch, mask=each if batch.mask is None else batch.mask * each)


def _from_mapping(weights: Mapping[int, float], num_classes: int | None) -> NDArray[np.float64]:
    known = {_checks.count("class_weight", key): value for key, value in weights.items()}
    length = max(known, default=0) + 1
    if num_classes is not None and length > num_classes:
        raise ValueError(f"class_weight: expected classes 0..{num_classes - 1}, got {length - 1}")
    vector = np.ones(num_classes or length)
    for key, value in known.items():
        vector[key] = _checks.number(f"class_weight[{key}]", value)
    _checks.weights("class_weight", vector)
    return vector


def _counts(y: Any) -> NDArray[np.int64]:
    """Return how many targets of each class count, (C,)."""
    if hasattr(y, "batches") and not hasattr(y, "targets"):
        raise ValueError(
            'class_weight: expected a dict for a source that is read as it goes: "balanced" would '
            f"have to read all of it first, got {type(y).__name__}"
        )
    pieces: Iterable[tuple[Any, Any]] = y.targets() if hasattr(y, "targets") else [(y, None)]
    counts = np.zeros(0, np.int64)
    for targets, mask in pieces:
        classes = _classes(targets)
        classes = classes.ravel() if mask is None else classes[np.asarray(mask) > 0]
        if not classes.size:
            continue
        if classes.min() < 0:
            raise ValueError(f"class_weight: expected classes of at least 0, got {classes.min()}")
        more = np.bincount(classes)
        counts = np.pad(counts, (0, max(len(more) - len(counts), 0)))
        counts[: len(more)] += more
    if not counts.size:
        raise ValueError("class_weight: expected at least one target that counts, got none")
    return counts


def _classes(y: Any) -> NDArray[Any]:
    array = np.asarray(y)
    if array.dtype.kind not in "iu":
        raise TypeError(f"class_weight: expected integer classes as targets, got {array.dtype}")
    return array
