"""fastrnn against other frameworks over a grid of sizes.

    python -m bench.peers [--quick] [--points sensor mid128] [--cells lstm] [--out DIR] [--resume]

Run from the repository root. Writes results.json, results.md and pictures of the ratios to DIR.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from bench.peers.frameworks import OWN, PEERS
from bench.peers.machine import describe_machine
from bench.peers.options import CASES_BY_NAME, parse
from bench.peers.plot import plot_ratios
from bench.peers.points import grid
from bench.peers.results import Measurement, Results
from bench.peers.table import render
from bench.peers.turns import Team, processors


def describe(measurement: Measurement) -> str:
    """Return a point's figures in a line."""
    times = ", ".join(
        f"{name} {measurement.median(name) * 1e6:.1f}" for name in measurement.seconds
    )
    ratio = measurement.best_ratio
    end = "" if ratio is None else f"; {measurement.best_peer} / {measurement.own} {ratio:.2f}"
    return f"{measurement.point.key}: us: {times}{end}"


def open_results(options: argparse.Namespace) -> Results:
    """Return the results of earlier runs, or none; refuse to overwrite any."""
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.json"
    results = Results(path, describe_machine())
    if path.exists():
        if not options.resume:
            raise SystemExit(f"{path} exists: go on with --resume or choose another --out")
        results.load()
    chosen = {name: value for name, value in vars(options).items() if name != "out"}
    results.runs.append({"date": time.strftime("%Y-%m-%d %H:%M"), "options": chosen})
    return results


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not measured yet; return 1 if a framework failed or disagreed."""
    options = parse(arguments)
    for threads in options.threads:
        processors(threads)  # raises now, not after an hour
    results = open_results(options)
    points = grid(
        options.cells,
        [CASES_BY_NAME[name] for name in options.points],
        options.modes,
        options.layouts,
        options.threads,
        options.dtypes,
    )
    left = [point for point in points if point not in results]
    print(f"{len(left)} of {len(points)} points to measure, to {options.out}", flush=True)
    frameworks = [*OWN, *(PEERS[name] for name in options.peers)]
    report = options.out / "results.md"
    done = len(points) - len(left)
    try:
        for threads, group in itertools.groupby(left, key=lambda point: point.threads):
            with Team(frameworks, threads) as team:
                results.add_versions(team.versions)
                for point in group:
                    measurement = team.measure(point, options.rounds, options.seconds)
                    results.add(measurement)
                    results.save()
                    report.write_text(render(results), encoding="utf-8")
                    done += 1
                    print(f"[{done}/{len(points)}] {describe(measurement)}", flush=True)
    except KeyboardInterrupt:
        print("interrupted: go on with --resume", file=sys.stderr)
    report.write_text(render(results), encoding="utf-8")
    print(f"\n{report}")
    try:
        for path in plot_ratios(results, options.out):
            print(path)
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
    return int(any(measurement.failures for measurement in results))


if __name__ == "__main__":
    sys.exit(main())
