"""Training loops: mini-batches to parameters, with everything around them."""

from fastrnn.training import callbacks, metrics, schedules
from fastrnn.training.history import Epoch, Evaluation, History
from fastrnn.training.prediction import predict
from fastrnn.training.run import Run
from fastrnn.training.trainer import Trainer

__all__ = [
    "Epoch",
    "Evaluation",
    "History",
    "Run",
    "Trainer",
    "callbacks",
    "metrics",
    "predict",
    "schedules",
]
