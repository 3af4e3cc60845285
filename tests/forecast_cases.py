"""Series whose best forecast is known, and small options that train in a blink."""

import numpy as np

from fastrnn.forecasting import Forecaster, ForecastOptions, TrainingOptions

QUICK = TrainingOptions(epochs=2, seed=0)


def waves(steps=400, noise=0.1, seed=0):
    """Return sines of periods 24 and 7 with noise, (T,)."""
    t = np.arange(steps)
    rng = np.random.default_rng(seed)
    clean = np.sin(2 * np.pi * t / 24) + 0.5 * np.sin(2 * np.pi * t / 7)
    return clean + noise * rng.standard_normal(steps)


def second_order(steps=1200, seed=0):
    """Return y[t] = 1.6 y[t-1] - 0.8 y[t-2] + noise of deviation 1, (T,)."""
    noise = np.random.default_rng(seed).standard_normal(steps + 100)
    y = np.zeros(steps + 100)
    for t in range(2, len(y)):
        y[t] = 1.6 * y[t - 1] - 0.8 * y[t - 2] + noise[t]
    return y[100:]


def fitted(y, training=QUICK, *, past=None, future=None, **options):
    """Return a small forecaster trained on y."""
    options = {"window": 8, "horizon": 3, "hidden_size": 4} | options
    forecaster = Forecaster(ForecastOptions(**options))
    forecaster.fit(y, past_covariates=past, future_covariates=future, training=training)
    return forecaster
