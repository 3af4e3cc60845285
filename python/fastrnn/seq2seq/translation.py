"""Targets for many sources, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.padding import pad_sequences
from fastrnn.seq2seq.attention import Memory
from fastrnn.seq2seq.beam_search import Hypothesis, StepFunction, beam_search, greedy_search

if TYPE_CHECKING:
    from fastrnn.seq2seq.encoder_decoder import EncoderDecoder


def translate(
    model: EncoderDecoder,
    sources: Sequence[Any],
    *,
    beam_width: int,
    max_length: int | None,
    length_penalty: float,
    batch_size: int,
) -> list[Hypothesis]:
    """Do what `EncoderDecoder.translate` says.

    Parameters
    ----------
    model : EncoderDecoder
    sources : sequence of arrays of int, (S_n,)
    beam_width : int
    max_length : int or None
    length_penalty : float
    batch_size : int
    """
    width = _checks.positive_integer("beam_width", beam_width)
    size = _checks.positive_integer("batch_size", batch_size)
    if max_length is not None:
        max_length = _checks.positive_integer("max_length", max_length)
    arrays = [_tokens(n, source, model.source_size) for n, source in enumerate(sources)]
    # Like lengths side by side: a batch costs what its longest source and target cost.
    order = sorted(range(len(arrays)), key=lambda n: len(arrays[n]))
    best: dict[int, Hypothesis] = {}
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        padded, lengths = pad_sequences([arrays[n] for n in chosen])
        if padded.shape[1] == 0:
            padded = np.zeros((len(chosen), 1), np.int64)
        memory, state = model.encode(padded, lengths)
        step = log_probability_steps(model, memory)
        ends: dict[str, Any] = {"begin": model.begin_token, "end": model.end_token}
        ends["max_length"] = 2 * lengths + 10 if max_length is None else max_length
        if width == 1 and not length_penalty:
            found = greedy_search(step, state, len(chosen), **ends)
        else:
            beams = beam_search(
                step, state, len(chosen), beam_width=width, length_penalty=length_penalty, **ends
            )
            found = [hypotheses[0] for hypotheses in beams]
        best.update(zip(chosen, found, strict=True))
    return [best[n] for n in range(len(arrays))]


def log_probability_steps(model: EncoderDecoder, memory: Memory) -> StepFunction:
    """Return the step function of a model that has read some sources, for the searches.

    Parameters
    ----------
    model : EncoderDecoder
    memory : Memory
        Of `EncoderDecoder.encode`.
    """
    held = (np.arange(len(memory.lengths)), memory)

    def step(
        tokens: NDArray[np.int64], state: Any, rows: NDArray[np.intp]
    ) -> tuple[FloatArray, Any]:
        nonlocal held
        if len(rows) != len(held[0]):  # rows only ever leave
            held = (rows, memory.rows(rows))
        scores, state = model.step(tokens, state, held[1])
        wide = scores.astype(np.float64)
        wide -= wide.max(axis=-1, keepdims=True)
        return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True)), state

    return step


def _tokens(n: int, source: Any, count: int) -> NDArray[np.int64]:
    tokens = np.asarray(source)
    if tokens.size == 0:
        tokens = tokens.astype(np.int64)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"sources[{n}]: expected integer tokens, got {tokens.dtype}")
    if tokens.ndim != 1:
        raise ValueError(f"sources[{n}]: expected shape (S,), got {tokens.shape}")
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < count):
        wrong = tokens[(tokens < 0) | (tokens >= count)][0]
        raise ValueError(f"sources[{n}]: expected tokens in 0..{count - 1}, got {wrong}")
    return tokens.astype(np.int64)
