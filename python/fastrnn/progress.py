"""One quiet line about how training goes."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class ProgressLine:
    """A line on standard error, rewritten in place at most ten times a second.

    Nothing is written where standard error is no terminal.

    Parameters
    ----------
    enabled : bool
    epochs : int
        How many there will be.
    """

    def __init__(self, enabled: bool, epochs: int) -> None:
        self._enabled = enabled and sys.stderr is not None and sys.stderr.isatty()
        self._epochs = epochs
        self._start = time.perf_counter()
        self._last_shown = -1.0
        self._text = ""

    def __enter__(self) -> ProgressLine:
        return self

    def show(
        self, epoch: int, loss: float, validation_loss: float | None, accuracy: float | None
    ) -> None:
        """Show the numbers of an epoch, counted from 0."""
        if not self._enabled:
            return
        elapsed = time.perf_counter() - self._start
        text = f"epoch {epoch + 1}/{self._epochs}  loss {loss:.4f}"
        if validation_loss is not None:
            text += f"  validation loss {validation_loss:.4f}"
        if accuracy is not None:
            text += f"  validation accuracy {accuracy:.3f}"
        self._text = f"{text}  {elapsed:.1f} s"
        if elapsed - self._last_shown >= 0.1:
            self._last_shown = elapsed
            self._write()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._enabled and self._text:
            self._write()
            sys.stderr.write("\n")
            sys.stderr.flush()

    def _write(self) -> None:
        sys.stderr.write(f"\r\x1b[K{self._text}")
        sys.stderr.flush()
