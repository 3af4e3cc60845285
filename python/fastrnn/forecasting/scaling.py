"""Numbers of any size as numbers of the size of 1, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastrnn.forecasting.series import Numbers


@dataclass(frozen=True)
class Scale:
    """level[t] = (y[t] - mean - drift t) / scale, for each of F columns.

    Parameters
    ----------
    mean, scale, drift : ndarray, (F,)
    """

    mean: Numbers
    scale: Numbers
    drift: Numbers

    @classmethod
    def fit(cls, values: Numbers, lag: int = 0) -> Scale:
        """Return the scale for which levels, or their differences, have mean 0 and deviation 1.

        Columns that are constant (or differences that are) keep their size. NaN does not count.

        Parameters
        ----------
        values : ndarray, (T, F)
            In each column at least one number, and two that are `lag` steps apart.
        lag : int, default 0
            Above 0: for differences over so many steps, whose mean is the drift.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrnn.forecasting.scaling import Scale
        >>> y = np.array([[1.0], [3.0], [5.0], [np.nan]])
        >>> scale = Scale.fit(y)
        >>> scale.to_levels(y).ravel().round(3).tolist()
        [-1.225, 0.0, 1.225, nan]
        """
        mean = np.nanmean(values, axis=0)
        drift = np.zeros_like(mean)
        changes = values
        if lag:
            changes = values[lag:] - values[:-lag]
            drift = np.nanmean(changes, axis=0) / lag
        scale = np.nanstd(changes, axis=0)
        # what rounding alone makes of a constant
        rounding = 64 * np.finfo(np.float64).eps * np.nanmax(np.abs(values), axis=0)
        return cls(mean, np.where(scale <= rounding, 1.0, scale), drift)

    def to_levels(self, values: Numbers, first: int = 0) -> Numbers:
        """Return levels for values (T, F).

        Parameters
        ----------
        values : ndarray, (T, F)
        first : int, default 0
            t of the first row.
        """
        return (values - self._line(first, len(values))) / self.scale

    def from_levels(self, levels: Numbers, first: int = 0) -> Numbers:
        """Return values (T, F, Q) for levels.

        Parameters
        ----------
        levels : ndarray, (T, F, Q)
        first : int, default 0
            t of the first row.
        """
        return levels * self.scale[:, None] + self._line(first, len(levels))[:, :, None]

    def _line(self, first: int, steps: int) -> Numbers:
        return self.mean + self.drift * np.arange(first, first + steps)[:, None]
