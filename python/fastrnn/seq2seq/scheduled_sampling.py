"""Scheduled sampling (Bengio, Vinyals, Jaitly and Shazeer 2015)."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.seq2seq.inputs import EncoderDecoderInput


class StepwiseModel(Protocol):
    """What `mixed_inputs` runs: a model that encodes a source and decodes step by step."""

    def encode(self, source: Any, lengths: Any = None) -> tuple[Any, Any]:
        """Return (memory, initial state)."""

    def step(self, tokens: Any, state: Any, memory: Any) -> tuple[FloatArray, Any]:
        """Return (scores (N, k, V), state) for tokens (N, k)."""


def mixed_inputs(
    model: StepwiseModel,
    x: EncoderDecoderInput,
    probability: float,
    rng: np.random.Generator,
    *,
    lengths: Any = None,
    sample: bool = False,
) -> EncoderDecoderInput:
    """Replace some of the decoder's inputs by what the model chose at the step before.

    The model runs step by step, as at inference, on the inputs that come out of this; one forward
    pass over the result then does what training step by step would. The first input always stays,
    and no gradient goes through the choices, as in the paper.

    Parameters
    ----------
    model : EncoderDecoder, or another model with `encode` and `step`
    x : EncoderDecoderInput
    probability : float
        That an input is replaced; each is by itself.
    rng : numpy.random.Generator
    lengths : ndarray of int, (N,), or None, default None
        Valid decoder inputs of each row: those behind stay.
    sample : bool, default False
        Whether a choice is drawn from the softmax of the scores; False: the likeliest token.

    Returns
    -------
    EncoderDecoderInput

    Raises
    ------
    TypeError, ValueError
        If `probability` is not in 0..1 or `lengths` do not fit.
    """
    if not 0 <= _checks.number("probability", probability) <= 1:
        raise ValueError(f"probability: expected 0..1, got {probability}")
    inputs = x.inputs.copy()
    batch, steps = inputs.shape
    valid = _checks.lengths(lengths, batch, steps)
    replaced = rng.random(inputs.shape) < probability
    if valid is not None:
        replaced &= np.arange(steps) < valid[:, None]
    memory, state = model.encode(x.source, x.source_lengths)
    last = int(np.flatnonzero(replaced.any(axis=0)).max(initial=0))
    for t in range(1, last + 1):
        scores, state = model.step(inputs[:, t - 1 : t], state, memory)
        if sample:  # the Gumbel-max trick draws from the softmax
            scores = scores + rng.gumbel(size=scores.shape)
        inputs[:, t] = np.where(replaced[:, t], scores[:, 0].argmax(axis=-1), inputs[:, t])
    return EncoderDecoderInput(x.source, x.source_lengths, inputs)


def linear_schedule(step: int, steps: int, final: float = 1.0) -> float:
    """Return a probability that grows in proportion to the step: ``final min(step / steps, 1)``.

    Parameters
    ----------
    step : int
        Optimizer steps taken so far.
    steps : int
        When `final` is reached.
    final : float, default 1.0

    Examples
    --------
    >>> from fastrnn.seq2seq import linear_schedule
    >>> [linear_schedule(step, 100, final=0.5) for step in (0, 50, 200)]
    [0.0, 0.25, 0.5]
    """
    return final * min(step / steps, 1.0)


def inverse_sigmoid_schedule(step: int, k: float) -> float:
    """Return a probability that grows slowly, fast, slowly: ``1 - k / (k + exp(step / k))``.

    Bengio et al. 2015, section 2.4: k is at least 1, and the larger, the later the middle, at
    k log k steps.

    Parameters
    ----------
    step : int
        Optimizer steps taken so far.
    k : float

    Examples
    --------
    >>> from fastrnn.seq2seq import inverse_sigmoid_schedule
    >>> [round(inverse_sigmoid_schedule(step, 100), 2) for step in (0, 461, 2000)]
    [0.01, 0.5, 1.0]
    """
    return 1 / (1 + k * math.exp(-step / k))
