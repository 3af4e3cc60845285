"""Learning rates that change while training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrnn import _checks
from fastrnn.training.callbacks.callback import FactorCallback
from fastrnn.training.callbacks.stopping import monitored
from fastrnn.training.schedules import Schedule

if TYPE_CHECKING:
    from fastrnn.training.run import Run


class LearningRate(FactorCallback):
    """Multiplies the learning rate by a schedule.

    Parameters
    ----------
    schedule : callable
        From the number of steps taken to a factor; see `fastrnn.schedules`.

    Raises
    ------
    TypeError
        If it is no callable.

    Examples
    --------
    >>> import fastrnn as fr
    >>> schedule = fr.schedules.WarmUp(100, fr.schedules.Cosine(900))
    >>> callback = fr.callbacks.LearningRate(schedule)
    >>> callback.factor(49), callback.factor(1000)
    (0.5, 0.0)
    """

    def __init__(self, schedule: Schedule) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a callable, got {type(schedule).__name__}")
        self.schedule = schedule

    def factor(self, step: int) -> float:
        """Return the schedule's factor after so many steps."""
        return float(self.schedule(step))


class ReduceOnPlateau(FactorCallback):
    """Multiplies the learning rate by `by` whenever a number has not improved for some epochs.

    Parameters
    ----------
    patience : int
        Epochs without improvement; counted anew after each reduction.
    by : float, default 0.1
        Above 0, below 1.
    monitor : str, default "validation_loss"
        A field of `Epoch`, or ``validation_`` and the name of a metric.
    minimum_change : float, default 0.0
        What counts as improvement is more than this.
    largest : bool, default False
        Whether larger is better.
    lowest : float, default 0.0
        The factor never falls below.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; while training, if epochs have no such number.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.callbacks.ReduceOnPlateau(3, by=0.5).factor(0)
    1.0
    """

    def __init__(
        self,
        patience: int,
        by: float = 0.1,
        monitor: str = "validation_loss",
        *,
        minimum_change: float = 0.0,
        largest: bool = False,
        lowest: float = 0.0,
    ) -> None:
        self.patience = _checks.positive_integer("patience", patience)
        if not 0 < _checks.number("by", by) < 1:
            raise ValueError(f"by: expected 0 < by < 1, got {by}")
        if not 0 <= _checks.number("lowest", lowest) <= 1:
            raise ValueError(f"lowest: expected 0 <= lowest <= 1, got {lowest}")
        self.by, self.monitor, self.lowest = float(by), monitor, float(lowest)
        self.minimum_change = _checks.number("minimum_change", minimum_change)
        self.largest = _checks.switch("largest", largest)
        self._begin()

    def _begin(self) -> None:
        self._factor, self._best, self._waited = 1.0, float("inf"), 0

    def on_start(self, run: Run) -> None:
        """Begin anew, unless training goes on."""
        if run.step == 0:
            self._begin()

    def on_epoch(self, run: Run) -> None:
        """Reduce if it is time."""
        value = monitored(run.history.epochs[-1:], self.monitor, largest=self.largest)[0]
        if value < self._best - self.minimum_change:
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._factor, self._waited = max(self._factor * self.by, self.lowest), 0

    def factor(self, step: int) -> float:
        """Return the factor as it is now."""
        return self._factor

    def state_dict(self) -> dict[str, Any]:
        """Return the factor, the best number and how many epochs ago it was."""
        return {"factor": self._factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        wanted = {"factor": float, "best": float, "waited": int}
        if set(state) != set(wanted) or any(type(state[k]) is not t for k, t in wanted.items()):
            raise ValueError(f"state of ReduceOnPlateau: expected {', '.join(wanted)}, got {state}")
        self._factor, self._best, self._waited = state["factor"], state["best"], state["waited"]
