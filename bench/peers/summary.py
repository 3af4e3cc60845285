"""The ratios of many points in two figures: geometric mean and minimum."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.peers.results import Measurement

#: RNN apart: fewer people use it, and it would pull the mean.
CELL_GROUPS = {"lstm": "LSTM, GRU", "gru": "LSTM, GRU", "rnn": "RNN"}


@dataclass(frozen=True)
class Summary:
    """The ratios best peer / fastrnn of one group of points."""

    dtype: str
    threads: int
    mode: str
    layout: str
    cells: str
    points: int
    geometric_mean: float
    minimum: float
    weakest: str  # cell, size and peer of the minimum


def summarize(measurements: Iterable[Measurement]) -> list[Summary]:
    """Return one summary per group, in the order in which the groups were measured."""
    groups: dict[tuple[str, int, str, str, str], list[Measurement]] = {}
    for measurement in measurements:
        point = measurement.point
        key = (point.dtype, point.threads, point.mode, point.layout, CELL_GROUPS[point.cell])
        if measurement.best_ratio is not None:
            groups.setdefault(key, []).append(measurement)
    return [_summary(key, members) for key, members in groups.items()]


def _summary(key: tuple[str, int, str, str, str], members: list[Measurement]) -> Summary:
    ratios = [member.best_ratio or math.nan for member in members]
    mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
    minimum = min(ratios)
    lowest = members[ratios.index(minimum)]
    weakest = f"{lowest.point.cell.upper()} {lowest.point.case.name}, {lowest.best_peer}"
    return Summary(*key, len(members), mean, minimum, weakest)
