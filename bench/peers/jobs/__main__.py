"""Whole training jobs in fastrnn and in PyTorch, in turns: `python -m bench.peers.jobs`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.peers.jobs.problem import JOBS
from bench.peers.jobs.problem_file import Settings, write
from bench.peers.jobs.slices import Program, in_turns
from bench.peers.jobs.table import Run, ratio, summary
from bench.peers.machine import describe_machine
from bench.peers.turns import processors

LIBRARIES = ("fastrnn", "pytorch")
SMALL_STEPS = 3


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers.jobs",
        description="Train the same models in fastrnn and in PyTorch, in turns.",
        epilog="example: python -m bench.peers.jobs shakespeare --cell gru --steps 500",
    )
    parser.add_argument(
        "jobs", nargs="*", metavar="JOB", help=f"of {', '.join(JOBS)}; default: all"
    )
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"], help="default: the job's")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: the job's")
    parser.add_argument("--epochs", type=int, help="default: the job's")
    parser.add_argument("--steps", type=int, help="of the character model's optimizer")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument(
        "--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES), help="default: both"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a job")
    parser.add_argument("--small", action="store_true", help="few data: does it work?")
    options = parser.parse_args(arguments)
    for name in options.jobs:
        if name not in JOBS:
            parser.error(f"JOB: expected one of {', '.join(JOBS)}, got {name}")
    if "fastrnn" not in options.libraries:
        parser.error("--libraries: expected fastrnn among them")
    return options


def measure(name: str, seed: int, options: argparse.Namespace) -> dict[str, Run]:
    """Run a job with each library and return what they showed."""
    job = JOBS[name]
    own = dict(job.settings)
    if options.epochs or options.small:
        own["epochs"] = options.epochs or 1
    settings = Settings(
        job=name, cell=options.cell or job.cell, seed=seed, threads=options.threads, **own
    )
    steps = options.steps or (SMALL_STEPS if options.small else job.steps)
    arrays, model = job.prepare(settings, steps, options.small)
    count = str(options.threads)
    variables = {
        f"{library}_NUM_THREADS": count for library in ("FASTRNN", "OMP", "MKL", "OPENBLAS")
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "problem.npz")
        write(path, settings, arrays, model.parameters.values())
        programs = {
            library: Program(
                ["-m", f"bench.peers.jobs.with_{library}", str(path)],
                processors(options.threads),
                variables,
            )
            for library in options.libraries
        }
        in_turns(list(programs.values()))
    return {library: _run(program, seed) for library, program in programs.items()}


def _run(program: Program, seed: int) -> Run:
    begin, begin_processor = program.marks["ready"]
    end, end_processor = program.marks["trained"]
    return Run(
        library=program.values["library"],
        seed=seed,
        total=end,
        training=end - begin,
        processor=end_processor - begin_processor,
        score=program.values["score"],
    )


def main(arguments: list[str] | None = None) -> None:
    """Run all jobs and print a table each."""
    options = parse(arguments)
    if not options.json:
        print(", ".join(f"{name}: {value}" for name, value in describe_machine().items()))
    for name in options.jobs or JOBS:
        job = JOBS[name]
        runs: dict[str, list[Run]] = {library: [] for library in LIBRARIES}
        for seed in options.seeds or (job.seeds[:1] if options.small else job.seeds):
            for library, run in measure(name, seed, options).items():
                runs[library].append(run)
        ours, theirs = runs["fastrnn"], runs["pytorch"]
        cell = options.cell or job.cell
        if options.json:
            found = {library: [asdict(run) for run in some] for library, some in runs.items()}
            ratios = (
                {w: ratio(ours, theirs, w) for w in ("training", "processor", "total")}
                if theirs
                else {}
            )
            print(json.dumps({"job": name, "cell": cell, "runs": found, "ratios": ratios}))
        else:
            print("\n" + summary(job, cell, ours, theirs))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
