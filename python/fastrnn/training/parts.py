"""From batches to parts: what one backward pass runs through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn.bptt import Window, mean_over, truncated_bptt
from fastrnn.data import Batch
from fastrnn.protocol import Layer
from fastrnn.state_trees import replaced
from fastrnn.training.rules import Rules


@dataclass(frozen=True)
class Position:
    """Where in an epoch training stands.

    Attributes
    ----------
    batch : int
        Index of the batch.
    time : int
        Step of its sequences at which the next window of truncated BPTT begins.
    state : as the model's, or None
        From which the next part goes on.
    """

    batch: int = 0
    time: int = 0
    state: Any = None


@dataclass(frozen=True)
class Part:
    """A forward pass that waits for its backward pass.

    Attributes
    ----------
    outputs : ndarray, (N, ...)
    targets, mask : as in `Batch`
    backward : callable
        Takes the gradient of `outputs` and adds to the model's gradients.
    weight : float
        The sum of weights that the mean loss is taken over.
    """

    outputs: FloatArray
    targets: Any
    mask: Any
    backward: Callable[[FloatArray], None]
    weight: float


def parts(
    rules: Rules, steps: int, batch: Batch | None, position: Position, *, carries: bool
) -> Iterator[tuple[Part | None, Position]]:
    """Run a batch from `position` on; yield its parts, each with the position behind it.

    A part is the whole batch or, with truncated BPTT, a window: those of the longest row, so that
    processes that share a batch's rows have the same ones.

    Parameters
    ----------
    rules : Rules
    steps : int
        Of the longest row of all processes.
    batch : Batch or None
        The rows of this process; None if it has none.
    position : Position
    carries : bool
        Whether the next batch goes on from this one's states.
    """
    run = _whole if rules.bptt_steps is None else _windows
    state = position.state
    for part, (time, state) in run(rules, steps, batch, position):
        if time is None:
            yield part, Position(position.batch + 1, 0, state if carries else None)
        else:
            yield part, Position(position.batch, time, state)


#: Where the next part of a batch begins, None behind the last, and the state there.
_Next = tuple[int | None, Any]


def _whole(
    rules: Rules, steps: int, batch: Batch | None, position: Position
) -> Iterator[tuple[Part | None, _Next]]:
    if batch is None:
        yield None, (None, None)
        return
    model = rules.model
    state = continued(model, batch, position.state)
    outputs, state, tape = model.forward(batch.x, state, lengths=batch.lengths)
    valid = steps if batch.lengths is None else int(batch.lengths.max())

    def backward(doutputs: FloatArray) -> None:
        with mean_over(model, max(valid, 1), rules.replicas):
            model.backward(tape, doutputs, input_gradient=False)

    weight = weight_of(batch.y, batch.mask)
    yield Part(outputs, batch.y, batch.mask, backward, weight), (None, state)


def _windows(
    rules: Rules, steps: int, batch: Batch | None, position: Position
) -> Iterator[tuple[Part | None, _Next]]:
    assert rules.bptt_steps is not None
    k1 = rules.bptt_steps[0]
    state = position.state
    running: Iterator[Window] = iter(())
    if batch is not None:
        state = state if position.time else continued(rules.model, batch, state)
        running = truncated_bptt(
            rules.model, batch.x, rules.bptt_steps, state, lengths=batch.lengths,
            replicas=rules.replicas, start=position.time, end=steps,
        )  # fmt: skip
    for start in range(position.time, steps, k1):
        last = start + k1 >= steps
        following = None if last else start + k1
        if batch is None:
            yield None, (following, None)
            continue
        window = next(running)
        new = slice(start, window.stop)
        targets = batch.y[:, new]
        mask = None if batch.mask is None else batch.mask[:, new]
        weight = weight_of(targets, mask)
        if mask is None:
            weight *= (window.stop - start) / steps
        state = window.state if last else window.state_for_next
        yield Part(window.outputs, targets, mask, window.backward, weight), (following, state)


def continued(model: Layer, batch: Batch, state: Any) -> Any:
    """Return the state that a batch starts from, given that after the one before; None is new.

    Parameters
    ----------
    model : layer
    batch : Batch
    state : as the model's, or None
    """
    if state is None or batch.reset is None or batch.reset.all():
        return None
    if not batch.reset.any():
        return state
    _, begin = model(batch.x[:, :0])  # no steps: what a model begins with
    return replaced(state, batch.reset, begin)


def weight_of(targets: Any, mask: Any) -> float:
    """Return the sum of weights that a mean loss is taken over: of the mask, else the rows.

    Parameters
    ----------
    targets : ndarray, (N, ...)
    mask : ndarray or None
    """
    return float(np.shape(targets)[0]) if mask is None else float(np.sum(mask))


def steps_of(batch: Batch) -> int:
    """Return T of a batch whose targets are per step, else of its inputs; 1 if it has none.

    Parameters
    ----------
    batch : Batch
    """
    shape = np.shape(batch.x)
    return shape[1] if len(shape) > 1 else 1
