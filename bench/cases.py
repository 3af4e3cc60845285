"""The grid of sizes that every benchmark runs, from one step of a small net to wide and long ones.

Plain data: benchmarks in other languages read it too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One size of a single layer that runs in one direction."""

    name: str
    batch: int  # N
    steps: int  # T
    input_size: int  # I
    hidden_size: int  # H


CASES: tuple[Case, ...] = (
    Case("stream16", 1, 1, 16, 16),
    Case("stream64", 1, 1, 64, 64),
    Case("stream256", 1, 1, 256, 256),
    Case("seq1_h64", 1, 100, 32, 64),
    Case("seq1_h256", 1, 100, 128, 256),
    Case("sensor", 32, 100, 16, 64),
    Case("mid128", 32, 100, 128, 128),
    Case("mid256", 64, 50, 256, 256),
    Case("ptb650", 20, 35, 650, 650),
    Case("wide1024", 64, 25, 1024, 1024),
    Case("long", 8, 1000, 64, 128),
)
