"""Layers made of layers: stacked, bidirectional, sequential. They know the protocol only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from fastrnn import _checks, initializers, sequences
from fastrnn._checks import FloatArray
from fastrnn.dropout import Dropout
from fastrnn.merging import MERGES, merge_into, merged_size, split_gradient
from fastrnn.protocol import Layer, Recurrent, Shapes, Tape, adopt, bind_children
from fastrnn.sharing import Holders


class _Composite(Layer):
    """Named children whose parameters lie one after the other in the composite's vectors."""

    def __init__(self, children: dict[str, Layer]) -> None:
        self._children = children
        self.batch_first = all(child.batch_first for child in children.values())
        with_parameters = [c for c in children.values() if c._parameter_vector.size]
        for name, child in children.items():
            if child._parameter_vector.size and child.dtype != with_parameters[0].dtype:
                raise TypeError(
                    f"layers[{name}]: expected dtype {with_parameters[0].dtype} like the first, "
                    f"got {child.dtype}"
                )
        super().__init__(with_parameters[0].dtype if with_parameters else np.dtype(np.float32))
        adopt(self, list(children.values()))

    def shapes(self) -> Shapes:
        """Names and shapes of the parameters: the children's, prefixed with the child's name."""
        return {
            f"{prefix}.{name}": shape
            for prefix, child in self._children.items()
            for name, shape in child.shapes().items()
        }

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        super()._bind(parameters, gradients, holders)
        bind_children(self, list(self._children.values()))

    def _parts(self) -> tuple[Layer, ...]:
        return tuple(self._children.values())

    def _discard(self, tape: Tape) -> None:
        for inner in tape.use(self):
            inner.discard()

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw random numbers (dropout masks) from `rng` from now on."""
        for child in self._children.values():
            child.reseed(rng)


class _Chain(_Composite):
    """Children one after the other; the state is a tuple with one entry per child."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        if not isinstance(layers, Sequence) or not layers:
            raise ValueError("layers: expected a sequence of at least one layer, got none")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{i}]: expected a layer, got {type(layer).__name__}")
        self.layers = tuple(layers)
        super().__init__({str(i): layer for i, layer in enumerate(layers)})
        self._last = self.layers[-1]
        with_parameters = [bool(layer._parameter_vector.size) for layer in layers]
        self._parameters_below = [any(with_parameters[:i]) for i in range(len(layers))]

    @property
    def keeps_time(self) -> bool:  # type: ignore[override]
        """Whether the output still has the time axis of the input."""
        return all(layer.keeps_time for layer in self.layers)

    def _states(self, name: str, state: Any) -> tuple[Any, ...]:
        if state is None:
            return (None,) * len(self.layers)
        if not isinstance(state, (tuple, list)) or len(state) != len(self.layers):
            got = len(state) if isinstance(state, (tuple, list)) else type(state).__name__
            raise ValueError(
                f"{name}: expected one entry per layer = {len(self.layers)}, got {got}"
            )
        return tuple(state)

    def _infer(
        self, x: Any, state: Any, lengths: Any, out: FloatArray | None
    ) -> tuple[Any, tuple[Any, ...]]:
        final = []
        states = self._states("state", state)
        for layer, initial in zip(self.layers, states, strict=True):
            x, last = layer(x, initial, lengths=lengths, **self._out_of(layer, out))
            final.append(last)
            if not layer.keeps_time:
                lengths = None
        return x, tuple(final)

    def _record(
        self, x: Any, state: Any, lengths: Any, out: FloatArray | None
    ) -> tuple[Any, tuple[Any, ...], Tape]:
        final, tapes = [], []
        states = self._states("state", state)
        for layer, initial in zip(self.layers, states, strict=True):
            x, last, tape = layer.forward(x, initial, lengths=lengths, **self._out_of(layer, out))
            final.append(last)
            tapes.append(tape)
            if not layer.keeps_time:
                lengths = None
        return x, tuple(final), Tape(self, tapes)

    def _out_of(self, layer: Layer, out: FloatArray | None) -> dict[str, Any]:
        return {} if out is None or layer is not self._last else {"out": out}

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        tapes = tape.content(self)
        states = self._states("dstate", dstate)
        for layer, kept, dfinal in zip(self.layers, tapes, states, strict=True):
            layer._check_backward(kept, dy if layer is self._last else None, dfinal)

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: FloatArray | None = None,
    ) -> tuple[Any, Any]:
        tapes = tape.use(self)
        dstates = list(self._states("dstate", dstate))
        for i in reversed(range(len(self.layers))):
            extra: dict[str, Any] = {} if i > 0 or add_to is None else {"add_to": add_to}
            # A layer's dx is wanted by the caller, or by a layer below that has parameters.
            wanted = input_gradient or self._parameters_below[i]
            dy, dstates[i] = self.layers[i]._backward(
                tapes[i], dy, dstates[i], input_gradient=wanted, **extra
            )
        return dy, tuple(dstates)


class Sequential(_Chain):
    """Layers one after the other, with ``lengths`` passed on while the time axis lasts.

    The state is a tuple with one entry per layer; None for layers without a state.

    Parameters
    ----------
    layers : sequence of layers
        At least one; a layer can be part of one composition only.

    Raises
    ------
    ValueError
        If there is no layer or one is already part of a model.
    TypeError
        If an entry is no layer, or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.LSTM(3, 8, seed=0), fr.Last(), fr.Linear(8, 2, seed=1)])
    >>> y, state = model(np.zeros((4, 5, 3), np.float32), lengths=[5, 2, 3, 1])
    >>> y.shape
    (4, 2)
    >>> list(model.parameters)[-1]
    '2.bias'
    """

    def __call__(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, Any]:
        """Run for inference: x (N, T, features) or what the first layer takes; (y, state)."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.call(self, x, state, lengths)
        return self._infer(x, state, lengths, None)

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, Any, Tape]:
        """Run for training: (y, state, tape)."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.forward(self, x, state, lengths)
        return self._record(x, state, lengths, None)

    def config(self) -> dict[str, Any]:
        """Return the configurations of the layers."""
        return {"type": "Sequential", "layers": [layer.config() for layer in self.layers]}


class _RecurrentComposite(Recurrent):
    @abstractmethod
    def _reversed(self, rng: np.random.Generator) -> Recurrent: ...

    def reversed_twin(self, seed: int | np.random.Generator | None) -> Recurrent:
        """Return a layer like this one that runs the other way in time, with its own weights."""
        return self._reversed(initializers.generator(seed))


class Stacked(_Chain, _RecurrentComposite):
    """Recurrent layers on top of each other: each reads the outputs of the one below.

    The state is a tuple with one entry per layer (None for `Dropout`).

    Parameters
    ----------
    layers : sequence of layers
        Recurrent layers, the first and last included; `Dropout` may stand between.

    Raises
    ------
    ValueError
        If a layer's input size is not the output size of the one below.
    TypeError
        If a layer is neither recurrent nor `Dropout`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> stack = fr.Stacked([fr.GRU(3, 8, seed=0), fr.LSTM(8, 4, seed=1)])
    >>> y, state = stack(np.zeros((2, 5, 3), np.float32))
    >>> y.shape
    (2, 5, 4)
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        below: Recurrent | None = None
        for i, layer in enumerate(layers):
            between = 0 < i < len(layers) - 1
            if not isinstance(layer, Recurrent) and not (between and isinstance(layer, Dropout)):
                allowed = "a recurrent layer or Dropout" if between else "a recurrent layer"
                raise TypeError(f"layers[{i}]: expected {allowed}, got {type(layer).__name__}")
            if isinstance(layer, Recurrent):
                if below is not None and layer.input_size != below.output_size:
                    raise ValueError(
                        f"layers[{i}]: expected input_size = {below.output_size}, the output size "
                        f"of the layer below, got {layer.input_size}"
                    )
                below = layer
        super().__init__(layers)
        self.input_size = cast(Recurrent, layers[0]).input_size
        self.output_size = cast(Recurrent, layers[-1]).output_size

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[Any, Any]:
        """Run for inference: x (N, T, input_size) -> y (N, T, output_size), state."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.call(self, x, state, lengths, out)
        return self._infer(x, state, lengths, out)

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[Any, Any, Tape]:
        """Run for training: y (N, T, output_size), state, tape."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.forward(self, x, state, lengths, out)
        return self._record(x, state, lengths, out)

    def training_bytes(self, batch_size: int, steps: int, lengths: Any = None) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        recurrent = [layer for layer in self.layers if isinstance(layer, Recurrent)]
        # Between two layers lie y and dy; a mask and its product with y where there is dropout.
        arrays = 4 if len(recurrent) < len(self.layers) else 2
        between = sum(layer.output_size for layer in recurrent[:-1]) * self.dtype.itemsize
        total = arrays * batch_size * steps * between
        return total + sum(layer.training_bytes(batch_size, steps, lengths) for layer in recurrent)

    def _reversed(self, rng: np.random.Generator) -> Recurrent:
        return Stacked(
            [
                layer.reversed_twin(rng)
                if isinstance(layer, Recurrent)
                else Dropout(layer.p, seed=rng)
                for layer in cast(tuple[Recurrent | Dropout, ...], self.layers)
            ]
        )

    def config(self) -> dict[str, Any]:
        """Return the configurations of the layers."""
        return {"type": "Stacked", "layers": [layer.config() for layer in self.layers]}


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
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[Any, Any]:
        """Run for inference: x (N, T, input_size) -> y (N, T, output_size), state."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.call(self, x, state, lengths, out)
        states = self._states("state", state)
        y, outs = self._outputs(x, out)
        (y_f, final_f), (y_r, final_r) = self.layer._run_beside(
            self.reverse_layer, x, states, lengths, outs, record=False
        )
        return self._merged(y, y_f, y_r), (final_f, final_r)

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[Any, Any, Tape]:
        """Run for training: y (N, T, output_size), state, tape."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.forward(self, x, state, lengths, out)
        states = self._states("state", state)
        y, outs = self._outputs(x, out)
        (y_f, final_f, tape_f), (y_r, final_r, tape_r) = self.layer._run_beside(
            self.reverse_layer, x, states, lengths, outs, record=True
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
        add_to: FloatArray | None = None,
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

    def _discard(self, tape: Tape) -> None:
        tapes, _ = tape.use(self)
        for inner in tapes:
            inner.discard()

    def training_bytes(self, batch_size: int, steps: int, lengths: Any = None) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        both = (self.layer, self.reverse_layer)
        # Side by side, the second direction has a dx of its own.
        dx = batch_size * steps * self.input_size * self.dtype.itemsize
        return dx + sum(layer.training_bytes(batch_size, steps, lengths) for layer in both)

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
