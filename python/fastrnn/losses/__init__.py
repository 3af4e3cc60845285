"""Losses: a number to be made small, and its gradient with respect to the outputs."""

from fastrnn.losses.absolute_error import Huber, MeanAbsoluteError
from fastrnn.losses.binary_cross_entropy import BinaryCrossEntropy
from fastrnn.losses.cross_entropy import SoftmaxCrossEntropy, softmax
from fastrnn.losses.loss import Loss, get
from fastrnn.losses.quantile import QuantileLoss
from fastrnn.losses.squared_error import MeanSquaredError

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "QuantileLoss",
    "SoftmaxCrossEntropy",
    "get",
    "softmax",
]
