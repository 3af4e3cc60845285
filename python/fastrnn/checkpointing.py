"""Exact back-propagation through time within a number of bytes, by checkpoints in time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, initializers, sequences
from fastrnn._checks import FloatArray
from fastrnn.embedding_gradient import AddTo, of_each_step
from fastrnn.protocol import (
    Layer,
    Recurrent,
    Shapes,
    Tape,
    adopt,
    check_reset,
    reset_for,
    walk,
)
from fastrnn.sharing import Holders
from fastrnn.state_trees import leaves, like, replaced

# Rows over which kernels add up weight gradients at once (cpp/kernels/schedule.hpp): segments of
# whole chunks leave none half full, and their sums run over the same rows as those of one pass.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class _Segment:
    start: int  # in time
    stop: int
    state: Any  # before the segment; None for the first means as the layer begins


@dataclass(frozen=True)
class _Arguments:
    x: FloatArray
    lengths: NDArray[np.int64] | None
    reset: NDArray[np.uint8] | None  # (N, T) or, where time comes first, (T, N)
    rng: np.random.Generator  # as before the first segment: each draws the same keys of masks


@dataclass(frozen=True)
class _Kept:
    arguments: _Arguments
    segments: Sequence[_Segment]  # in order of running
    last: Tape  # of the last of them: the one whose forward pass is not run again


class Checkpointed(Recurrent):
    """A recurrent layer whose forward and backward pass keep to a number of bytes.

    Forward keeps the states at the boundaries of segments of time and the tape of the last segment
    only; backward runs each other segment again from its state, just before it is needed (Chen et
    al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174, section 4; over
    time as in Gruslys et al. 2016, "Memory-efficient backpropagation through time",
    arXiv:1606.03401). Outputs, states, dx and the gradient of the initial state are those of the
    layer by itself, bit for bit, and so are the weight gradients where all rows have T steps; in
    ragged batches these are the same sums in another order. Masks are drawn as the layer by itself
    draws them with the same generator (`reseed`). Time grows by at most one forward pass,
    about two fifths of a training step. Where everything fits, it is one segment, and the layer
    runs as by itself.

    Parameters
    ----------
    layer : recurrent layer
        `LSTM`, `GRU`, `RNN` or a `Stacked` of them, all running the same way in time. Its
        parameters keep their names. Directions are checkpointed one by one:
        ``fr.Bidirectional(fr.Checkpointed(layer, memory_budget=...))``.
    memory_budget : int
        Bytes for tape, workspaces, checkpoints and temporary arrays of one forward and backward
        pass; x, y, dy and dx are the caller's, weights and gradients the layer's. Memory is kept
        for the next call.
    seed : int, numpy.random.Generator or None, default None
        For all masks inside.

    Raises
    ------
    TypeError
        If `layer` is not recurrent or `memory_budget` no integer.
    ValueError
        If layers run both ways or repeat outputs behind the ends of rows, or `memory_budget` is
        below 1; in `forward`, if the least segments do not fit.

    Notes
    -----
    The tape refers to x: x must stay as it is until `backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.Checkpointed(fr.LSTM(3, 8, seed=0), memory_budget=400_000)
    >>> len(layer.segments(1, 10_000)) > 1
    True
    >>> x = np.ones((1, 10_000, 3), np.float32)
    >>> y, state, tape = layer.forward(x)
    >>> dx, dstate = layer.backward(tape, y)
    >>> y_plain, _, tape = layer.layer.forward(x)
    >>> bool((layer.layer.backward(tape, y_plain)[0] == dx).all())
    True
    """

    def __init__(
        self,
        layer: Recurrent,
        *,
        memory_budget: int,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        if not isinstance(layer, Recurrent):
            raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
        inside = list(walk(layer))
        if any(isinstance(part, Checkpointed) for part in inside):
            raise TypeError("layer: expected layers without checkpoints, got Checkpointed in it")
        directions = {part.reverse for part in inside if hasattr(part, "reverse")}
        if len(directions) > 1:
            raise ValueError(
                "layer: expected layers that run the same way in time, got both directions; "
                "checkpoint each: Bidirectional(Checkpointed(layer, memory_budget=...))"
            )
        _checks.pads_each_step_alone("layer", inside)
        layer.training_bytes(1, 1)  # raises where it is not known
        self.layer = layer
        self.memory_budget = _checks.positive_integer("memory_budget", memory_budget)
        self.reverse = directions == {True}
        self.batch_first: bool = getattr(layer, "batch_first", True)
        self.input_size, self.output_size = layer.input_size, layer.output_size
        self._rng = initializers.generator(seed)
        super().__init__(layer.dtype)
        adopt(self, [layer])

    def shapes(self) -> Shapes:
        """Names and shapes of the parameters: those of the layer."""
        return self.layer.shapes()

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        super()._bind(parameters, gradients, holders)
        self.layer._bind(parameters, gradients, holders)

    def _parts(self) -> tuple[Layer, ...]:
        return (self.layer,)

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw the masks inside from `rng` from now on."""
        self._rng = rng

    # ---- running ----

    def __call__(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[FloatArray, Any]:
        """Run for inference, which keeps nothing: as the layer by itself, x (N, T, I)."""
        return self.layer(x, state, lengths=lengths, out=out, **reset_for(self.layer, reset))

    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[FloatArray, Any, Tape]:
        """Run for training: as the layer by itself, x (N, T, I), within the memory budget.

        Raises
        ------
        ValueError
            If the budget is too small for N rows of T steps; the message says what it takes.
        """
        if sequences.is_list(x):
            return sequences.forward(self, x, state, lengths, out, reset)
        x = _checks.sequence("x", x, self.input_size, self.dtype)
        batch, steps = x.shape[:2] if self.batch_first else x.shape[1::-1]
        valid = _checks.lengths(lengths, batch, steps)
        check_reset(self, reset)
        resets = _checks.resets(reset, batch, steps, batch_first=self.batch_first)
        if resets is not None and not self.batch_first:
            resets = resets.T
        shape = (*x.shape[:2], self.output_size)
        if out is None:
            out = np.empty(shape, self.dtype)
        _checks.of_shape("out", out, "that of y", shape, self.dtype)
        # No steps: judges the state, and copies it, which the caller may overwrite.
        _, begin = self.layer(self._cut(x, 0, 0), state)
        state_bytes = sum(part.nbytes for part in leaves(begin))
        times = self._times(batch, steps, valid, state_bytes, reset=reset is not None)
        now = None if state is None else begin
        arguments = _Arguments(x, valid, resets, copy.deepcopy(self._rng))
        segments: list[_Segment] = []
        last: Tape | None = None
        for start, stop in times:
            if last is not None:
                last.discard()
                now = self._crossing(arguments, stop, now)
            segment = _Segment(start, stop, now)
            # The first one takes its keys from the generator, the others from copies of it.
            rng = copy.deepcopy(arguments.rng) if segments else self._rng
            _, now, last = self._run(arguments, segment, self._cut(out, start, stop), rng)
            segments.append(segment)
        assert last is not None
        return out, now, Tape(self, _Kept(arguments, segments, last))

    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        kept: _Kept = tape.content(self)
        if dy is not None:
            shape = (*kept.arguments.x.shape[:2], self.output_size)
            dy = _checks.of_shape("dy", dy, "that of y", shape, self.dtype)
        segment = kept.segments[-1]
        self.layer._check_backward(kept.last, self._part(dy, segment), dstate)

    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: AddTo = None,
    ) -> tuple[FloatArray | None, Any]:
        add_to = of_each_step(add_to)
        kept: _Kept = tape.use(self)
        dy = None if dy is None else np.asarray(dy)
        x = kept.arguments.x
        if len(kept.segments) == 1:
            return self.layer._backward(
                kept.last, dy, dstate, input_gradient=input_gradient, add_to=add_to
            )
        dx = np.empty_like(x) if input_gradient and add_to is None else add_to
        longest = max(segment.stop - segment.start for segment in kept.segments[:-1])
        again = np.empty_like(self._cut(x, 0, longest), shape=self._shape(x, longest))
        last = kept.last
        parts = list(walk(self.layer))
        for part in parts:
            part._begin_weight_sums()
        try:
            for segment in reversed(kept.segments):
                if segment is not kept.segments[-1]:
                    out = self._cut(again, 0, segment.stop - segment.start)
                    rng = copy.deepcopy(kept.arguments.rng)
                    _, _, last = self._run(kept.arguments, segment, out, rng)
                dsegment, dstate = self.layer._backward(
                    last,
                    self._part(dy, segment),
                    dstate,
                    input_gradient=input_gradient,
                    add_to=self._part(add_to, segment),
                )
                if dx is not None and add_to is None:
                    self._cut(dx, segment.start, segment.stop)[...] = dsegment
                del dsegment  # before the next one is made
                dstate = self._crossing(kept.arguments, segment.stop, dstate)
        finally:
            for part in parts:
                part._end_weight_sums()
        return dx, dstate

    def _discard(self, tape: Tape) -> None:
        tape.use(self).last.discard()

    def _run(
        self, arguments: _Arguments, segment: _Segment, out: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, Any, Tape]:
        """Run one segment, the first time or again: the same bits and the same masks."""
        start, stop = segment.start, segment.stop
        lengths, reset = arguments.lengths, arguments.reset
        if lengths is not None:
            lengths = np.clip(lengths - start, 0, stop - start)
        parts = list(walk(self.layer))
        self.layer.reseed(rng)
        for part in parts:
            part._first_step = start
        try:
            return self.layer.forward(
                self._cut(arguments.x, start, stop),
                segment.state,
                lengths=lengths,
                out=out,
                **reset_for(self.layer, None if reset is None else self._cut(reset, start, stop)),
            )
        finally:
            self.layer.reseed(self._rng)
            for part in parts:
                part._first_step = 0

    def _crossing(self, arguments: _Arguments, stop: int, state: Any) -> Any:
        """Return what of a state, or of its gradient, crosses from one segment to the next.

        Running forward, a segment cuts it itself, at its first step; in reverse, the boundary lies
        behind its last one, at `stop`.
        """
        lengths, reset = arguments.lengths, arguments.reset
        times = arguments.x.shape[1 if self.batch_first else 0]
        if not self.reverse or reset is None or stop == times:
            return state
        rows = (reset[:, stop] if self.batch_first else reset[stop]) != 0
        if lengths is not None:
            rows &= lengths > stop  # the others begin below it
        return replaced(state, rows, like(state, np.zeros_like))

    # ---- segments ----

    def segments(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> list[tuple[int, int]]:
        """Return the segments of time (first step, one past the last), in order of running.

        Parameters
        ----------
        batch_size, steps : int
            N and T, at least 1.
        lengths : ndarray of int, (N,), or None
        reset : bool, default False
            Whether the pass has resets.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above or the budget is too small.
        """
        batch = _checks.positive_integer("batch_size", batch_size)
        steps = _checks.positive_integer("steps", steps)
        shape = (batch, 0) if self.batch_first else (0, batch)
        _, begin = self.layer(np.empty((*shape, self.input_size), self.dtype))
        size = sum(part.nbytes for part in leaves(begin))
        valid = _checks.lengths(lengths, batch, steps)
        return self._times(batch, steps, valid, size, reset=reset)

    def _times(
        self,
        batch: int,
        steps: int,
        lengths: NDArray[np.int64] | None,
        state_bytes: int,
        *,
        reset: bool,
    ) -> list[tuple[int, int]]:
        if self.layer.training_bytes(batch, steps, lengths, reset=reset) <= self.memory_budget:
            return [(0, steps)]
        chunk = max(CHUNK_ROWS // max(batch, 1), 1)
        features = self.input_size + self.output_size  # dx and y of a segment

        def segment_bytes(chunks: int) -> int:
            length = min(chunks * chunk, steps)
            valid = None if lengths is None else np.minimum(lengths, length)
            arrays = batch * length * features * self.dtype.itemsize
            return self.layer.training_bytes(batch, length, valid, reset=reset) + arrays

        def needed(chunks: int) -> int:
            checkpoints = -(-steps // min(chunks * chunk, steps))
            return segment_bytes(chunks) + checkpoints * state_bytes

        # The segment that takes least: checkpoints and tape in balance. From there on longer ones
        # take more and are run again less.
        most = -(-steps // chunk)
        per_chunk = max(segment_bytes(2) - segment_bytes(1), 1)
        balance = (most * state_bytes / per_chunk) ** 0.5
        first, last = (min(max(int(place), 1), most) for place in (balance / 2, 2 * balance + 2))
        nearby = range(first, last + 1)
        fewest = min(nearby, key=needed)
        if needed(fewest) > self.memory_budget:
            raise ValueError(
                f"memory_budget: expected at least {needed(fewest)} bytes for N, T = {batch}, "
                f"{steps}, got {self.memory_budget}"
            )
        while fewest < most:
            middle = (fewest + most + 1) // 2
            if needed(middle) <= self.memory_budget:
                fewest = middle
            else:
                most = middle - 1
        # Whole chunks; the last segment, which is run once only, is long and the first is short.
        chunks = -(-steps // chunk)
        ends = [steps, *(c * chunk for c in range(chunks - fewest, 0, -fewest)), 0][::-1]
        times = list(pairwise(ends))
        return [(steps - b, steps - a) for a, b in times] if self.reverse else times

    def _cut(self, array: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """Return some steps of an array (N, T, ...) or, where time comes first, (T, N, ...)."""
        return array[:, start:stop] if self.batch_first else array[start:stop]

    def _part(self, array: FloatArray | None, segment: _Segment) -> FloatArray | None:
        return None if array is None else self._cut(array, segment.start, segment.stop)

    def _shape(self, x: FloatArray, steps: int) -> tuple[int, int, int]:
        outer = (x.shape[0], steps) if self.batch_first else (steps, x.shape[1])
        return (*outer, self.output_size)

    def reversed_twin(self, seed: int | np.random.Generator | None) -> Recurrent:
        """Return a layer like this one that runs the other way in time, with its own weights."""
        rng = initializers.generator(seed)
        twin = self.layer.reversed_twin(rng)
        return Checkpointed(twin, memory_budget=self.memory_budget, seed=rng)

    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes."""
        whole = self.layer.training_bytes(batch_size, steps, lengths, reset=reset)
        return min(whole, self.memory_budget)

    def config(self) -> dict[str, Any]:
        """Return the layer's configuration and the budget."""
        return {
            "type": "Checkpointed",
            "layer": self.layer.config(),
            "memory_budget": self.memory_budget,
        }
