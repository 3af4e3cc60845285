"""Layers made of layers: stacked and sequential. They know the protocol only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from fastrnn import initializers, sequences
from fastrnn._checks import FloatArray
from fastrnn.dropout import Dropout
from fastrnn.embedding_gradient import AddTo, EmbeddingGradient
from fastrnn.protocol import (
    Layer,
    Recurrent,
    Shapes,
    Tape,
    adopt,
    bind_children,
    check_reset,
    reset_for,
)
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
        self._take_in()

    def _take_in(self) -> None:
        """Move the children's parameters into vectors of this layer."""
        adopt(self, list(self._children.values()))

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
        self, x: Any, state: Any, lengths: Any, out: FloatArray | None, reset: Any = None
    ) -> tuple[Any, tuple[Any, ...]]:
        if reset is not None:
            check_reset(self, reset)
        final = []
        states = self._states("state", state)
        for layer, initial in zip(self.layers, states, strict=True):
            more = self._arguments_of(layer, out, reset)
            x, last = layer(x, initial, lengths=lengths, **more)
            final.append(last)
            if not layer.keeps_time:
                lengths = None
        return x, tuple(final)

    def _record(
        self, x: Any, state: Any, lengths: Any, out: FloatArray | None, reset: Any = None
    ) -> tuple[Any, tuple[Any, ...], Tape]:
        if reset is not None:
            check_reset(self, reset)
        final, tapes = [], []
        states = self._states("state", state)
        for layer, initial in zip(self.layers, states, strict=True):
            more = self._arguments_of(layer, out, reset)
            x, last, tape = layer.forward(x, initial, lengths=lengths, **more)
            final.append(last)
            tapes.append(tape)
            if not layer.keeps_time:
                lengths = None
        return x, tuple(final), Tape(self, tapes)

    def _arguments_of(self, layer: Layer, out: FloatArray | None, reset: Any) -> dict[str, Any]:
        place = {} if out is None or layer is not self._last else {"out": out}
        return place if reset is None else place | reset_for(layer, reset)

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
        add_to: AddTo = None,
    ) -> tuple[Any, Any]:
        tapes = tape.use(self)
        dstates = list(self._states("dstate", dstate))
        i = len(self.layers)
        while i > 0:
            i -= 1
            target = add_to if i == 0 else self._embedding_gradient_below(i, tapes)
            extra: dict[str, Any] = {} if target is None else {"add_to": target}
            # A layer's dx is wanted by the caller, or by a layer below that has parameters.
            wanted = input_gradient or self._parameters_below[i]
            dy, dstates[i] = self.layers[i]._backward(
                tapes[i], dy, dstates[i], input_gradient=wanted, **extra
            )
            if i > 0 and target is not None:  # that was the backward pass of the embedding too
                i -= 1
                tapes[i].discard()
                dy = dstates[i] = None
        return dy, tuple(dstates)

    def _embedding_gradient_below(
        self, place: int, tapes: Sequence[Tape]
    ) -> EmbeddingGradient | None:
        layer, below = self.layers[place], self.layers[place - 1]
        if not layer._adds_by_token():
            return None
        return below._embedding_gradient(tapes[place - 1], batch_first=layer.batch_first)

    def _adds_by_token(self) -> bool:
        return self.layers[0]._adds_by_token()


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

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None
    ) -> tuple[Any, Any]:
        """Run for inference: x (N, T, features) or what the first layer takes; (y, state).

        `reset`, (N, T) or (T, N), goes to all recurrent layers (`Recurrent`).
        """
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.call(self, x, state, lengths, reset=reset)
        return self._infer(x, state, lengths, None, reset)

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None
    ) -> tuple[Any, Any, Tape]:
        """Run for training: (y, state, tape)."""
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.forward(self, x, state, lengths, reset=reset)
        return self._record(x, state, lengths, None, reset)

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
        Recurrent layers, the last included; `Dropout` may stand before each.

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
            below_another = i < len(layers) - 1
            allowed = "a recurrent layer or Dropout" if below_another else "a recurrent layer"
            if not isinstance(layer, (Recurrent, Dropout) if below_another else Recurrent):
                raise TypeError(f"layers[{i}]: expected {allowed}, got {type(layer).__name__}")
            if isinstance(layer, Recurrent):
                if below is not None and layer.input_size != below.output_size:
                    raise ValueError(
                        f"layers[{i}]: expected input_size = {below.output_size}, the output size "
                        f"of the layer below, got {layer.input_size}"
                    )
                below = layer
        super().__init__(layers)
        self._recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
        self.input_size = self._recurrent[0].input_size
        self.output_size = cast(Recurrent, layers[-1]).output_size

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
        return self._infer(x, state, lengths, out, reset)

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
        return self._record(x, state, lengths, out, reset)

    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        # Between two layers lie y and dy; a mask and its product with what comes in at dropout.
        features, numbers = self.input_size, 0
        for layer in self.layers:
            if isinstance(layer, Recurrent):
                features = layer.output_size
            numbers += 2 * features
        numbers -= 2 * features
        total = sum(
            layer.training_bytes(batch_size, steps, lengths, reset=reset)
            for layer in self._recurrent
        )
        return total + batch_size * steps * numbers * self.dtype.itemsize

    def _reversed(self, rng: np.random.Generator) -> Recurrent:
        return Stacked(
            [
                layer.reversed_twin(rng) if isinstance(layer, Recurrent) else layer.twin(rng)
                for layer in cast(tuple[Recurrent | Dropout, ...], self.layers)
            ]
        )

    def config(self) -> dict[str, Any]:
        """Return the configurations of the layers."""
        return {"type": "Stacked", "layers": [layer.config() for layer in self.layers]}
