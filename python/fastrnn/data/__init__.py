"""Data of sequences, padded or ragged, in memory, in files or made as needed, as mini-batches."""

from fastrnn.data.chunks import Chunks
from fastrnn.data.class_weighting import class_weights, with_class_weights
from fastrnn.data.dataset import Dataset, batches, train_validation_split
from fastrnn.data.ready_batches import Batches
from fastrnn.data.source import Source, as_source
from fastrnn.mini_batch import Batch
from fastrnn.padding import mask_from_lengths, pad_sequences
from fastrnn.parallel_streams import ParallelStreams
from fastrnn.ragged import Ragged

__all__ = [
    "Batch",
    "Batches",
    "Chunks",
    "Dataset",
    "ParallelStreams",
    "Ragged",
    "Source",
    "as_source",
    "batches",
    "class_weights",
    "mask_from_lengths",
    "pad_sequences",
    "train_validation_split",
    "with_class_weights",
]
