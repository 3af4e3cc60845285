"""Functions of the user's that make a fresh iterator for each pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Fresh:
    """Calls such a function, and finds out where it gives one iterator twice.

    Parameters
    ----------
    make : callable
        Without arguments; returns an iterable.

    Raises
    ------
    TypeError
        If `make` cannot be called.
    """

    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        if not callable(make):
            raise TypeError(
                "make: expected a function that returns a fresh iterator at every call, got "
                f"{type(make).__name__}" + _hint(make)
            )
        self._make = make
        self._last: Any = None

    def __call__(self) -> Iterator[Any]:
        """Return a fresh iterator.

        Raises
        ------
        TypeError, ValueError
            If `make` returns no iterable, or the iterator of the pass before.
        """
        made = self._make()
        if not isinstance(made, Iterable):
            raise TypeError(
                f"make: expected a function that returns an iterator, got one that returns "
                f"{type(made).__name__}"
            )
        iterator = iter(made)
        if iterator is self._last:
            raise ValueError(
                "make: expected a fresh iterator at every call, got the same "
                f"{type(iterator).__name__} again, which the pass before has used up"
            )
        self._last = iterator
        return iterator


def _hint(made: Any) -> str:
    if isinstance(made, Iterator):
        return ", which can be gone through only once; pass the function that makes it"
    return "; for a list, pass lambda: the_list" if isinstance(made, Iterable) else ""
