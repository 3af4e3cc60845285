"""A model's outputs for whole data sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.data import Dataset, batches
from fastrnn.protocol import Layer


def predict(
    model: Layer, x: Any, lengths: Any = None, *, batch_size: int = 256
) -> FloatArray | list[FloatArray]:
    """Return a model's outputs for a data set, batch by batch.

    Parameters
    ----------
    model : layer
        Batch first.
    x : ndarray (N, T, F), or a list of arrays (T_n, F)
    lengths : ndarray of int, (N,), or None
        Valid steps where x is padded.
    batch_size : int, default 256

    Returns
    -------
    ndarray (N, C), or a list of arrays (T_n, C)
        A list where the model's output has a time axis.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.GRU(2, 4, seed=0), fr.Last(), fr.Linear(4, 3, seed=1)])
    >>> fr.predict(model, [np.zeros((5, 2), np.float32), np.zeros((3, 2), np.float32)]).shape
    (2, 3)
    """
    size = _checks.positive_integer("batch_size", batch_size)
    dataset = Dataset(x, np.zeros(len(x), np.int64), lengths)
    outputs = []
    for batch in batches(dataset, size):
        y, _ = model(batch.x, lengths=batch.lengths)
        if not model.keeps_time:
            outputs.append(y)
        elif batch.lengths is None:
            outputs.extend(y)
        else:
            outputs.extend(row[:steps] for row, steps in zip(y, batch.lengths, strict=True))
    return outputs if model.keeps_time else np.concatenate(outputs)
