"""Quiet signs of how training goes: one line, or tqdm's bar."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol

from fastrnn import _checks

KINDS = ("line", "tqdm")


class Progress(Protocol):
    """What training tells of itself; a context manager."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *error: Any) -> None: ...

    def step(self, done: float, loss: float | None) -> None:
        """Show the share of all epochs that is done, and the loss of the unfinished one."""

    def epoch(self, done: float, text: str) -> None:
        """Show what an epoch showed."""


def progress_display(kind: bool | str, epochs: int) -> Progress:
    """Return what shows progress.

    Parameters
    ----------
    kind : bool or {"line", "tqdm"}
        True is "line"; False shows nothing.
    epochs : int
        How many there will be.

    Raises
    ------
    ValueError
        If `kind` is none of these.
    ImportError
        If tqdm is asked for and not installed.
    """
    if not isinstance(kind, bool):
        _checks.choice("progress", kind, KINDS)
    if kind == "tqdm":
        return TqdmProgress(epochs)
    return ProgressLine(bool(kind), epochs)


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
        self._begin: tuple[float, float] | None = None  # time and share done at the first sign
        self._last_shown = -1.0
        self._shown, self._text = "", ""

    def __enter__(self) -> ProgressLine:
        self._start = time.perf_counter()
        return self

    def step(self, done: float, loss: float | None) -> None:
        """Show how far the epoch is."""
        if self._enabled and time.perf_counter() - self._last_shown >= 0.1:
            part = done * self._epochs
            text = f"epoch {min(int(part) + 1, self._epochs)}/{self._epochs} {part % 1:4.0%}"
            self._show(done, text if loss is None else f"{text}  loss {loss:.4f}")

    def epoch(self, done: float, text: str) -> None:
        """Show what an epoch showed."""
        self._text = text
        if self._enabled:
            self._show(done, f"epoch {round(done * self._epochs)}/{self._epochs}")

    def _show(self, done: float, text: str) -> None:
        now = time.perf_counter()
        if self._begin is None:
            self._begin = (now, done)
        self._shown = f"{text}  {self._text}".rstrip() + f"  {duration(now - self._start)}"
        begin, before = self._begin
        if before < done < 1:
            left = (now - begin) / (done - before) * (1 - done)
            self._shown += f", {duration(left)} left"
        if now - self._last_shown >= 0.1:
            self._last_shown = now
            self._write()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._enabled and self._shown:
            self._write()
            sys.stderr.write("\n")
            sys.stderr.flush()

    def _write(self) -> None:
        sys.stderr.write(f"\r\x1b[K{self._shown}")
        sys.stderr.flush()


class TqdmProgress:
    """The bar of the tqdm package, in thousandths of the whole.

    Parameters
    ----------
    epochs : int
        How many there will be.

    Raises
    ------
    ImportError
        If tqdm is not installed (the extra ``tqdm``).
    """

    def __init__(self, epochs: int) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress: expected tqdm to be installed for progress='tqdm'; "
                "pip install 'fastrnn[tqdm]'"
            ) from error
        self._bar_type = tqdm
        self._epochs = epochs

    def __enter__(self) -> TqdmProgress:
        self._bar = self._bar_type(total=self._epochs, unit="epoch")
        return self

    def step(self, done: float, loss: float | None) -> None:
        """Show how far the epoch is."""
        ahead = round(done * self._epochs, 3) - self._bar.n
        if ahead >= 0.01:
            self._bar.update(ahead)
            if loss is not None:
                self._bar.set_description(f"loss {loss:.4f}")

    def epoch(self, done: float, text: str) -> None:
        """Show what an epoch showed."""
        self._bar.set_postfix_str(text)
        self._bar.update(round(done * self._epochs, 3) - self._bar.n)

    def __exit__(self, *error: Any) -> None:
        self._bar.close()


def duration(seconds: float) -> str:
    """Return a time as people write it.

    Parameters
    ----------
    seconds : float

    Examples
    --------
    >>> from fastrnn.progress import duration
    >>> duration(3.14159), duration(75), duration(7530)
    ('3.1 s', '1:15', '2:05:30')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
