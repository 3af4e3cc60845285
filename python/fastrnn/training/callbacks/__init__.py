"""Callbacks: what is told of training as it goes, and may end it."""

from fastrnn.training.callbacks.callback import Callback
from fastrnn.training.callbacks.checkpoint import Checkpoint
from fastrnn.training.callbacks.logs import CSVLog, JSONLinesLog
from fastrnn.training.callbacks.rates import LearningRate, ReduceOnPlateau
from fastrnn.training.callbacks.stopping import EarlyStopping

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "JSONLinesLog",
    "LearningRate",
    "ReduceOnPlateau",
]
