"""Training of forecasters, and forecasts."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.cli import bundled
from fastrnn.cli.arguments import Job, given, list_of
from fastrnn.cli.outcome import Outcome, outcome
from fastrnn.files import Series, read_series
from fastrnn.forecasting import (
    Forecaster,
    ForecastOptions,
    TrainingOptions,
    mean_absolute_scaled_error,
    seasonal_naive,
)

ARGUMENTS = ("horizon", "window", "quantiles", "difference", "strategy", "target", "held_out")
_SHARE = 0.1
_COLUMNS = "fastrnn_columns"  # of the metadata in files: names of targets and past covariates


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
        "--held-out",
        type=float,
        metavar="SHARE",
        help="of the end, for the test; default: 0.1, or the horizon if that is longer",
    )


def train(options: argparse.Namespace, job: Job) -> Outcome:
    """Train on the beginning of a series, test on its end; forecast what comes behind.

    Parameters
    ----------
    options : Namespace
    job : Job
    """
    names, values, covariates, others = _series(options)
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
    held_out = _held_out(options.held_out, len(values), horizon)
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
        columns = {"targets": names, "past": others}
        forecaster.save(job.output, metadata={_COLUMNS: json.dumps(columns)})
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


def _held_out(share: float | None, steps: int, horizon: int) -> int:
    """Return how many steps at the end are for the test."""
    if share is not None and not 0 < share < 1:
        raise ValueError(f"--held-out: expected a share above 0 and below 1, got {share:g}")
    held_out = max(round(_SHARE * steps), horizon) if share is None else round(share * steps)
    if horizon >= steps:
        raise ValueError(
            f"--horizon: expected less than the {steps} steps there are, got {horizon}"
        )
    if not horizon <= held_out < steps:
        raise ValueError(
            f"--held-out: expected at least the horizon = {horizon} of {steps} steps, got "
            f"{held_out}"
        )
    return held_out


def predict(
    path: Path, metadata: dict[str, str], data: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return forecasts behind what the model knows, as JSON values and as lines.

    Parameters
    ----------
    path : Path
        Of the model.
    metadata : dict
        Of its file.
    data : str or None
        A file with later observations, which come first.
    """
    forecaster = Forecaster.load(path)
    targets, past = _columns(path, metadata)
    if data is not None:
        series = read_series(data)
        if len(targets + past) == len(series.feature_names) == 1:  # whatever its name
            series = replace(series, feature_names=targets)
        forecaster.update(
            _chosen(data, series, targets),
            past_covariates=_chosen(data, series, past) if past else None,
        )
    rows = _rows(forecaster, targets)
    return {"forecasts": rows}, _lines(rows)


def _columns(path: Path, metadata: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the targets and of the past covariates of a model's file."""
    try:
        columns = json.loads(metadata[_COLUMNS])
        return tuple(map(str, columns["targets"])), tuple(map(str, columns["past"]))
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected a model written by fastrnn train") from error


def _chosen(source: str, series: Series, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return columns by name."""
    known = series.feature_names
    for name in names:
        if name not in known:
            raise ValueError(f"{source}: expected a column {name}, got {', '.join(known)}")
    return series.values[:, [known.index(name) for name in names]]


def _series(
    options: argparse.Namespace,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64] | None, tuple[str, ...]]:
    """Return the targets' names and values (T, F), the other columns (T, P) if any, their names."""
    if options.data in bundled.BUNDLED:
        if options.target is not None:
            raise ValueError(
                f"--target: expected none for {options.data}, got {', '.join(options.target)}"
            )
        found = bundled.BUNDLED[options.data][1]()
        return (options.data,), found.values.astype(np.float64)[:, None], None, ()
    series = read_series(options.data)
    names = series.feature_names
    if options.target is None:
        return names, series.values, None, ()
    targets = tuple(options.target)
    for k, name in enumerate(targets):
        if name not in names:
            raise ValueError(f"--target: expected one of {', '.join(names)}, got {name or 'none'}")
        if name in targets[:k]:
            raise ValueError(f"--target: expected each column once, got {name} twice")
    others = tuple(name for name in names if name not in targets)
    covariates = _chosen(options.data, series, others) if others else None
    return targets, _chosen(options.data, series, targets), covariates, others


def _naive_score(
    known: NDArray[np.float64], end: NDArray[np.float64], horizon: int, period: int
) -> float:
    """Return the error of the (seasonal) naive forecast over the same stretches."""
    blocks = range(0, len(end) - horizon + 1, horizon)
    whole = np.concatenate([known, end])
    found = [seasonal_naive(whole[: len(known) + at], horizon, period) for at in blocks]
    actual = end[: len(found) * horizon]
    return mean_absolute_scaled_error(actual, np.concatenate(found), known, period)


def _rows(forecaster: Forecaster, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one row for each step ahead and target."""
    levels = forecaster.options.quantiles
    found = np.asarray(
        forecaster.forecast() if levels is None else forecaster.forecast_quantiles(), np.float64
    )
    targets = found.reshape(found.shape[0], -1, 1 if levels is None else len(levels))
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
