"""What comes out: a table for people, or JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.peers.jobs.problem import Job


@dataclass(frozen=True)
class Run:
    """One library's run of a job.

    Attributes
    ----------
    library : str
        With its version.
    seed : int
    total : float
        Seconds from the start of Python to the trained model.
    training : float
        Of them, in training.
    processor : float
        Of the processor, in training: less than `training` where others were at work.
    score : float
    """

    library: str
    seed: int
    total: float
    training: float
    processor: float
    score: float


def summary(job: Job, cell: str, ours: Sequence[Run], theirs: Sequence[Run]) -> str:
    """Return a table of all runs, their medians and ratios.

    Parameters
    ----------
    job : Job
    cell : str
    ours, theirs : sequence of Run
        fastrnn's and PyTorch's, seed by seed; empty where PyTorch did not run.
    """
    lines = [
        f"{job.title}; {cell}, one thread. Score: {job.score}.",
        "",
        "| seed | library | training s | of the processor | from start s | score |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {run.seed} | {run.library} | {run.training:.2f} | {run.processor:.2f} "
        f"| {run.total:.2f} | {run.score:.4f} |"
        for run in sorted([*ours, *theirs], key=lambda run: run.seed)
    ]
    lines.append("")
    for runs in filter(None, (ours, theirs)):
        scores = [run.score for run in runs]
        lines.append(
            f"{runs[0].library}: training {statistics.median(run.training for run in runs):.2f} s, "
            f"score {statistics.mean(scores):.4f} ({min(scores):.4f} to {max(scores):.4f})"
        )
    if theirs:
        goal = job.goals.get(cell)
        lines.append(
            f"fastrnn is {ratio(ours, theirs, 'training'):.2f} times faster"
            + (f" (goal: {goal})" if goal else "")
            + f", {ratio(ours, theirs, 'processor'):.2f} times by processor time"
            + f", {ratio(ours, theirs, 'total'):.2f} times from the start of Python"
        )
    return "\n".join(lines)


def ratio(ours: Sequence[Run], theirs: Sequence[Run], what: str) -> float:
    """Return the median over seeds of PyTorch's seconds by fastrnn's.

    Parameters
    ----------
    ours, theirs : sequence of Run
    what : {"training", "processor", "total"}
    """
    pairs = zip(ours, theirs, strict=True)
    ratios: list[float] = [getattr(b, what) / getattr(a, what) for a, b in pairs]
    return statistics.median(ratios)
