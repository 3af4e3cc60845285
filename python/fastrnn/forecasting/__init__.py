"""Forecasting series: scaling, windows, horizons, covariates, intervals; needs NumPy alone.

Symbols here: T observations of a series, F targets (columns), L steps of a window, H steps ahead
(the horizon), m the lag of differences, P and E past and future covariates, Q quantiles.
"""

from fastrnn.forecasting.baselines import mean_absolute_scaled_error, seasonal_naive
from fastrnn.forecasting.forecaster import Forecaster
from fastrnn.forecasting.options import ForecastOptions, TrainingOptions

__all__ = [
    "ForecastOptions",
    "Forecaster",
    "TrainingOptions",
    "mean_absolute_scaled_error",
    "seasonal_naive",
]
