"""The usual model of sequences: standardized inputs, recurrent layers, pooling, a linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrnn import _checks, initializers
from fastrnn.composition import Sequential
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Linear
from fastrnn.layers import CELLS
from fastrnn.pooling import Last, MeanPool
from fastrnn.protocol import Layer
from fastrnn.standardize import Standardize

POOLINGS = ("last", "mean")
_OWN = ("batch_first", "bidirectional", "dropout", "dtype", "reverse", "seed")


def sequence_model(
    input_size: int,
    output_size: int,
    *,
    cell: str = "lstm",
    hidden_size: int | Sequence[int] = 64,
    num_layers: int | None = None,
    bidirectional: bool = True,
    dropout: float = 0.0,
    pooling: str | None = "last",
    standardize: Standardize | None = None,
    network_options: dict[str, Any] | None = None,
    dtype: Any = "float32",
    seed: int | np.random.Generator | None = None,
) -> Sequential:
    """Return a new model (N, T, F) -> (N, C), or (N, T, C) without pooling.

    Parameters
    ----------
    input_size, output_size : int
        F and C.
    cell : {"lstm", "gru", "rnn"}, default "lstm"
    hidden_size : int or sequence of int, default 64
        One for each layer, or one for all.
    num_layers : int or None, default None
        None: as many as `hidden_size` has, else 1.
    bidirectional : bool, default True
    dropout : float, default 0.0
        On the outputs of every recurrent layer and, of the last one, after pooling.
    pooling : {"last", "mean"} or None, default "last"
        The final state, of both directions where there are two; the mean over valid steps; or None
        for an output at every step.
    standardize : Standardize or None, default None
        What inputs pass first.
    network_options : dict or None, default None
        More options of the recurrent layer, such as ``{"layer_norm": True}``.
    dtype : dtype, default float32
        float32 or float64.
    seed : int, numpy.random.Generator or None, default None
        Of the initial values.

    Returns
    -------
    Sequential

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> from fastrnn.models import sequence_model
    >>> model = sequence_model(12, 9, seed=0)
    >>> [type(layer).__name__ for layer in model.layers]
    ['LSTM', 'Last', 'Linear']
    >>> model.parameter_vector.size
    41097
    """
    cell = _checks.choice("cell", cell, tuple(CELLS))
    if pooling is not None:
        pooling = _checks.choice("pooling", pooling, POOLINGS)
    options = {} if network_options is None else dict(network_options)
    for name in _OWN:
        if name in options:
            raise ValueError(f"network_options: expected options without {name}, got {name}")
    between = dropout if len(_checks.layer_sizes(hidden_size, num_layers)) > 1 else 0.0
    rng = initializers.generator(seed)
    recurrent = CELLS[cell](
        input_size, hidden_size, num_layers, bidirectional=bidirectional, dropout=between,
        dtype=dtype, seed=rng, **options,
    )  # fmt: skip
    layers: list[Layer] = [] if standardize is None else [standardize]
    layers.append(recurrent)
    if pooling == "mean":
        layers.append(MeanPool())
    elif pooling == "last":
        merge = options.get("merge", "concat")
        if bidirectional and merge != "concat":
            raise ValueError(
                f'pooling: expected "mean" with merge={merge!r}, which keeps no final states '
                'of two directions, got "last"'
            )
        layers.append(Last(bidirectional=bidirectional))
    if dropout:
        layers.append(Dropout(dropout))
    layers.append(Linear(recurrent.output_size, output_size, dtype=dtype, seed=rng))
    return Sequential(layers)


def with_units(network: Layer, mean: Any, scale: Any) -> Sequential:
    """Return a model of `network` whose outputs y become ``y * scale + mean``.

    Parameters
    ----------
    network : layer
        Becomes the model's first layer, with the same parameters.
    mean, scale : ndarray, (C,)
        Of the targets; `scale` is above 0.

    Raises
    ------
    ValueError, TypeError
        If `mean` and `scale` are not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.models import sequence_model, with_units
    >>> network = sequence_model(1, 1, seed=0)
    >>> y, _ = network(np.ones((1, 5, 1), np.float32))
    >>> z, _ = with_units(network, [10.0], [2.0])(np.ones((1, 5, 1), np.float32))
    >>> bool(np.allclose(z, 2 * y + 10))
    True
    """
    mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
    units = Standardize(-mean / scale, 1 / scale, dtype=network.dtype)
    return Sequential([network, units])
