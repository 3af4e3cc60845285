"""Losses: a number to be made small, and its gradient with respect to the outputs."""

from fastrnn.losses.cross_entropy import SoftmaxCrossEntropy
from fastrnn.losses.loss import Loss, get
from fastrnn.losses.squared_error import MeanSquaredError

__all__ = ["Loss", "MeanSquaredError", "SoftmaxCrossEntropy", "get"]
