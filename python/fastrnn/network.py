"""Layers of one cell, stacked and in both directions, under PyTorch's names and states."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastrnn import (
    _checks,
    embedding_gradient,
    initializers,
    inspection,
    ops,
    output_padding,
    sequences,
)
from fastrnn._checks import FloatArray
from fastrnn.bidirectional import Bidirectional
from fastrnn.composition import Stacked
from fastrnn.dropout import Dropout
from fastrnn.embedding_gradient import AddTo
from fastrnn.initial_state import LearnedInitialState
from fastrnn.initializers import Target
from fastrnn.options import NetworkOptions, signature_with
from fastrnn.plan import NetworkPlan
from fastrnn.protocol import Layer, Recurrent, Shapes, Tape, adopt, bind_children
from fastrnn.recurrent import RecurrentLayer
from fastrnn.residual import Residual
from fastrnn.sharing import Holders
from fastrnn.states import StateLayout

Seed = int | np.random.Generator | None


class _Place(NamedTuple):
    """A cell's place in the network: ``"_l0"``, ``"_l0_reverse"``, and the cell beside it."""

    suffix: str
    layer: RecurrentLayer
    beside: RecurrentLayer | None


class RecurrentNetwork(Recurrent):
    """What `LSTM`, `GRU` and `RNN` have in common: everything but the cell.

    It builds single layers into `Stacked`, `Bidirectional` and `Residual`, and translates names
    and states.

    Parameters
    ----------
    cell : str
        A name in `ops.CELLS`.
    input_size : int
        I.
    hidden_sizes : tuple of int
        H of each layer, from the input up.
    cell_options : ops.CellOptions
        Those that the cell has by itself.
    options : NetworkOptions
        All others, which are kept as the attribute `options`.
    """

    __signature__: ClassVar[inspect.Signature]
    _cell: str

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = inspect.signature(cls.__init__)
        if any(p.kind is p.VAR_KEYWORD and p.name == "options" for p in own.parameters.values()):
            cls.__signature__ = signature_with(own)

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_sizes: tuple[int, ...],
        cell_options: ops.CellOptions,
        options: NetworkOptions,
    ) -> None:
        self._cell = cell
        self.input_size = _checks.positive_integer("input_size", input_size)
        self.hidden_sizes = hidden_sizes
        same = len(set(self.hidden_sizes)) == 1
        self.hidden_size = self.hidden_sizes[0] if same else self.hidden_sizes
        self.num_layers = len(self.hidden_sizes)
        self.options = options
        self.bias = options.bias
        self.batch_first = options.batch_first
        self.dropout = options.dropout
        self.bidirectional = options.bidirectional
        self.num_directions = 2 if options.bidirectional else 1
        self.merge = options.merge
        self.residual = options.residual
        self.pad_output = options.pad_output
        self.learn_initial_state = options.learn_initial_state
        self.reverse = options.reverse
        self._cell_options = cell_options._replace(
            activation_clip=options.activation_clip or 0.0,
            layer_norm=options.layer_norm,
            zoneout_h=options.zoneout_h,
            gradient_clip_value=options.gradient_clip_value or 0.0,
            gradient_clip_norm=options.gradient_clip_norm or 0.0,
        )
        array_dtype, _ = _checks.recurrent_dtype(options.dtype)
        super().__init__(array_dtype)
        rng = initializers.generator(options.seed)
        for name, value in (("dropout", self.dropout), ("residual", self.residual)):
            if value and self.num_layers == 1:
                warnings.warn(
                    f"{name}: acts between layers, so it does nothing with num_layers = 1",
                    stacklevel=3,
                )
        self._places: list[_Place] = []
        self._stack = self._build(rng)
        self.output_size = self._stack.output_size
        sizes = [place.layer.state_sizes for place in self._places]
        self._layout = StateLayout(sizes, self.dtype)
        self._learned: LearnedInitialState | None = None
        if self.learn_initial_state:
            self._learned = LearnedInitialState([place.suffix for place in self._places], sizes)
        self._recurrent_places = [
            i for i, layer in enumerate(self._stack.layers) if isinstance(layer, Recurrent)
        ]
        adopt(self, [self._stack], own=self._learned.count if self._learned else 0)
        if options.initializer is not None:
            initializers.initialize(self, options.initializer, seed=rng)

    def _build(self, rng: np.random.Generator) -> Stacked:
        layers: list[Layer] = []
        options = self.options
        below = self.input_size
        for level, hidden_size in enumerate(self.hidden_sizes):
            probability = options.dropout if level else options.input_dropout
            if probability:
                layers.append(Dropout(probability, variational=options.variational, seed=rng))
            single = RecurrentLayer(
                self._cell,
                below,
                hidden_size,
                bias=options.bias,
                recurrent_bias=options.recurrent_bias,
                reverse=options.reverse,
                dtype=options.dtype,
                seed=rng,
                options=self._cell_options,
                recurrent_dropout=options.recurrent_dropout,
                drop_connect=options.drop_connect,
            )
            layer: Recurrent = single
            if self.bidirectional:
                layer = Bidirectional(single, self.merge, seed=rng)
                twin = layer.reverse_layer
                assert isinstance(twin, RecurrentLayer)
                self._places.append(_Place(f"_l{level}", single, twin))
                self._places.append(_Place(f"_l{level}_reverse", twin, single))
            else:
                self._places.append(_Place(f"_l{level}", single, None))
            if self.residual and level > 0:
                if layer.output_size != below:
                    raise ValueError(
                        f"residual: expected layer {level} to have as many outputs as inputs = "
                        f"{below}, got {layer.output_size}"
                    )
                layer = Residual(layer)
            layers.append(layer)
            below = layer.output_size
        return Stacked(layers)

    # ---- parameters ----

    def shapes(self) -> Shapes:
        """Names (PyTorch's) and shapes of the parameters, in the order of the vector."""
        shapes: Shapes = {
            kind + place.suffix: shape
            for place in self._places
            for kind, shape in place.layer.shapes().items()
        }
        return shapes | (self._learned.shapes if self._learned else {})

    def _targets(self) -> list[Target]:
        """Return the parameters as `initializers.initialize` takes them."""
        parameters = self.parameters
        return [
            Target(kind, place.suffix, parameters[name], self._cell, place.layer.hidden_size)
            for place in self._places
            for kind in (*place.layer.shapes(), "h0", "c0")
            if (name := kind + place.suffix) in parameters
        ]

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        super()._bind(parameters, gradients, holders)
        bind_children(self, [self._stack])
        if self._learned is not None:
            own = self._learned.count
            self._learned.bind(parameters[-own:], gradients[-own:])

    def _parts(self) -> tuple[Layer, ...]:
        return (self._stack,)

    def _discard(self, tape: Tape) -> None:
        tape.use(self)[0].discard()

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw all masks from `rng` from now on."""
        self._stack.reseed(rng)

    # ---- running ----

    def __call__(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
        return_all: Any = None,
    ) -> tuple[Any, ...]:
        """Run for inference: nothing is kept and dropout is off.

        Parameters
        ----------
        x : ndarray, (N, T, I); (T, N, I) if not batch_first; or a list of N arrays (T_n, I)
            Of the layer's dtype, any strides.
        state : ndarray (num_layers * num_directions, N, H), a pair (h, c) for LSTM, or None
            Initial state; None is zero, or what is learned. Where layers differ in size, h and c
            are tuples of num_layers * num_directions arrays (N, H) instead.
        lengths : ndarray of int, (N,), or None
            Valid steps of each row, 0..T; None: all. What x holds behind them does not matter.
        out : ndarray like y, or None
            Where y goes.
        reset : ndarray of bool or 0 and 1, (N, T); (T, N) if not batch_first; or None
            Where true, a row begins anew: the state that crosses the boundary before this step is
            zero, running either way in time.
        return_all : sequence of "h", "c", "gates", or None
            What else to return, of every cell and step; "c" for LSTM only.

        Returns
        -------
        y : ndarray, (N, T, output_size); (T, N, ...) if not batch_first; a list for a list
            At invalid steps exactly zero, or as `pad_output` says.
        state : as the argument
            After each row's last valid step; the initial state where a row has none.
        kept : dict
            Only with `return_all`, named like the parameters, "h_l0", "c_l0_reverse", "gates_l1":
            h and c (N, T, H) after each step; gates (N, T, G, H), the activations in the order of
            the weights (an RNN's h). (T, N, ...) if not batch_first; zero at invalid steps.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; before anything is computed.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrnn as fr
        >>> x = np.ones((4, 6, 3), np.float32)
        >>> y, state, kept = fr.LSTM(3, 8, 2, seed=0)(x, return_all=("c", "gates"))
        >>> {name: array.shape for name, array in kept.items() if name.endswith("_l0")}
        {'c_l0': (4, 6, 8), 'gates_l0': (4, 6, 4, 8)}
        """
        wanted = inspection.names(self._places[0].layer._kind, return_all, x)
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.call(self, x, state, lengths, out, reset)
        x, batch_first_out = self._arguments(x, out)
        if reset is not None:
            reset = _checks.resets(reset, *x.shape[:2], batch_first=self.batch_first)
        initial = None
        if state is not None or self._learned is not None:
            initial = self._initial_states(state, x.shape[0])
        if wanted is not None:
            return self._inspected(x, initial, lengths, batch_first_out, reset, wanted)
        y, final = self._stack._infer(x, initial, lengths, batch_first_out, reset)
        if lengths is not None and self.pad_output != "zero":
            output_padding.fill(y, lengths, self.pad_output)
        return self._axes(y), self._packed(final)

    def _inspected(
        self,
        x: FloatArray,
        initial: Any,
        lengths: Any,
        out: FloatArray | None,
        reset: Any,
        wanted: tuple[str, ...],
    ) -> tuple[Any, ...]:
        """Run for inference cell by cell: y, the final state and what `wanted` names."""
        y, final, kept = inspection.kept(
            self._stack, [place.suffix for place in self._places], x, initial, wanted,
            batch_first=self.batch_first, lengths=lengths, reset=reset,
        )  # fmt: skip
        if out is None:
            y = y.copy()  # it may be a cell's h
        else:
            out[...] = y
            y = out
        if lengths is not None:
            rule = 0.0 if self.pad_output == "zero" else self.pad_output
            output_padding.fill(y, lengths, rule)
        return self._axes(y), self._packed(final), kept

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[FloatArray, Any, Tape]:
        """Run for training: as calling the layer, with dropout, and with a tape for `backward`.

        Returns
        -------
        y : ndarray, (N, T, output_size); (T, N, ...) if not batch_first; a list for a list
        state : as for a call
        tape : Tape
            For one call of `backward`.
        """
        if type(x) is not np.ndarray and sequences.is_list(x):
            return sequences.forward(self, x, state, lengths, out, reset)
        x, batch_first_out = self._arguments(x, out)
        _checks.lengths(lengths, *x.shape[:2])  # before masks are drawn
        if reset is not None:
            reset = _checks.resets(reset, *x.shape[:2], batch_first=self.batch_first)
        initial = None
        if state is not None or self._learned is not None:
            initial = self._initial_states(state, x.shape[0])
        y, final, tape = self._stack._record(x, initial, lengths, batch_first_out, reset)
        repeated = None
        if lengths is not None and self.pad_output != "zero":
            output_padding.fill(y, lengths, self.pad_output)
            repeated = np.array(lengths) if self.pad_output == "repeat" else None
        learned = self._learned if state is None else None
        kept = Tape(self, (tape, x.shape[:2], learned, repeated))
        return self._axes(y), self._packed(final), kept

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        inner, (batch, steps), _, _ = tape.content(self)
        if dy is not None:
            shape = (batch, steps, self.output_size)
            symbols = "(N, T, output_size)"
            if not self.batch_first:
                shape, symbols = (steps, batch, self.output_size), "(T, N, output_size)"
            dy = self._axes(_checks.of_shape("dy", dy, symbols, shape, self.dtype))
        self._stack._check_backward(inner, dy, self._states("dstate", dstate, batch))

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: AddTo = None,
    ) -> tuple[Any, Any]:
        inner, (batch, _), learned, repeated = tape.use(self)
        dy = None if dy is None else self._axes(np.asarray(dy))
        if dy is not None and repeated is not None:
            dy = output_padding.gathered(dy, repeated)
        dx, dinitial = self._stack._backward(
            inner,
            dy,
            self._states("dstate", dstate, batch),
            input_gradient=input_gradient,
            add_to=add_to if self.batch_first else embedding_gradient.swapped(add_to),
        )
        cells = self._cells(dinitial)
        if learned is not None:
            learned.add_gradients(cells)
        if add_to is not None:
            return add_to, self._layout.packed(cells)
        return None if dx is None else self._axes(dx), self._layout.packed(cells)

    def _adds_by_token(self) -> bool:
        return self._stack._adds_by_token()

    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        return self._stack.training_bytes(batch_size, steps, lengths, reset=reset)

    def reversed_twin(self, seed: Seed) -> RecurrentNetwork:
        """Return a layer like this one that runs the other way in time, with its own weights."""
        arguments = {k: v for k, v in self.config().items() if k != "type"} | {
            "reverse": not self.reverse,
            "initializer": self.options.initializer,
            "seed": seed,
        }
        return type(self)(**arguments)

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
        return NetworkPlan(
            tuple(
                layer.explain_plan(batch_size, steps, name=suffix.removeprefix("_"), beside=beside)
                for suffix, layer, beside in self._places
            )
        )

    def _config(self, own: dict[str, Any], written: tuple[str, ...]) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values.

        `own` are the options of the cell with their defaults, those of `written` always part of it.
        """
        return {
            "type": type(self).__name__,
            "input_size": self.input_size,
            "hidden_size": (
                self.hidden_size if isinstance(self.hidden_size, int) else list(self.hidden_size)
            ),
            "num_layers": self.num_layers,
            **self.options.config(),
            **{
                name: value
                for name, usual in own.items()
                if (value := getattr(self, name)) != usual or name in written
            },
        }

    # ---- between PyTorch's arrays and those of the stack ----

    def _axes(self, array: FloatArray) -> FloatArray:
        """Swap batch and time where the caller has time first: its own inverse."""
        return array if self.batch_first else array.swapaxes(0, 1)

    def _arguments(self, x: Any, out: FloatArray | None) -> tuple[FloatArray, FloatArray | None]:
        x = self._axes(_checks.sequence("x", x, self.input_size, self.dtype))
        if out is not None:
            shape = (x.shape[0], x.shape[1], self.output_size)
            return x, _checks.written("out", self._axes(out), shape, self.dtype)
        if self.batch_first:
            return x, None
        return x, self._axes(np.empty((x.shape[1], x.shape[0], self.output_size), self.dtype))

    def _states(self, name: str, state: Any, batch: int) -> tuple[Any, ...] | None:
        """Cut a state in the public form into one entry per layer of the stack."""
        return None if state is None else self._entries(self._layout.cut(name, state, batch))

    def _initial_states(self, state: Any, batch: int) -> tuple[Any, ...] | None:
        """As `_states`, for the state to begin with: what is learned where None is given."""
        if state is not None:
            return self._entries(self._layout.cut("state", state, batch))
        return None if self._learned is None else self._entries(self._learned.cells(batch))

    def _packed(self, states: tuple[Any, ...]) -> Any:
        """Put the stack's states together in the public form: the inverse of `_states`."""
        return self._layout.packed(self._cells(states))

    def _entries(self, cells: Iterable[Any]) -> tuple[Any, ...]:
        """Return one entry per layer of the stack for the states of the cells."""
        following = iter(cells)
        entries: list[Any] = [None] * len(self._stack.layers)
        for place in self._recurrent_places:
            first = next(following)
            entries[place] = (first, next(following)) if self.bidirectional else first
        return tuple(entries)

    def _cells(self, states: tuple[Any, ...]) -> list[Any]:
        """Return the states of the cells, level by level: the inverse of `_entries`."""
        cells: list[Any] = []
        for place in self._recurrent_places:
            cells += states[place] if self.bidirectional else (states[place],)
        return cells
