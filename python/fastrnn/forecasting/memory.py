"""What a forecaster keeps of a series: its scale, and the last rows, which forecasts start from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastrnn.forecasting.options import ForecastOptions
from fastrnn.forecasting.scaling import Scale
from fastrnn.forecasting.series import Numbers, filled


@dataclass(frozen=True, eq=False)
class Memory:
    """The end of one series, in its own units and without gaps.

    Parameters
    ----------
    scale : Scale
        Of the targets.
    naive_error : ndarray, (F,)
        Mean absolute error of the naive forecast over the training series.
    count : int
        Observations so far.
    values : ndarray, (m + L, F)
        Or more.
    past : ndarray, (L, P), or None
    future : ndarray, (L, E), or None
    """

    scale: Scale
    naive_error: Numbers
    count: int
    values: Numbers
    past: Numbers | None
    future: Numbers | None

    def extended(self, values: Numbers, past: Numbers | None, future: Numbers | None) -> Memory:
        """Return this with more rows behind; nothing is cut.

        Parameters
        ----------
        values : ndarray, (n, F)
            Gaps are filled by the numbers before them.
        past : ndarray, (n, P), or None
        future : ndarray, (n or more, E), or None
        """
        return replace(
            self,
            count=self.count + len(values),
            values=filled(np.concatenate([self.values, values])),
            past=_below(self.past, past),
            future=_below(self.future, future),
        )

    def cut(self, options: ForecastOptions) -> Memory:
        """Return this with the last rows only, as many as forecasts need.

        Parameters
        ----------
        options : ForecastOptions
        """
        keep = options.window
        return replace(
            self,
            values=self.values[-(options.lag + keep) :].copy(),
            past=None if self.past is None else self.past[-keep:].copy(),
            future=None if self.future is None else self.future[-keep:].copy(),
        )

    def levels(self) -> Numbers:
        """Return the scaled rows, (m + L, F) or more."""
        return self.scale.to_levels(self.values, self.count - len(self.values))


def _below(upper: Numbers | None, lower: Numbers | None) -> Numbers | None:
    if upper is None or lower is None:
        return upper
    return np.concatenate([upper, lower])
