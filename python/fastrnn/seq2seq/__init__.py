"""Sequence to sequence: encoder and decoder, attention, pairs of sequences, and search."""

from fastrnn.seq2seq.attention import Memory, attend, attend_backward
from fastrnn.seq2seq.beam_search import Hypothesis, beam_search, greedy_search
from fastrnn.seq2seq.encoder_decoder import Encoded, EncoderDecoder
from fastrnn.seq2seq.error_rate import edit_distance, error_rate
from fastrnn.seq2seq.inputs import EncoderDecoderInput
from fastrnn.seq2seq.pair_dataset import PairDataset
from fastrnn.seq2seq.scheduled_sampling import (
    inverse_sigmoid_schedule,
    linear_schedule,
    mixed_inputs,
)
from fastrnn.seq2seq.vocabulary import Vocabulary

__all__ = [
    "Encoded",
    "EncoderDecoder",
    "EncoderDecoderInput",
    "Hypothesis",
    "Memory",
    "PairDataset",
    "Vocabulary",
    "attend",
    "attend_backward",
    "beam_search",
    "edit_distance",
    "error_rate",
    "greedy_search",
    "inverse_sigmoid_schedule",
    "linear_schedule",
    "mixed_inputs",
]
