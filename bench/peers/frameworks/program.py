"""What a framework makes of a point: a call to time and a look at what it computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.peers.problem import Array

#: Results by name: y (N, T, H), h_n and c_n (N, H); training: y, dx (N, T, I), dweight_ih_l0, ...
Arrays = dict[str, Array]


class Unsupported(Exception):  # noqa: N818 - an answer, not an error
    """The framework has no such mode, layout or dtype."""


@dataclass(frozen=True)
class Program:
    """A point in one framework."""

    run: Callable[[], Any]  # what is timed; returns when the result is there
    arrays: Callable[[Any], Arrays]  # a result of `run` as NumPy arrays
