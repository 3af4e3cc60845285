"""Training that survives being ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from fastrnn import _checks
from fastrnn.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from fastrnn.training.run import Run


class Checkpoint(Callback):
    """Writes what training goes on from: ``fit(..., resume=path)`` then gives the same bits.

    The file is a model that `fastrnn.load` reads, and holds besides the optimizer's vectors, the
    generators, the place in the data, carried states, the best parameters and the history. It is
    replaced only by a complete one. One is also written at the step at which Ctrl-C ends training.

    Parameters
    ----------
    path : path-like
    every_epochs : int or None, default 1
    every_steps : int or None, default None
    every_seconds : float or None, default None
        Each of the three that is given asks for checkpoints.

    Raises
    ------
    TypeError, ValueError
        If a number is not as above.
    OSError
        While training, if the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> data = (np.ones((8, 5, 2), np.float32), np.zeros(8, np.int64))
    >>> model = fr.Sequential([fr.GRU(2, 4, seed=0), fr.Last(), fr.Linear(4, 2, seed=1)])
    >>> trainer = fr.Trainer(model, callbacks=[fr.callbacks.Checkpoint(path)])
    >>> history = trainer.fit(data, epochs=2, seed=0, progress=False)
    >>> history = trainer.fit(data, epochs=4, resume=path, progress=False)
    >>> len(history.epochs)
    4
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.every_epochs = _optional("every_epochs", every_epochs)
        self.every_steps = _optional("every_steps", every_steps)
        self.every_seconds = (
            None if every_seconds is None else _checks.above_zero("every_seconds", every_seconds)
        )
        self._written = 0.0

    def on_start(self, run: Run) -> None:
        """Raise before any work if the file could not be written."""
        self._written = time.monotonic()
        if not run.first_process:
            return  # others may not see the folder
        folder = os.path.dirname(os.path.realpath(self.path))
        if os.path.isdir(self.path):
            raise IsADirectoryError(f"path: expected a file, got the folder {self.path}")
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"path: expected an existing folder, got {folder}")

    def on_step(self, run: Run) -> None:
        """Write if it is time."""
        due = self.every_steps is not None and run.step % self.every_steps == 0
        if self.every_seconds is not None:
            due = due or run.agree(time.monotonic() - self._written >= self.every_seconds)
        if due:
            self._write(run)

    def on_epoch(self, run: Run) -> None:
        """Write if it is time."""
        if self.every_epochs is not None and run.epoch % self.every_epochs == 0:
            self._write(run)

    def on_end(self, run: Run) -> None:
        """Write if Ctrl-C has ended training."""
        if run.history.interrupted:
            self._write(run)

    def _write(self, run: Run) -> None:
        run.save(self.path)
        self._written = time.monotonic()


def _optional(name: str, value: int | None) -> int | None:
    return None if value is None else _checks.positive_integer(name, value)
