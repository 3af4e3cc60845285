"""fastrnn: recurrent networks for CPUs. NumPy arrays in, NumPy arrays out.

Symbols used by every docstring: T time steps, N batch rows, I input_size, H hidden_size,
D num_directions, G gates of a cell (LSTM 4, GRU 3, RNN 1), P parameters. Sequences are (N, T, F)
unless ``batch_first=False`` makes them (T, N, F).
"""

from typing import TYPE_CHECKING

from fastrnn import (
    data,
    datasets,
    forecasting,
    initializers,
    losses,
    masks,
    optim,
    parallel,
    seq2seq,
    text,
)
from fastrnn._threads import get_num_threads, set_num_threads
from fastrnn.bidirectional import Bidirectional
from fastrnn.bptt import average_replicas, truncated_bptt
from fastrnn.checkpointing import Checkpointed
from fastrnn.composition import Sequential, Stacked
from fastrnn.configuration import show_config
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Embedding, Linear
from fastrnn.layers import GRU, LSTM, RNN
from fastrnn.pooling import Last, MeanPool
from fastrnn.residual import Residual
from fastrnn.seq2seq import EncoderDecoder
from fastrnn.serialization import load, save
from fastrnn.standardize import Standardize
from fastrnn.streaming import Stream
from fastrnn.text import CharLM
from fastrnn.threadpools import register_with_threadpoolctl
from fastrnn.tied_sequential import TiedSequential
from fastrnn.training import History, Trainer, callbacks, metrics, predict, schedules

if TYPE_CHECKING:
    from fastrnn.estimators import RNNClassifier as RNNClassifier
    from fastrnn.estimators import RNNForecaster as RNNForecaster
    from fastrnn.estimators import RNNRegressor as RNNRegressor

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "CharLM",
    "Checkpointed",
    "Dropout",
    "Embedding",
    "EncoderDecoder",
    "History",
    "Last",
    "Linear",
    "MeanPool",
    "Residual",
    "Sequential",
    "Stacked",
    "Standardize",
    "Stream",
    "TiedSequential",
    "Trainer",
    "average_replicas",
    "callbacks",
    "data",
    "datasets",
    "forecasting",
    "get_num_threads",
    "initializers",
    "load",
    "losses",
    "masks",
    "metrics",
    "optim",
    "parallel",
    "predict",
    "register_with_threadpoolctl",
    "save",
    "schedules",
    "seq2seq",
    "set_num_threads",
    "show_config",
    "text",
    "truncated_bptt",
]

#: What needs an extra: loaded at first use, and left out by ``from fastrnn import *``.
_LAZY = {
    "RNNClassifier": "fastrnn.estimators",
    "RNNForecaster": "fastrnn.estimators",
    "RNNRegressor": "fastrnn.estimators",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastrnn' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
