"""From what users give to rows and windows: all checks, gaps, scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.forecasting.baselines import naive_errors
from fastrnn.forecasting.memory import Memory
from fastrnn.forecasting.options import ForecastOptions, TrainingOptions
from fastrnn.forecasting.scaling import Scale
from fastrnn.forecasting.series import Numbers, checked, checked_covariates, filled, is_panel
from fastrnn.forecasting.windows import Rows, Windows

_STEPS_AN_EPOCH = 64  # of long series where no stride is given

#: values (T, F), past (T, P) or None, future (T, E) or None
SeriesRows = tuple[Numbers, Numbers | None, Numbers | None]


@dataclass(frozen=True)
class Given:
    """What a user gave: y and covariates, each one series or a list."""

    y: Any
    past: Any = None
    future: Any = None


@dataclass(frozen=True)
class Sizes:
    """Numbers of targets F and covariates P and E, of series; and whether y had no second axis."""

    features: int = 1
    past: int = 0
    future: int = 0
    count: int = 1
    panel: bool = False
    univariate: bool = True


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that training needs, and what is kept for forecasts."""

    sizes: Sizes
    windows: Windows
    validation: Windows | None
    memories: list[Memory]
    covariate_scales: tuple[Scale | None, Scale | None]


def scaled(covariates: Numbers, scale: Scale) -> NDArray[np.float32]:
    """Return covariates (T, C) as networks see them.

    Parameters
    ----------
    covariates : ndarray, (T, C)
    scale : Scale
    """
    return scale.to_levels(covariates).astype(np.float32)


def checked_rows(given: Given, sizes: Sizes | None) -> list[SeriesRows]:
    """Return what a user gave as float64 arrays, one triple a series.

    Parameters
    ----------
    given : Given
    sizes : Sizes or None
        What there was in training; None: this is it.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit.
    """
    panel = is_panel(given.y) if sizes is None else sizes.panel
    count = (len(given.y) if panel else 1) if sizes is None else sizes.count
    columns = (None, None, None) if sizes is None else (sizes.features, sizes.past, sizes.future)
    ys = _listed("y", given.y, panel, count)
    for name, value, wanted in (
        ("past_covariates", given.past, columns[1]),
        ("future_covariates", given.future, columns[2]),
    ):
        _check_presence(name, value, wanted)
    pasts = _listed("past_covariates", given.past, panel, count)
    futures = _listed("future_covariates", given.future, panel, count)
    found: list[SeriesRows] = []
    for s in range(count):
        where = f"[{s}]" if panel else ""
        values = checked(f"y{where}", ys[s], columns[0])
        parts = [
            None if part[s] is None
            else checked_covariates(f"{name}{where}", part[s], len(values), wanted or None)
            for name, part, wanted in (
                ("past_covariates", pasts, columns[1]),
                ("future_covariates", futures, columns[2]),
            )
        ]  # fmt: skip
        found.append((values, parts[0], parts[1]))
        first = found[0]
        columns = (first[0].shape[1], _width(first[1]), _width(first[2]))
    return found


def checked_future(value: Any, steps: int, sizes: Sizes) -> list[Numbers | None]:
    """Return the future covariates of the steps to be forecast, one array a series.

    Parameters
    ----------
    value : array-like, list or None
    steps : int
        How many there have to be.
    sizes : Sizes

    Raises
    ------
    TypeError, ValueError
        If they are not as in training.
    """
    _check_presence("future_covariates", value, sizes.future)
    parts = _listed("future_covariates", value, sizes.panel, sizes.count)
    return [
        None if part is None
        else checked_covariates(
            f"future_covariates[{s}]" if sizes.panel else "future_covariates",
            part, steps, sizes.future,
        )
        for s, part in enumerate(parts)
    ]  # fmt: skip


def prepare(given: Given, options: ForecastOptions, how: TrainingOptions) -> Prepared:
    """Check what a user gave, fill gaps, scale, and choose the training windows.

    Parameters
    ----------
    given : Given
    options : ForecastOptions
    how : TrainingOptions

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or a series is too short.
    """
    series = checked_rows(given, None)
    panel = is_panel(given.y)
    for s, (values, _, _) in enumerate(series):
        _check_length(f"y[{s}]" if panel else "y", values, options)
    scales = tuple(_pooled([rows[i] for rows in series]) for i in (1, 2))
    memories = [_memory(rows, options) for rows in series]
    first = series[0]
    sizes = Sizes(
        first[0].shape[1],
        _width(first[1]),
        _width(first[2]),
        len(series),
        panel,
        np.ndim(given.y[0] if panel else given.y) == 1,
    )
    observed = ~np.isnan(np.concatenate([values for values, _, _ in series]))
    rows = Rows(
        np.concatenate([memory.levels() for memory in memories]),
        None if observed.all() else observed,
        *(_stacked([part[i] for part in series], scales[i - 1]) for i in (1, 2)),
    )
    starts, held_out = _all_starts([len(values) for values, _, _ in series], options, how)
    starts = _with_targets(starts, observed, options)
    if how.stride is None:
        limit = _STEPS_AN_EPOCH * how.batch_size
        most = options.window if options.every_step else len(starts)
        starts = starts[:: -min(max(len(starts) // limit, 1), max(most, 1))][::-1]
    if not len(starts):
        raise ValueError("y: expected at least one window with an observation behind it, got none")
    validation = None
    if how.validation_fraction:
        held_out = _with_targets(held_out, observed, options)
        if not len(held_out):
            raise ValueError("validation_fraction: expected enough for one horizon, got less")
        validation = Windows(rows, held_out, options, last_only=True)
    windows = Windows(rows, starts, options)
    return Prepared(
        sizes, windows, validation, [m.cut(options) for m in memories], (scales[0], scales[1])
    )


def _listed(name: str, value: Any, panel: bool, count: int) -> list[Any]:
    if value is None:
        return [None] * count
    if not panel:
        if is_panel(value):
            raise TypeError(f"{name}: expected one series, got a list of {len(value)}")
        return [value]
    if not is_panel(value) or len(value) != count:
        got = f"{len(value)}" if is_panel(value) else type(value).__name__
        raise ValueError(f"{name}: expected a list of {count} arrays, one a series, got {got}")
    return list(value)


def _check_presence(name: str, value: Any, columns: int | None) -> None:
    """Raise unless covariates are given just where training had some."""
    if columns is None or (value is None) == (columns == 0):
        return
    expected = f"{columns} columns as in fit" if columns else "None as in fit"
    got = "None" if value is None else "some"
    raise ValueError(f"{name}: expected {expected}, got {got}")


def _check_length(where: str, values: Numbers, options: ForecastOptions) -> None:
    lag, window, ahead = options.lag, options.window, options.steps_ahead
    needed = lag + window + ahead
    if len(values) < needed:
        parts = f"window + horizon = {window} + {ahead}"
        if lag:
            parts = f"difference + window + horizon = {lag} + {window} + {ahead}"
        raise ValueError(f"{where}: expected at least {parts} observations, got {len(values)}")
    changes = values[lag:] - values[:-lag] if lag else values
    empty = np.flatnonzero(np.isnan(changes).all(axis=0))
    if len(empty):
        what = f"observations {lag} steps apart" if lag else "observations"
        raise ValueError(f"{where}: expected {what} in column {empty[0]}, got only NaN")


def _memory(rows: SeriesRows, options: ForecastOptions) -> Memory:
    values, past, future = rows
    naive = naive_errors(values, options.difference or 1)
    scale = Scale.fit(values, options.lag)
    return Memory(scale, naive, len(values), filled(values), past, future)


def _pooled(parts: list[Numbers | None]) -> Scale | None:
    there = [part for part in parts if part is not None]
    return Scale.fit(np.concatenate(there)) if there else None


def _stacked(parts: list[Numbers | None], scale: Scale | None) -> NDArray[np.float32] | None:
    there = [part for part in parts if part is not None]
    return None if scale is None else scaled(np.concatenate(there), scale)


def _width(part: Numbers | None) -> int:
    return 0 if part is None else part.shape[1]


def _all_starts(
    lengths: list[int], options: ForecastOptions, how: TrainingOptions
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where windows begin, those for training and those held out, in all series."""
    ahead = options.steps_ahead
    size = options.lag + options.window + ahead
    stride = how.stride or 1
    train, held_out = [], []
    for length, offset in zip(lengths, np.cumsum([0, *lengths]).tolist(), strict=False):
        trained = length - round(how.validation_fraction * length)
        # the newest window is always there
        train.append(offset + np.arange(trained - size, -1, -stride)[::-1])
        first = max(trained + ahead - size, 0)
        held_out.append(offset + np.arange(first, length - size + 1))
    return np.concatenate(train), np.concatenate(held_out)


def _with_targets(
    starts: NDArray[np.intp], observed: NDArray[np.bool_], options: ForecastOptions
) -> NDArray[np.intp]:
    """Return the windows that have something to forecast."""
    if observed.all():
        return starts
    counts = np.concatenate([[0], np.cumsum(observed.sum(axis=1))])
    first = starts + options.lag + (1 if options.every_step else options.window)
    last = starts + options.lag + options.window + options.steps_ahead
    return starts[counts[last] > counts[first]]
