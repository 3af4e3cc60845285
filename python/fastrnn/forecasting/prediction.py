"""Forecasts of a batch of windows by a trained network, all steps at once or one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.composition import Sequential
from fastrnn.forecasting.options import ForecastOptions
from fastrnn.forecasting.series import Numbers
from fastrnn.forecasting.windows import naive, network_inputs
from fastrnn.pooling import Last
from fastrnn.protocol import Layer
from fastrnn.serialization import rebuild
from fastrnn.streaming import Stream

_BATCH = 256  # windows at a time


def forecast_levels(
    model: Layer,
    levels: Numbers,
    past: NDArray[np.float32] | None,
    future: NDArray[np.float32] | None,
    options: ForecastOptions,
    horizon: int,
) -> Numbers:
    """Return forecasts (N, horizon, F, Q) of scaled windows.

    Parameters
    ----------
    model : layer
        Of ``options.make_network``.
    levels : ndarray, (N, m + L, F)
    past : ndarray, (N, L, P), or None
    future : ndarray, (N, L + H - 1, E), or None
        H: what is forecast at once, or `horizon` if step by step.
    options : ForecastOptions
    horizon : int
        At most ``options.horizon`` if direct.
    """
    run = _direct if options.strategy == "direct" else _recursive
    parts = [
        run(model, levels[rows], _some(past, rows), _some(future, rows), options, horizon)
        for rows in (slice(i, i + _BATCH) for i in range(0, len(levels), _BATCH))
    ]
    return np.concatenate(parts)


def _direct(
    model: Layer, levels: Numbers, past: Any, future: Any, options: ForecastOptions, horizon: int
) -> Numbers:
    outputs, _ = model(network_inputs(levels, past, future, options))
    if options.every_step:
        outputs = outputs[:, -1]
    batch, _, features = levels.shape
    shape = (batch, options.horizon, features, len(options.levels))
    # rearrangement: sorted quantiles do not cross and are no worse
    # (Chernozhukov, Fernandez-Val, Galichon 2010, Econometrica 78)
    forecast = np.sort(outputs.reshape(shape).astype(np.float64), axis=3)
    base = naive(levels, options, every_step=False)
    if options.lag:
        base = base.reshape(*shape[:3], 1)
    return np.asarray((forecast + base)[:, :horizon])


def _recursive(
    model: Layer, levels: Numbers, past: Any, future: Any, options: ForecastOptions, horizon: int
) -> Numbers:
    """Run over the window, then feed a stream with its own outputs."""
    batch, rows, features = levels.shape
    lag, window = options.lag, options.window
    network = one_step_network(model)
    stream = Stream(network, batch)
    seen = None if future is None else np.ascontiguousarray(future[:, :window])
    outputs, stream.state = network(network_inputs(levels, past, seen, options))
    output = np.ascontiguousarray(outputs[:, -1])
    extended = np.concatenate([levels, np.empty((batch, horizon, features))], axis=1)
    for step in range(horizon):
        base = extended[:, rows + step - lag] if lag else 0.0
        extended[:, rows + step] = base + output
        if step + 1 < horizon:
            x = output
            if future is not None:
                x = np.concatenate([output, future[:, window + step]], axis=1)
            output = stream.step(x)
    return extended[:, rows:, :, None]


def one_step_network(model: Layer) -> Layer:
    """Return the network with one output for each step, as a stream runs it.

    Parameters
    ----------
    model : layer
        Of ``ForecastOptions.make_network``.
    """
    if not isinstance(model, Sequential) or not any(isinstance(p, Last) for p in model.layers):
        return model
    config = model.config()
    config["layers"] = [part for part in config["layers"] if part["type"] != "Last"]
    return rebuild(config, model.parameter_vector)


def _some(array: Any, rows: slice) -> Any:
    return None if array is None else array[rows]
