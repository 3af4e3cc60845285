"""Residual connections: a layer's input added to its output (He et al. 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, sequences
from fastrnn._checks import FloatArray
from fastrnn.composition import Sequential, _Composite, _RecurrentComposite
from fastrnn.embedding_gradient import AddTo, of_each_step
from fastrnn.protocol import Layer, Recurrent, Tape, check_reset, reset_for


class Residual(_Composite, _RecurrentComposite):
    """y = x + layer(x) (He et al. 2016; between recurrent layers: Wu et al. 2016).

    At invalid steps y is what the layer gives (zero, unless its `pad_output` says more) and dx is
    zero, whatever x holds there. The state is the layer's.

    Parameters
    ----------
    layer : layer
        Its outputs have the shape of its inputs: `LSTM`, `GRU`, `RNN`, `Linear`, a `Stacked`,
        `Bidirectional` or `Sequential`, ... with output_size = input_size.

    Raises
    ------
    TypeError
        If `layer` is no layer, has no time axis in its output or no sizes.
    ValueError
        If the sizes differ, or the layer is already part of a model.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.Residual(fr.Sequential([fr.GRU(3, 8, seed=0), fr.Linear(8, 3, seed=1)]))
    >>> x = np.ones((2, 5, 3), np.float32)
    >>> y, state = layer(x)
    >>> bool((y == x + layer.layer(x)[0]).all())
    True
    """

    def __init__(self, layer: Layer) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a layer, got {type(layer).__name__}")
        inputs, outputs = _size(layer, "input_size"), _size(layer, "output_size")
        if not layer.keeps_time or inputs is None or outputs is None:
            raise TypeError(
                "layer: expected one from (N, T, input_size) to (N, T, output_size), "
                f"got {type(layer).__name__}"
            )
        if inputs != outputs:
            raise ValueError(
                f"layer: expected output_size = input_size = {inputs}, to be added, got {outputs}"
            )
        self.layer = layer
        super().__init__({"layer": layer})
        self.input_size = self.output_size = inputs

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
        x, valid = self._arguments(x, lengths, out)
        y, final = self.layer(x, state, lengths=lengths, **reset_for(self.layer, reset))
        return _sum(y, x, valid, out), final

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
        x, valid = self._arguments(x, lengths, out)
        y, final, tape = self.layer.forward(
            x, state, lengths=lengths, **reset_for(self.layer, reset)
        )
        return _sum(y, x, valid, out), final, Tape(self, (tape, x.shape, valid))

    def _arguments(
        self, x: Any, lengths: Any, out: FloatArray | None
    ) -> tuple[FloatArray, NDArray[np.bool_] | None]:
        x = _checks.features_last("x", x, self.input_size, self.dtype)
        if out is not None:
            _checks.of_shape("out", out, "that of x", x.shape, self.dtype)
        return x, _checks.valid_steps(x.shape[:-1], lengths, self.batch_first)

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        inner, shape, _ = tape.content(self)
        if dy is not None:
            _checks.of_shape("dy", dy, "that of x", shape, self.dtype)
        self.layer._check_backward(inner, dy, dstate)

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: AddTo = None,
    ) -> tuple[Any, Any]:
        sums = of_each_step(add_to)
        inner, shape, valid = tape.use(self)
        dx, dinitial = self.layer._backward(inner, dy, dstate, input_gradient=input_gradient)
        if not input_gradient:
            return None, dinitial
        dx = np.zeros(shape, self.dtype) if dx is None else dx
        if dy is not None:
            dx = _sum(dx, np.asarray(dy), valid, None)
        return dx if sums is None else np.add(sums, dx, out=sums), dinitial

    def _discard(self, tape: Tape) -> None:
        tape.use(self)[0].discard()

    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes.

        Raises
        ------
        TypeError
            If the layer inside has parts that are not recurrent.
        """
        if not isinstance(self.layer, Recurrent):
            raise TypeError(
                f"layer: expected a recurrent layer, got {type(self.layer).__name__}, "
                "whose memory is not known"
            )
        return self.layer.training_bytes(batch_size, steps, lengths, reset=reset)

    def _reversed(self, rng: np.random.Generator) -> Recurrent:
        if not isinstance(self.layer, Recurrent):
            raise TypeError(
                "layer: expected a recurrent layer in what is to run backwards in time, "
                f"got {type(self.layer).__name__}"
            )
        return Residual(self.layer.reversed_twin(rng))

    def config(self) -> dict[str, Any]:
        """Return the configuration of the layer."""
        return {"type": "Residual", "layer": self.layer.config()}


def _sum(
    values: FloatArray,
    more: FloatArray,
    valid: NDArray[np.bool_] | None,
    out: FloatArray | None,
) -> FloatArray:
    """Return values (N, T, F), or `out`, with `more` added at valid steps only: it may hold NaN."""
    if valid is None:
        return np.add(values, more, out=values if out is None else out)
    if out is not None:
        if np.may_share_memory(out, more):
            more = more.copy()
        out[...] = values
        values = out
    return np.add(values, more, out=values, where=valid[..., np.newaxis])


def _size(layer: Layer, name: str) -> int | None:
    """Return a layer's input_size or output_size; a sequence's is that of the layer at its end."""
    if not isinstance(layer, Sequential):
        return getattr(layer, name, None)
    order = layer.layers if name == "input_size" else layer.layers[::-1]
    return next((size for child in order if (size := _size(child, name)) is not None), None)
