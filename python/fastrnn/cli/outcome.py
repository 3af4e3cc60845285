"""What a training command has to show."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from fastrnn.cli.arguments import Job
from fastrnn.cli.curves import save_curves
from fastrnn.training import History


@dataclass(frozen=True)
class Outcome:
    """What is printed.

    Attributes
    ----------
    result : dict
        JSON values.
    lines : list of str
        The same for people.
    interrupted : bool
        Whether Ctrl-C ended training.
    """

    result: dict[str, Any]
    lines: list[str]
    interrupted: bool


def outcome(
    history: History,
    job: Job,
    result: dict[str, Any],
    lines: list[str],
    *,
    title: str,
    loss: str,
) -> Outcome:
    """Draw the training curves, and return what all tasks show behind their own.

    Parameters
    ----------
    history : History
    job : Job
    result : dict
        JSON values of the task.
    lines : list of str
        The same for people.
    title, loss : str
        Of the picture and its axis.
    """
    picture = job.output.with_suffix(".png")
    pictured = job.first and bool(history.epochs) and save_curves(history, picture, title, loss)
    result = result | {
        "epochs": len(history.epochs),
        "steps": history.steps,
        "interrupted": history.interrupted,
        "model": str(job.output),
        "picture": str(picture) if pictured else None,
    }
    if history.interrupted:
        more = "" if job.checkpoint is None else f"; go on with --resume {job.checkpoint}"
        lines = [*lines, f"interrupted after {history.steps} steps{more}"]
    lines = [*lines, f"model: {job.output}" + (f", curves: {picture}" if pictured else "")]
    return Outcome(result, lines, history.interrupted)


def show(result: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print JSON values as one object on one line, or the lines for people.

    Parameters
    ----------
    result : dict
        JSON values; numbers that are not finite, which JSON does not have, become null.
    lines : list of str
    as_json : bool
    """
    print(json.dumps(_finite(result), allow_nan=False) if as_json else "\n".join(lines))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
