"""An epoch: batches to parts, parts to changes of the parameters, callbacks told of each."""

from __future__ import annotations

from collections.abc import Iterator

from fastrnn import parallel
from fastrnn.data import Batch
from fastrnn.parallel import Communicator
from fastrnn.progress import Progress
from fastrnn.training.interrupts import Interrupts
from fastrnn.training.parts import parts, steps_of
from fastrnn.training.rules import Rules
from fastrnn.training.run import Run
from fastrnn.training.updates import Update, Updates


def run_epoch(
    run: Run,
    rules: Rules,
    batches: Iterator[Batch],
    carries: bool,
    interrupts: Interrupts,
    display: Progress,
) -> None:
    """Run the rest of an epoch, or up to the step at which training is to end.

    Parameters
    ----------
    run : Run
        Says where in the epoch to go on.
    rules : Rules
    batches : iterator of Batch
        From that place on.
    carries : bool
        Whether states go on from batch to batch.
    interrupts : Interrupts
    display : Progress

    Raises
    ------
    FloatingPointError
        If the loss or a gradient is not finite; the parameters are those before the step.
    """
    updates = Updates(rules)
    position, where = run.position, ""

    def changed(update: Update | None) -> None:
        if update is None:
            return
        run.add(update, position)
        if update.stop:
            run.interrupt()
        if update.weight:
            run.tell("on_step")
        display.step(run.done, run.loss)

    for batch in batches:
        own, steps = own_rows(batch, rules.communicator), steps_of(batch)
        for part, following in parts(rules, steps, own, position, carries=carries):
            where = f"epoch {run.epoch + 1}, step {position.batch + 1}"
            where += f", time {position.time}" if rules.bptt_steps else ""
            position = following
            run.set_rate()
            changed(updates.add(part, where, stop=interrupts.asked))
            if run.stopping:
                return
    if updates.pending:
        changed(updates.finish(where, stop=interrupts.asked))


def own_rows(batch: Batch, communicator: Communicator | None) -> Batch | None:
    """Return the rows of a batch that this process computes; None where it has none.

    Parameters
    ----------
    batch : Batch
    communicator : Communicator or None
    """
    if communicator is None:
        return batch
    rows = parallel.share(communicator, len(batch.y))
    return batch.rows(rows) if rows.start < rows.stop else None
