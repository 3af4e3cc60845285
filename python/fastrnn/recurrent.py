"""One recurrent cell, one direction, one set of weights: what C++ runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, embedding_gradient, initializers, kept_values, ops
from fastrnn._checks import FloatArray
from fastrnn.cell_weights import (
    begin_normalisation,
    checked_options,
    json_options,
    weight_shapes,
    weights,
)
from fastrnn.embedding_gradient import AddTo
from fastrnn.plan import LayerPlan
from fastrnn.protocol import Recurrent, Shapes, Tape, own_vectors
from fastrnn.sharing import Holders
from fastrnn.training_masks import TrainingMasks


class _Kept(NamedTuple):
    record: ops.Record
    version: int  # of the weights
    dropped: FloatArray | None  # the mask of weight_hh, (G*H, S)


class RecurrentLayer(Recurrent):
    """One cell over time in one direction.

    `LSTM`, `GRU` and `RNN` are composed of these. Its state is h (N, S), or (h, c) for the LSTM,
    with c (N, H). S is H, or P where there is a projection.

    Parameters
    ----------
    cell : str
        A name in `ops.CELLS`, such as ``"lstm"``, ``"gru"`` or ``"rnn_tanh"``.
    input_size, hidden_size : int
        I and H.
    bias, recurrent_bias : bool, default True
        Whether there are biases, and bias_hh among them.
    reverse : bool, default False
        Run each row from its last valid step to its first; outputs stay aligned with inputs.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `Layer.to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For the initial values, uniform in +-1/sqrt(H), and for masks.
    options : ops.CellOptions, or mapping of some of its fields, default none
        What the layer computes otherwise than its cell's plain equations.
    recurrent_dropout, drop_connect : float, default 0.0
        Dropout in training of h where it enters a product, one mask for all steps of a row, and of
        weight_hh, one mask for a whole pass.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.recurrent import RecurrentLayer
    >>> layer = RecurrentLayer("gru", 3, 5, seed=0)
    >>> y, h = layer(np.zeros((2, 7, 3), np.float32))
    >>> y.shape, h.shape
    ((2, 7, 5), (2, 5))
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        recurrent_bias: bool = True,
        reverse: bool = False,
        dtype: Any = "float32",
        seed: int | np.random.Generator | None = None,
        options: ops.CellOptions | Mapping[str, Any] = ops.PLAIN,
        recurrent_dropout: float = 0.0,
        drop_connect: float = 0.0,
    ) -> None:
        _checks.choice("cell", cell, tuple(ops.CELLS))
        self.cell = cell
        self.input_size = _checks.positive_integer("input_size", input_size)
        self.hidden_size = _checks.positive_integer("hidden_size", hidden_size)
        self.options = checked_options(cell, self.hidden_size, options)
        self.bias = bool(bias)
        self.recurrent_bias = bool(recurrent_bias)
        self.reverse = bool(reverse)
        array_dtype, bfloat16 = _checks.recurrent_dtype(dtype)
        super().__init__(array_dtype)
        sizes = (self.input_size, self.hidden_size)
        self._kind = ops.LayerKind(cell, *sizes, self.reverse, self.dtype, bfloat16, self.options)
        self.output_size = self._kind.state_size
        self._state_symbols = f"(N, {self._kind.state_symbol})"
        self._output_symbols = f"(N, T, {self._kind.state_symbol})"
        self._masks = TrainingMasks.of(self._kind, recurrent_dropout, drop_connect)
        self._panels = ops.Panels(self._kind)
        self._buffers = ops.LayerBuffers()
        self._weight_sums: FloatArray | None = None
        self._dropped_in_sums: FloatArray | None = None
        self._rng = initializers.generator(seed)
        own_vectors(self)
        initializers.uniform_fan(self.parameter_vector, self.hidden_size, self._rng)
        begin_normalisation(self.parameters)

    def shapes(self) -> Shapes:
        """Names and shapes of the parameters, in the order of the vector."""
        return weight_shapes(
            self.cell,
            self.input_size,
            self.hidden_size,
            bias=self.bias,
            recurrent_bias=self.recurrent_bias,
            options=self.options,
        )

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        super()._bind(parameters, gradients, holders)
        self._weights = weights(parameters, self.shapes())
        self._weight_gradients = weights(gradients, self.shapes())

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Features of each part of the state: (S,), or (S, H) for the LSTM's (h, c)."""
        sizes = (self._kind.state_size, self.hidden_size)
        return sizes if self._kind.has_cell_state else sizes[:1]

    def _targets(self) -> list[initializers.Target]:
        """Return the parameters as `initializers.initialize` takes them."""
        return [
            initializers.Target(kind, "", array, self.cell, self.hidden_size)
            for kind, array in self.parameters.items()
        ]

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
        """Run for inference.

        Parameters
        ----------
        x : ndarray, (N, T, I)
        state : ndarray (N, S), a pair (N, S), (N, H) for the LSTM, or None
            Initial state; None is zero.
        lengths : ndarray of int, (N,), or None
            Valid steps of each row, 0..T; None: all.
        out : ndarray, (N, T, S), or None
            Where y goes.
        reset : ndarray of bool or 0 and 1, (N, T), or None
            Where true, the state that crosses the boundary before this step is zero, running
            either way.
        return_all : sequence of "h", "c", "gates", or None
            What else to return of every step; "c" where the cell has one.

        Returns
        -------
        y : ndarray, (N, T, S)
            Zero at invalid steps.
        state : ndarray (N, S), or a pair (N, S), (N, H)
            After each row's last valid step; the initial state where a row has none.
        kept : dict
            Only with `return_all`: "h" is y, "c" (N, T, H) follows each step, "gates" (N, T, G, H)
            are the gates' activations in the order of the weights (an RNN's h); zero at invalid
            steps.
        """
        wanted = kept_values.names(self._kind, return_all)
        call, _ = self._forward_call(x, state, lengths, out, reset, record=False)
        if wanted is not None:
            return call.y, _state_of(call.h_n, call.c_n), kept_values.run(call, wanted)
        ops.forward(call)
        return call.y, _state_of(call.h_n, call.c_n)

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
        masks: ops.Masks | None = None,
    ) -> tuple[FloatArray, Any, Tape]:
        """Run for training; as calling the layer, and keeps what `backward` needs.

        `masks` are used instead of drawn ones: of `ops.Masks` all but the resets. They have to stay
        as they are until `backward`.
        """
        call, kept = self._forward_call(x, state, lengths, out, reset, record=True, masks=masks)
        ops.forward(call)
        return self._recorded(call, kept)

    def _run_beside(
        self,
        other: Recurrent,
        x: Any,
        states: tuple[Any, Any],
        lengths: Any,
        outs: tuple[FloatArray | None, FloatArray | None],
        reset: Any = None,
        *,
        record: bool,
    ) -> tuple[Any, Any]:
        if not isinstance(other, RecurrentLayer):
            return super()._run_beside(other, x, states, lengths, outs, reset, record=record)
        first, kept = self._forward_call(x, states[0], lengths, outs[0], reset, record=record)
        second, other_kept = other._forward_call(
            x, states[1], lengths, outs[1], reset, record=record
        )
        ops.forward_beside(first, second)
        if record:
            return self._recorded(first, kept), other._recorded(second, other_kept)
        return (first.y, _state_of(first.h_n, first.c_n)), (
            second.y,
            _state_of(second.h_n, second.c_n),
        )

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        kept: _Kept = tape.content(self)
        if dy is not None:
            shape = (kept.record.batch, kept.record.steps, self.output_size)
            _checks.of_shape("dy", dy, self._output_symbols, shape, self.dtype)
        self._state("dstate", dstate, kept.record.batch)
        dropped = kept.dropped is not None
        version = self._seen() if dropped else self._packed("backward", None)[1]
        if version != kept.version:
            raise RuntimeError("tape: the parameters changed since forward; run forward again")

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: AddTo = None,
    ) -> tuple[Any, Any]:
        kept: _Kept = tape.use(self)
        tokens, array = embedding_gradient.parts(add_to)
        call = self._backward_call(kept, dy, dstate, tokens)
        dx, dinitial = ops.backward(call, input_gradient=input_gradient, add_to=array)
        if kept.dropped is not None:
            self._add_dropped(call, kept.dropped)
        return dx if add_to is None else add_to, _state_of(*dinitial)

    def _backward_beside(
        self,
        other: Recurrent,
        tapes: tuple[Tape, Tape],
        dys: tuple[Any, Any],
        dstates: tuple[Any, Any],
        *,
        input_gradient: bool,
        add_to: AddTo,
    ) -> tuple[Any, tuple[Any, Any]]:
        if not isinstance(other, RecurrentLayer):
            return super()._backward_beside(
                other, tapes, dys, dstates, input_gradient=input_gradient, add_to=add_to
            )
        kept: tuple[_Kept, _Kept] = tapes[0].use(self), tapes[1].use(other)
        tokens, array = embedding_gradient.parts(add_to)
        first = self._backward_call(kept[0], dys[0], dstates[0], tokens)
        second = other._backward_call(kept[1], dys[1], dstates[1], tokens)
        dx, dinitial = ops.backward_beside(
            first, second, input_gradient=input_gradient, add_to=array
        )
        for layer, call, (_, _, dropped) in zip((self, other), (first, second), kept, strict=True):
            if dropped is not None:
                layer._add_dropped(call, dropped)
        return dx if add_to is None else add_to, (
            _state_of(*dinitial[0]),
            _state_of(*dinitial[1]),
        )

    def _adds_by_token(self) -> bool:
        return True

    def _backward_call(
        self, kept: _Kept, dy: Any, dstate: Any, tokens: NDArray[np.int64] | None
    ) -> ops.BackwardCall:
        dh_n, dc_n = self._state("dstate", dstate, kept.record.batch)
        gradients = self._weight_gradients
        if kept.dropped is None:
            panels = self._panels.last("backward")
        else:
            panels, _ = self._packed("backward", kept.dropped)
            if self._weight_sums is None:
                gradients = ops.masked_gradients(gradients)
        return ops.BackwardCall(
            self._kind,
            panels,
            kept.record,
            None if dy is None else np.asarray(dy),
            dh_n,
            dc_n,
            gradients,
            self._buffers,
            self._weight_sums,
            tokens,
        )

    def _add_dropped(self, call: ops.BackwardCall, dropped: FloatArray) -> None:
        """Add the gradient of the weight_hh that a pass saw, to that of weight_hh itself."""
        if call.weight_sums is None:
            ops.add_masked(self._weight_gradients, call.gradients, dropped)
        else:  # with the sums, over passes that all have the same mask
            self._dropped_in_sums = dropped

    def _begin_weight_sums(self) -> None:
        self._weight_sums = ops.new_weight_sums(self._kind, self._buffers)

    def _end_weight_sums(self) -> None:
        assert self._weight_sums is not None
        sums, self._weight_sums = self._weight_sums, None
        dropped, self._dropped_in_sums = self._dropped_in_sums, None
        if dropped is None:
            ops.add_weight_sums(self._kind, sums, self._weight_gradients, self._buffers)
            return
        gradients = ops.masked_gradients(self._weight_gradients)
        ops.add_weight_sums(self._kind, sums, gradients, self._buffers)
        ops.add_masked(self._weight_gradients, gradients, dropped)

    def _discard(self, tape: Tape) -> None:
        ops.discard(tape.use(self).record, self._buffers)

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw masks from `rng` from now on."""
        self._rng = rng

    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        valid = _checks.lengths(lengths, batch_size, steps)
        kinds = (reset, *self._masks.kinds[1:])
        total = ops.training_bytes(self._kind, batch_size, steps, valid, kinds)
        return total + self._masks.weight_bytes(self._weights.weight_hh)

    def reversed_twin(self, seed: int | np.random.Generator | None) -> RecurrentLayer:
        """Return a layer of the same configuration, running the other way, with its own weights."""
        arguments = self.config() | {"reverse": not self.reverse, "seed": seed}
        del arguments["type"]
        return RecurrentLayer(**arguments)

    def explain_plan(
        self,
        batch_size: int,
        steps: int,
        *,
        name: str = "layer",
        beside: RecurrentLayer | None = None,
    ) -> LayerPlan:
        """Return how a dense forward pass over (batch_size, steps, I) will be run; print it.

        Parameters
        ----------
        batch_size, steps : int
            N and T, at least 1.
        name : str
            How the plan calls this layer.
        beside : RecurrentLayer or None
            The layer that reads the same x in the other direction.
        """
        batch_size = _checks.positive_integer("batch_size", batch_size)
        return ops.explain_plan(
            self._kind,
            batch_size,
            _checks.positive_integer("steps", steps),
            name,
            None if beside is None else beside._kind,
            self._masks.kinds,
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        config = {
            "type": "RecurrentLayer",
            "cell": self.cell,
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "bias": self.bias,
            "reverse": self.reverse,
            "dtype": self._kind.weight_dtype,
        }
        more = {
            "recurrent_bias": (self.recurrent_bias, True),
            "options": (json_options(self.options), {}),
            "recurrent_dropout": (self._masks.recurrent_dropout, 0.0),
            "drop_connect": (self._masks.drop_connect, 0.0),
        }
        return config | {name: value for name, (value, usual) in more.items() if value != usual}

    def _forward_call(
        self,
        x: Any,
        state: Any,
        lengths: Any,
        out: FloatArray | None,
        reset: Any,
        *,
        record: bool,
        masks: ops.Masks | None = None,
    ) -> tuple[ops.ForwardCall, tuple[int, FloatArray | None]]:
        """Return the checked arguments of a run, and the version and mask of its weights."""
        if record and self._kind.bfloat16:
            raise RuntimeError(
                "forward: expected a float32 or float64 layer, got one with bfloat16 weights, "
                "which are for inference; train before layer.to('bfloat16')"
            )
        x = _checks.sequence("x", x, self.input_size, self.dtype)
        batch, steps = x.shape[:2]
        valid = _checks.lengths(lengths, batch, steps)
        h0, c0 = self._state("state", state, batch)
        resets = None if reset is None else _checks.resets(reset, batch, steps)
        if out is not None:
            out = _checks.written("out", out, (batch, steps, self.output_size), self.dtype)
        dropped = None
        if record and (masks is not None or self._masks.acts):
            masks, dropped = self._masks.of_pass(
                masks, batch, steps, self._rng, self._first_step, self._weights.weight_hh
            )
        if resets is not None:
            masks = (masks or ops.Masks())._replace(resets=resets[..., np.newaxis])
        panels, version = self._packed("forward", dropped)
        call = ops.forward_call(
            self._kind, panels, x, h0, c0, valid,
            out=out, record=record, buffers=self._buffers, masks=masks,
        )  # fmt: skip
        return call, (version, dropped)

    def _recorded(
        self, call: ops.ForwardCall, weights: tuple[int, FloatArray | None]
    ) -> tuple[FloatArray, Any, Tape]:
        assert call.record is not None
        return call.y, _state_of(call.h_n, call.c_n), Tape(self, _Kept(call.record, *weights))

    def _packed(self, pass_name: str, dropped: FloatArray | None) -> tuple[FloatArray, int]:
        """Return the weights packed for a pass, with their mask, and their version."""
        if dropped is not None:
            weights = ops.masked_weights(self._weights, dropped)
            return ops.packed(self._kind, pass_name, weights), self._seen()
        vector, quiet_since = self._parameter_vector, self._holders.quiet_since()
        return self._panels.get(pass_name, self._weights, vector, quiet_since)

    def _seen(self) -> int:
        """Return the version of the weights where nothing is to be packed."""
        return self._panels.seen(self._parameter_vector, self._holders.quiet_since())

    def _state(
        self, name: str, state: Any, batch: int
    ) -> tuple[FloatArray | None, FloatArray | None]:
        if state is None:
            return None, None
        shape, symbols = (batch, self.output_size), self._state_symbols
        if not self._kind.has_cell_state:
            h = _checks.single(name, state)
            return _checks.of_shape(name, h, symbols, shape, self.dtype), None
        h, c = _checks.pair(name, state)
        cells = (batch, self.hidden_size)
        return (
            _checks.of_shape(f"{name}[0]", h, symbols, shape, self.dtype),
            _checks.of_shape(f"{name}[1]", c, "(N, H)", cells, self.dtype),
        )


def _state_of(h: FloatArray, c: FloatArray | None) -> Any:
    return h if c is None else (h, c)
