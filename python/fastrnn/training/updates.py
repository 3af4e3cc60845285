"""Changes of the parameters: gradients of parts added up, averaged, clipped, and a step taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastrnn import optim
from fastrnn.training.parts import Part
from fastrnn.training.rules import Rules


@dataclass(frozen=True)
class Update:
    """One change of the parameters.

    Attributes
    ----------
    loss : float
        Mean over all its target places, of all processes.
    weight : float
        The sum of their weights; 0 where none counted and nothing changed.
    gradient_norm : float
        Before clipping.
    stop : bool
        Whether a process asked for an end.
    """

    loss: float
    weight: float
    gradient_norm: float
    stop: bool


class Updates:
    """Adds up the gradients of some parts, weighted like one large batch, and takes a step.

    Parameters
    ----------
    rules : Rules
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        # A single part's loss is a mean already; only several have to be weighted against another.
        self._weighted = rules.accumulate > 1 or rules.communicator is not None
        self._forget()

    def _forget(self) -> None:
        self._parts, self._loss_sum, self._weight = 0, 0.0, 0.0

    @property
    def pending(self) -> int:
        """Parts added since the last step."""
        return self._parts

    def add(self, part: Part | None, where: str, *, stop: bool = False) -> Update | None:
        """Back-propagate a part; where it is the last of a step, take the step.

        Parameters
        ----------
        part : Part or None
            None adds nothing, and counts.
        where : str
            For messages.
        stop : bool, default False
            Tell the other processes that training is to end.

        Raises
        ------
        FloatingPointError
            If the loss or a gradient is not finite; the parameters are those before the step.
        """
        if self._parts == 0:
            self._rules.model.zero_grad()
        if part is not None and part.weight > 0:
            value, doutputs = self._rules.loss(part.outputs, part.targets, part.mask)
            if not np.isfinite(value):
                raise FloatingPointError(f"loss: expected a finite number, got {value} in {where}")
            if self._weighted:
                doutputs *= doutputs.dtype.type(part.weight)
            part.backward(doutputs)
            self._loss_sum += value * part.weight
            self._weight += part.weight
        self._parts += 1
        return self.finish(where, stop=stop) if self._parts == self._rules.accumulate else None

    def finish(self, where: str, *, stop: bool = False) -> Update:
        """Take the step with what was added.

        Parameters
        ----------
        where, stop
            As for `add`.
        """
        rules = self._rules
        gradients = rules.model.gradient_vector
        if rules.communicator is not None:
            numbers = [self._weight, self._loss_sum, float(stop)]
            shared = np.concatenate([gradients, np.array(numbers, gradients.dtype)])
            rules.communicator.sum(shared)
            gradients[...] = shared[:-3]
            self._weight, self._loss_sum = float(shared[-3]), float(shared[-2])
            stop = bool(shared[-1] > 0)
        weight, loss_sum = self._weight, self._loss_sum
        self._forget()
        if weight == 0:
            return Update(0.0, 0.0, 0.0, stop)
        if self._weighted:
            gradients /= gradients.dtype.type(weight)
        limit = np.inf if rules.clip_norm is None else rules.clip_norm
        norm = optim.clip_by_global_norm(gradients, limit)
        if not np.isfinite(norm):
            raise FloatingPointError(f"gradients: expected finite numbers, got {norm} in {where}")
        if rules.clip_value is not None:
            optim.clip_by_value(gradients, rules.clip_value)
        rules.optimizer.step(rules.model.parameter_vector, gradients)
        return Update(loss_sum / weight, weight, norm, stop)
