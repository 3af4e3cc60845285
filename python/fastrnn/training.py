"""Training loops: mini-batches, clipping, validation, early stopping, one progress line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastrnn import _checks, initializers, losses, optim
from fastrnn._checks import FloatArray
from fastrnn.bptt import REPLICAS, average_replicas, check_runs_on, steps_pair, truncated_bptt
from fastrnn.data import Batch, Dataset, ParallelStreams, batches
from fastrnn.progress import ProgressLine
from fastrnn.protocol import Layer, walk
from fastrnn.state_trees import replaced

DataLike = Dataset | ParallelStreams | tuple[Any, ...]


@dataclass(frozen=True)
class Epoch:
    """What one epoch showed; see `History` for the fields."""

    loss: float
    gradient_norm: float
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass
class History:
    """What happened in training, one entry per epoch.

    Attributes
    ----------
    epochs : list of Epoch
        ``loss``: mean over the epoch's batches, weighted by their sizes, while the parameters
        change; ``gradient_norm``: mean global norm before clipping; ``seconds``; and, with
        validation data, ``validation_loss`` and, for classes, ``validation_accuracy``.
    best_epoch : int or None
        Index of the epoch with the lowest validation loss.
    stopped_early : bool
        Whether `patience` or a callback ended training.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    stopped_early: bool = False

    def values(self, name: str) -> list[float]:
        """Return one number per epoch, such as ``values("loss")``.

        Parameters
        ----------
        name : str
            A field of `Epoch`; epochs without it are left out.
        """
        found = [getattr(epoch, name) for epoch in self.epochs]
        return [value for value in found if value is not None]


@dataclass(frozen=True)
class Evaluation:
    """Loss and, where targets are classes, accuracy over a data set."""

    loss: float
    accuracy: float | None


Callback = Callable[[History], bool | None]


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
    callbacks : sequence of callables, default ()
        Each is called with the `History` after every epoch; True ends training.

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
        callbacks: Sequence[Callback] = (),
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
        for i, callback in enumerate(callbacks):
            if not callable(callback):
                raise TypeError(
                    f"callbacks[{i}]: expected a callable, got {type(callback).__name__}"
                )
        self.callbacks = tuple(callbacks)
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
        progress: bool = True,
    ) -> History:
        """Train for some epochs; the model's parameters change in place.

        Parameters
        ----------
        train : Dataset, or its arguments as a tuple (x, y) or (x, y, lengths), or ParallelStreams
            x padded (N, T, F) or a list of arrays (T_n, F); y per sequence or per step. With
            `fastrnn.data.ParallelStreams` states are carried from batch to batch, with no gradient
            across; a row's state is zero where its sequence begins. Not for models with learned
            initial states: those of rows that begin while others go on would have no gradient.
        validation : as `train`, or None
            Evaluated after every epoch.
        epochs : int
        batch_size : int, default 32
            ParallelStreams have their own.
        seed : int or None, default None
            Of the order of batches and of dropout masks: with the same seed, data and initial
            parameters, training gives the same bits.
        patience : int or None, default None
            End when the validation loss has not fallen for so many epochs, and restore the
            parameters of the best epoch.
        progress : bool, default True
            One line on standard error, where that is a terminal.

        Returns
        -------
        History
            Also kept as `history` while training runs, should it be interrupted.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; before anything is computed.
        FloatingPointError
            If the loss or a gradient is not finite. The parameters are those before that step.
        """
        data = _dataset("train", train)
        held_out = None if validation is None else _dataset("validation", validation)
        for name, given in (("train", data), ("validation", held_out)):
            self._check_data(name, given)
        epochs = _checks.positive_integer("epochs", epochs)
        batch_size = _checks.positive_integer("batch_size", batch_size)
        if patience is not None:
            patience = _checks.positive_integer("patience", patience)
            if held_out is None:
                raise ValueError("patience: expected validation data with it, got None")
        order_rng, dropout_rng = initializers.generator(seed).spawn(2)
        self.model.reseed(dropout_rng)
        self.history = history = History()
        best: FloatArray | None = None
        with ProgressLine(progress, epochs) as line:
            for epoch in range(epochs):
                record = self._epoch(data, held_out, batch_size, order_rng, epoch)
                history.epochs.append(record)
                line.show(epoch, record.loss, record.validation_loss, record.validation_accuracy)
                if record.validation_loss is not None and _improved(history):
                    history.best_epoch = epoch
                    best = self.model.parameter_vector.copy() if patience else None
                answers = [callback(history) for callback in self.callbacks]  # all are called
                waited = epoch - (history.best_epoch or 0)
                if any(answers) or (patience is not None and waited >= patience):
                    history.stopped_early = True
                    break
        if best is not None:
            self.model.parameter_vector[...] = best
        return history

    def evaluate(self, data: DataLike, *, batch_size: int = 256) -> Evaluation:
        """Return loss and accuracy over a data set; nothing changes.

        Parameters
        ----------
        data : Dataset, tuple or ParallelStreams, as for `fit`
        batch_size : int, default 256
            ParallelStreams have their own.

        Returns
        -------
        Evaluation
        """
        dataset = _dataset("data", data)
        if isinstance(dataset, ParallelStreams):
            check_runs_on(self.model)
        state: Any = None
        total, weight, right, counted = 0.0, 0.0, 0, 0
        classes = isinstance(self.loss, losses.SoftmaxCrossEntropy)
        for batch in _batches(dataset, _checks.positive_integer("batch_size", batch_size)):
            state = _continued(self.model, batch, state)
            outputs, state = self.model(batch.x, state, lengths=batch.lengths)
            value, _ = self.loss(outputs, batch.y, batch.mask)
            size = _weight(batch)
            total += value * size
            weight += size
            if classes:
                mask = np.ones(batch.y.shape, bool) if batch.mask is None else batch.mask > 0
                right += int(((outputs.argmax(axis=-1) == batch.y) & mask).sum())
                counted += int(mask.sum())
        return Evaluation(total / max(weight, 1e-300), right / max(counted, 1) if classes else None)

    def _epoch(
        self,
        data: Dataset | ParallelStreams,
        held_out: Dataset | ParallelStreams | None,
        batch_size: int,
        rng: np.random.Generator,
        epoch: int,
    ) -> Epoch:
        start = time.perf_counter()
        total, weight, norms = 0.0, 0.0, []
        state: Any = None
        for step, batch in enumerate(_batches(data, batch_size, rng)):
            state = _continued(self.model, batch, state)
            steps = self._steps(batch, state, f"epoch {epoch + 1}, step {step + 1}")
            for value, norm, size, state in steps:  # noqa: B007 (the last one goes on)
                total += value * size
                weight += size
                norms += [norm] if size else []
        seconds = time.perf_counter() - start
        loss, norm = total / max(weight, 1e-300), float(np.mean(norms or 0.0))
        if held_out is None:
            return Epoch(loss, norm, seconds)
        shown = self.evaluate(held_out)
        return Epoch(loss, norm, seconds, shown.loss, shown.accuracy)

    def _steps(
        self, batch: Batch, state: Any, where: str
    ) -> Iterator[tuple[float, float, float, Any]]:
        """Change the parameters by one batch, window by window where BPTT is truncated.

        Yields loss, gradient norm before clipping, the weight of the loss, and the state.
        """
        if self.bptt_steps is None:
            outputs, state, tape = self.model.forward(batch.x, state, lengths=batch.lengths)
            steps = batch.x.shape[1] if batch.lengths is None else int(batch.lengths.max())

            def backward(doutputs: FloatArray) -> None:
                self.model.backward(tape, doutputs, input_gradient=False)
                if self.replicas == "mean":
                    average_replicas(self.model, max(steps, 1))

            value, norm = self._step(outputs, batch.y, batch.mask, backward, where)
            yield value, norm, _weight(batch), state
            return
        windows = truncated_bptt(
            self.model, batch.x, self.bptt_steps, state, lengths=batch.lengths,
            replicas=self.replicas,
        )  # fmt: skip
        for window in windows:
            new = slice(window.start, window.stop)
            mask = None if batch.mask is None else batch.mask[:, new]
            targets = batch.y[:, new]
            state = window.state
            if mask is not None and not mask.any():
                yield 0.0, 0.0, 0.0, state
                continue
            value, norm = self._step(
                window.outputs, targets, mask, window.backward, f"{where}, time {window.start}"
            )
            share = (window.stop - window.start) / batch.x.shape[1]
            yield value, norm, share * len(targets) if mask is None else float(mask.sum()), state

    def _step(
        self,
        outputs: FloatArray,
        targets: Any,
        mask: Any,
        backward: Callable[[FloatArray], None],
        where: str,
    ) -> tuple[float, float]:
        """Change the parameters once; return loss and gradient norm before clipping."""
        model = self.model
        value, doutputs = self.loss(outputs, targets, mask)
        if not np.isfinite(value):
            raise FloatingPointError(f"loss: expected a finite number, got {value} in {where}")
        model.zero_grad()
        backward(doutputs)
        gradients = model.gradient_vector
        norm = optim.clip_by_global_norm(
            gradients, np.inf if self.clip_norm is None else self.clip_norm
        )
        if not np.isfinite(norm):
            raise FloatingPointError(f"gradients: expected finite numbers, got {norm} in {where}")
        if self.clip_value is not None:
            optim.clip_by_value(gradients, self.clip_value)
        self.optimizer.step(model.parameter_vector, gradients)
        return value, norm

    def _check_data(self, name: str, data: Dataset | ParallelStreams | None) -> None:
        """Raise unless the model and the kind of training fit to the data."""
        if isinstance(data, ParallelStreams):
            check_runs_on(self.model)
            if any(getattr(part, "learn_initial_state", False) for part in walk(self.model)):
                raise ValueError(
                    f"{name}: expected a model without learn_initial_state for ParallelStreams: "
                    "rows that begin while others go on would give its values no gradient"
                )
        elif data is not None and self.bptt_steps is not None and not data.per_step:
            raise ValueError(
                f"{name}: expected a target for every step for bptt_steps, got one per sequence"
            )


def predict(
    model: Layer, x: Any, lengths: Any = None, *, batch_size: int = 256
) -> FloatArray | list[FloatArray]:
    """Return a model's outputs for a data set, batch by batch.

    Parameters
    ----------
    model : layer
        Batch first.
    x : ndarray (N, T, F), or a list of arrays (T_n, F)
    lengths : ndarray of int, (N,), or None
        Valid steps where x is padded.
    batch_size : int, default 256

    Returns
    -------
    ndarray (N, C), or a list of arrays (T_n, C)
        A list where the model's output has a time axis.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.GRU(2, 4, seed=0), fr.Last(), fr.Linear(4, 3, seed=1)])
    >>> fr.predict(model, [np.zeros((5, 2), np.float32), np.zeros((3, 2), np.float32)]).shape
    (2, 3)
    """
    size = _checks.positive_integer("batch_size", batch_size)
    dataset = Dataset(x, np.zeros(len(x), np.int64), lengths)
    outputs = []
    for batch in batches(dataset, size):
        y, _ = model(batch.x, lengths=batch.lengths)
        if not model.keeps_time:
            outputs.append(y)
        elif batch.lengths is None:
            outputs.extend(y)
        else:
            outputs.extend(row[:steps] for row, steps in zip(y, batch.lengths, strict=True))
    return outputs if model.keeps_time else np.concatenate(outputs)


def _batches(
    data: Dataset | ParallelStreams, batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[Batch]:
    if isinstance(data, ParallelStreams):
        return data.batches(rng)
    return batches(data, batch_size, rng)


def _continued(model: Layer, batch: Batch, state: Any) -> Any:
    """Return the state that a batch starts from, given that after the one before; None is new."""
    if state is None or batch.reset is None or batch.reset.all():
        return None
    if not batch.reset.any():
        return state
    _, begin = model(batch.x[:, :0])  # no steps: what a model begins with
    return replaced(state, batch.reset, begin)


def _dataset(name: str, value: DataLike) -> Dataset | ParallelStreams:
    if isinstance(value, (Dataset, ParallelStreams)):
        return value
    if isinstance(value, tuple) and 2 <= len(value) <= 4:
        return Dataset(*value)
    got = f"{len(value)} values" if isinstance(value, tuple) else type(value).__name__
    raise TypeError(
        f"{name}: expected a Dataset, ParallelStreams or a tuple (x, y[, lengths[, mask]]), "
        f"got {got}"
    )


def _weight(batch: Batch) -> float:
    """Return the sum of weights that a batch's mean loss was taken over."""
    if batch.mask is not None:
        return float(batch.mask.sum())
    return float(np.asarray(batch.y).shape[0])


def _improved(history: History) -> bool:
    if history.best_epoch is None:
        return True
    best = history.epochs[history.best_epoch].validation_loss
    last = history.epochs[-1].validation_loss
    return best is None or (last is not None and last < best)
