"""Histories as files, a line per epoch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from fastrnn.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from fastrnn.training.run import Run


class _Log(Callback):
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def on_start(self, run: Run) -> None:
        """Write the epochs so far, none or those before a resumed one, over what stood there."""
        if run.first_process:
            with open(self.path, "w", encoding="utf-8", newline="") as file:
                for epoch in range(len(run.history.epochs)):
                    file.write(self._line(run, epoch))

    def on_epoch(self, run: Run) -> None:
        """Add a line."""
        if run.first_process:
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                file.write(self._line(run, len(run.history.epochs) - 1))

    @abstractmethod
    def _line(self, run: Run, epoch: int) -> str: ...

    def _numbers(self, run: Run, epoch: int) -> dict[str, Any]:
        return {"epoch": epoch + 1, **run.history.epochs[epoch].flat()}


class CSVLog(_Log):
    """Writes a table: a line of names, then one line per epoch, as each ends.

    Parameters
    ----------
    path : path-like
        Written anew when training begins; kept up to the epoch from which it is resumed.

    Raises
    ------
    OSError
        While training, if the file cannot be written.

    Examples
    --------
    >>> import fastrnn as fr
    >>> callback = fr.callbacks.CSVLog("training.csv")
    """

    def _line(self, run: Run, epoch: int) -> str:
        numbers = self._numbers(run, epoch)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if epoch == 0:
            writer.writerow(numbers)
        writer.writerow("" if value is None else value for value in numbers.values())
        return text.getvalue()


class JSONLinesLog(_Log):
    """Writes one JSON object per epoch, a line each, as each ends; null for what is not finite.

    Parameters
    ----------
    path : path-like
        Written anew when training begins; kept up to the epoch from which it is resumed.

    Raises
    ------
    OSError
        While training, if the file cannot be written.

    Examples
    --------
    >>> import fastrnn as fr
    >>> callback = fr.callbacks.JSONLinesLog("training.jsonl")
    """

    def _line(self, run: Run, epoch: int) -> str:
        numbers = self._numbers(run, epoch)
        finite = {k: v if v is None or math.isfinite(v) else None for k, v in numbers.items()}
        return json.dumps(finite) + "\n"
