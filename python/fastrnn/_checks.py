"""Judges the meaning of arguments: shapes, dtypes, lengths, states. The only place that does.

Every function raises before anything is computed and says what came and what was expected.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def positive_integer(name: str, value: SupportsIndex) -> int:
    """Return `value` as an int of at least 1."""
    return _integer(name, value, 1)


def count(name: str, value: SupportsIndex) -> int:
    """Return `value` as an int of at least 0."""
    return _integer(name, value, 0)


def _integer(name: str, value: SupportsIndex, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got bool")
    if number < least:
        raise ValueError(f"{name}: expected at least {least}, got {number}")
    return number


def layer_sizes(hidden_size: Any, num_layers: SupportsIndex | None) -> tuple[int, ...]:
    """Return the hidden size of each layer; one size is for all `num_layers`, None: one."""
    if not isinstance(hidden_size, (list, tuple)):
        count = 1 if num_layers is None else positive_integer("num_layers", num_layers)
        return (positive_integer("hidden_size", hidden_size),) * count
    if not hidden_size:
        raise ValueError("hidden_size: expected at least one size, got none")
    sizes = tuple(positive_integer(f"hidden_size[{i}]", h) for i, h in enumerate(hidden_size))
    if num_layers is not None and positive_integer("num_layers", num_layers) != len(sizes):
        raise ValueError(
            f"num_layers: expected {len(sizes)} like the sizes in hidden_size, got {num_layers}"
        )
    return sizes


def probability(name: str, value: float) -> float:
    """Return `value` as a float in [0, 1)."""
    result = number(name, value)
    if not 0.0 <= result < 1.0:
        raise ValueError(f"{name}: expected 0 <= {name} < 1, got {value}")
    return result


def weights(name: str, value: Any) -> None:
    """Raise unless all numbers of an array are weights: finite and at least 0."""
    if value.dtype.kind not in "bu" and not np.all((value >= 0) & (value < np.inf)):
        raise ValueError(f"{name}: expected finite numbers of at least 0, got others")


def switch(name: str, value: Any) -> bool:
    """Return True or False, or 0 or 1 for them, as a bool."""
    if not isinstance(value, (bool, np.bool_, int, np.integer)) or value not in (0, 1):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def limit(name: str, value: Any) -> float | None:
    """Return a number above zero, in float32 too, as a float; None stays None."""
    if value is None:
        return None
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number or None, got {type(value).__name__}")
    result = above_zero(name, value)
    if result < np.finfo(np.float32).tiny:
        raise ValueError(f"{name}: expected a number that float32 has, got {value}")
    return result


def projection(name: str, value: Any, hidden_sizes: Sequence[int]) -> int:
    """Return a projection's size P below every hidden size; 0: none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    size = int(value)
    for hidden_size in hidden_sizes:
        if not 0 <= size < hidden_size:
            raise ValueError(
                f"{name}: expected 0 for none, or 0 < {name} < hidden_size = {hidden_size}, "
                f"got {size}"
            )
    return size


def choice(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return `value`, one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")
    return value


def float_dtype(value: Any) -> np.dtype[Any]:
    """Return float32 or float64."""
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError:
        raise TypeError(f"dtype: expected float32 or float64, got {value!r}") from None
    if dtype not in FLOATS:
        raise TypeError(f"dtype: expected float32 or float64, got {dtype}")
    return dtype


def recurrent_dtype(value: Any) -> tuple[np.dtype[Any], bool]:
    """Return the dtype of a recurrent layer's arrays, and whether its weights are bfloat16."""
    if str(value) == "bfloat16":
        return np.dtype(np.float32), True
    return float_dtype(value), False


def _typed(name: str, value: Any, dtype: np.dtype[Any], owner: str) -> FloatArray:
    array = np.asarray(value)
    if array.dtype is not dtype and array.dtype != dtype:
        convertible = array.dtype.kind in "fiub" and array.dtype.itemsize <= 8
        hint = f"; convert with {name}.astype(numpy.{dtype})" if convertible else ""
        raise TypeError(f"{name}: expected {dtype} like {owner}, got {array.dtype}{hint}")
    return array


def _numbers(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def sequence(
    name: str, value: Any, features: int, dtype: np.dtype[Any], *, symbol: str = "I"
) -> FloatArray:
    """Return `value` as an array (N, T, features) of the layer's dtype."""
    array = _typed(name, value, dtype, "the layer's parameters")
    if array.ndim != 3:
        raise ValueError(
            f"{name}: expected 3 axes (N, T, {symbol}), got {array.ndim} with shape "
            f"{_numbers(array.shape)}"
        )
    if array.shape[2] != features:
        raise ValueError(
            f"{name}: expected {symbol} = {features} features, got {array.shape[2]} in shape "
            f"{_numbers(array.shape)}"
        )
    return array


def features_last(name: str, value: Any, features: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return `value` as an array (..., features) of the layer's dtype."""
    array = _typed(name, value, dtype, "the layer's parameters")
    if array.ndim < 1 or array.shape[-1] != features:
        raise ValueError(
            f"{name}: expected shape (..., I) = (..., {features}), got {_numbers(array.shape)}"
        )
    return array


def of_shape(
    name: str, value: Any, symbols: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> FloatArray:
    """Return `value` as an array of exactly this shape and dtype."""
    array = _typed(name, value, dtype, "the layer's parameters")
    if array.shape != shape:
        raise ValueError(
            f"{name}: expected shape {symbols} = {_numbers(shape)}, got {_numbers(array.shape)}"
        )
    return array


def any_float(name: str, value: Any) -> FloatArray:
    """Return `value` as a float32 or float64 array."""
    array = np.asarray(value)
    if array.dtype not in FLOATS:
        raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
    return array


def lengths(value: Any, batch: int, steps: int) -> NDArray[np.int64] | None:
    """Return `value` as contiguous int64 (N,), each in 0..T, copied; None stays None."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected integers, got {array.dtype}")
    if array.shape != (batch,):
        raise ValueError(f"lengths: expected shape (N,) = ({batch},), got {_numbers(array.shape)}")
    if batch and not (array.min() >= 0 and array.max() <= steps):
        n = int(np.flatnonzero((array < 0) | (array > steps))[0])
        raise ValueError(f"lengths[{n}]: expected 0..T = 0..{steps}, got {array[n]}")
    # A copy: a tape is read after the caller may have written other lengths into the array.
    return np.array(array, dtype=np.int64, order="C")


def resets(
    value: Any, batch: int, steps: int, *, batch_first: bool = True
) -> NDArray[np.uint8] | None:
    """Return `value`, (N, T) of bool or 0 and 1, (T, N) if not batch_first, as uint8 (N, T)."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biu":
        raise TypeError(f"reset: expected bool or integers 0 and 1, got {array.dtype}")
    symbols, shape = ("(N, T)", (batch, steps)) if batch_first else ("(T, N)", (steps, batch))
    if array.shape != shape:
        raise ValueError(
            f"reset: expected shape {symbols} = {_numbers(shape)}, got {_numbers(array.shape)}"
        )
    if array.dtype.kind != "b" and not ((array == 0) | (array == 1)).all():
        raise ValueError("reset: expected bool or integers 0 and 1, got others")
    # A copy, as of lengths.
    return np.array(array if batch_first else array.T, dtype=np.uint8, order="C")


def valid_steps(outer: tuple[int, ...], value: Any, batch_first: bool) -> NDArray[np.bool_] | None:
    """Return which places of an array (N, T, ...) or (T, N, ...) are valid; None: all."""
    if value is None:
        return None
    if len(outer) < 2:
        raise ValueError(f"lengths: expected None for x with shape {outer}, got an array")
    batch, steps = outer[:2] if batch_first else outer[1::-1]
    valid = lengths(value, batch, steps)
    assert valid is not None
    mask = np.arange(steps) < valid[:, None]
    return mask if batch_first else mask.T


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return an (h, c) pair of arrays."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        got = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
        raise ValueError(f"{name}: expected a pair (h, c), got {got}")
    return value[0], value[1]


def single(name: str, value: Any) -> Any:
    """Return a state that is one array, h."""
    if isinstance(value, (tuple, list)):
        raise ValueError(f"{name}: expected one array h, got {len(value)} values")
    return value


def flat_vector(name: str, vector: Any) -> None:
    """Raise unless `vector` is a contiguous float array (P,)."""
    if not isinstance(vector, np.ndarray) or vector.dtype not in FLOATS:
        got = vector.dtype if isinstance(vector, np.ndarray) else type(vector).__name__
        raise TypeError(f"{name}: expected a float32 or float64 array, got {got}")
    if vector.ndim != 1 or not vector.flags.c_contiguous:
        got = f"shape {vector.shape}, strides {vector.strides}"
        raise ValueError(f"{name}: expected one contiguous axis (P,), got {got}")


def written(name: str, array: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FloatArray:
    """Return an array (N, T, features) that results are written to."""
    result = of_shape(name, array, "(N, T, features)", shape, dtype)
    if not result.flags.writeable:
        raise ValueError(f"{name}: expected a writable array, got a read-only one")
    return result


def rows_of_batch(name: str, value: Any, batch: int) -> NDArray[np.bool_]:
    """Return which rows of a batch are meant, (N,) of bool."""
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise TypeError(f"{name}: expected dtype bool, got {array.dtype}")
    if array.shape != (batch,):
        raise ValueError(f"{name}: expected shape (N,) = ({batch},), got {_numbers(array.shape)}")
    return array


def number(name: str, value: Any) -> float:
    """Return a real number as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    return float(value)


def above_zero(name: str, value: Any) -> float:
    """Return a number above zero as a float."""
    result = number(name, value)
    if not result > 0:
        raise ValueError(f"{name}: expected more than 0, got {value}")
    return result


def pads_each_step_alone(name: str, parts: Iterable[Any]) -> None:
    """Raise if one of the layers repeats outputs: a part of time does not know a row's last one."""
    for part in parts:
        if getattr(part, "pad_output", "zero") == "repeat":
            raise ValueError(
                f'{name}: expected layers with pad_output "zero" or a number, got '
                f'{type(part).__name__} with "repeat", which needs all steps at once'
            )
