"""One recurrent cell, one direction, one set of weights: what C++ runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastrnn import _checks, initializers, kept_values, ops
from fastrnn._checks import FloatArray
from fastrnn.plan import LayerPlan
from fastrnn.protocol import Recurrent, Shapes, Tape, own_vectors, views
from fastrnn.sharing import Holders


class _Kept(NamedTuple):
    record: ops.Record
    version: int  # of the weights


class RecurrentLayer(Recurrent):
    """One cell over time in one direction.

    `LSTM`, `GRU` and `RNN` are composed of these. Its state is h (N, H), or (h, c) for the LSTM.

    Parameters
    ----------
    cell : str
        A name in `ops.CELLS`, such as ``"lstm"``, ``"gru"`` or ``"rnn_tanh"``.
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
    reverse : bool, default False
        Run each row from its last valid step to its first; outputs stay aligned with inputs.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `Layer.to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For the initial values, uniform in +-1/sqrt(H).

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
        reverse: bool = False,
        dtype: Any = "float32",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        _checks.choice("cell", cell, tuple(ops.CELLS))
        self.cell = cell
        self.input_size = _checks.positive_integer("input_size", input_size)
        self.hidden_size = _checks.positive_integer("hidden_size", hidden_size)
        self.output_size = self.hidden_size
        self.bias = bool(bias)
        self.reverse = bool(reverse)
        array_dtype, bfloat16 = _checks.recurrent_dtype(dtype)
        super().__init__(array_dtype)
        self._kind = ops.LayerKind(
            cell, self.input_size, self.hidden_size, self.reverse, self.dtype, bfloat16
        )
        self._panels = ops.Panels(self._kind)
        self._buffers = ops.LayerBuffers()
        self._weight_sums: FloatArray | None = None
        rng = initializers.generator(seed)
        own_vectors(self)
        initializers.uniform_fan(self.parameter_vector, self.hidden_size, rng)

    def shapes(self) -> Shapes:
        """Names and shapes of the parameters, in the order of the vector."""
        return weight_shapes(self.cell, self.input_size, self.hidden_size, bias=self.bias)

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        super()._bind(parameters, gradients, holders)
        self._weights = _weights(views(parameters, self.shapes()))
        self._weight_gradients = _weights(self.gradients)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Features of each part of the state: (H,), or (H, H) for the LSTM's (h, c)."""
        return (self.hidden_size,) * (2 if self._kind.has_cell_state else 1)

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
        return_all: Any = None,
    ) -> tuple[Any, ...]:
        """Run for inference.

        Parameters
        ----------
        x : ndarray, (N, T, I)
        state : ndarray (N, H), a pair of them for the LSTM, or None
            Initial state; None is zero.
        lengths : ndarray of int, (N,), or None
            Valid steps of each row, 0..T; None: all.
        out : ndarray, (N, T, H), or None
            Where y goes.
        return_all : sequence of "h", "c", "gates", or None
            What else to return of every step; "c" where the cell has one.

        Returns
        -------
        y : ndarray, (N, T, H)
            Zero at invalid steps.
        state : ndarray (N, H) or a pair of them
            After each row's last valid step; the initial state where a row has none.
        kept : dict
            Only with `return_all`: "h" is y, "c" (N, T, H) follows each step, "gates" (N, T, G, H)
            are the gates' activations in the order of the weights (an RNN's h); zero at invalid
            steps.
        """
        wanted = kept_values.names(self._kind, return_all)
        call, _ = self._forward_call(x, state, lengths, out, record=False)
        if wanted is not None:
            return call.y, _state_of(call.h_n, call.c_n), kept_values.run(call, wanted)
        ops.forward(call)
        return call.y, _state_of(call.h_n, call.c_n)

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None, out: FloatArray | None = None
    ) -> tuple[FloatArray, Any, Tape]:
        """Run for training; as calling the layer, and keeps what `backward` needs."""
        call, version = self._forward_call(x, state, lengths, out, record=True)
        ops.forward(call)
        return self._recorded(call, version)

    def _run_beside(
        self,
        other: Recurrent,
        x: Any,
        states: tuple[Any, Any],
        lengths: Any,
        outs: tuple[FloatArray | None, FloatArray | None],
        *,
        record: bool,
    ) -> tuple[Any, Any]:
        if not isinstance(other, RecurrentLayer):
            return super()._run_beside(other, x, states, lengths, outs, record=record)
        first, version = self._forward_call(x, states[0], lengths, outs[0], record=record)
        second, other_version = other._forward_call(x, states[1], lengths, outs[1], record=record)
        ops.forward_beside(first, second)
        if record:
            return self._recorded(first, version), other._recorded(second, other_version)
        return (first.y, _state_of(first.h_n, first.c_n)), (
            second.y,
            _state_of(second.h_n, second.c_n),
        )

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        kept: _Kept = tape.content(self)
        if dy is not None:
            shape = (kept.record.batch, kept.record.steps, self.hidden_size)
            _checks.of_shape("dy", dy, "(N, T, H)", shape, self.dtype)
        self._state("dstate", dstate, kept.record.batch)
        _, version = self._packed("backward")
        if version != kept.version:
            raise RuntimeError("tape: the parameters changed since forward; run forward again")

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: FloatArray | None = None,
    ) -> tuple[FloatArray | None, Any]:
        call = self._backward_call(tape, dy, dstate)
        dx, dinitial = ops.backward(call, input_gradient=input_gradient, add_to=add_to)
        return dx, _state_of(*dinitial)

    def _backward_beside(
        self,
        other: Recurrent,
        tapes: tuple[Tape, Tape],
        dys: tuple[Any, Any],
        dstates: tuple[Any, Any],
        *,
        input_gradient: bool,
        add_to: FloatArray | None,
    ) -> tuple[Any, tuple[Any, Any]]:
        if not isinstance(other, RecurrentLayer):
            return super()._backward_beside(
                other, tapes, dys, dstates, input_gradient=input_gradient, add_to=add_to
            )
        dx, (first, second) = ops.backward_beside(
            self._backward_call(tapes[0], dys[0], dstates[0]),
            other._backward_call(tapes[1], dys[1], dstates[1]),
            input_gradient=input_gradient,
            add_to=add_to,
        )
        return dx, (_state_of(*first), _state_of(*second))

    def _backward_call(self, tape: Tape, dy: Any, dstate: Any) -> ops.BackwardCall:
        record = tape.use(self).record
        dh_n, dc_n = self._state("dstate", dstate, record.batch)
        return ops.BackwardCall(
            self._kind,
            self._panels.last("backward"),
            record,
            None if dy is None else np.asarray(dy),
            dh_n,
            dc_n,
            self._weight_gradients,
            self._buffers,
            self._weight_sums,
        )

    def _begin_weight_sums(self) -> None:
        self._weight_sums = ops.new_weight_sums(self._kind, self._buffers)

    def _end_weight_sums(self) -> None:
        assert self._weight_sums is not None
        sums, self._weight_sums = self._weight_sums, None
        ops.add_weight_sums(self._kind, sums, self._weight_gradients, self._buffers)

    def _discard(self, tape: Tape) -> None:
        ops.discard(tape.use(self).record, self._buffers)

    def training_bytes(self, batch_size: int, steps: int, lengths: Any = None) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        valid = _checks.lengths(lengths, batch_size, steps)
        return ops.training_bytes(self._kind, batch_size, steps, valid)

    def reversed_twin(self, seed: int | np.random.Generator | None) -> RecurrentLayer:
        """Return a layer of the same configuration, running the other way, with its own weights."""
        return RecurrentLayer(
            self.cell,
            self.input_size,
            self.hidden_size,
            bias=self.bias,
            reverse=not self.reverse,
            dtype=self._kind.weight_dtype,
            seed=seed,
        )

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
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {
            "type": "RecurrentLayer",
            "cell": self.cell,
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "bias": self.bias,
            "reverse": self.reverse,
            "dtype": self._kind.weight_dtype,
        }

    def _forward_call(
        self, x: Any, state: Any, lengths: Any, out: FloatArray | None, *, record: bool
    ) -> tuple[ops.ForwardCall, int]:
        """Return the checked arguments of a run, and the version of its weights."""
        if record and self._kind.bfloat16:
            raise RuntimeError(
                "forward: expected a float32 or float64 layer, got one with bfloat16 weights, "
                "which are for inference; train before layer.to('bfloat16')"
            )
        x = _checks.sequence("x", x, self.input_size, self.dtype)
        batch, steps = x.shape[:2]
        valid = _checks.lengths(lengths, batch, steps)
        h0, c0 = self._state("state", state, batch)
        panels, version = self._packed("forward")
        call = ops.forward_call(
            self._kind, panels, x, h0, c0, valid, out=out, record=record, buffers=self._buffers
        )
        return call, version

    def _recorded(self, call: ops.ForwardCall, version: int) -> tuple[FloatArray, Any, Tape]:
        assert call.record is not None
        kept = _Kept(call.record, version)
        return call.y, _state_of(call.h_n, call.c_n), Tape(self, kept)

    def _packed(self, pass_name: str) -> tuple[FloatArray, int]:
        quiet_since = self._holders.quiet_since()
        return self._panels.get(pass_name, self._weights, self._parameter_vector, quiet_since)

    def _state(
        self, name: str, state: Any, batch: int
    ) -> tuple[FloatArray | None, FloatArray | None]:
        if state is None:
            return None, None
        shape = (batch, self.hidden_size)
        if not self._kind.has_cell_state:
            h = _checks.single(name, state)
            return _checks.of_shape(name, h, "(N, H)", shape, self.dtype), None
        h, c = _checks.pair(name, state)
        return (
            _checks.of_shape(f"{name}[0]", h, "(N, H)", shape, self.dtype),
            _checks.of_shape(f"{name}[1]", c, "(N, H)", shape, self.dtype),
        )


def _state_of(h: FloatArray, c: FloatArray | None) -> Any:
    return h if c is None else (h, c)


def weight_shapes(cell: str, input_size: int, hidden_size: int, *, bias: bool) -> Shapes:
    """Return names and shapes of a cell's parameters, in the order of the vector.

    Parameters
    ----------
    cell : str
        A name in `ops.CELLS`.
    input_size, hidden_size : int
        I and H.
    bias : bool
    """
    table = ops.CELLS[cell]
    rows = table.gates * hidden_size
    shapes: Shapes = {"weight_ih": (rows, input_size)}
    if table.has_recurrent_matrix:
        shapes["weight_hh"] = (rows, hidden_size)
    else:  # one recurrent weight per unit
        shapes["weight_hh"] = (hidden_size,)
    if bias:
        shapes["bias_ih"] = (rows,)
        if table.has_recurrent_matrix:
            shapes["bias_hh"] = (rows,)
    if table.has_recurrent_matrix and table.unit_weights:
        shapes["weight_peephole"] = (table.unit_weights * hidden_size,)
    return shapes


def _weights(named: Any) -> ops.Weights:
    matrix: FloatArray | None = named["weight_hh"]
    unit_weights = named.get("weight_peephole")
    if matrix is not None and matrix.ndim == 1:  # an independent RNN's
        matrix, unit_weights = None, matrix
    return ops.Weights(
        named["weight_ih"], matrix, named.get("bias_ih"), named.get("bias_hh"), unit_weights
    )
