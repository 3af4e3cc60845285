"""Series as arrays and data frames; forecasts as what y was, with its index going on.

Frames are known by their types' names and their methods: neither pandas nor polars is imported.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastrnn.forecasting.series import Numbers

_CALENDAR = ("1mo", "1q", "1y")  # steps of polars whose length varies
_END = " end"  # behind one of them: the last day of the month


def kind_of(value: Any) -> str:
    """Return "pandas", "polars", or "" for everything else.

    Parameters
    ----------
    value : object
    """
    roots = [part.__module__.partition(".")[0] for part in type(value).__mro__]
    return next((root for root in roots if root in ("pandas", "polars")), "")


def column_names(value: Any) -> list[Any] | None:
    """Return the names of a frame's columns of numbers, None for arrays.

    Parameters
    ----------
    value : object
    """
    if kind_of(value) == "polars" and hasattr(value, "columns"):
        return [name for name in value.columns if not _is_time(value[name])]
    if kind_of(value) == "pandas" and hasattr(value, "columns"):
        return list(value.columns)
    return None


def numbers(name: str, value: Any) -> Any:
    """Return an array of a frame's numbers, (T,) or (T, F); other values as they are.

    Parameters
    ----------
    name : str
        For messages.
    value : object
        Time columns of polars frames are left out; missing values become NaN.

    Raises
    ------
    TypeError
        If a column holds no numbers.
    """
    kind = kind_of(value)
    if kind == "pandas":
        types = list(value.dtypes) if hasattr(value, "columns") else [value.dtype]
        times = [str(dtype) for dtype in types if dtype.kind in "mM"]
        if times:
            raise TypeError(f"{name}: expected numbers, got {times[0]}; times belong in the index")
        try:
            return value.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name}: expected numbers, got others ({error})") from None
    if kind == "polars":
        chosen = value.select(column_names(value)) if hasattr(value, "columns") else value
        return chosen.to_numpy()
    return value.to_numpy() if hasattr(value, "to_numpy") else value


@dataclass(frozen=True)
class Likeness:
    """What y was, as far as forecasts of it should look alike.

    Parameters
    ----------
    kind : {"", "pandas", "polars"}
    names : name of a series, list of names of columns, or None
    frame : bool
        Whether y had columns.
    time : str or None
        The name of the index or time column.
    last : object or None
        The last time; None where times are not regular.
    step : object or None
        What a step adds to it: a frequency, a number, a time difference, or text for polars.
    """

    kind: str = ""
    names: Any = None
    frame: bool = False
    time: Any = None
    last: Any = None
    step: Any = None

    @classmethod
    def of(cls, value: Any) -> Likeness:
        """Return the likeness of a series or frame.

        Parameters
        ----------
        value : object
        """
        kind = kind_of(value)
        frame = hasattr(value, "columns")
        if kind == "pandas":
            names = value.columns if frame else value.name
            step = _pandas_step(value.index)
            last = None if step is None else value.index[-1]
            return cls(kind, names, frame, value.index.name, last, step)
        if kind == "polars":
            names = column_names(value) if frame else value.name
            times = [c for c in value.columns if _is_time(value[c])] if frame else []
            if len(times) > 1:
                raise TypeError(f"y: expected at most one column of times, got {times}")
            if not times:
                return cls(kind, names, frame)
            step = _polars_step(value[times[0]])
            last = None if step is None else value[times[0]][-1]
            return cls(kind, names, frame, times[0], last, step)
        return cls()

    def after(self, value: Any, count: int) -> Likeness:
        """Return this after more observations.

        Parameters
        ----------
        value : object
        count : int
            How many.

        Raises
        ------
        ValueError
            If a frame's times do not go on where those before have ended.
        """
        if self.last is None or count == 0:
            return self
        expected = self._times(count)
        found: Any = None
        if self.kind == kind_of(value):
            if self.kind == "pandas":
                found = value.index
            elif hasattr(value, "columns") and self.time in value.columns:
                found = value[self.time]
        if found is not None and list(found) != list(expected):
            raise ValueError(f"y: expected times that go on with {expected[0]}, got {found[0]}")
        return replace(self, last=expected[-1])

    def forecast(self, values: Numbers) -> Any:
        """Return forecasts in this likeness, with times going on where they were regular.

        Parameters
        ----------
        values : ndarray, (H,) or (H, F)
        """
        library: Any = sys.modules.get(self.kind)
        if self.kind == "pandas":
            times = self._times(len(values))
            index = library.RangeIndex(1, len(values) + 1) if times is None else times
            if self.frame:
                return library.DataFrame(values, index=index, columns=self.names)
            return library.Series(values, index=index, name=self.names)
        if self.kind == "polars":
            if not self.frame:
                return library.Series(self.names, values)
            found = library.DataFrame(values, schema=self.names, orient="row")
            times = self._times(len(values))
            return found if times is None else found.insert_column(0, times)
        return values

    def _times(self, count: int) -> Any:
        """Return the next times, None where they are not regular."""
        if self.last is None:
            return None
        library: Any = sys.modules[self.kind]
        if self.kind == "polars":
            if isinstance(self.step, str):
                start = library.Series(self.time, [self.last])
                text, at_end = self.step.removesuffix(_END), self.step.endswith(_END)
                parts = [start.dt.offset_by(_multiple(text, k)) for k in range(1, count + 1)]
                found = library.concat(parts)
                return found.dt.month_end() if at_end else found
            return library.Series(
                self.time, [self.last + k * self.step for k in range(1, count + 1)]
            ).cast(library.Series([self.last]).dtype)
        if hasattr(self.last, "ordinal"):  # a Period
            return library.period_range(
                self.last, periods=count + 1, freq=self.step, name=self.time
            )[1:]
        if hasattr(self.step, "rule_code"):  # a frequency
            return library.date_range(self.last, periods=count + 1, freq=self.step, name=self.time)[
                1:
            ]
        times = [self.last + k * self.step for k in range(1, count + 1)]
        return library.Index(times, name=self.time)


def _is_time(column: Any) -> bool:
    return bool(column.dtype.is_temporal())


def _pandas_step(index: Any) -> Any:
    """Return a frequency or difference by which an index goes on, None where it is not regular."""
    if len(index) < 2 or not getattr(index, "is_unique", False) or index.nlevels > 1:
        return None
    kind = getattr(index.dtype, "kind", "O")  # times with a zone, and others of pandas alone: "M"
    if kind in "iufm":
        steps = index[1:] - index[:-1]
        return steps[0] if (steps == steps[0]).all() else None
    freq = getattr(index, "freq", None)
    if freq is None and hasattr(type(index), "inferred_freq"):
        with warnings.catch_warnings():  # pandas 3: text now, an offset later; here both serve
            warnings.simplefilter("ignore")
            freq = index.inferred_freq
        if freq is not None:
            freq = sys.modules["pandas.tseries.frequencies"].to_offset(freq)
    return freq


def _polars_step(times: Any) -> Any:
    """Return a difference, or text such as "1mo end", by which times go on, or None."""
    if len(times) < 2 or times.null_count():
        return None
    steps = times.diff()[1:]
    if (steps == steps[0]).all():
        return steps[0]
    if not hasattr(times.dtype, "is_temporal") or str(times.dtype) in ("Time", "Duration"):
        return None
    at_end = bool((times.dt.month_end() == times).all())
    for step in _CALENDAR:
        after = times[:-1].dt.offset_by(step)
        if at_end and (after.dt.month_end() == times[1:]).all():
            return step + _END
        if (after == times[1:]).all():
            return step
    return None


def _multiple(step: str, count: int) -> str:
    return f"{int(step[:1]) * count}{step[1:]}"
