"""Data by name: what comes with the package, or is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastrnn as fr
from fastrnn.files import guess_task

#: Name: the task it is for, and what loads it.
BUNDLED: dict[str, tuple[str, Callable[[], Any]]] = {
    "japanese-vowels": ("classify", fr.datasets.japanese_vowels),
    "temperatures": ("forecast", lambda: fr.datasets.hourly_temperatures()["seattle"]),
    "sunspots": ("forecast", fr.datasets.sunspots),
    "co2": ("forecast", fr.datasets.co2),
    "shakespeare": ("text", fr.datasets.shakespeare),
    "python-topics": ("text", fr.datasets.python_topics),
}
#: Epochs where the default of the task would be more than enough.
EPOCHS = {"japanese-vowels": 40}
TASKS = ("classify", "forecast", "text")


def task_of(data: str, asked: str | None) -> str:
    """Return the task of a name or a file.

    Parameters
    ----------
    data : str
        A name in `BUNDLED` or a path.
    asked : str or None
        What the user said.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a name is for another task, or a file does not tell.
    """
    if data not in BUNDLED:
        if not Path(data).suffix:
            names = ", ".join(BUNDLED)
            raise ValueError(f"data: expected one of {names}, or a file with a suffix, got {data}")
        return asked or guess_task(data)
    task, _ = BUNDLED[data]
    if asked not in (None, task):
        raise ValueError(f"--task: expected {task} for {data}, got {asked}")
    return task
