"""Training of character models."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import fastrnn as fr
from fastrnn.cli import bundled
from fastrnn.cli.arguments import Job, given
from fastrnn.cli.outcome import Outcome, outcome
from fastrnn.files import read_text
from fastrnn.text import split_text

ARGUMENTS = ("steps", "max_seconds", "tied_embeddings")
_PARTS = (0.9, 0.05, 0.05)
_LEAST = 40  # two characters for each of the smaller parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only this task has."""
    group = parser.add_argument_group("text")
    group.add_argument("--steps", type=int, metavar="T", help="characters of truncated BPTT")
    group.add_argument("--max-seconds", type=float, metavar="S", help="end training by then")
    group.add_argument(
        "--tied-embeddings", action="store_true", default=None, help="one matrix for both ends"
    )


def train(options: argparse.Namespace, job: Job) -> Outcome:
    """Train a character model on the first 90 % of a text; show bits per character on the rest.

    Parameters
    ----------
    options : Namespace
    job : Job
    """
    load = bundled.BUNDLED[options.data][1] if options.data in bundled.BUNDLED else None
    whole = read_text(Path(options.data)) if load is None else load()
    if options.max_seconds is not None and (job.checkpoint or job.communicator):
        raise ValueError(
            "--max-seconds: expected none with --checkpoint, --resume or several processes: what "
            "is trained follows from the clock then"
        )
    if len(whole) < _LEAST:
        raise ValueError(f"{options.data}: expected at least {_LEAST} characters, got {len(whole)}")
    training, validation, test = split_text(whole, _PARTS)
    model = fr.CharLM(
        seed=options.seed,
        **given(
            options,
            cell="cell",
            hidden_size="hidden_size",
            num_layers="layers",
            dropout="dropout",
            tied_embeddings="tied_embeddings",
        ),
    )
    start = time.perf_counter()
    history = model.fit(
        training,
        validation,
        callbacks=job.callbacks,
        progress=job.progress,
        resume=job.resume,
        communicator=job.communicator,
        **given(
            options,
            epochs="epochs",
            batch_size="batch_size",
            learning_rate="learning_rate",
            steps="steps",
            max_seconds="max_seconds",
        ),
    )
    seconds = time.perf_counter() - start
    bits = model.bits_per_character(test)
    assert model.model is not None
    assert model.vocabulary is not None
    if job.first:
        model.save(job.output)
    result = {
        "data": options.data,
        "task": "text",
        "characters": len(whole),
        "vocabulary": len(model.vocabulary),
        "cell": model.cell,
        "parameters": model.model.parameter_vector.size,
        "validation_bits_per_character": [
            loss / math.log(2) for loss in history.values("validation_loss")
        ],
        "test_bits_per_character": bits,
        "train_seconds": round(seconds, 3),
        "seed": options.seed,
    }
    lines = [
        f"{len(whole)} characters, {len(model.vocabulary)} different ones; the last "
        f"{_PARTS[2]:.0%} for tests",
        f"test: {bits:.4f} bits per character after {len(history.epochs)} epochs in "
        f"{seconds:.1f} s",
        f"write on: fastrnn generate {job.output} --prompt 'some text'",
    ]
    title = f"{options.data}: {model.cell}, {model.hidden_size} units"
    return outcome(history, job, result, lines, title=title, loss="nats per character")
