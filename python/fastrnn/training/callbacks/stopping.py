"""Training ends when it no longer helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastrnn import _checks
from fastrnn.training.callbacks.callback import Callback
from fastrnn.training.history import Epoch

if TYPE_CHECKING:
    from fastrnn.training.run import Run


class EarlyStopping(Callback):
    """Ends training when a number has not improved for some epochs.

    ``Trainer.fit(patience=...)`` is this with the validation loss, and restores the parameters of
    the best epoch.

    Parameters
    ----------
    patience : int
        Epochs.
    monitor : str, default "validation_loss"
        A field of `Epoch`, or ``validation_`` and the name of a metric.
    minimum_change : float, default 0.0
        What counts as improvement is more than this.
    largest : bool, default False
        Whether larger is better, as for an accuracy.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; while training, if epochs have no such number.

    Examples
    --------
    >>> import fastrnn as fr
    >>> callback = fr.callbacks.EarlyStopping(5, "validation_accuracy", largest=True)
    """

    def __init__(
        self,
        patience: int,
        monitor: str = "validation_loss",
        *,
        minimum_change: float = 0.0,
        largest: bool = False,
    ) -> None:
        self.patience = _checks.positive_integer("patience", patience)
        self.monitor = monitor
        self.minimum_change = _checks.number("minimum_change", minimum_change)
        self.largest = _checks.switch("largest", largest)

    def on_start(self, run: Run) -> None:
        """End resumed training that was at its end."""
        if run.history.epochs:
            self.on_epoch(run)

    def on_epoch(self, run: Run) -> None:
        """End training if it is time."""
        values = monitored(run.history.epochs, self.monitor, largest=self.largest)
        if epochs_since_best(values, self.minimum_change) >= self.patience:
            run.stop()


def monitored(epochs: list[Epoch], name: str, *, largest: bool) -> list[float]:
    """Return one number per epoch, smaller is better.

    Parameters
    ----------
    epochs : list of Epoch
    name : str
    largest : bool

    Raises
    ------
    ValueError
        If an epoch has no such number.
    """
    found = []
    for epoch in epochs:
        numbers = epoch.flat()
        value = numbers.get(name)
        if value is None:
            known = ", ".join(key for key, number in numbers.items() if number is not None)
            raise ValueError(f"monitor: expected one of {known}, got {name!r}")
        found.append(-value if largest else value)
    return found


def epochs_since_best(values: list[float], minimum_change: float) -> int:
    """Return how many epochs ago the last improvement was.

    Parameters
    ----------
    values : list of float
        One per epoch, smaller is better.
    minimum_change : float
    """
    best, since = float("inf"), 0
    for value in values:
        if value < best - minimum_change:
            best, since = value, 0
        else:
            since += 1
    return since
