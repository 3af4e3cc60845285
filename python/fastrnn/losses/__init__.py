"""Losses: a number to be made small, and its gradient with respect to the outputs."""

from fastrnn.losses.absolute_error import Huber, MeanAbsoluteError
from fastrnn.losses.cross_entropy import SoftmaxCrossEntropy
from fastrnn.losses.loss import Loss, get
from fastrnn.losses.quantile import QuantileLoss
from fastrnn.losses.squared_error import MeanSquaredError

__all__ = [
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "QuantileLoss",
    "SoftmaxCrossEntropy",
    "get",
]
