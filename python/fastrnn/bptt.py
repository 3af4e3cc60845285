"""Truncated back-propagation through time, and the mean over unrolled replicas of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.protocol import Layer, Recurrent, Tape, check_reset, walk
from fastrnn.state_trees import like

REPLICAS = ("sum", "mean")


class Window:
    """The steps of one backward pass of truncated BPTT; see `truncated_bptt`.

    Attributes
    ----------
    outputs : ndarray, (N, stop - start, C)
        The model's outputs at the new steps, `start` to `stop` of x; zero at invalid ones.
    start, stop : int
        The new steps in time.
    first : int
        The first step of the backward pass, at most `start`.
    lengths : ndarray of int64, (N,), or None
        Valid steps among the new ones.
    state : as the model's
        After the window.
    state_for_next : as the model's
        At the first step of the next window: with it, ``truncated_bptt(..., state, start=stop)``
        goes on from here. As `state` where k1 = k2.
    """

    def __init__(
        self,
        model: Layer,
        pieces: list[tuple[int, int, FloatArray, Tape]],
        times: tuple[int, int, int],
        lengths: NDArray[np.int64] | None,
        states: tuple[Any, Any],
        replicas: str,
    ) -> None:
        self.first, self.start, self.stop = times
        self.lengths = lengths
        self.state, self.state_for_next = states
        self._model = model
        self._replicas = replicas
        self._pieces = pieces
        whole = [y for _, _, y, _ in pieces]
        y = whole[0] if len(whole) == 1 else np.concatenate(whole, axis=1)
        self.outputs = y[:, self.start - self.first :]

    def backward(self, doutputs: Any, *, input_gradient: bool = False) -> Any:
        """Back-propagate from the new outputs to the window's first step; add into gradients.

        Parameters
        ----------
        doutputs : ndarray, (N, stop - start, C)
            Gradient of `outputs`.
        input_gradient : bool, default False
            Whether dx is wanted.

        Returns
        -------
        ndarray (N, stop - first, F), or None
            dx of the whole window.

        Raises
        ------
        TypeError, ValueError
            If `doutputs` is not like `outputs`.
        RuntimeError
            If the window was used before, or the parameters have changed since it was run.
        """
        outputs = self.outputs
        doutputs = _checks.of_shape(
            "doutputs", doutputs, "(N, stop - start, C)", outputs.shape, outputs.dtype
        )
        if not self._pieces:
            raise RuntimeError("window: already used by a backward pass, or the next one has begun")
        gradients = [self._part(doutputs, begin, end) for begin, end, _, _ in self._pieces]
        for (_, _, _, tape), dy in zip(self._pieces, gradients, strict=True):
            self._model._check_backward(tape, dy, None)
        pieces, self._pieces = self._pieces, []
        dstate, dx = None, []
        with mean_over(self._model, self.stop - self.first, self._replicas):
            for (_, _, _, tape), dy in zip(reversed(pieces), reversed(gradients), strict=True):
                part, dstate = self._model._backward(
                    tape, dy, dstate, input_gradient=input_gradient
                )
                dx.append(part)
        if not input_gradient or dx[0] is None:
            return None
        return dx[0] if len(dx) == 1 else np.concatenate(dx[::-1], axis=1)

    def _part(self, doutputs: FloatArray, begin: int, end: int) -> FloatArray | None:
        """Return the gradient of the outputs of one piece; None where it has no new step."""
        if end <= self.start:
            return None
        if begin >= self.start:
            return doutputs[:, begin - self.start : end - self.start]
        whole = np.zeros((doutputs.shape[0], end - begin, *doutputs.shape[2:]), doutputs.dtype)
        whole[:, self.start - begin :] = doutputs[:, : end - self.start]
        return whole

    def _discard(self) -> None:
        for _, _, _, tape in self._pieces:
            tape.discard()
        self._pieces = []


def truncated_bptt(
    model: Layer,
    x: Any,
    bptt_steps: int | tuple[int, int],
    state: Any = None,
    *,
    lengths: Any = None,
    reset: Any = None,
    replicas: str = "sum",
    start: int = 0,
    end: int | None = None,
) -> Iterator[Window]:
    """Run a model over sequences window by window, for truncated BPTT with (k1, k2).

    Every k1 steps there is a backward pass over the last k2 steps, from the outputs of the last k1
    alone (Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories", Neural Computation 2(4): BPTT(h; h') with h = k2, h' = k1). So
    each output counts once, and its gradient reaches back k2 - k1 to k2 - 1 steps. k1 = k2 cuts
    time into chunks; with k1 = k2 = T, or k1 = T, this is full BPTT.

    The model may change between windows. A window with k2 > k1 runs the steps before the new ones
    again, with the parameters of now, from the state that the window before had reached at its
    first step. Masks (dropout, zoneout, ...) are drawn anew whenever steps are run.

    Parameters
    ----------
    model : layer
        Batch first, of layers that run forward in time and keep the time axis.
    x : ndarray, (N, T, F) or (N, T)
        What the model takes.
    bptt_steps : int or pair of int
        k1 = k2, or (k1, k2) with 1 <= k1 <= k2.
    state : as the model's, or None
        Initial state; copied. None is zero.
    lengths : ndarray of int, (N,), or None
        Valid steps of each row; windows end with the longest.
    reset : ndarray of bool or 0 and 1, (N, T), or None
        Where true, a row begins anew, as for a call of the model.
    replicas : {"sum", "mean"}, default "sum"
        "mean" divides what a backward pass adds to the gradients of recurrent layers by the
        window's steps: see `average_replicas`.
    start : int, default 0
        The first new step, a multiple of k1: goes on where an earlier call was left, with the
        `state_for_next` of its last window as `state`.
    end : int or None, default None
        The step before which windows end, at most T; None is the end of the longest row. Some rows
        of a larger batch have the windows of that batch where it is the longest row's of it.

    Returns
    -------
    iterator of Window
        Call `backward` of each before going on to the next; a window without it changes nothing.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. At once, but for what the model itself says of x and state.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.GRU(2, 8, seed=0), fr.Linear(8, 1, seed=1)])
    >>> loss, optimizer = fr.losses.MeanSquaredError(), fr.optim.SGD(0.1)
    >>> x = np.ones((4, 50, 2), np.float32)
    >>> for window in fr.truncated_bptt(model, x, (10, 20)):
    ...     targets = x[:, window.start : window.stop, :1]
    ...     value, doutputs = loss(window.outputs, targets)
    ...     model.zero_grad()
    ...     window.backward(doutputs)
    ...     optimizer.step(model.parameter_vector, model.gradient_vector)
    >>> window.first, window.start, window.stop
    (30, 40, 50)
    """
    check_runs_on(model)
    k1, k2 = steps_pair("bptt_steps", bptt_steps)
    _checks.choice("replicas", replicas, REPLICAS)
    x = np.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"x: expected shape (N, T, F) or (N, T), got {x.shape}")
    valid = _checks.lengths(lengths, *x.shape[:2])
    check_reset(model, reset)
    resets = _checks.resets(reset, *x.shape[:2])
    if not isinstance(start, (int, np.integer)) or start < 0 or start % k1:
        raise ValueError(f"start: expected a multiple of k1 = {k1}, got {start!r}")
    longest = x.shape[1] if valid is None else int(valid.max(initial=0))
    if end is not None and not longest <= end <= x.shape[1]:
        raise ValueError(f"end: expected {longest}..T = {longest}..{x.shape[1]}, got {end}")
    times = range(int(start), longest if end is None else end, k1)
    return _windows(model, x, times, k2, like(state, np.array), valid, resets, replicas)


def _windows(
    model: Layer,
    x: Any,
    times: range,
    k2: int,
    state: Any,
    lengths: NDArray[np.int64] | None,
    reset: NDArray[np.uint8] | None,
    replicas: str,
) -> Iterator[Window]:
    k1, end = times.step, times.stop
    for start in times:
        stop = min(start + k1, end)
        first = max(stop - k2, 0)
        # Where the next window begins: its state is kept, so the pass is cut there.
        following = max(min(stop + k1, end) - k2, 0)
        cuts = sorted({first, max(following, first), stop})
        now, kept, pieces = state, state, []
        for begin, until in pairwise(cuts):
            valid = _within(lengths, begin, until)
            more = {} if reset is None else {"reset": reset[:, begin:until]}
            y, now, tape = model.forward(x[:, begin:until], now, lengths=valid, **more)
            pieces.append((begin, until, y, tape))
            if until == following:
                kept = now
        place = (first, start, stop)
        valid = _within(lengths, start, stop)
        window = Window(model, pieces, place, valid, (now, kept), replicas)
        try:
            yield window
        finally:
            window._discard()
        state = kept


def _within(lengths: NDArray[np.int64] | None, begin: int, end: int) -> NDArray[np.int64] | None:
    return None if lengths is None else np.clip(lengths - begin, 0, end - begin)


def average_replicas(model: Layer, steps: int) -> None:
    """Divide the gradients of recurrent layers by a number of unrolled steps, in place.

    Unrolled over U steps, a recurrent network is a feed-forward one with U copies of its weights,
    the replicas. BPTT as in `Layer.backward` adds up the gradients of all replicas, which is the
    gradient of the loss (Werbos 1990). Some descriptions update the weights with the replicas'
    average instead: the same direction, divided by U. U is the number of steps at which at least
    one row is valid: T, or the largest of `lengths`; a row that has ended adds nothing to the
    replicas behind its end. All parameters of recurrent layers count, biases too; those of layers
    without recurrence stay as they are.

    Parameters
    ----------
    model : layer
        After `backward`.
    steps : int
        U, at least 1.

    Raises
    ------
    TypeError, ValueError
        If `steps` is not so.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> layer = fr.GRU(2, 3, seed=0)
    >>> y, _, tape = layer.forward(np.ones((1, 10, 2), np.float32))
    >>> dx, dstate = layer.backward(tape, y)
    >>> total = layer.gradient_vector.copy()
    >>> fr.average_replicas(layer, 10)
    >>> bool((layer.gradient_vector == total / 10).all())
    True
    """
    steps = _checks.positive_integer("steps", steps)
    for vector in _replicated(model):
        np.divide(vector, steps, out=vector)


def steps_pair(name: str, value: Any) -> tuple[int, int]:
    """Return (k1, k2) for an integer k1 = k2 or a pair of them."""
    if not isinstance(value, (tuple, list)):
        k = _checks.positive_integer(name, value)
        return k, k
    if len(value) != 2:
        raise ValueError(f"{name}: expected an integer or a pair (k1, k2), got {len(value)} values")
    k1, k2 = (_checks.positive_integer(f"{name}[{i}]", k) for i, k in enumerate(value))
    if k2 < k1:
        raise ValueError(f"{name}: expected k1 <= k2, got k1 = {k1}, k2 = {k2}")
    return k1, k2


def check_runs_on(model: Any) -> None:
    """Raise unless `model` can go on from the state in which it left the steps before."""
    if not isinstance(model, Layer):
        raise TypeError(f"model: expected a layer, got {type(model).__name__}")
    _checks.pads_each_step_alone("model", walk(model))
    for part in walk(model):
        name = type(part).__name__
        if not part.keeps_time and not part._parts():
            raise ValueError(
                f"model: expected layers that keep the time axis, got {name}; truncated BPTT and "
                "carried states need outputs for every step"
            )
        if not part.runs_on:
            raise ValueError(f"model: expected layers that read step by step, got {name}")
        if not getattr(part, "batch_first", True):
            raise ValueError(f"model: expected layers with batch_first, got a {name} without")
        if not part._parts() and getattr(part, "reverse", False):
            raise ValueError(
                "model: expected layers that run forward in time, got a bidirectional or reversed "
                "one: what it reads begins at a sequence's end, so there is no state to go on from"
            )


def _replicated(model: Layer) -> list[FloatArray]:
    """Return the gradients of the recurrent layers that a model is made of."""
    return [
        part.gradient_vector
        for part in walk(model)
        if isinstance(part, Recurrent) and not part._parts()
    ]


@contextmanager
def mean_over(model: Layer, steps: int, replicas: str) -> Iterator[None]:
    """Let a backward pass within add the mean over replicas, or with "sum" their sum.

    What earlier passes have added stays as it is.
    """
    if replicas != "mean":
        yield
        return
    earlier = [(vector, vector.copy()) for vector in _replicated(model)]
    for vector, _ in earlier:
        vector.fill(0)
    yield
    for vector, before in earlier:
        np.divide(vector, steps, out=vector)
        vector += before
