"""Both directions of time: a recurrent layer and its twin."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import _checks, sequences
from fastrnn._checks import FloatArray
from fastrnn.composition import _Composite, _RecurrentComposite
from fastrnn.embedding_gradient import AddTo
from fastrnn.merging import MERGES, merge_into, merged_size, split_gradient
from fastrnn.protocol import Recurrent, Tape, check_reset


class Bidirectional(_Composite, _RecurrentComposite):
    """A recurrent layer and its twin that reads time backwards (Schuster and Paliwal 1997).

    The twin starts at each row's last valid step; its outputs are aligned with the input. The
    state is a pair (state of the layer, state of the twin). Where both are single cells over time,
    as in ``fr.LSTM(..., bidirectional=True)``, they run side by side on two threads when that is
    quicker; results are the same bits either way.

    Parameters
    ----------
    layer : recurrent layer
    merge : {"concat", "sum", "mean", "product"}, default "concat"
        Outputs side by side, (N, T, 2 * H), or added, averaged or multiplied number by number,
        (N, T, H).
    reverse_layer : recurrent layer or None
        The layer that reads backwards; None makes a twin of `layer` with weights of its own.
    seed : int, numpy.random.Generator or None, default None
        For the twin's initial values.

    Raises
    ------
    ValueError
        If the sizes of the two differ or `merge` is unknown.
    TypeError
        If a layer is not recurrent.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.Bidirectional(fr.GRU(3, 8, seed=0), seed=1)
    >>> y, (h_forward, h_reverse) = layer(np.zeros((2, 5, 3), np.float32))
    >>> y.shape
    (2, 5, 16)
    """

    def __init__(
        self,
        layer: Recurrent,
        merge: str = "concat",
        *,
        reverse_layer: Recurrent | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        if not isinstance(layer, Recurrent):
            raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
        self.merge = _checks.choice("merge", merge, MERGES)
        twin = layer.reversed_twin(seed) if reverse_layer is None else reverse_layer
        if not isinstance(twin, Recurrent):
            raise TypeError(f"reverse_layer: expected a recurrent layer, got {type(twin).__name__}")
        sizes = (layer.input_size, layer.output_size)
        if (twin.input_size, twin.output_size) != sizes:
            raise ValueError(
                f"reverse_layer: expected sizes {sizes} like layer, "
                f"got {(twin.input_size, twin.output_size)}"
            )
        self.layer, self.reverse_layer = layer, twin
        super().__init__({"forward": layer, "reverse": twin})
        self.input_size = layer.input_size
        self.output_size = merged_size(merge, layer.output_size)

    def __call__(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[Any, Any]:
        """Run for inference: x (N, T, input_size) -> y (N, T, output_size), state."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.call(self, x, state, lengths, out, reset)
        check_reset(self, reset)
        states = self._states("state", state)
        y, outs = self._outputs(x, out)
        (y_f, final_f), (y_r, final_r) = self.layer._run_beside(
            self.reverse_layer, x, states, lengths, outs, reset, record=False
        )
        return self._merged(y, y_f, y_r), (final_f, final_r)

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[Any, Any, Tape]:
        """Run for training: y (N, T, output_size), state, tape."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.forward(self, x, state, lengths, out, reset)
        check_reset(self, reset)
        states = self._states("state", state)
        y, outs = self._outputs(x, out)
        (y_f, final_f, tape_f), (y_r, final_r, tape_r) = self.layer._run_beside(
            self.reverse_layer, x, states, lengths, outs, reset, record=True
        )
        factors = None
        if self.merge == "product":  # whose gradients need both outputs as they are
            factors, y = (y_f, y_r), np.empty_like(y_f) if y is None else y
        y = self._merged(y, y_f, y_r)
        return y, (final_f, final_r), Tape(self, ((tape_f, tape_r), factors))

    def _states(self, name: str, state: Any) -> tuple[Any, Any]:
        if state is None:
            return None, None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise ValueError(f"{name}: expected a pair (forward, reverse), got {_arity(state)}")
        return state[0], state[1]

    # Side by side, each direction writes its half of y; to be added, the first writes y.
    def _outputs(
        self, x: Any, out: FloatArray | None
    ) -> tuple[FloatArray | None, tuple[FloatArray | None, FloatArray | None]]:
        if self.merge != "concat":
            if out is not None:
                x = _checks.sequence("x", x, self.input_size, self.dtype)
                shape = (*x.shape[:2], self.output_size)
                _checks.of_shape("out", out, "(N, T, output_size)", shape, self.dtype)
            return out, (None if self.merge == "product" else out, None)
        x = _checks.sequence("x", x, self.input_size, self.dtype)
        y = np.empty((*x.shape[:2], self.output_size), self.dtype) if out is None else out
        half = self.layer.output_size
        return y, (y[..., :half], y[..., half:])

    def _merged(self, y: FloatArray | None, y_f: FloatArray, y_r: FloatArray) -> FloatArray:
        if y is not None and self.merge == "concat":
            return y
        return merge_into(self.merge, y_f, y_r, y_f if y is None else y)

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        tapes, _ = tape.content(self)
        if dy is not None:
            _checks.features_last("dy", dy, self.output_size, self.dtype)
        layers = (self.layer, self.reverse_layer)
        parts = split_gradient("concat", dy, None) if self.merge == "concat" else (dy, dy)
        for layer, kept, dy_of, dstate_of in zip(
            layers, tapes, parts, self._states("dstate", dstate), strict=True
        ):
            layer._check_backward(kept, dy_of, dstate_of)

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: AddTo = None,
    ) -> tuple[Any, Any]:
        tapes, factors = tape.use(self)
        return self.layer._backward_beside(
            self.reverse_layer,
            tapes,
            split_gradient(self.merge, dy, factors),
            self._states("dstate", dstate),
            input_gradient=input_gradient,
            add_to=add_to,
        )

    def _adds_by_token(self) -> bool:
        return self.layer._adds_by_token() and self.reverse_layer._adds_by_token()

    def _discard(self, tape: Tape) -> None:
        tapes, _ = tape.use(self)
        for inner in tapes:
            inner.discard()

    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        both = (self.layer, self.reverse_layer)
        # Side by side, the second direction has a dx of its own.
        dx = batch_size * steps * self.input_size * self.dtype.itemsize
        return dx + sum(
            layer.training_bytes(batch_size, steps, lengths, reset=reset) for layer in both
        )

    def _reversed(self, rng: np.random.Generator) -> Recurrent:
        return Bidirectional(
            self.layer.reversed_twin(rng),
            self.merge,
            reverse_layer=self.reverse_layer.reversed_twin(rng),
        )

    def config(self) -> dict[str, Any]:
        """Return the configurations of the two layers and how they merge."""
        return {
            "type": "Bidirectional",
            "layer": self.layer.config(),
            "reverse_layer": self.reverse_layer.config(),
            "merge": self.merge,
        }


def _arity(state: Any) -> str:
    return f"{len(state)} values" if isinstance(state, (tuple, list)) else type(state).__name__
