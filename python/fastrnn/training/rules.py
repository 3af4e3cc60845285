"""How parameters follow from gradients, as the trainer was told."""

from __future__ import annotations

from dataclasses import dataclass, fields
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
        options = {
            field.name: getattr(self.optimizer, field.name)
            for field in fields(self.optimizer)  # type: ignore[arg-type]
            if field.name not in ("learning_rate", "_")
        }
        steps = self.bptt_steps
        return {
            "loss": type(self.loss).__name__,
            "optimizer": {"type": type(self.optimizer).__name__} | options,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "bptt_steps": None if steps is None else list(steps),
            "replicas": self.replicas,
            "accumulate": self.accumulate,
        }
