"""Training of forecasters, and forecasts."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.cli import bundled
from fastrnn.cli.arguments import Job, given, list_of
from fastrnn.cli.outcome import Outcome, outcome
from fastrnn.files import read_series
from fastrnn.forecasting import (
    Forecaster,
    ForecastOptions,
    TrainingOptions,
    mean_absolute_scaled_error,
    seasonal_naive,
)

ARGUMENTS = ("horizon", "window", "quantiles", "difference", "strategy", "target", "held_out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only this task has."""
    group = parser.add_argument_group("forecasting")
    group.add_argument("--horizon", type=int, metavar="H", help="steps ahead; default: 1")
    group.add_argument("--window", type=int, metavar="L", help="steps looked back at; default: 32")
    group.add_argument(
        "--quantiles",
        type=list_of(float, "numbers"),
        metavar="Q,Q,...",
        help="forecast these too, such as 0.1,0.5,0.9",
    )
    group.add_argument(
        "--difference", type=int, metavar="M", help="forecast the change over M steps: the season"
    )
    group.add_argument("--strategy", choices=("direct", "recursive"), help="default: direct")
    group.add_argument(
        "--target",
        type=list_of(str, "names"),
        metavar="COLUMN,...",
        help="what is forecast; the other columns are known in the past only; default: all",
    )
    group.add_argument(
        "--held-out", type=float, metavar="SHARE", help="of the end, for the test; default: 0.1"
    )


def train(options: argparse.Namespace, job: Job) -> Outcome:
    """Train on the beginning of a series, test on its end; forecast what comes behind.

    Parameters
    ----------
    options : Namespace
    job : Job
    """
    names, values, covariates = _series(options)
    share = 0.1 if options.held_out is None else options.held_out
    held_out = round(share * len(values))
    forecaster = Forecaster(
        ForecastOptions(
            **given(
                options,
                horizon="horizon",
                window="window",
                quantiles="quantiles",
                difference="difference",
                strategy="strategy",
                cell="cell",
                hidden_size="hidden_size",
                num_layers="layers",
                dropout="dropout",
            )
        )
    )
    horizon = forecaster.options.horizon
    if not horizon <= held_out < len(values):
        raise ValueError(
            f"--held-out: expected at least the horizon = {horizon} of {len(values)} steps, "
            f"got {held_out}"
        )
    cut = len(values) - held_out
    history_part, end = values[:cut], values[cut:]
    covered = (None, None) if covariates is None else (covariates[:cut], covariates[cut:])
    training = TrainingOptions(
        seed=options.seed,
        progress=job.progress,
        **given(options, epochs="epochs", batch_size="batch_size", learning_rate="learning_rate"),
    )
    start = time.perf_counter()
    history = forecaster.fit(
        history_part,
        past_covariates=covered[0],
        training=training,
        callbacks=job.callbacks,
        resume=job.resume,
        communicator=job.communicator,
    )
    seconds = time.perf_counter() - start
    score = forecaster.score(end, past_covariates=covered[1])
    naive = _naive_score(history_part, end, horizon, forecaster.options.difference or 1)
    forecaster.update(end, past_covariates=covered[1])
    if job.first:
        forecaster.save(job.output)
    rows = _rows(forecaster, names)
    result = {
        "data": options.data,
        "task": "forecast",
        "targets": list(names),
        "steps_known": len(values),
        "mean_absolute_scaled_error": score,
        "naive_mean_absolute_scaled_error": naive,
        "train_seconds": round(seconds, 3),
        "seed": options.seed,
        "forecasts": rows,
    }
    lines = [
        f"mean absolute scaled error on the last {held_out} of {len(values)} steps: {score:.4f} "
        f"(naive forecast: {naive:.4f}); trained in {seconds:.1f} s",
        *_lines(rows),
    ]
    title = f"{options.data}: {forecaster.options.cell}, horizon {horizon}"
    return outcome(history, job, result, lines, title=title, loss="training loss")


def predict(path: Path, data: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return forecasts behind what the model knows, as JSON values and as lines.

    Parameters
    ----------
    path : Path
        Of the model.
    data : str or None
        A file with later observations, which come first.
    """
    forecaster = Forecaster.load(path)
    if data is not None:
        forecaster.update(read_series(data).values)
    rows = _rows(forecaster, None)
    return {"forecasts": rows}, _lines(rows)


def _series(
    options: argparse.Namespace,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the targets' names, their values (T, F), and the other columns (T, P) if any."""
    if options.data in bundled.BUNDLED:
        if options.target is not None:
            raise ValueError(f"--target: expected none for {options.data}, got {options.target}")
        found = bundled.BUNDLED[options.data][1]()
        return (options.data,), found.values.astype(np.float64)[:, None], None
    series = read_series(options.data)
    names = series.feature_names
    if options.target is None:
        return names, series.values, None
    for name in options.target:
        if name not in names:
            raise ValueError(f"--target: expected one of {', '.join(names)}, got {name}")
    chosen = [names.index(name) for name in options.target]
    others = [k for k in range(len(names)) if k not in chosen]
    covariates = series.values[:, others] if others else None
    return tuple(options.target), series.values[:, chosen], covariates


def _naive_score(
    known: NDArray[np.float64], end: NDArray[np.float64], horizon: int, period: int
) -> float:
    """Return the error of the (seasonal) naive forecast over the same stretches."""
    blocks = range(0, len(end) - horizon + 1, horizon)
    whole = np.concatenate([known, end])
    found = [seasonal_naive(whole[: len(known) + at], horizon, period) for at in blocks]
    actual = end[: len(found) * horizon]
    return mean_absolute_scaled_error(actual, np.concatenate(found), known, period)


def _rows(forecaster: Forecaster, names: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Return one row for each step ahead and target."""
    levels = forecaster.options.quantiles
    found = np.asarray(
        forecaster.forecast() if levels is None else forecaster.forecast_quantiles(), np.float64
    )
    targets = found.reshape(found.shape[0], -1, 1 if levels is None else len(levels))
    names = names or tuple(f"x{k}" for k in range(targets.shape[1]))
    rows = []
    for step, of_step in enumerate(targets, 1):
        for name, numbers in zip(names, of_step, strict=True):
            row: dict[str, Any] = {"step": step, "target": name}
            if levels is None:
                row["forecast"] = float(numbers[0])
            else:
                row["quantiles"] = dict(zip(map(str, levels), map(float, numbers), strict=True))
            rows.append(row)
    return rows


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    found = []
    for row in rows:
        numbers = row.get("quantiles") or {"": row["forecast"]}
        cells = [
            f"{level}: {value:.6g}" if level else f"{value:.6g}" for level, value in numbers.items()
        ]
        found.append("\t".join([str(row["step"]), row["target"], *cells]))
    return found
