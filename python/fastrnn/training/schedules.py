"""Learning rates over time: pure functions of the number of steps taken, which return a factor.

`fastrnn.callbacks.LearningRate` multiplies the optimizer's learning rate by the factor before each
step. Being functions of the number alone, schedules need no state of their own when training is
resumed. Any function of one integer serves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fastrnn import _checks

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class StepDecay:
    """Multiply by `factor` every so many steps: ``factor ** (step // every)``.

    Parameters
    ----------
    every : int
    factor : float, default 0.1
        Above 0, at most 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> schedule = fr.schedules.StepDecay(100, 0.5)
    >>> schedule(0), schedule(99), schedule(100), schedule(250)
    (1.0, 1.0, 0.5, 0.25)
    """

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _checks.positive_integer("every", self.every)
        _positive_share("factor", self.factor)

    def __call__(self, step: int) -> float:
        """Return the factor after so many steps."""
        return float(self.factor ** (step // self.every))


@dataclass(frozen=True)
class Cosine:
    """From 1 to `final` along half a cosine (Loshchilov and Hutter 2017, eq. 5, no restarts).

    ``final + (1 - final) (1 + cos(pi step / steps)) / 2``; behind `steps` it stays at `final`.

    Parameters
    ----------
    steps : int
        Such as epochs times batches per epoch.
    final : float, default 0.0
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> schedule = fr.schedules.Cosine(100)
    >>> schedule(0), round(schedule(50), 3), schedule(100)
    (1.0, 0.5, 0.0)
    """

    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _checks.positive_integer("steps", self.steps)
        if not 0 <= _checks.number("final", self.final) <= 1:
            raise ValueError(f"final: expected 0 <= final <= 1, got {self.final}")

    def __call__(self, step: int) -> float:
        """Return the factor after so many steps."""
        done = min(step / self.steps, 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class WarmUp:
    """From nearly 0 to 1 in a straight line, then another schedule, counted from there.

    ``(step + 1) / steps`` in the first `steps` steps (Goyal et al. 2017, section 2.2), then
    ``then(step - steps)``.

    Parameters
    ----------
    steps : int
    then : schedule or None, default None
        None stays at 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> schedule = fr.schedules.WarmUp(4, fr.schedules.Cosine(100))
    >>> [schedule(step) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    steps: int
    then: Schedule | None = None

    def __post_init__(self) -> None:
        _checks.positive_integer("steps", self.steps)
        if self.then is not None and not callable(self.then):
            raise TypeError(f"then: expected a schedule, got {type(self.then).__name__}")

    def __call__(self, step: int) -> float:
        """Return the factor after so many steps."""
        if step < self.steps:
            return (step + 1) / self.steps
        return 1.0 if self.then is None else self.then(step - self.steps)


def _positive_share(name: str, value: float) -> None:
    if not 0 < _checks.number(name, value) <= 1:
        raise ValueError(f"{name}: expected 0 < {name} <= 1, got {value}")
