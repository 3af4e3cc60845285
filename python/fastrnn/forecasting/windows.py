"""Windows of long series as mini-batches: gathered batch by batch, never all at once.

A window of a network that sees L steps and forecasts H ones from differences over m steps is
m + L + H consecutive rows. Step k of the L is row m + k; what it forecasts are the H rows behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn.data.order import batch_rows
from fastrnn.forecasting.options import ForecastOptions
from fastrnn.forecasting.series import Numbers
from fastrnn.memory_maps import checksum
from fastrnn.mini_batch import Batch


@dataclass(frozen=True, eq=False)
class Rows:
    """One series, or several one below the other, scaled.

    Parameters
    ----------
    levels : ndarray of float64, (R, F)
        Without gaps.
    observed : ndarray of bool, (R, F), or None
        False where a gap was filled; None: nowhere.
    past : ndarray of float32, (R, P), or None
    future : ndarray of float32, (R, E), or None
    """

    levels: Numbers
    observed: NDArray[np.bool_] | None = None
    past: NDArray[np.float32] | None = None
    future: NDArray[np.float32] | None = None


def gathered(rows: NDArray[Any], starts: NDArray[np.intp], count: int) -> NDArray[Any]:
    """Return (N, count, C): `count` rows of (R, C) from each start on.

    Parameters
    ----------
    rows : ndarray, (R, C)
    starts : ndarray of intp, (N,)
    count : int
    """
    columns = rows.shape[1]
    flat = np.ascontiguousarray(rows).reshape(-1)  # each window is one piece of memory
    windows = np.lib.stride_tricks.sliding_window_view(flat, count * columns)[::columns]
    return windows[starts].reshape(len(starts), count, columns)


def blocks(wide: NDArray[Any], begin: int, steps: int, count: int) -> NDArray[Any]:
    """Return (N, steps, count * C), a view: for each of some steps, `count` rows of (N, R, C).

    Parameters
    ----------
    wide : ndarray, (N, R, C)
        Contiguous.
    begin : int
        The row at which the first step's block begins; the next one begins a row later.
    steps, count : int
    """
    batch, _, columns = wide.shape
    flat = wide.reshape(batch, -1)
    views = np.lib.stride_tricks.sliding_window_view(flat, count * columns, axis=1)
    return views[:, begin * columns :: columns][:, :steps]


def network_inputs(
    levels: NDArray[Any],
    past: NDArray[Any] | None,
    future: NDArray[Any] | None,
    options: ForecastOptions,
) -> NDArray[np.float32]:
    """Return what the network sees, (N, L, F + P + H * E).

    Parameters
    ----------
    levels : ndarray, (N, m + L, F), or with more rows behind
    past : ndarray, (N, L, P), or None
    future : ndarray, (N, L + H - 1, E), or None
        From the second of the L steps on.
    options : ForecastOptions
    """
    lag, steps = options.lag, options.window
    seen = levels[:, lag : lag + steps]
    if lag:
        seen = seen - levels[:, :steps]
    parts = [seen]
    if past is not None:
        parts.append(past)
    if future is not None:
        parts.append(blocks(future, 0, steps, options.steps_ahead))
    if len(parts) == 1:
        return np.ascontiguousarray(seen, np.float32)
    return np.concatenate(parts, axis=2, dtype=np.float32, casting="same_kind")


def naive(levels: NDArray[Any], options: ForecastOptions, *, every_step: bool) -> Any:
    """Return the naive forecasts that the network's are added to, (N, L, H * F) or (N, H * F).

    Zero without differences.

    Parameters
    ----------
    levels : ndarray, (N, m + L, F), or with more rows behind; contiguous
    options : ForecastOptions
    every_step : bool
        From every step, or from the last of the L alone.
    """
    lag, ahead, features = options.lag, options.steps_ahead, levels.shape[2]
    if not lag:
        return 0.0
    known = min(lag, ahead)
    begin, steps = (1, options.window) if every_step else (options.window, 1)
    found = blocks(levels, begin, steps, known)
    if known < ahead:  # the season again and again
        found = np.tile(found, -(-ahead // known))[:, :, : ahead * features]
    return found if every_step else found[:, 0]


class Windows:
    """Training windows: a `fastrnn.data.Source` for `Trainer.fit`.

    Parameters
    ----------
    rows : Rows
    starts : ndarray of intp, (W,)
        The first row of each window.
    options : ForecastOptions
    last_only : bool, default False
        Only the last step's forecasts count, also where all steps have some.
    """

    carries_state = False

    def __init__(
        self,
        rows: Rows,
        starts: NDArray[np.intp],
        options: ForecastOptions,
        *,
        last_only: bool = False,
    ) -> None:
        self.rows, self.starts, self.options, self.last_only = rows, starts, options, last_only
        self.per_step = options.every_step

    def __len__(self) -> int:
        return len(self.starts)

    def __repr__(self) -> str:
        return f"Windows({len(self)} of {self.options.window} steps)"

    def batch(self, indices: Any) -> Batch:
        """Return the windows of these indices.

        Parameters
        ----------
        indices : array of int, (n,)
        """
        options, rows = self.options, self.rows
        lag, steps, ahead = options.lag, options.window, options.steps_ahead
        starts = self.starts[np.asarray(indices)]
        wide = gathered(rows.levels, starts, lag + steps + ahead)
        past = None if rows.past is None else gathered(rows.past, starts + lag, steps)
        future = None
        if rows.future is not None:
            future = gathered(rows.future, starts + lag + 1, steps + ahead - 1)
        x = network_inputs(wide, past, future, options)
        targets = self._behind(wide) - naive(wide, options, every_step=options.every_step)
        mask = None
        if rows.observed is not None:
            mask = self._behind(gathered(rows.observed, starts, lag + steps + ahead))
        if self.last_only and options.every_step:
            last = np.zeros((1, steps, 1), bool)
            last[:, -1] = True
            mask = np.broadcast_to(last, targets.shape) if mask is None else mask & last
        return Batch(x, targets.astype(np.float32), None, mask)

    def _behind(self, wide: NDArray[Any]) -> NDArray[Any]:
        """Return the rows that each step, or the last one, forecasts."""
        options = self.options
        begin = options.lag + options.window
        if not options.every_step:
            return wide[:, begin:].reshape(len(wide), -1)
        return blocks(wide, options.lag + 1, options.window, options.steps_ahead)

    def batches(
        self,
        rng: np.random.Generator | None = None,
        *,
        batch_size: int = 32,
        start: int = 0,
        bucket_by_length: bool = False,
    ) -> Iterator[Batch]:
        """Return the mini-batches, one after the other.

        Parameters
        ----------
        rng : numpy.random.Generator or None, default None
            Shuffles, in one draw; None keeps the order.
        batch_size : int, default 32
        start : int, default 0
            Batches to leave out at the front.
        bucket_by_length : bool, default False
            Changes nothing: windows are of one length.
        """
        size = _checks.positive_integer("batch_size", batch_size)
        return (self.batch(rows) for rows in batch_rows(len(self), size, rng)[start:])

    def num_batches(self, batch_size: int) -> int:
        """Return how many mini-batches there are.

        Parameters
        ----------
        batch_size : int
        """
        return -(-len(self) // batch_size)

    def fingerprint(self) -> dict[str, Any]:
        """Return what must be equal where training goes on: sizes and a checksum."""
        return {
            "kind": "Windows",
            "windows": len(self),
            "rows": list(self.rows.levels.shape),
            "window": self.options.window,
            "checksum": checksum(self.rows.levels),
        }
