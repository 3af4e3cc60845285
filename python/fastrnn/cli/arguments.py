"""Arguments that commands share, and what they stand for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastrnn as fr
from fastrnn.layers import CELLS
from fastrnn.parallel import Communicator, communicator_of_job


@dataclass(frozen=True)
class Job:
    """How a training command is run, whatever it trains.

    Attributes
    ----------
    output : Path
        Where the model goes.
    checkpoint : Path or None
        What training writes to go on from.
    resume : Path or None
    communicator : Communicator or None
        With several processes.
    progress : bool
    """

    output: Path
    checkpoint: Path | None = None
    resume: Path | None = None
    communicator: Communicator | None = None
    progress: bool = True

    @property
    def callbacks(self) -> list[Any]:
        """Those of training."""
        return [] if self.checkpoint is None else [fr.callbacks.Checkpoint(self.checkpoint)]

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.communicator is None or self.communicator.rank == 0


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``."""
    parser.add_argument("--threads", type=int, metavar="K", help="default: see fastrnn info")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add what describes the network; None stands for the default of the task's object."""
    group = parser.add_argument_group("network")
    group.add_argument("--cell", choices=sorted(CELLS), help="default: lstm; gru for forecasts")
    group.add_argument(
        "--hidden-size",
        type=int,
        metavar="H",
        help="units of each layer; default: 64 for classes, 32 for forecasts, 256 for text",
    )
    group.add_argument("--layers", type=int, metavar="L", help="default: 1")
    group.add_argument("--dropout", type=float, metavar="P", help="default: 0")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add what describes training."""
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs",
        type=int,
        metavar="E",
        help="default: 100 for classes (40 for japanese-vowels), 50 for forecasts, 10 for text",
    )
    group.add_argument("--batch-size", type=int, metavar="N", help="default: 32")
    group.add_argument(
        "--learning-rate",
        type=float,
        metavar="R",
        help="Adam's; default: 0.003 for classes, 0.01 for forecasts, 0.004 for text",
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    group.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="write what training goes on from, after each epoch and at Ctrl-C",
    )
    group.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on from a checkpoint, with the same data and options, and keep writing it",
    )


def given(options: argparse.Namespace, **names: str) -> dict[str, Any]:
    """Return arguments that were given, under the names that objects have for them.

    Parameters
    ----------
    options : Namespace
    names : str
        Of an object's parameter: the name in `options`.
    """
    found = {name: getattr(options, option) for name, option in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def job_of(options: argparse.Namespace, output: Path) -> Job:
    """Return how a training command is to be run; raise where its files cannot be written.

    Parameters
    ----------
    options : Namespace
    output : Path
        Where the model goes.

    Raises
    ------
    OSError
        If there is no such folder, or it cannot be written.
    ValueError
        If a file would be written over another.
    """
    set_threads(options)
    communicator = communicator_of_job()
    first = communicator is None or communicator.rank == 0
    name = "--resume" if options.checkpoint is None else "--checkpoint"
    checkpoint = options.checkpoint or options.resume
    written = {"--output": output} | ({} if checkpoint is None else {name: checkpoint})
    _refuse_equal(written, {Path(options.data)} | ({options.test} - {None}))
    if output.suffix.lower() == ".png":
        raise ValueError(f"--output: expected no .png, which the picture will be, got {output}")
    if first:  # no other process writes
        for argument, path in written.items():
            require_writable(path, argument)
    return Job(output, checkpoint, options.resume, communicator, first and not options.json)


def _refuse_equal(written: dict[str, Path], read: set[Path]) -> None:
    """Raise if a file would be written over one that is read, or two into one."""
    taken = {path.resolve() for path in read}
    for name, path in written.items():
        if path.resolve() in taken:
            raise ValueError(f"{name}: expected a file that nothing else is in, got {path}")
        taken.add(path.resolve())


def set_threads(options: argparse.Namespace) -> None:
    """Set the number of threads if it was given."""
    if options.threads is not None:
        fr.set_num_threads(options.threads)


def require_writable(path: Path, name: str) -> None:
    """Raise OSError unless a file can be written at `path`; before work that would be lost.

    Parameters
    ----------
    path : Path
    name : str
        Of the argument, for messages.
    """
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(f"{name}: expected a file, got the folder {path}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{name}: expected an existing folder, got {folder}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{name}: expected a writable folder, got {folder}")


def list_of(kind: Callable[[str], Any], what: str) -> Callable[[str], list[Any]]:
    """Return a parser of values separated by commas, for ``type=``.

    Parameters
    ----------
    kind : callable
        From the text of one to its value.
    what : str
        For messages.
    """

    def parse(text: str) -> list[Any]:
        try:
            return [kind(part.strip()) for part in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"expected {what} separated by commas, got {text!r}"
            ) from None

    return parse
