"""Single series over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.datasets._files import read_arrays


@dataclass(frozen=True)
class SeriesData:
    """One series.

    Attributes
    ----------
    values : ndarray of float32, (T,)
        NaN where nothing was measured.
    times : ndarray of datetime64, (T,)
        Strictly increasing; unit h, D or Y by series.
    unit : str
    """

    values: NDArray[np.float32]
    times: NDArray[np.datetime64]
    unit: str


def hourly_temperatures() -> dict[str, SeriesData]:
    """Return a year of hourly air temperatures of Seattle and San Francisco, labelled 2010.

    8,759 hours each, one short of a year: 2010-03-14T03 is missing in both, so that one step
    spans two hours. From NOAA, public domain; see SOURCES.md.

    Returns
    -------
    dict of str to SeriesData
        ``"seattle"`` and ``"san_francisco"``; values (8759,), degrees Fahrenheit; no NaN; times
        in hours, no time zone; newly made arrays.

    Notes
    -----
    Smooth like climate normals, not like one year's weather: Seattle never leaves 37.5 to 75.9,
    and in the first 70 days the same hour of neighbouring days differs by at most 0.3. A
    forecast of these curves is easier than one of real weather, so a small error says little.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.datasets.hourly_temperatures()["seattle"].values[:3].tolist()
    [39.400001525878906, 39.20000076293945, 39.0]
    """
    arrays = read_arrays("hourly_temperatures")
    return {city: _series(arrays, city, "°F") for city in ("seattle", "san_francisco")}


def sunspots() -> SeriesData:
    """Return yearly sunspot numbers, 1700 to 2008: the classical autoregressive series (Yule 1927).

    Public domain; see SOURCES.md.

    Returns
    -------
    SeriesData
        Values (309,), no gaps, times in years; newly made arrays.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.datasets.sunspots().values.shape
    (309,)
    """
    return _series(read_arrays("sunspots_co2"), "sunspots", "sunspot number")


def co2() -> SeriesData:
    """Return weekly atmospheric CO2 at Mauna Loa, March 1958 to December 2001, with gaps.

    Keeling and Whorf 2004, public domain; see SOURCES.md.

    Returns
    -------
    SeriesData
        Values (2284,), parts per million; every week has an entry, seven days apart, and 59 are
        NaN, at most 18 in a row (1964); newly made arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> series = fr.datasets.co2()
    >>> len(series.values), int(np.isnan(series.values).sum())
    (2284, 59)
    """
    return _series(read_arrays("sunspots_co2"), "co2", "ppm")


def _series(arrays: dict[str, NDArray[Any]], name: str, unit: str) -> SeriesData:
    return SeriesData(arrays[f"{name}_values"], arrays[f"{name}_times"], unit)
