"""What a data set may be made of: counts, shapes, dtypes and lengths that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.memory_maps import is_mapped
from fastrnn.ragged import Ragged


def inputs(x: Any, lengths: Any) -> tuple[Any, NDArray[np.int64] | None, int]:
    """Return x, an array or `Ragged`, its lengths, and T."""
    if not isinstance(x, np.ndarray) or x.dtype == object:
        if lengths is not None:
            raise ValueError("lengths: expected None with a list of sequences, got others")
        x = x.with_columns() if isinstance(x, Ragged) else Ragged.from_list("x", x)
        steps = int(x.lengths.max())
        if steps == 0:
            raise ValueError("x: expected at least one step, got none")
        return x, x.lengths, steps
    if x.ndim != 3 and not (x.ndim == 2 and x.dtype.kind in "iu"):
        raise ValueError(
            f"x: expected 3 axes (N, T, F), or (N, T) integer tokens, got shape {x.shape}"
        )
    if x.dtype.kind not in "fiu":
        raise TypeError(f"x: expected numbers, got {x.dtype}")
    if 0 in x.shape[:2]:
        raise ValueError(f"x: expected at least one sequence and step, got shape {x.shape}")
    return x, _checks.lengths(lengths, *x.shape[:2]), x.shape[1]


def targets(y: Any, lengths: NDArray[np.int64], *, ragged: bool) -> Any:
    """Return targets as an array (N, ...), or as `Ragged` where they are a list per step."""
    given = isinstance(y, Ragged)
    if given and not ragged:
        raise ValueError("y: expected an array with x an array, got Ragged")
    if given or (ragged and isinstance(y, (list, tuple)) and any(map(np.ndim, y))):
        per_step = y.with_columns() if given else Ragged.from_list("y", y)
        if len(per_step) != len(lengths):
            raise ValueError(f"y: expected N = {len(lengths)} targets like x, got {len(per_step)}")
        wrong = np.flatnonzero(per_step.lengths != lengths)
        if not wrong.size:
            return per_step
        if given or np.ptp(per_step.lengths):
            n = int(wrong[0])
            raise ValueError(
                f"y[{n}]: expected {lengths[n]} steps like x[{n}], got {per_step.lengths[n]}"
            )
    try:
        array = np.asarray(y)
    except ValueError:
        raise ValueError("y: expected targets of one shape, got a ragged list") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"y: expected numbers, got {array.dtype}")
    if array.ndim < 1 or len(array) != len(lengths):
        got = len(array) if array.ndim else "a single number"
        raise ValueError(f"y: expected N = {len(lengths)} targets like x, got {got}")
    return array


def is_per_step(y: NDArray[Any], steps: int, mask: Any) -> bool:
    """Whether padded targets have a time axis: three axes, a mask (N, T), or integers (N, T)."""
    if y.ndim not in (2, 3) or y.shape[1] != steps:
        return False
    return y.ndim == 3 or y.dtype.kind in "iub" or getattr(mask, "shape", None) == y.shape


def weights(mask: Any, *, ragged: bool) -> Any:
    """Return a mask as an array, or as `Ragged` where it is a list for ragged targets."""
    if mask is None:
        return None
    try:
        listed = ragged and isinstance(mask, (list, tuple))
        if isinstance(mask, Ragged):
            found: Any = mask
        else:
            found = Ragged.from_list("mask", mask, columns=False) if listed else np.asarray(mask)
    except ValueError as error:
        raise ValueError(f"mask: expected one array, got a ragged list ({error})") from None
    numbers = found.rows if isinstance(found, Ragged) else found
    if numbers.dtype.kind not in "biuf":
        raise TypeError(f"mask: expected booleans or numbers, got {numbers.dtype}")
    if not is_mapped(numbers):  # else `Dataset.batch` checks what it takes
        _checks.weights("mask", numbers)
    return found


def sample_weight(value: Any, sequences: int) -> NDArray[Any] | None:
    """Return weights of sequences as an array (N,); None stays None."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"sample_weight: expected numbers, got {array.dtype}")
    if array.shape != (sequences,):
        raise ValueError(f"sample_weight: expected shape (N,) = ({sequences},), got {array.shape}")
    _checks.weights("sample_weight", array)
    return array


def check_mask(mask: Any, y: Any, per_step: bool, lengths: NDArray[np.int64], steps: int) -> None:
    """Raise unless a mask has the shape of the targets, or that without the last axis."""
    if isinstance(mask, Ragged):
        if not isinstance(y, Ragged):
            raise ValueError("mask: expected an array like y, got Ragged")
        if not np.array_equal(mask.lengths, lengths):
            raise ValueError("mask: expected as many steps as x has, got other numbers")
        got, whole, axes = mask.rows.shape, y.rows.shape, 1
    else:
        outer = (len(lengths), steps)
        whole = (*outer, *y.rows.shape[1:]) if isinstance(y, Ragged) else y.shape
        got, axes = mask.shape, 2 if per_step else 1
    if got not in (whole, whole[:axes]):
        expected = " or ".join(map(str, dict.fromkeys((whole, whole[:axes]))))
        raise ValueError(f"mask: expected shape {expected} like y, got {got}")


def kind(x: Any, y: Any, per_step: bool) -> dict[str, list[Any]]:
    """Return dtypes and numbers of features of x and y, as JSON values; not how many there are."""
    return {"x": _kind(x, 2), "y": _kind(y, 2 if per_step else 1)}


def _kind(source: Any, outer: int) -> list[Any]:
    if isinstance(source, Ragged):
        return [str(source.rows.dtype), *source.rows.shape[1:]]
    return [str(source.dtype), *source.shape[outer:]]
