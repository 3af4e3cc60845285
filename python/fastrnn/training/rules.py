"""How parameters follow from gradients, as the trainer was told."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from fastrnn.losses import Loss
from fastrnn.optim import Optimizer
from fastrnn.parallel import Communicator
from fastrnn.protocol import Layer


@dataclass(frozen=True, eq=False)
class Rules:
    """What `Trainer` was given; see there."""

    model: Layer
    loss: Loss
    optimizer: Optimizer
    clip_norm: float | None
    clip_value: float | None
    bptt_steps: tuple[int, int] | None
    replicas: str
    accumulate: int
    communicator: Communicator | None

    def description(self) -> dict[str, Any]:
        """Return what has to be equal where training goes on, as JSON values."""
        steps = self.bptt_steps
        optimizer = _options(self.optimizer)
        optimizer.pop("learning_rate", None)  # checkpoints hold it
        return {
            "loss": _options(self.loss),
            "optimizer": optimizer,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "bptt_steps": None if steps is None else list(steps),
            "replicas": self.replicas,
            "accumulate": self.accumulate,
        }


def _options(thing: Any) -> dict[str, Any]:
    """Return the type of a loss or an optimizer, and those of its options that JSON can hold."""
    named = fields(thing) if is_dataclass(thing) else ()
    values = {field.name: getattr(thing, field.name, None) for field in named if field.name != "_"}
    plain = {name: value for name, value in values.items() if _is_plain(value)}
    return {"type": type(thing).__name__} | plain


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
