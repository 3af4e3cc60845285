"""What the readers return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledSequences:
    """Sequences, each of one class.

    Attributes
    ----------
    sequences : list of ndarray, (T_n, F) float64
        NaN where a value is missing.
    labels : tuple of str
        One for each sequence.
    class_names : tuple of str
        The different labels: as the file declares them, else sorted, numbers by value.
    feature_names : tuple of str
        F names; those of a file without names are ``x0``, ``x1``, ...
    """

    sequences: list[NDArray[np.float64]]
    labels: tuple[str, ...]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]

    def targets(self) -> NDArray[np.int64]:
        """Return the position of each label in `class_names`, (N,)."""
        positions = {name: position for position, name in enumerate(self.class_names)}
        return np.array([positions[label] for label in self.labels], np.int64)


@dataclass(frozen=True)
class Series:
    """One series over time.

    Attributes
    ----------
    values : ndarray of float64, (T, F)
        NaN where a value is missing.
    feature_names : tuple of str
        F names; those of a file without names are ``x0``, ``x1``, ...
    times : tuple of str or None
        The first column of dates, as it is written; None if there is none.
    """

    values: NDArray[np.float64]
    feature_names: tuple[str, ...]
    times: tuple[str, ...] | None


def default_names(features: int) -> tuple[str, ...]:
    """Return ``x0``, ``x1``, ...

    Parameters
    ----------
    features : int
    """
    return tuple(f"x{position}" for position in range(features))


def sorted_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the different labels in order: by value if all are numbers, else as text.

    Parameters
    ----------
    labels : tuple of str
    """
    names = sorted(set(labels))
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(names)
