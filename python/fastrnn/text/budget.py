"""How long training goes, and the learning rate on the way."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """So many optimizer steps, or so many seconds where these end first; the clock runs from now.

    Parameters
    ----------
    steps : int
    seconds : float or None, default None
        None: no limit.
    warm_up : int, default 0
        Steps over which the learning rate rises.
    """

    steps: int
    seconds: float | None = None
    warm_up: int = 0
    _began: float = field(default_factory=lambda: time.monotonic(), init=False)

    def spent(self) -> bool:
        """Return whether the seconds have passed."""
        return self.seconds is not None and time.monotonic() - self._began >= self.seconds

    def factor(self, step: int) -> float:
        """Return the factor of the learning rate after so many steps.

        It rises in a straight line over the steps of the warm-up and falls to 0 along half a
        cosine (Loshchilov and Hutter 2017, eq. 5) of the share of the budget that is used up.

        Parameters
        ----------
        step : int
        """
        used = step / self.steps
        if self.seconds is not None:
            used = max(used, (time.monotonic() - self._began) / self.seconds)
        fallen = 0.5 * (1.0 + math.cos(math.pi * min(used, 1.0)))
        return fallen * min((step + 1) / max(self.warm_up, 1), 1.0)
