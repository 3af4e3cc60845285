"""What training showed, epoch by epoch, and what an evaluation shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """What `Trainer.evaluate` returns.

    Attributes
    ----------
    loss : float
    metrics : dict of str to float
        By name; see `Trainer`.
    """

    loss: float
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """The metric of that name: the share of right classes; None where targets are none."""
        return self.metrics.get("accuracy")


@dataclass(frozen=True)
class Epoch:
    """What one epoch showed; see `History` for the fields."""

    loss: float
    gradient_norm: float
    seconds: float
    learning_rate: float
    validation_loss: float | None = None
    validation_metrics: dict[str, float] = field(default_factory=dict)

    @property
    def validation_accuracy(self) -> float | None:
        """The validation metric ``"accuracy"``, if there is one."""
        return self.validation_metrics.get("accuracy")

    def flat(self) -> dict[str, float | None]:
        """Return all numbers by name, metrics as ``validation_NAME``."""
        numbers = asdict(self)
        metrics = numbers.pop("validation_metrics")
        return numbers | {f"validation_{name}": value for name, value in metrics.items()}


@dataclass
class History:
    """What happened in training, one entry per epoch.

    Attributes
    ----------
    epochs : list of Epoch
        ``loss``: mean over the epoch's batches, weighted by their sizes, while the parameters
        change; ``gradient_norm``: mean global norm before clipping; ``seconds``, those of all
        runs where training was resumed; ``learning_rate`` of the last step; and, with validation
        data, ``validation_loss`` and ``validation_metrics``.
    steps : int
        Changes of the parameters so far, those of an unfinished epoch too.
    best_epoch : int or None
        Index of the epoch with the lowest validation loss.
    stopped_early : bool
        Whether `patience` or a callback ended training.
    interrupted : bool
        Whether Ctrl-C did, or `Run.interrupt`.
    """

    epochs: list[Epoch] = field(default_factory=list)
    steps: int = 0
    best_epoch: int | None = None
    stopped_early: bool = False
    interrupted: bool = False

    def values(self, name: str) -> list[float]:
        """Return one number per epoch, such as ``values("loss")``.

        Parameters
        ----------
        name : str
            A field of `Epoch`, or ``validation_`` and the name of a metric; epochs without it are
            left out.
        """
        found = [epoch.flat().get(name) for epoch in self.epochs]
        return [value for value in found if value is not None]

    def improved(self) -> bool:
        """Return whether the last epoch has the lowest validation loss so far; NaN never is."""
        last = self.epochs[-1].validation_loss
        if last is None or math.isnan(last):
            return False
        if self.best_epoch is None:
            return True
        best = self.epochs[self.best_epoch].validation_loss
        return best is None or last < best

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; floats keep their bits."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> History:
        """Return the history that `to_json` has described.

        Parameters
        ----------
        values : dict

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            epochs = [_epoch(entry) for entry in values["epochs"]]
            history = cls(epochs, **{key: values[key] for key in values if key != "epochs"})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"history: expected what to_json returns, got {error}") from error
        best = history.best_epoch
        if not isinstance(history.steps, int) or history.steps < 0:
            raise ValueError(f"history: expected a number of steps, got {history.steps!r}")
        if best is not None and (not isinstance(best, int) or not 0 <= best < len(epochs)):
            raise ValueError(f"history: expected best_epoch among its epochs, got {best!r}")
        for name in ("stopped_early", "interrupted"):
            if not isinstance(getattr(history, name), bool):
                raise ValueError(f"history: expected {name} true or false")
        return history


def _epoch(entry: Mapping[str, Any]) -> Epoch:
    epoch = Epoch(**entry)
    numbers = [getattr(epoch, f.name) for f in fields(epoch) if f.name != "validation_metrics"]
    for number in (*numbers, *epoch.validation_metrics.values()):
        if number is not None and (
            isinstance(number, bool) or not isinstance(number, (int, float))
        ):
            raise TypeError(f"{number!r} for a number")
    return epoch
