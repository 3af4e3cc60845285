"""The ratios as a picture: one panel per mode and layout, one mark per cell and size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.cases import CASES
from bench.peers.points import CELLS
from bench.peers.results import Measurement, Results

MARKERS = dict(zip(CELLS, ("o", "s", "^"), strict=True))


def plot_ratios(results: Results, directory: Path) -> list[Path]:
    """Draw a picture for each dtype and thread count and return their paths.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    pictures: dict[tuple[str, int], dict[str, list[Measurement]]] = {}
    for measurement in results:
        point = measurement.point
        if measurement.best_ratio is not None:
            panels = pictures.setdefault((point.dtype, point.threads), {})
            panels.setdefault(f"{point.mode}, {point.layout}", []).append(measurement)
    paths = []
    for (dtype, threads), panels in pictures.items():
        measured = {m.point.case.name for members in panels.values() for m in members}
        names = [case.name for case in CASES if case.name in measured]
        figure = Figure(
            figsize=(1 + 3.2 * len(panels), 1.5 + 0.3 * len(names)), layout="constrained"
        )
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (title, members) in zip(axes, panels.items(), strict=True):
            _draw(axis, members, names)
            axis.set_title(title, fontsize="medium")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)  # the smallest on top
        axes[-1].legend(loc="best", fontsize="small")
        plural = "" if threads == 1 else "s"
        figure.supxlabel("time of the best peer / time of fastrnn", fontsize="medium")
        figure.suptitle(f"{dtype}, {threads} thread{plural}")
        path = directory / f"ratios_{dtype}_{threads}.png"
        figure.savefig(path, dpi=120)
        paths.append(path)
    return paths


def _draw(axis: Any, members: list[Measurement], names: list[str]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.axvline(1, color="0.4", linewidth=1)
    for place, cell in enumerate(CELLS):
        chosen = [member for member in members if member.point.cell == cell]
        # Beside each other within a row, so that equal ratios stay visible.
        rows = [names.index(member.point.case.name) + 0.2 * (place - 1) for member in chosen]
        ratios = [member.best_ratio for member in chosen]
        axis.plot(ratios, rows, MARKERS[cell], markersize=5, label=cell.upper())
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(axis="x", color="0.9")
