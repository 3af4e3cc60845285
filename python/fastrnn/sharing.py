"""Whether anyone outside may write into a layer's parameters."""

from __future__ import annotations

import itertools
import threading
import weakref

import numpy as np

from fastrnn._checks import FloatArray

_serials = itertools.count()


class _Handle:
    """What an array given out has as its base: lives as long as any array derived from that."""

    __slots__ = ("__array_interface__", "__weakref__", "_vector")

    def __init__(self, vector: FloatArray) -> None:
        self._vector = vector  # keeps the memory alive
        self.__array_interface__ = vector.__array_interface__


class Holders:
    """Those who hold arrays over the memory of one vector.

    An array goes out over a handle of its own. NumPy keeps an array's base alive as long as the
    array or any view, slice or buffer of it, so nobody can write when all handles are gone (but
    through a bare address, which outlives its array).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: list[weakref.ref[_Handle]] = []
        self._serial = next(_serials)

    def share(self, vector: FloatArray) -> FloatArray:
        """Return an array over the memory of `vector`, any part of the one vector, to give out.

        Parameters
        ----------
        vector : ndarray, (P,)
        """
        handle = _Handle(vector)
        shared = np.asarray(handle)
        with self._lock:
            self._handles = [h for h in self._handles if h() is not None]
            self._handles.append(weakref.ref(handle))
            self._serial = next(_serials)
        return shared

    def quiet_since(self) -> int | None:
        """Return None while anyone holds an array, else a number that changes with each sharing.

        What was read while it had a value is what is there as long as it has the same value.
        """
        serial = self._serial  # read first: a handle is in the list before it has its serial
        if not self._handles:
            return serial
        with self._lock:
            self._handles = [h for h in self._handles if h() is not None]
            return None if self._handles else self._serial
