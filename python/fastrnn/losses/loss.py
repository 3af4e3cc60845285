"""What a loss is, and losses by name."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from fastrnn._checks import FloatArray
from fastrnn.losses.absolute_error import Huber, MeanAbsoluteError
from fastrnn.losses.binary_cross_entropy import BinaryCrossEntropy
from fastrnn.losses.cross_entropy import SoftmaxCrossEntropy
from fastrnn.losses.squared_error import MeanSquaredError


@runtime_checkable
class Loss(Protocol):
    """What a loss is: called with outputs, targets and a mask, it returns value and gradient."""

    def __call__(self, outputs: Any, targets: Any, mask: Any = None) -> tuple[float, FloatArray]:
        """Return (value, gradient of the value with respect to outputs)."""


_NAMED: dict[str, Loss] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    "mean_squared_error": MeanSquaredError(),
    "mean_absolute_error": MeanAbsoluteError(),
    "huber": Huber(),
    "binary_cross_entropy": BinaryCrossEntropy(),
}


def get(loss: str | Loss) -> Loss:
    """Return a loss by name, or `loss` itself; `QuantileLoss` needs its quantiles and has no name.

    Parameters
    ----------
    loss : str or loss
        "softmax_cross_entropy", "mean_squared_error", "mean_absolute_error", "huber" or
        "binary_cross_entropy"; or any `Loss`.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If `loss` is neither a name nor callable.

    Examples
    --------
    >>> import fastrnn as fr
    >>> fr.losses.get("mean_squared_error")
    MeanSquaredError()
    """
    if isinstance(loss, str):
        if loss not in _NAMED:
            raise ValueError(f"loss: expected one of {', '.join(_NAMED)}, got {loss!r}")
        return _NAMED[loss]
    if isinstance(loss, type):
        raise TypeError(f"loss: expected a name or a loss, got the class {loss.__name__}")
    if not callable(loss):
        raise TypeError(f"loss: expected a name or a loss, got {type(loss).__name__}")
    return loss
