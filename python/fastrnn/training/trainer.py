"""Training loops: mini-batches, clipping, validation, early stopping, checkpoints, Ctrl-C."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastrnn import _checks, initializers, losses, optim, parallel
from fastrnn import data as sources
from fastrnn.bptt import REPLICAS, check_runs_on, steps_pair
from fastrnn.data import Batch, Source
from fastrnn.parallel import Communicator
from fastrnn.progress import Progress, progress_display
from fastrnn.protocol import Layer, walk
from fastrnn.training import metrics as named_metrics
from fastrnn.training.callbacks import Callback, Checkpoint, EarlyStopping
from fastrnn.training.callbacks.callback import HistoryFunction
from fastrnn.training.evaluation import evaluated
from fastrnn.training.history import Evaluation, History
from fastrnn.training.interrupts import Interrupts
from fastrnn.training.loop import run_epoch
from fastrnn.training.metrics import Metric
from fastrnn.training.rules import Rules
from fastrnn.training.run import Run

DataLike = Source | tuple[Any, ...]


class Trainer:
    """Fits a model to data by mini-batch gradient descent.

    Parameters
    ----------
    model : layer
        Batch first; its outputs (N, C) meet targets per sequence, (N, T, C) targets per step.
    loss : str or loss, default "softmax_cross_entropy"
        See `fastrnn.losses`.
    optimizer : optimizer or None
        See `fastrnn.optim`; None is ``Adam(1e-3)``.
    clip_norm : float or None, default None
        Scale the gradients of all parameters together to at most this norm.
    clip_value : float or None, default None
        Clip each gradient to [-clip_value, clip_value].
    bptt_steps : int, pair of int or None, default None
        Truncated BPTT: k1 = k2, or (k1, k2). Every k1 steps the parameters change, by the gradient
        of these steps' losses through the last k2 steps (see `truncated_bptt`); windows in which no
        target counts change nothing. Needs a target for every step. None is full BPTT.
    replicas : {"sum", "mean"}, default "sum"
        "mean" divides the gradients of recurrent layers by the number of unrolled steps (see
        `average_replicas`), before clipping.
    callbacks : sequence, default ()
        Of `fastrnn.callbacks`, or functions that are called with the `History` after every epoch
        and end training by returning True. All are called, checkpoints behind the others.
    metrics : sequence of str or callables, default ()
        Measured on validation data and by `evaluate`: names of `fastrnn.metrics`, or functions of
        (outputs, targets, mask) that return a mean, or a sum and its weight. Accuracy is always
        one where the loss is softmax cross-entropy.
    accumulate : int, default 1
        Batches (with `bptt_steps` windows) whose gradients make one step, weighted as if they were
        one batch. The rest of an epoch makes a step of its own.
    class_weight : "balanced", dict of int to float, or None, default None
        Weights of target places by class, multiplied into the mask; see
        `fastrnn.data.class_weights`. Training only.
    communicator : Communicator or None, default None
        Share each batch's rows among processes that run the same program on the same data; see
        `fastrnn.parallel`. One addition of all gradients per step.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 10, 1)).astype(np.float32)
    >>> y = (x.sum(axis=(1, 2)) > 0).astype(np.int64)
    >>> model = fr.Sequential([fr.GRU(1, 16, seed=0), fr.Last(), fr.Linear(16, 2, seed=1)])
    >>> trainer = fr.Trainer(model, optimizer=fr.optim.Adam(1e-2), clip_norm=1.0)
    >>> history = trainer.fit((x, y), epochs=30, seed=0, progress=False)
    >>> history.epochs[-1].loss < history.epochs[0].loss
    True
    >>> trainer.evaluate((x, y)).accuracy > 0.9
    True
    """

    def __init__(
        self,
        model: Layer,
        loss: str | losses.Loss = "softmax_cross_entropy",
        optimizer: optim.Optimizer | None = None,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        bptt_steps: int | tuple[int, int] | None = None,
        replicas: str = "sum",
        callbacks: Sequence[Callback | Callable[[History], bool | None]] = (),
        metrics: Iterable[str | Metric] = (),
        accumulate: int = 1,
        class_weight: Any = None,
        communicator: Communicator | None = None,
    ) -> None:
        if not isinstance(model, Layer):
            raise TypeError(f"model: expected a layer, got {type(model).__name__}")
        self.model = model
        self.loss = losses.get(loss)
        self.optimizer = optim.Adam(1e-3) if optimizer is None else optimizer
        if not isinstance(self.optimizer, optim.Optimizer):
            raise TypeError(f"optimizer: expected an optimizer, got {type(optimizer).__name__}")
        self.clip_norm = _checks.limit("clip_norm", clip_norm)
        self.clip_value = _checks.limit("clip_value", clip_value)
        self.bptt_steps = None if bptt_steps is None else steps_pair("bptt_steps", bptt_steps)
        if bptt_steps is not None:
            check_runs_on(model)
        self.replicas = _checks.choice("replicas", replicas, REPLICAS)
        self.callbacks = _callbacks(callbacks)
        self.metrics = named_metrics.by_name(metrics)
        if isinstance(self.loss, losses.SoftmaxCrossEntropy):
            self.metrics = {"accuracy": named_metrics.accuracy} | self.metrics
        self.accumulate = _checks.positive_integer("accumulate", accumulate)
        self.class_weight = class_weight
        if communicator is not None and not isinstance(communicator, Communicator):
            got = type(communicator).__name__
            raise TypeError(f"communicator: expected a Communicator, got {got}")
        self.communicator = communicator
        self.history = History()

    def fit(
        self,
        train: DataLike,
        validation: DataLike | None = None,
        *,
        epochs: int,
        batch_size: int = 32,
        seed: int | None = None,
        patience: int | None = None,
        progress: bool | str = True,
        bucket_by_length: bool = False,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for some epochs; the model's parameters change in place.

        Parameters
        ----------
        train : Source, or the arguments of a Dataset as a tuple (x, y) or (x, y, lengths)
            x padded (N, T, F) or a list of arrays (T_n, F); y per sequence or per step. With
            `fastrnn.data.ParallelStreams` states are carried from batch to batch, with no gradient
            across; a row's state is zero where its sequence begins. Not for models with learned
            initial states: those of rows that begin while others go on would have no gradient.
        validation : as `train`, or None
            Evaluated after every epoch, in batches of `batch_size`.
        epochs : int
        batch_size : int, default 32
            ParallelStreams have their own.
        seed : int or None, default None
            Of the order of batches and of dropout masks: with the same seed, data and initial
            parameters, training gives the same bits.
        patience : int or None, default None
            End when the validation loss has not fallen for so many epochs, and restore the
            parameters of the best epoch.
        progress : bool or "tqdm", default True
            One line on standard error, where that is a terminal; or tqdm's bar.
        bucket_by_length : bool, default False
            Put sequences of about the same length into a batch; see `fastrnn.data.batches`.
        resume : path-like or None, default None
            A file of `fastrnn.callbacks.Checkpoint`: go on from there. With the same data and
            options the end has the same bits as without a break; `seed` is not used then, and the
            learning rate is the checkpoint's. Where `Run.stop` had ended training it goes on,
            unless `patience` or an `EarlyStopping` still says so.

        Returns
        -------
        History
            Also kept as `history` while training runs. Ctrl-C ends training at the next step, with
            `interrupted` set and the parameters of the best epoch, or without validation data the
            last ones; a second Ctrl-C raises KeyboardInterrupt at once.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above, or a checkpoint of other training; before anything is
            computed.
        OSError
            If `resume` cannot be read.
        FloatingPointError
            If the loss or a gradient is not finite. The parameters are those before that step.
        """
        source = sources.as_source("train", train)
        held_out = None if validation is None else sources.as_source("validation", validation)
        for name, given in (("train", source), ("validation", held_out)):
            self._check_data(name, given)
        epochs = _checks.positive_integer("epochs", epochs)
        batch_size = _checks.positive_integer("batch_size", batch_size)
        bucket_by_length = _checks.switch("bucket_by_length", bucket_by_length)
        callbacks = list(self.callbacks)
        if patience is not None:
            callbacks.append(EarlyStopping(patience))
            if held_out is None:
                raise ValueError("patience: expected validation data with it, got None")
        callbacks.sort(key=lambda callback: isinstance(callback, Checkpoint))
        weights = None
        if self.class_weight is not None:
            weights = sources.class_weights(source, self.class_weight)
        rules = self._rules()

        def batches(run: Run) -> Iterator[Batch]:
            found = source.batches(
                run.order,
                batch_size=batch_size,
                start=run.position.batch,
                bucket_by_length=bucket_by_length,
            )
            return (
                (sources.with_class_weights(batch, weights) for batch in found)
                if weights is not None
                else found
            )

        if self.communicator is not None and self.communicator.rank:
            progress = False
        with self._all_or_none(), progress_display(progress, epochs) as display:

            def described() -> dict[str, Any]:
                found = {"data": source.fingerprint(), "batch_size": batch_size}
                found |= {"bucket_by_length": bucket_by_length} | rules.description()
                return found | {"class_weight": None if weights is None else weights.tolist()}

            run = Run(
                rules, callbacks, epochs, described, self._generators(seed),
                source.num_batches(batch_size),
            )  # fmt: skip
            if resume is not None:
                run.load(resume)
            self.history = run.history
            try:
                with Interrupts() as interrupts:
                    run.tell("on_start")
                    while run.epoch < epochs and not run.stopping:
                        start = time.perf_counter() - run.seconds
                        carries = source.carries_state
                        run_epoch(run, rules, batches(run), carries, interrupts, display)
                        run.seconds = time.perf_counter() - start
                        if not run.stopping:
                            self._end_epoch(run, held_out, batch_size, display)
                if not run.stopping and run.agree(interrupts.asked):  # behind the last step
                    run.interrupt()
            finally:
                try:
                    run.tell("on_end")
                finally:
                    run.reset_rate()
            if run.best is not None and (patience is not None or run.history.interrupted):
                self.model.parameter_vector[...] = run.best
        return run.history

    def evaluate(self, data: DataLike, *, batch_size: int = 256) -> Evaluation:
        """Return loss and metrics over a data set; nothing changes.

        Parameters
        ----------
        data : Source or tuple, as for `fit`
        batch_size : int, default 256
            Some sources have their own.

        Returns
        -------
        Evaluation

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.
        """
        source = sources.as_source("data", data)
        if source.carries_state:
            check_runs_on(self.model)
        size = _checks.positive_integer("batch_size", batch_size)
        with self._all_or_none():
            return evaluated(self._rules(), self.metrics, source, size)

    def _rules(self) -> Rules:
        return Rules(
            self.model, self.loss, self.optimizer, self.clip_norm, self.clip_value,
            self.bptt_steps, self.replicas, self.accumulate, self.communicator,
        )  # fmt: skip

    def _generators(self, seed: Any) -> tuple[np.random.Generator, np.random.Generator]:
        """Return those of the order and of masks: the order is the same in all processes."""
        rank = 0
        if self.communicator is not None:
            rank = self.communicator.rank
            parallel.from_first(self.communicator, self.model.parameter_vector)
            seed = parallel.common_seed(self.communicator) if seed is None else seed
        order, *masks = initializers.generator(seed).spawn(2 + rank)
        self.model.reseed(masks[rank])
        return order, masks[rank]

    def _end_epoch(
        self, run: Run, held_out: Source | None, batch_size: int, display: Progress
    ) -> None:
        shown = Evaluation(0.0)
        if held_out is not None:
            shown = self.evaluate(held_out, batch_size=batch_size)
        run.end_epoch(None if held_out is None else shown.loss, shown.metrics)
        text = [f"loss {run.history.epochs[-1].loss:.4f}"]
        if held_out is not None:
            text.append(f"validation loss {shown.loss:.4f}")
        text += [f"validation {name} {value:.3f}" for name, value in shown.metrics.items()]
        display.epoch(run.done, "  ".join(text))
        run.tell("on_epoch")

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """With several processes, end all where this one fails: the others would wait for ever."""
        try:
            yield
        except BaseException as error:
            if self.communicator is not None and self.communicator.size > 1:
                self.communicator.abort(f"{type(error).__name__}: {error}")
            raise

    def _check_data(self, name: str, data: Source | None) -> None:
        """Raise unless the model and the kind of training fit to the data."""
        if data is None:
            return
        if data.carries_state:
            check_runs_on(self.model)
            if any(getattr(part, "learn_initial_state", False) for part in walk(self.model)):
                raise ValueError(
                    f"{name}: expected a model without learn_initial_state for ParallelStreams: "
                    "rows that begin while others go on would give its values no gradient"
                )
        elif self.bptt_steps is not None and not data.per_step:
            raise ValueError(
                f"{name}: expected a target for every step for bptt_steps, got one per sequence"
            )


def _callbacks(given: Sequence[Any]) -> tuple[Callback, ...]:
    found: list[Callback] = []
    for i, callback in enumerate(given):
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            got = callback.__name__ if isinstance(callback, type) else type(callback).__name__
            raise TypeError(f"callbacks[{i}]: expected a callback or a callable, got {got}")
        found.append(callback if isinstance(callback, Callback) else HistoryFunction(callback))
    return tuple(found)
