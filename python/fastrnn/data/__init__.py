"""Data sets of sequences, padded or ragged, and their mini-batches."""

from fastrnn.data.dataset import Dataset, batches, train_validation_split
from fastrnn.data.source import Source, as_source
from fastrnn.mini_batch import Batch
from fastrnn.padding import mask_from_lengths, pad_sequences
from fastrnn.parallel_streams import ParallelStreams

__all__ = [
    "Batch",
    "Dataset",
    "ParallelStreams",
    "Source",
    "as_source",
    "batches",
    "mask_from_lengths",
    "pad_sequences",
    "train_validation_split",
]
