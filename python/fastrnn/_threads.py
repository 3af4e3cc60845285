"""How many threads the kernels may use: the library's only global state."""

from __future__ import annotations

import os

_chosen: int | None = None


def _from_environment() -> int:
    for variable in ("FASTRNN_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").split(",")[0].strip()
        if not text:
            continue
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"{variable}: expected a whole number of at least 1, got {text!r}")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Return the most threads that one call may use.

    Until `set_num_threads` is called it is ``FASTRNN_NUM_THREADS``, else ``OMP_NUM_THREADS``, else
    the number of processors this process may run on, read at first use. Small work stays on one
    thread whatever the number is; results do not depend on it.

    Raises
    ------
    ValueError
        If the environment variable is not a whole number of at least 1.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.get_num_threads() >= 1
    True
    """
    global _chosen
    if _chosen is None:
        _chosen = _from_environment()
    return _chosen


def set_num_threads(count: int) -> None:
    """Set the most threads that one call may use, for the whole process.

    Parameters
    ----------
    count : int
        At least 1.

    Raises
    ------
    TypeError
        If `count` is not an integer.
    ValueError
        If `count` is below 1.

    Examples
    --------
    >>> import fastrnn as fr
    >>> before = fr.get_num_threads()
    >>> fr.set_num_threads(1)
    >>> fr.set_num_threads(before)
    """
    global _chosen
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"count: expected an integer, got {type(count).__name__}")
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    _chosen = count
