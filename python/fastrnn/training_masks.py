"""What one cell over time draws at random in training: masks of its state and of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fastrnn import _checks, initializers, masks, ops
from fastrnn._checks import FloatArray


@dataclass(frozen=True)
class TrainingMasks:
    """The masks of a layer's forward passes in training.

    Attributes
    ----------
    kind : ops.LayerKind
        The layer; its options tell zoneout.
    recurrent_dropout, drop_connect : float
        Probabilities of zeros in h where it enters products, and in weight_hh.
    """

    kind: ops.LayerKind
    recurrent_dropout: float
    drop_connect: float

    @classmethod
    def of(cls, kind: ops.LayerKind, recurrent_dropout: Any, drop_connect: Any) -> TrainingMasks:
        """Return those of a layer; raise unless it can have them."""
        recurrent_dropout = _checks.probability("recurrent_dropout", recurrent_dropout)
        drop_connect = _checks.probability("drop_connect", drop_connect)
        if drop_connect and not ops.CELLS[kind.cell].has_recurrent_matrix:
            raise ValueError(
                f"drop_connect: expected 0.0, as {kind.cell} has no recurrent matrix, "
                f"got {drop_connect}"
            )
        return cls(kind, recurrent_dropout, drop_connect)

    @cached_property
    def acts(self) -> bool:
        """Whether passes draw anything."""
        return bool(self.drop_connect) or any(self.kinds)

    @property
    def kinds(self) -> tuple[bool, bool, bool, bool]:
        """Which of `ops.Masks` are drawn."""
        options = self.kind.options
        return False, self.recurrent_dropout > 0, options.zoneout_h > 0, options.zoneout_c > 0

    def of_pass(
        self,
        given: ops.Masks | None,
        batch: int,
        steps: int,
        rng: np.random.Generator,
        first_step: int,
        weight_hh: FloatArray | None,
    ) -> tuple[ops.Masks | None, FloatArray | None]:
        """Return the masks of a pass and that of weight_hh; None where nothing is masked.

        Parameters
        ----------
        given : ops.Masks or None
            Of the caller, in the place of drawn ones.
        batch, steps : int
            N and T.
        rng : numpy.random.Generator
            Gives the key, where something is drawn.
        first_step : int
            Where the pass begins in its sequences.
        weight_hh : ndarray, (G*H, S), or None
        """
        if given is not None:
            given = self.checked(given, batch, steps)
        if not self.acts:
            return given, None
        key = initializers.random_key(rng)
        drawn = self.draw(key, batch, steps, first_step) if given is None else given
        if not self.drop_connect or weight_hh is None:
            return drawn, None
        return drawn, self.draw_of_weights(key, weight_hh.shape)

    def draw(self, key: int, batch: int, steps: int, first_step: int) -> ops.Masks:
        """Return the masks of a pass over steps of N rows that begin at `first_step`.

        Recurrent dropout: 0 or 1 / (1 - p), the same at all steps. Zoneout: 1 where the old state
        stays.
        """
        kind, options = self.kind, self.kind.options
        state, hidden, dtype = kind.state_size, kind.hidden_size, kind.dtype
        recurrent = zoneout_h = zoneout_c = None
        if self.recurrent_dropout:
            keep = 1.0 - self.recurrent_dropout
            recurrent = masks.bernoulli(
                key, masks.RECURRENT_DROPOUT, batch, 1, state, keep, scale=1.0 / keep, dtype=dtype
            )[:, 0]
        if options.zoneout_h:
            zoneout_h = masks.bernoulli(
                key, masks.ZONEOUT_H, batch, steps, state, options.zoneout_h,
                first_step=first_step, dtype=dtype,
            )  # fmt: skip
        if options.zoneout_c:
            zoneout_c = masks.bernoulli(
                key, masks.ZONEOUT_C, batch, steps, hidden, options.zoneout_c,
                first_step=first_step, dtype=dtype,
            )  # fmt: skip
        return ops.Masks(None, recurrent, zoneout_h, zoneout_c)

    def draw_of_weights(self, key: int, shape: tuple[int, ...]) -> FloatArray:
        """Return the mask of weight_hh, 0 or 1 / (1 - p), of its shape (G*H, S)."""
        keep, (rows, features) = 1.0 - self.drop_connect, shape
        mask = masks.bernoulli(
            key, masks.DROP_CONNECT, rows, 1, features, keep, scale=1.0 / keep,
            dtype=self.kind.dtype,
        )  # fmt: skip
        return mask.reshape(shape)

    def weight_bytes(self, weight_hh: FloatArray | None) -> int:
        """Return the memory that a masked weight_hh takes in a pass, in bytes.

        Parameters
        ----------
        weight_hh : ndarray, (G*H, S), or None
        """
        if not self.drop_connect or weight_hh is None:
            return 0
        panels = sum(ops.panel_size(self.kind, name) for name in ("forward", "backward"))
        # With its mask and its gradient.
        return 3 * weight_hh.nbytes + panels * self.kind.dtype.itemsize

    def checked(self, given: ops.Masks, batch: int, steps: int) -> ops.Masks:
        """Return masks that were given, with features side by side; raise unless they fit."""
        if not isinstance(given, ops.Masks):
            raise TypeError(f"masks: expected ops.Masks or None, got {type(given).__name__}")
        if given.resets is not None:
            raise ValueError("masks.resets: expected None, got an array; give it as reset=")
        kind = self.kind
        if given.zoneout_c is not None and not kind.has_cell_state:
            raise ValueError("masks.zoneout_c: expected None, as this cell has no c, got an array")
        state, hidden = kind.state_size, kind.hidden_size
        h = kind.state_symbol
        expected = {
            "recurrent": (f"(N, {h})", (batch, state)),
            "zoneout_h": (f"(N, T, {h})", (batch, steps, state)),
            "zoneout_c": ("(N, T, H)", (batch, steps, hidden)),
        }
        arrays: dict[str, Any] = {
            name: np.ascontiguousarray(
                _checks.of_shape(f"masks.{name}", value, symbols, shape, kind.dtype)
            )
            for name, (symbols, shape) in expected.items()
            if (value := getattr(given, name)) is not None
        }
        return ops.Masks(**arrays)
