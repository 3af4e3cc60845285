"""What a callback is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastrnn.training.history import History

if TYPE_CHECKING:
    from fastrnn.training.run import Run


class Callback:
    """Is told of training as it goes; every method may be left as it is.

    A callback may read the run, change the optimizer's options, and end training by ``run.stop()``.
    All callbacks are told of each event, in the order in which they were given to the `Trainer`.

    Examples
    --------
    >>> import fastrnn as fr
    >>> class StopWhenGood(fr.callbacks.Callback):
    ...     def on_epoch(self, run):
    ...         if run.history.epochs[-1].loss < 0.1:
    ...             run.stop()
    """

    def on_start(self, run: Run) -> None:
        """Act on training that begins, or goes on where it was resumed."""

    def on_step(self, run: Run) -> None:
        """Act on a change of the parameters."""

    def on_epoch(self, run: Run) -> None:
        """Act on an epoch that has ended, the last of ``run.history.epochs``."""

    def on_end(self, run: Run) -> None:
        """Act on training that ends, also by an error or Ctrl-C, behind its last step."""

    def state_dict(self) -> dict[str, Any]:
        """Return what it takes to go on bit for bit, as JSON values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
            If it is another callback's; nothing has changed then.
        """
        if state:
            raise ValueError(f"state of {type(self).__name__}: expected none, got {state}")


class FactorCallback(Callback, ABC):
    """A callback that has a say in the learning rate.

    Before each step the `Trainer` sets the optimizer's learning rate to what it was at the start,
    times the factors of all of these.
    """

    @abstractmethod
    def factor(self, step: int) -> float:
        """Return the factor after so many steps.

        Parameters
        ----------
        step : int
        """


class HistoryFunction(Callback):
    """A plain function that is called with the history after every epoch; true ends training.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[[History], bool | None]) -> None:
        self._function = function

    def on_epoch(self, run: Run) -> None:
        """Call it."""
        if self._function(run.history):
            run.stop()
