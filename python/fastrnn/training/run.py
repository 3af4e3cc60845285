"""One run of training: where it stands, and what it takes to go on from there bit for bit."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import parallel, safetensors_file, serialization
from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer
from fastrnn.state_trees import leaves, like
from fastrnn.training.callbacks.callback import Callback, FactorCallback
from fastrnn.training.history import Epoch, History
from fastrnn.training.parts import Position
from fastrnn.training.rules import Rules
from fastrnn.training.updates import Update

_FORMAT = "1"
_OPTIMIZER = "optimizer."


class Run:
    """What callbacks see of training while it runs.

    Attributes
    ----------
    model : layer
    optimizer : optimizer
    history : History
    epochs : int
        How many are asked for.
    epoch : int
        The one that runs, from 0.
    position : Position
        Where in it training stands: batch, time and carried states.
    batches : int or None
        Batches of an epoch; None where that is not known.
    last : Update or None
        The last change of the parameters.
    """

    def __init__(
        self,
        rules: Rules,
        callbacks: Sequence[Callback],
        epochs: int,
        describe: Callable[[], dict[str, Any]],
        generators: tuple[np.random.Generator, np.random.Generator],
        batches: int | None,
    ) -> None:
        self.model, self.optimizer, self.epochs = rules.model, rules.optimizer, epochs
        self.history = History()
        self.epoch, self.position = 0, Position()
        self.batches = batches
        self.last: Update | None = None
        self.order, self._masks = generators
        self.best: FloatArray | None = None
        self.seconds = 0.0  # of the unfinished epoch, in earlier runs
        self.base_rate = rules.optimizer.learning_rate
        self._callbacks = tuple(callbacks)
        self._rates = [c for c in callbacks if isinstance(c, FactorCallback)]
        self._describe = describe
        self._communicator = rules.communicator
        self._forget_epoch()

    def _forget_epoch(self) -> None:
        self._sums = [0.0, 0.0, 0.0, 0.0]  # loss times weight, weight, gradient norms, their count
        self._order_at_begin = self.order.bit_generator.state

    # ---- what callbacks may ask for ----

    @property
    def step(self) -> int:
        """Changes of the parameters so far."""
        return self.history.steps

    @property
    def loss(self) -> float | None:
        """Mean loss over the unfinished epoch so far; None before its first step."""
        return self._sums[0] / self._sums[1] if self._sums[1] else None

    @property
    def first_process(self) -> bool:
        """Whether this process is the one that writes files."""
        return self._communicator is None or self._communicator.rank == 0

    def agree(self, wish: bool) -> bool:
        """Return whether any process has this wish; all have to ask."""
        if self._communicator is None:
            return wish
        wishes = np.array([float(wish)])
        self._communicator.sum(wishes)
        return bool(wishes[0] > 0)

    def stop(self) -> None:
        """End training after this epoch or, asked for in ``on_step``, after this step."""
        self.history.stopped_early = True

    def interrupt(self) -> None:
        """End training after this step, as Ctrl-C does."""
        self.history.interrupted = True

    @property
    def stopping(self) -> bool:
        """Whether training is to end."""
        return self.history.stopped_early or self.history.interrupted

    @property
    def done(self) -> float:
        """The share of all epochs that is done, as far as it is known."""
        part = 0.0
        if self.batches:
            part = min(self.position.batch / self.batches, 1.0)
        return min((self.epoch + part) / self.epochs, 1.0)

    # ---- what the trainer tells ----

    def tell(self, event: str) -> None:
        """Tell all callbacks of an event by the name of their method."""
        for callback in self._callbacks:
            getattr(callback, event)(self)

    def set_rate(self) -> None:
        """Set the learning rate of the next step, where callbacks have a say in it."""
        if self._rates:
            factors = (callback.factor(self.step) for callback in self._rates)
            self.optimizer.learning_rate = self.base_rate * math.prod(factors)

    def reset_rate(self) -> None:
        """Set the learning rate to what it was at the start, where callbacks have a say in it."""
        if self._rates:
            self.optimizer.learning_rate = self.base_rate

    def add(self, update: Update, position: Position) -> None:
        """Note a change of the parameters, and where training stands behind it."""
        self.last, self.position = update, position
        if update.weight:
            self.history.steps += 1
            added = (update.loss * update.weight, update.weight, update.gradient_norm, 1.0)
            self._sums = [total + number for total, number in zip(self._sums, added, strict=True)]

    def end_epoch(self, validation_loss: float | None, metrics: dict[str, float]) -> None:
        """Write the epoch into the history, and keep the parameters where they are the best."""
        loss, weight, norms, count = self._sums
        rate = self.optimizer.learning_rate
        mean, norm = loss / max(weight, 1e-300), norms / max(count, 1.0)
        epoch = Epoch(mean, norm, self.seconds, rate, validation_loss, metrics)
        self.history.epochs.append(epoch)
        self.batches = self.position.batch
        if self.history.improved():
            self.history.best_epoch = self.epoch
            self.best = self.model.parameter_vector.copy()
        self.epoch, self.position, self.seconds = self.epoch + 1, Position(), 0.0
        self._forget_epoch()

    # ---- files ----

    @cached_property
    def _description(self) -> dict[str, Any]:
        """What has to be equal where training goes on; asked for only with checkpoints."""
        described: dict[str, Any] = json.loads(json.dumps(self._describe()))
        return described

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: a model file that also holds all that training goes on from.

        With several processes the first one writes, and all have to call this.

        Parameters
        ----------
        path : path-like
            Replaced only when everything has been written.

        Raises
        ------
        OSError
            If the file cannot be written; what was there before stays.
        """
        own = [self._own_state()]
        if self._communicator is not None:
            own = parallel.gathered(self._communicator, own[0])
            if self._communicator.rank:
                return
        more: dict[str, NDArray[Any]] = {
            f"process.{i}": np.frombuffer(state, np.uint8) for i, state in enumerate(own)
        }
        optimizer = self.optimizer.state_dict()
        more |= {_OPTIMIZER + name: np.asarray(value) for name, value in optimizer.items()}
        if self.best is not None:
            more["best"] = self.best
        described = {
            "format": _FORMAT,
            "description": self._description,
            "history": self.history.to_json(),
            "epoch": self.epoch,
            "batch": self.position.batch,
            "time": self.position.time,
            "seconds": self.seconds,
            "sums": self._sums,
            "base_rate": self.base_rate,
            "order": self._order_at_begin,
            "callbacks": [[type(c).__name__, c.state_dict()] for c in self._callbacks],
        }
        text = json.dumps(described)
        digest = _digest(text, dict(self.model.parameters) | more)
        metadata = {"training": text, "training_sha256": digest}
        serialization.save_with_more(self.model, path, more, metadata)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint, with the same model, data and options.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, or of other training; nothing has changed then.
        """
        where = os.fspath(path)
        model, metadata, more = serialization.load_with_more(path)
        text = metadata.get("training", "")
        if not text:
            raise ValueError(f"{where}: expected a checkpoint of training, got a model alone")
        if metadata.get("training_sha256") != _digest(text, dict(model.parameters) | more):
            raise ValueError(f"{where}: expected content of its SHA-256, got other: it is damaged")
        if model.config() != self.model.config():
            raise ValueError(f"{where}: expected a checkpoint of this model, got another model's")
        try:
            self._take(model, json.loads(text), more)
        except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ValueError(
                f"{where}: expected a checkpoint of training, got {error!r}"
            ) from error
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def _take(self, model: Layer, found: dict[str, Any], more: dict[str, NDArray[Any]]) -> None:
        """Judge all values first, then take them over."""
        if found["format"] != _FORMAT:
            raise ValueError(f"expected checkpoint format {_FORMAT}, got {found['format']!r}")
        for key, expected in self._description.items():
            if found["description"].get(key) != expected:
                got = found["description"].get(key)
                raise ValueError(f"{key}: expected {expected} as given, got {got}")
        history = History.from_json(found["history"])
        epoch, batch, time = (_count(name, found[name]) for name in ("epoch", "batch", "time"))
        if epoch != len(history.epochs):
            raise ValueError(f"epoch: expected {len(history.epochs)}, got {epoch}")
        numbers = [*found["sums"], found["seconds"], found["base_rate"]]
        if len(numbers) != 6 or not all(
            type(n) in (int, float) and math.isfinite(n) for n in numbers
        ):
            raise ValueError(f"sums, seconds, base_rate: expected 6 finite numbers, got {numbers}")
        best = more.get("best")
        vector = self.model._parameter_vector
        if best is not None and (best.shape != vector.shape or best.dtype != vector.dtype):
            raise ValueError(f"best: expected {vector.dtype} {vector.shape}, got {best.shape}")
        names = [type(callback).__name__ for callback in self._callbacks]
        kept_names = [name for name, _ in found["callbacks"]]
        if kept_names != names:
            raise ValueError(f"callbacks: expected {names} as given, got {kept_names!r:.200}")
        order, masks, state = self._own_from(found["order"], more)
        moments = {
            name.removeprefix(_OPTIMIZER): value
            for name, value in more.items()
            if name.startswith(_OPTIMIZER)
        }
        if any(np.size(v) not in (1, vector.size) for v in moments.values()):
            raise ValueError(f"optimizer: expected vectors of {vector.size} numbers, got others")
        before = [callback.state_dict() for callback in self._callbacks]
        try:
            for callback, (_, kept) in zip(self._callbacks, found["callbacks"], strict=True):
                callback.load_state_dict(kept)
            self.optimizer.load_state_dict(moments)
        except BaseException:
            for callback, kept in zip(self._callbacks, before, strict=True):
                callback.load_state_dict(kept)
            raise
        self.model.parameter_vector[...] = model._parameter_vector
        self.order.bit_generator.state = self._order_at_begin = order
        self._masks.bit_generator.state = masks
        # What stopped it is asked again: `EarlyStopping` in on_start, others as they come
        history.interrupted = history.stopped_early = False
        self.history, self.epoch, self.best = history, epoch, best
        self.position = Position(batch, time, state)
        self._sums, self.seconds, self.base_rate = numbers[:4], numbers[4], numbers[5]

    def _own_state(self) -> bytes:
        """Return what each process has for itself: generator of masks and carried states."""
        arrays = list(leaves(self.position.state))
        places = iter(range(len(arrays)))
        own = {
            "masks": self._masks.bit_generator.state,
            "state": like(self.position.state, lambda array: next(places)),
        }
        tensors = {f"state.{i}": array for i, array in enumerate(arrays)}
        return safetensors_file.to_bytes(tensors, {"process": json.dumps(own)})

    def _own_from(self, order: Any, more: dict[str, NDArray[Any]]) -> tuple[Any, Any, Any]:
        """Return the states of both generators, judged, and the carried states."""
        processes = 1 if self._communicator is None else self._communicator.size
        if sum(name.startswith("process.") for name in more) != processes:
            raise ValueError(f"expected a checkpoint of {processes} processes, got another number")
        rank = 0 if self._communicator is None else self._communicator.rank
        own = more[f"process.{rank}"].tobytes()
        tensors, metadata = safetensors_file.from_bytes("process", own)
        described = json.loads(metadata["process"])
        for generator, state in ((self.order, order), (self._masks, described["masks"])):
            type(generator.bit_generator)().state = state  # raises unless it is one
        state = like(described["state"], lambda i: tensors[f"state.{i}"])
        if any(array.dtype != self.model.dtype for array in tensors.values()):
            raise ValueError(f"state: expected {self.model.dtype}, got others")
        return order, described["masks"], state


def _count(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return value


def _digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of a text and of arrays under their names, in hexadecimal digits."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
