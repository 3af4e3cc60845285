"""What was measured, and its file, written after each point: an interrupted run loses nothing."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cases import Case
from bench.peers.frameworks import OWN
from bench.peers.points import Point

FORMAT = 1


@dataclass
class Measurement:
    """All rounds of a point."""

    point: Point
    operations: int  # floating point, of the products, in one call
    seconds: dict[str, list[float]] = field(default_factory=dict)  # of a call; one per round
    errors: dict[str, float] = field(default_factory=dict)  # largest, relative to fastrnn
    unsupported: dict[str, str] = field(default_factory=dict)  # why a framework has no such thing
    failures: dict[str, str] = field(default_factory=dict)  # why one that should was not timed
    load: float = 0.0  # the machine's load average afterwards; our own part is at most the threads

    @property
    def own(self) -> str:
        """The framework whose time counts as fastrnn's: for single steps the stream, if any."""
        return next(name for name in reversed(OWN) if name in self.seconds)

    def median(self, framework: str) -> float:
        """Return the median seconds of a call."""
        return statistics.median(self.seconds[framework])

    def ratio(self, peer: str) -> float:
        """Return the median over rounds of the peer's time by fastrnn's in the same round."""
        pairs = zip(self.seconds[peer], self.seconds[self.own], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    @property
    def best_peer(self) -> str | None:
        """The fastest framework that is not fastrnn."""
        peers = [name for name in self.seconds if name not in OWN]
        return min(peers, key=self.median, default=None)

    @property
    def best_ratio(self) -> float | None:
        """The best peer's time by fastrnn's: above 1 where fastrnn is fastest."""
        return None if self.best_peer is None else self.ratio(self.best_peer)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the figures that follow from them."""
        values = {name: value for name, value in vars(self).items() if name != "point"}
        medians = {name: self.median(name) for name in self.seconds}
        return {
            "point": vars(self.point) | {"case": vars(self.point.case)},
            **values,
            "median_seconds": medians,
            "best_peer": self.best_peer,
            "best_ratio": self.best_ratio,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Measurement:
        """Return the measurement that `to_json` wrote."""
        point = Point(**values["point"] | {"case": Case(**values["point"]["case"])})
        names = ("operations", "seconds", "errors", "unsupported", "failures", "load")
        return cls(point, *(values[name] for name in names))


class Results:
    """The measurements of a file, by the key of their points.

    Parameters
    ----------
    path : pathlib.Path
        Of the JSON file.
    machine : dict
        What must not change while a file grows.
    """

    def __init__(self, path: Path, machine: dict[str, str]) -> None:
        self._path = path
        self.machine = machine
        self.versions: dict[str, str] = {}
        self.runs: list[dict[str, Any]] = []
        self._measurements: dict[str, Measurement] = {}

    def load(self) -> None:
        """Read what an earlier run left.

        Raises
        ------
        ValueError
            If the file is of another format or machine.
        """
        values = json.loads(self._path.read_text(encoding="utf-8"))
        for name, now in (("format", FORMAT), ("machine", self.machine)):
            if values.get(name) != now:
                raise ValueError(f"{self._path}: {name}: expected {now}, got {values.get(name)}")
        self.versions, self.runs = values["versions"], values["runs"]
        for entry in values["measurements"]:
            self.add(Measurement.from_json(entry))

    def add_versions(self, versions: dict[str, str]) -> None:
        """Note the frameworks' versions.

        Raises
        ------
        ValueError
            If a framework has another one than in the file.
        """
        for name, version in versions.items():
            if self.versions.setdefault(name, version) != version:
                raise ValueError(
                    f"{self._path}: {name}: expected version {self.versions[name]} of the earlier"
                    f" run, got {version}"
                )

    def add(self, measurement: Measurement) -> None:
        """Add the measurement of a point, in place of an earlier one."""
        self._measurements[measurement.point.key] = measurement

    def __contains__(self, point: Point) -> bool:
        return point.key in self._measurements

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self._measurements.values())

    def __len__(self) -> int:
        return len(self._measurements)

    def save(self) -> None:
        """Write the file, all or nothing."""
        values = {
            "format": FORMAT,
            "machine": self.machine,
            "versions": self.versions,
            "runs": self.runs,
            "measurements": [measurement.to_json() for measurement in self],
        }
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self._path)
