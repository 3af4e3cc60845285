"""The results as a Markdown text."""

from __future__ import annotations

from collections.abc import Iterable

from bench.peers.frameworks import MODULES, OWN
from bench.peers.points import Point
from bench.peers.results import Measurement, Results
from bench.peers.summary import summarize

RATIO = "best peer / fastrnn"


def markdown_table(header: list[str], rows: Iterable[list[str]], figures: list[str]) -> str:
    """Return a table with the columns of figures set to the right."""
    rule = ["---:" if name in figures else "---" for name in header]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def render(results: Results) -> str:
    """Return the report: machine and versions, summary, a table per group, what is missing."""
    machine, runs = results.machine, results.runs
    # The stream is of the same package as the layer.
    versions = {name: version for name, version in results.versions.items() if name != OWN[1]}
    parts = [
        "# fastrnn and its peers",
        f"{machine['processor']}, {machine['processors']} processors, {machine['system']}, "
        f"Python {machine['python']}. "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f". {', '.join(run['date'] for run in runs)}.",
        "Medians over rounds; in each round all frameworks take turns. Ratios are times, the best "
        "peer's by fastrnn's (above 1: fastrnn is faster), medians of the ratios within a round.",
        f"Load average of the machine: up to {max((m.load for m in results), default=0.0):.1f}; "
        "above the number of threads, others were at work, and what spins while it waits is slow.",
        _summary_table(results),
    ]
    groups: dict[str, list[Measurement]] = {}
    for measurement in results:
        groups.setdefault(_title(measurement.point), []).append(measurement)
    for title, members in groups.items():
        parts += [f"## {title}", _group_table(members)]
    failures = [
        f"- {measurement.point.key}: {name}: {reason.strip().splitlines()[-1]}"
        for measurement in results
        for name, reason in measurement.failures.items()
    ]
    if failures:
        parts += ["## Not timed: failed, or results differ from fastrnn's", "\n".join(failures)]
    return "\n\n".join(parts) + "\n"


def _title(point: Point) -> str:
    threads = "one thread" if point.threads == 1 else f"{point.threads} threads"
    unit = "single steps, microseconds" if point.is_stream else "GFLOP/s"
    return f"{point.dtype}, {threads}, {point.mode}, {point.layout}: {unit}"


def _summary_table(results: Results) -> str:
    header = [
        "cells", "mode", "layout", "threads", "dtype", "points", "geometric mean", "minimum",
        "where",
    ]  # fmt: skip
    rows = [
        [
            row.cells, row.mode, row.layout, str(row.threads), row.dtype, str(row.points),
            f"{row.geometric_mean:.2f}", f"{row.minimum:.2f}", row.weakest,
        ]
        for row in summarize(results)
    ]  # fmt: skip
    return markdown_table(header, rows, ["threads", "points", "geometric mean", "minimum"])


def _group_table(members: list[Measurement]) -> str:
    columns = [name for name in MODULES if any(name in member.seconds for member in members)]
    rows = []
    for member in members:
        point, case = member.point, member.point.case
        size = f"{case.name} ({case.batch}, {case.steps}, {case.input_size}, {case.hidden_size})"
        row = [size, point.cell.upper()]
        row += [_figure(member, name) if name in member.seconds else "-" for name in columns]
        ratio = member.best_ratio
        row.append("-" if ratio is None else f"{ratio:.2f} ({member.best_peer})")
        rows.append(row)
    figures = [*columns, RATIO]
    return markdown_table(["size (N, T, I, H)", "cell", *figures], rows, figures)


def _figure(measurement: Measurement, framework: str) -> str:
    seconds = measurement.median(framework)
    if measurement.point.is_stream:
        return f"{seconds * 1e6:.1f}" if seconds >= 1e-6 else f"{seconds * 1e6:.2f}"
    return f"{measurement.operations / seconds / 1e9:.1f}"
