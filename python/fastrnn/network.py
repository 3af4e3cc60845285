"""Layers of one cell, stacked and in both directions, under PyTorch's names and states."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastrnn import _checks, initializers
from fastrnn._checks import FloatArray
from fastrnn.composition import Bidirectional, Stacked
from fastrnn.dropout import Dropout
from fastrnn.plan import LayerPlan, NetworkPlan
from fastrnn.protocol import Layer, Recurrent, Shapes, Tape, adopt
from fastrnn.recurrent import RecurrentLayer
from fastrnn.sharing import Holders

Seed = int | np.random.Generator | None


class RecurrentNetwork(Recurrent):
    """What `LSTM`, `GRU` and `RNN` have in common: everything but the cell.

    It builds single layers into `Stacked` and `Bidirectional`, and translates names and states.
    """

    _cell: str

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = "float32",
        seed: Seed = None,
        reverse: bool = False,
    ) -> None:
        self._cell = cell
        self.input_size = _checks.positive_integer("input_size", input_size)
        self.hidden_size = _checks.positive_integer("hidden_size", hidden_size)
        self.num_layers = _checks.positive_integer("num_layers", num_layers)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.dropout = _checks.probability("dropout", dropout)
        self.bidirectional = bool(bidirectional)
        self.num_directions = 2 if bidirectional else 1
        self.output_size = self.hidden_size * self.num_directions
        self.reverse = bool(reverse)
        array_dtype, bfloat16 = _checks.recurrent_dtype(dtype)
        super().__init__(array_dtype)
        self._weight_dtype = "bfloat16" if bfloat16 else str(array_dtype)
        rng = initializers.generator(seed)
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                "dropout: acts between layers, so it does nothing with num_layers = 1",
                stacklevel=3,
            )
        self._has_cell_state = cell == "lstm"
        self._stack = self._build(rng)
        self._recurrent_places = [
            i for i, layer in enumerate(self._stack.layers) if isinstance(layer, Recurrent)
        ]
        adopt(self, [self._stack])

    def _build(self, rng: np.random.Generator) -> Stacked:
        layers: list[Layer] = []
        for level in range(self.num_layers):
            if level > 0 and self.dropout:
                layers.append(Dropout(self.dropout, seed=rng))
            below = self.output_size if level > 0 else self.input_size
            layer = RecurrentLayer(
                self._cell,
                below,
                self.hidden_size,
                bias=self.bias,
                reverse=self.reverse,
                dtype=self._weight_dtype,
                seed=rng,
            )
            layers.append(Bidirectional(layer, seed=rng) if self.bidirectional else layer)
        return Stacked(layers)

    # ---- parameters ----

    def shapes(self) -> Shapes:
        """Names (PyTorch's) and shapes of the parameters, in the order of the vector."""
        names: list[str] = []
        kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        for level in range(self.num_layers):
            for suffix in ("", "_reverse")[: self.num_directions]:
                names += [f"{kind}_l{level}{suffix}" for kind in kinds]
        return dict(zip(names, self._stack.shapes().values(), strict=True))

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        super()._bind(parameters, gradients, holders)
        self._stack._bind(parameters, gradients, holders)

    def _parts(self) -> tuple[Layer, ...]:
        return (self._stack,)

    def _discard(self, tape: Tape) -> None:
        tape.use(self)[0].discard()

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the masks between layers from `rng` from now on."""
        self._stack.reseed(rng)

    # ---- running ----

    def __call__(
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[FloatArray, Any]:
        """Run for inference: nothing is kept and dropout is off.

        Parameters
        ----------
        x : ndarray, (N, T, I); (T, N, I) if not batch_first
            Of the layer's dtype, any strides.
        state : ndarray (num_layers * num_directions, N, H), a pair (h, c) for LSTM, or None
            Initial state; None is zero.
        lengths : ndarray of int, (N,), or None
            Valid steps of each row, 0..T; None: all. What x holds behind them does not matter.
        out : ndarray like y, or None
            Where y goes.

        Returns
        -------
        y : ndarray, (N, T, num_directions * H); (T, N, ...) if not batch_first
            Exactly zero at invalid steps.
        state : as the argument
            After each row's last valid step; the initial state where a row has none.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; before anything is computed.
        """
        x, batch_first_out = self._arguments(x, out)
        initial = self._states("state", state, x.shape[0])
        y, final = self._stack(x, initial, lengths=lengths, out=batch_first_out)
        return self._axes(y), self._packed(final)

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[FloatArray, Any, Tape]:
        """Run for training: as calling the layer, with dropout, and with a tape for `backward`.

        Returns
        -------
        y : ndarray, (N, T, num_directions * H); (T, N, ...) if not batch_first
        state : as for a call
        tape : Tape
            For one call of `backward`.
        """
        x, batch_first_out = self._arguments(x, out)
        initial = self._states("state", state, x.shape[0])
        y, final, tape = self._stack.forward(x, initial, lengths=lengths, out=batch_first_out)
        return self._axes(y), self._packed(final), Tape(self, (tape, x.shape[:2]))

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        inner, (batch, steps) = tape.content(self)
        if dy is not None:
            shape = (batch, steps, self.output_size)
            symbols = "(N, T, D*H)"
            if not self.batch_first:
                shape, symbols = (steps, batch, self.output_size), "(T, N, D*H)"
            dy = self._axes(_checks.of_shape("dy", dy, symbols, shape, self.dtype))
        self._stack._check_backward(inner, dy, self._states("dstate", dstate, batch))

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: FloatArray | None = None,
    ) -> tuple[FloatArray | None, Any]:
        inner, (batch, _) = tape.use(self)
        dx, dinitial = self._stack._backward(
            inner,
            None if dy is None else self._axes(np.asarray(dy)),
            self._states("dstate", dstate, batch),
            input_gradient=input_gradient,
            add_to=None if add_to is None else self._axes(add_to),
        )
        return None if dx is None else self._axes(dx), self._packed(dinitial)

    def training_bytes(self, batch_size: int, steps: int, lengths: Any = None) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        return self._stack.training_bytes(batch_size, steps, lengths)

    def reversed_twin(self, seed: Seed) -> RecurrentNetwork:
        """Return a layer like this one that runs the other way in time, with its own weights."""
        arguments = {k: v for k, v in self.config().items() if k != "type"}
        return type(self)(**arguments | {"reverse": not self.reverse, "seed": seed})

    def explain_plan(self, batch_size: int, steps: int) -> NetworkPlan:
        """Return how a dense forward pass will be run, layer by layer; print it.

        Parameters
        ----------
        batch_size, steps : int
            N and T, at least 1.

        Returns
        -------
        NetworkPlan
            For the instruction set and the number of threads in use.

        Examples
        --------
        >>> import fastrnn as fr
        >>> plan = fr.LSTM(3, 8, num_layers=2, bidirectional=True).explain_plan(4, 10)
        >>> [layer.name for layer in plan.layers]
        ['l0', 'l0_reverse', 'l1', 'l1_reverse']
        >>> plan.layers[0].threads
        1
        """
        plans: list[LayerPlan] = []
        recurrent = [layer for layer in self._stack.layers if not isinstance(layer, Dropout)]
        for level, layer in enumerate(recurrent):
            pairs: list[tuple[Layer, Layer | None]] = [(layer, None)]
            if isinstance(layer, Bidirectional):
                both = layer.layer, layer.reverse_layer
                pairs = [both, both[::-1]]
            for suffix, (single, beside) in zip(("", "_reverse"), pairs, strict=False):
                assert isinstance(single, RecurrentLayer)
                assert beside is None or isinstance(beside, RecurrentLayer)
                name = f"l{level}{suffix}"
                plans.append(single.explain_plan(batch_size, steps, name=name, beside=beside))
        return NetworkPlan(tuple(plans))

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        config = {
            "type": type(self).__name__,
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bias": self.bias,
            "batch_first": self.batch_first,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
            "dtype": self._weight_dtype,
        }
        return config | ({"reverse": True} if self.reverse else {})

    # ---- between PyTorch's arrays and those of the stack ----

    def _axes(self, array: FloatArray) -> FloatArray:
        """Swap batch and time where the caller has time first: its own inverse."""
        return array if self.batch_first else array.swapaxes(0, 1)

    def _arguments(self, x: Any, out: FloatArray | None) -> tuple[FloatArray, FloatArray | None]:
        x = self._axes(_checks.sequence("x", x, self.input_size, self.dtype))
        if out is not None:
            shape = (x.shape[0], x.shape[1], self.output_size)
            return x, _checks.of_shape("out", self._axes(out), "(N, T, D*H)", shape, self.dtype)
        if self.batch_first:
            return x, None
        return x, self._axes(np.empty((x.shape[1], x.shape[0], self.output_size), self.dtype))

    def _states(self, name: str, state: Any, batch: int) -> tuple[Any, ...] | None:
        """Cut a state in PyTorch's layout into one entry per layer of the stack."""
        if state is None:
            return None
        shape = (self.num_layers * self.num_directions, batch, self.hidden_size)
        parts = (
            _checks.pair(name, state) if self._has_cell_state else (_checks.single(name, state),)
        )
        names = (f"{name}[0]", f"{name}[1]") if self._has_cell_state else (name,)
        arrays = [
            _checks.of_shape(
                part_name, part, "(num_layers * num_directions, N, H)", shape, self.dtype
            )
            for part_name, part in zip(names, parts, strict=True)
        ]
        cells = iter(zip(*arrays, strict=True) if self._has_cell_state else arrays[0])
        entries: list[Any] = [None] * len(self._stack.layers)
        for place in self._recurrent_places:
            entries[place] = (next(cells), next(cells)) if self.bidirectional else next(cells)
        return tuple(entries)

    def _packed(self, states: tuple[Any, ...]) -> Any:
        """Put the stack's states together in PyTorch's layout: the inverse of `_states`."""
        cells: list[Any] = []
        for place in self._recurrent_places:
            cells += states[place] if self.bidirectional else (states[place],)
        if self._has_cell_state:
            return _stacked([h for h, _ in cells]), _stacked([c for _, c in cells])
        return _stacked(cells)


def _stacked(arrays: list[FloatArray]) -> FloatArray:
    """Return np.stack(arrays), with less overhead: it runs four times in every training step."""
    if len(arrays) == 1:
        return arrays[0][np.newaxis]
    result = np.empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
    for place, array in zip(result, arrays, strict=True):
        place[...] = array
    return result
