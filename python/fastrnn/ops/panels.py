"""A layer's weights, packed for the kernels."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn._isa import kernels
from fastrnn.ops.buffers import aligned_empty


class Cell(NamedTuple):
    """What the public weights of a cell look like.

    Attributes
    ----------
    gates : int
        G, blocks of H rows in the weights.
    has_cell_state : bool
        Whether the state is (h, c).
    has_recurrent_matrix : bool
        Whether h is multiplied with a matrix (G*H, H).
    unit_weights : int
        U, weights per hidden unit: peepholes, or an independent RNN's recurrent weights.
    """

    gates: int
    has_cell_state: bool = False
    has_recurrent_matrix: bool = True
    unit_weights: int = 0


#: The cells of the kernels, by name.
CELLS = {
    "lstm": Cell(4, has_cell_state=True),
    "lstm_peephole": Cell(4, has_cell_state=True, unit_weights=3),
    "lstm_coupled": Cell(3, has_cell_state=True),
    "lstm_coupled_peephole": Cell(3, has_cell_state=True, unit_weights=2),
    "gru": Cell(3),
    "gru_reset_before": Cell(3),
    "rnn_tanh": Cell(1),
    "rnn_relu": Cell(1),
    "independent_rnn_tanh": Cell(1, has_recurrent_matrix=False, unit_weights=1),
    "independent_rnn_relu": Cell(1, has_recurrent_matrix=False, unit_weights=1),
}


class CellOptions(NamedTuple):
    """What a layer computes otherwise than its cell's plain equations; zero: not at all.

    Attributes
    ----------
    gate_activation, candidate_activation, output_activation : str
        Names in `ACTIVATIONS`: of the gates, of the candidate (an RNN's h), of c.
    activation_clip : float
        What activations of gates and candidates see lies within -+ this.
    cell_clip : float
        c lies within -+ this.
    projection_size : int
        P: h is weight_hr (P, H) times the cell's output.
    layer_norm : bool
        Whether W x, R h and c are normalised.
    zoneout_h, zoneout_c : float
        The share of the state before, where a call gives no mask for it.
    gradient_clip_value, gradient_clip_norm : float
        Limits of each row's gradient of the state before a step, of its elements and its norm.
    """

    gate_activation: str = "sigmoid"
    candidate_activation: str = "tanh"
    output_activation: str = "tanh"
    activation_clip: float = 0.0
    cell_clip: float = 0.0
    projection_size: int = 0
    layer_norm: bool = False
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0
    gradient_clip_value: float = 0.0
    gradient_clip_norm: float = 0.0


#: No options.
PLAIN = CellOptions()

#: The names of activations.
ACTIVATIONS = ("sigmoid", "tanh", "relu", "hard_sigmoid", "hard_tanh", "softsign", "identity")


@lru_cache
def _cell_kind(cell: str, options: CellOptions) -> Any:
    """Return the kernels' cell: one object for equal options, as sizes are remembered by it."""
    return kernels.CellKind(cell, **options._asdict())


@dataclass(frozen=True)
class Weights:
    """Weights (or their gradients) of one layer and direction, each C-contiguous.

    Attributes
    ----------
    weight_ih : ndarray, (G*H, I)
    weight_hh : ndarray, (G*H, S), or None
        None where the cell has no recurrent matrix; S is H, or P where there is a projection.
    bias_ih, bias_hh : ndarray, (G*H,), or None
    unit_weights : ndarray, (U*H,), or None
    weight_hr : ndarray, (P, H), or None
        The projection.
    layer_norm : ndarray, (L,), or None
        Gain and shift of W x (G*H each), of R h (likewise; not of an independent RNN), and, where
        the cell has c, of c (H each).
    """

    weight_ih: FloatArray
    weight_hh: FloatArray | None
    bias_ih: FloatArray | None
    bias_hh: FloatArray | None
    unit_weights: FloatArray | None = None
    weight_hr: FloatArray | None = None
    layer_norm: FloatArray | None = None


@dataclass(frozen=True)
class LayerKind:
    """What a layer's kernels depend on beside its weights."""

    cell: str
    input_size: int
    hidden_size: int
    reverse: bool
    dtype: np.dtype[Any]
    bfloat16: bool = False
    options: CellOptions = PLAIN

    @cached_property
    def kernel_cell(self) -> Any:
        """Return the cell with its options, as the kernels take it."""
        return _cell_kind(self.cell, self.options)

    @cached_property
    def state_size(self) -> int:
        """S, the numbers of h: H, or P where there is a projection."""
        return self.options.projection_size or self.hidden_size

    @property
    def state_symbol(self) -> str:
        """What messages call S: ``"P"`` or ``"H"``."""
        return "P" if self.options.projection_size else "H"

    @property
    def weight_dtype(self) -> str:
        """What the forward panels hold: float32, float64 or bfloat16."""
        return "bfloat16" if self.bfloat16 else str(self.dtype)

    @cached_property
    def weight_itemsize(self) -> int:
        """Bytes of a weight in the forward panels."""
        return 2 if self.bfloat16 else self.dtype.itemsize

    @cached_property
    def has_cell_state(self) -> bool:
        """Whether the state is (h, c)."""
        return CELLS[self.cell].has_cell_state


def packed(
    kind: LayerKind, pass_name: str, weights: Weights, panels: FloatArray | None = None
) -> FloatArray:
    """Pack a layer's weights for one pass.

    Parameters
    ----------
    kind : LayerKind
    pass_name : str
        ``"forward"`` or ``"backward"``.
    weights : Weights
    panels : ndarray, (panel size,), or None
        Where they go; None: new memory.

    Returns
    -------
    ndarray, (panel size,)
        Of uint32, two weights in each, where the weights are bfloat16.
    """
    if panels is None:
        dtype = np.dtype(np.uint32) if kind.bfloat16 else kind.dtype
        panels = aligned_empty(panel_size(kind, pass_name), dtype)
    kernels.pack(
        pass_name,
        kind.kernel_cell,
        weights.weight_ih,
        weights.weight_hh,
        weights.bias_ih,
        weights.bias_hh,
        weights.unit_weights,
        weights.weight_hr,
        weights.layer_norm,
        panels,
    )
    return panels


def panel_size(kind: LayerKind, pass_name: str) -> int:
    """Return the elements of the panels of one pass."""
    return kernels.panel_size(
        pass_name, kind.kernel_cell, kind.input_size, kind.hidden_size, kind.weight_itemsize
    )


class Panels:
    """Weights packed for the kernels, kept until the weights change.

    Weights may be written in place by anyone who holds an array over them; as long as someone does,
    each use compares them with what was packed.
    """

    def __init__(self, kind: LayerKind) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._packed_from: FloatArray | None = None
        self._quiet_since: int | None = None  # when they were compared last
        self._panels: dict[str, FloatArray] = {}
        self._current: set[str] = set()
        self.version = 0

    def get(
        self, pass_name: str, weights: Weights, vector: FloatArray, quiet_since: int | None
    ) -> tuple[FloatArray, int]:
        """Return up-to-date panels and the version of the weights they hold.

        Parameters
        ----------
        pass_name : str
            ``"forward"`` or ``"backward"``.
        weights : Weights
            Views of `vector`.
        vector : ndarray, (parameters,)
            All weights of the layer, contiguous.
        quiet_since : int or None
            `Holders.quiet_since`, asked before.
        """
        # Without the lock: what is outdated leaves `_current` before `_quiet_since` changes.
        if (
            quiet_since is None
            or quiet_since != self._quiet_since
            or pass_name not in self._current
        ):
            with self._lock:
                if quiet_since is None or quiet_since != self._quiet_since:
                    self._compare(vector)
                    self._quiet_since = quiet_since
                if pass_name not in self._current:
                    self._panels[pass_name] = packed(
                        self._kind, pass_name, weights, self._panels.get(pass_name)
                    )
                    self._current.add(pass_name)
        return self._panels[pass_name], self.version

    def seen(self, vector: FloatArray, quiet_since: int | None) -> int:
        """Return the version of the weights, as `get` does, where no panels of them are wanted.

        Parameters
        ----------
        vector, quiet_since
            As for `get`.
        """
        with self._lock:
            if quiet_since is None or quiet_since != self._quiet_since:
                self._compare(vector)
                self._quiet_since = quiet_since
            return self.version

    def _compare(self, vector: FloatArray) -> None:
        if self._packed_from is None or not kernels.same_bytes(self._packed_from, vector):
            self._packed_from = vector.copy()
            self._current.clear()
            self.version += 1

    def last(self, pass_name: str) -> FloatArray:
        """Return the panels that the last `get` returned for this pass."""
        return self._panels[pass_name]
