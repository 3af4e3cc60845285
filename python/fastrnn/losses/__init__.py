"""Losses: a number to be made small, and its gradient with respect to the outputs."""

from fastrnn.losses.binary_cross_entropy import BinaryCrossEntropy
from fastrnn.losses.cross_entropy import SoftmaxCrossEntropy
from fastrnn.losses.loss import Loss, get
from fastrnn.losses.squared_error import MeanSquaredError

__all__ = ["BinaryCrossEntropy", "Loss", "MeanSquaredError", "SoftmaxCrossEntropy", "get"]
