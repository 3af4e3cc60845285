"""Search for likely sequences, given a function that scores the next token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.state_trees import like

Tokens = NDArray[np.int64]

#: (tokens (R, k), state of R * k rows, rows (R,)) -> (log-probabilities (R, k, V), state).
StepFunction = Callable[[Tokens, Any, NDArray[np.intp]], tuple[FloatArray, Any]]


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A sequence that a search has found.

    Attributes
    ----------
    tokens : ndarray of int64, (L,)
        Without the end token.
    log_probability : float
        Sum over the tokens, the end token included.
    score : float
        What hypotheses are compared by: the log-probability over the number of tokens, the end
        token included, to the power of the length penalty.
    ended : bool
        Whether the end token was reached; False: cut at the maximal length.
    """

    tokens: Tokens
    log_probability: float
    score: float
    ended: bool


class _Beams(NamedTuple):
    """The hypotheses of R rows, k of each; all arrays begin with (R, k)."""

    tokens: Tokens  # (R, k, steps so far)
    total: FloatArray  # log-probability; minus infinity: a place with no hypothesis
    lengths: Tokens  # in tokens
    ended: NDArray[np.bool_]

    def at(self, rows: Any, places: Any) -> _Beams:
        return _Beams(*(array[rows, places] for array in self))


def beam_search(
    step: StepFunction,
    state: Any,
    rows: int,
    *,
    begin: int,
    end: int,
    beam_width: int,
    max_length: Any,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """Keep the best `beam_width` hypotheses of each row, and extend them token by token.

    A hypothesis that has ended keeps its place as long as its score is among the best. A row is
    done when its best hypothesis has ended and no other can overtake it, as log-probabilities only
    fall, or at its maximal length. Width 1 is `greedy_search`; with a width of V to the power of
    the maximal length nothing is ever left out. Rows do not influence each other.

    Parameters
    ----------
    step : callable
        ``step(tokens, state, rows) -> (log_probabilities, state)``: tokens (R, k), the last of each
        hypothesis; state of R * k rows; rows (R,), the indices of the rows that are still searched;
        log-probabilities (R, k, V) of the next token.
    state : state
        Of ``rows`` rows, each array (..., rows, H), or None.
    rows : int
    begin, end : int
        Tokens before the first and behind the last.
    beam_width : int
    max_length : int, or ndarray of int, (rows,)
        Largest number of tokens, the end token included.
    length_penalty : float, default 0.0
        At least 0: the score is log-probability / length ** length_penalty, so that larger values
        favour longer sequences.

    Returns
    -------
    list of list of Hypothesis
        For each row the hypotheses that ended, or were cut at its maximal length, the best first;
        at least one and at most `beam_width`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.
    FloatingPointError
        If a log-probability is NaN.
    """
    width = _checks.positive_integer("beam_width", beam_width)
    limits = _limits(max_length, rows)
    penalty = _checks.number("length_penalty", length_penalty)
    if not penalty >= 0:
        raise ValueError(f"length_penalty: expected at least 0, got {length_penalty}")
    found: list[list[Hypothesis]] = [[] for _ in range(rows)]
    active = np.arange(rows)
    beams = _begin(rows, width)
    last = np.full((rows, width), begin, np.int64)
    state = _gathered(state, np.repeat(active, width))
    length = 0
    while active.size:
        length += 1
        log_probabilities, state = step(last, state, active)
        parents, beams = _extended(beams, log_probabilities, end, penalty)
        done = (limits[active] <= length) | _decided(beams, limits[active], penalty)
        for n in np.flatnonzero(done):
            cut = bool(limits[active[n]] <= length)
            found[active[n]] = _hypotheses(beams.at(n, slice(None)), penalty, cut=cut)
        going = np.flatnonzero(~done)
        state = _gathered(state, (going[:, None] * width + parents[going]).ravel())
        beams, active = beams.at(going, slice(None)), active[going]
        last = beams.tokens[..., -1]
    return found


def greedy_search(
    step: StepFunction, state: Any, rows: int, *, begin: int, end: int, max_length: Any
) -> list[Hypothesis]:
    """Take the likeliest token at each step; the first of equally likely ones.

    Parameters
    ----------
    step : callable
        As for `beam_search`, with k = 1.
    state : state
    rows : int
    begin, end : int
    max_length : int, or ndarray of int, (rows,)

    Returns
    -------
    list of Hypothesis
        One for each row; score and log-probability are equal.
    """
    limits = _limits(max_length, rows)
    found: list[Hypothesis | None] = [None] * rows
    active = np.arange(rows)
    tokens = np.full((rows, 1), begin, np.int64)
    total = np.zeros(rows)
    while active.size:
        log_probabilities, state = step(tokens[:, -1:], state, active)
        _check(log_probabilities)
        chosen = log_probabilities[:, 0].argmax(axis=-1)
        total += log_probabilities[np.arange(active.size), 0, chosen]
        tokens = np.concatenate([tokens, chosen[:, None]], axis=1)
        ended = chosen == end
        done = ended | (limits[active] < tokens.shape[1])
        for n in np.flatnonzero(done):
            kept = tokens[n, 1:-1] if ended[n] else tokens[n, 1:]
            value = float(total[n])
            found[active[n]] = Hypothesis(kept.copy(), value, value, bool(ended[n]))
        going = np.flatnonzero(~done)
        state = _gathered(state, going)
        tokens, total, active = tokens[going], total[going], active[going]
    return [hypothesis for hypothesis in found if hypothesis is not None]


def _limits(max_length: Any, rows: int) -> Tokens:
    limits = np.asarray(max_length)
    if limits.dtype.kind not in "iu":
        raise TypeError(f"max_length: expected integers, got {limits.dtype}")
    if limits.shape not in ((), (rows,)):
        raise ValueError(f"max_length: expected one number or {rows}, got shape {limits.shape}")
    if limits.min(initial=1) < 1:
        raise ValueError(f"max_length: expected at least 1, got {limits.min()}")
    return np.broadcast_to(limits, (rows,)).astype(np.int64)


def _begin(rows: int, width: int) -> _Beams:
    """Return the beams before the first step: the empty hypothesis, once for each row."""
    total = np.full((rows, width), -np.inf)
    total[:, 0] = 0.0
    count = np.zeros((rows, width), np.int64)
    return _Beams(np.zeros((rows, width, 0), np.int64), total, count, count > 0)


def _extended(
    beams: _Beams, log_probabilities: FloatArray, end: int, penalty: float
) -> tuple[NDArray[np.intp], _Beams]:
    """Return the best of all hypotheses with one more token, (R, k), and whose extensions."""
    _check(log_probabilities)
    rows, width, size = log_probabilities.shape
    stay = np.full(size, -np.inf)
    stay[end] = 0.0  # the only way on for a hypothesis that has ended: as it is
    ended = beams.ended[..., None]
    total = beams.total[..., None] + np.where(ended, stay, log_probabilities)
    count = np.broadcast_to(beams.lengths[..., None] + ~ended, total.shape)
    ranks = _score(total, count, penalty).reshape(rows, -1)
    best = np.argsort(-ranks, axis=1, kind="stable")[:, :width]
    parents, tokens = best // size, best % size
    every = np.arange(rows)[:, None]
    before = beams.at(every, parents)
    return parents, _Beams(
        np.concatenate([before.tokens, tokens[..., None]], axis=-1),
        total[every, parents, tokens],
        count[every, parents, tokens],
        before.ended | (tokens == end),
    )


def _decided(beams: _Beams, limits: Tokens, penalty: float) -> NDArray[np.bool_]:
    """Return for which rows (R,) the best hypothesis has ended and cannot be overtaken."""
    scores = _score(beams.total, beams.lengths, penalty)
    best = np.where(beams.ended, scores, -np.inf).max(axis=1)
    # A hypothesis that goes on only loses probability, and at best grows to the maximal length.
    bound = np.where(beams.ended, -np.inf, _score(beams.total, limits[:, None], penalty))
    return np.asarray((best >= bound.max(axis=1)) & (best > -np.inf))


def _hypotheses(beams: _Beams, penalty: float, *, cut: bool) -> list[Hypothesis]:
    """Return a row's hypotheses, (k, ...), that ended, and where `cut` the others too."""
    scores = _score(beams.total, beams.lengths, penalty)
    eligible = (beams.ended | cut) & (beams.total > -np.inf)
    return [
        Hypothesis(
            beams.tokens[k, : beams.lengths[k] - beams.ended[k]].copy(),
            float(beams.total[k]),
            float(scores[k]),
            bool(beams.ended[k]),
        )
        for k in np.argsort(-scores, kind="stable")
        if eligible[k]
    ]


def _score(total: FloatArray, count: Tokens, penalty: float) -> FloatArray:
    return total if penalty == 0 else total / np.maximum(count, 1.0) ** penalty


def _check(log_probabilities: FloatArray) -> None:
    if np.isnan(log_probabilities).any():
        raise FloatingPointError("log-probabilities: expected numbers, got NaN")


def _gathered(state: Any, rows: NDArray[np.intp]) -> Any:
    return like(state, lambda array: array[..., rows, :])
