"""What forecasters refuse, in words that name the argument, and with nothing changed."""

import numpy as np
import pytest

from fastrnn.forecasting import (
    Forecaster,
    TrainingOptions,
    mean_absolute_scaled_error,
    seasonal_naive,
)
from fastrnn.testing import assert_same_bits
from forecast_cases import fitted, waves

Y = waves(60)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fitted(Y[:10]), ValueError, r"y: expected at least window \+ horizon = 8 \+ 3 ob"),
        (lambda: fitted(Y[:14], difference=4), ValueError, r"difference \+ window \+ horizon = 4"),
        (lambda: fitted([Y, Y[:10]]), ValueError, r"y\[1\]: expected at least window"),
        (lambda: fitted(Y * np.nan), ValueError, "y: expected observations in column 0, got only"),
        (
            lambda: fitted(np.where(np.arange(60) == 20, np.inf, Y)),
            ValueError,
            r"y\[20, 0\]: expected finite numbers or NaN, got inf",
        ),
        (lambda: fitted(np.zeros((60, 2, 1))), ValueError, r"y: expected shape \(T,\) or \(T, F\)"),
        (lambda: fitted(["a"] * 60), TypeError, "y: expected numbers, got <U1"),
        (lambda: fitted([[1.0], [2.0, 3.0]]), TypeError, "y: expected numbers of one shape"),
        (lambda: fitted(np.zeros((60, 0))), ValueError, "y: expected at least one column"),
        (lambda: fitted(Y, past=Y[1:]), ValueError, "past_covariates: expected 60 rows, got 59"),
        (
            lambda: fitted(Y, future=np.where(np.arange(60) == 5, np.nan, Y)),
            ValueError,
            r"future_covariates\[5, 0\]: expected a number, got NaN; fill gaps of cov",
        ),
        (
            lambda: fitted([Y, Y], past=Y),
            ValueError,
            "past_covariates: expected a list of 2 arrays, one a series, got ndarray",
        ),
        (lambda: fitted(Y, future=[Y]), TypeError, "future_covariates: expected one series, got a"),
        (
            lambda: fitted(Y, past=Y, strategy="recursive"),
            ValueError,
            'past_covariates: expected None with strategy "recursive"',
        ),
        (lambda: fitted(Y, quantiles=(0.1, 0.9)), ValueError, "quantiles: expected 0.5, the point"),
        (
            lambda: fitted(Y, quantiles=[0.5], strategy="recursive"),
            ValueError,
            'quantiles: expected None with strategy "recursive"',
        ),
        (lambda: fitted(Y, strategy="both"), ValueError, "strategy: expected"),
        (lambda: fitted(Y, window=0), ValueError, "window: expected at least 1"),
        (lambda: fitted(Y, cell="elman"), ValueError, "cell: expected"),
        (lambda: fitted(Y, loss="quantile"), ValueError, "loss: expected"),
        (lambda: fitted(Y, difference=0), ValueError, "difference: expected at least 1"),
        (lambda: fitted(Y, 3), TypeError, "training: expected TrainingOptions, got int"),
        (lambda: Forecaster({}), TypeError, "options: expected ForecastOptions, got dict"),
        (lambda: TrainingOptions(epochs=0), ValueError, "epochs: expected at least 1"),
        (lambda: TrainingOptions(seed=-1), ValueError, "seed: expected at least 0, got -1"),
        (lambda: TrainingOptions(learning_rate=0), ValueError, "learning_rate: expected"),
        (lambda: TrainingOptions(patience=3), ValueError, "patience: expected a validation_frac"),
        (
            lambda: fitted(Y, TrainingOptions(validation_fraction=0.01)),
            ValueError,
            "validation_fraction: expected",
        ),
        (
            lambda: fitted(Y, TrainingOptions(validation_fraction=0.95)),
            ValueError,
            "y: expected at least one window",
        ),
        (lambda: Forecaster().forecast(), RuntimeError, "forecaster: expected fit to be called"),
        (lambda: Forecaster().update(Y), RuntimeError, "forecaster: expected fit to be called"),
        (lambda: Forecaster().save("x"), RuntimeError, "forecaster: expected fit to be called"),
        (lambda: fitted(Y).forecast(4), ValueError, "horizon: expected at most 3, as in the opt"),
        (
            lambda: fitted(Y).forecast(future_covariates=Y),
            ValueError,
            "future_cov.*: expected None",
        ),
        (
            lambda: fitted(Y, future=Y).forecast(),
            ValueError,
            "future_covariates: expected 1 columns as in fit, got None",
        ),
        (
            lambda: fitted(Y, future=Y).forecast(2, future_covariates=Y[:2]),
            ValueError,
            "future_covariates: expected 3 rows, got 2",
        ),
        (lambda: fitted(Y).forecast_quantiles(), ValueError, "quantiles: expected some in the"),
        (
            lambda: fitted(Y).update(np.zeros((3, 2))),
            ValueError,
            "y: expected F = 1 columns, got 2",
        ),
        (lambda: fitted([Y, Y]).update(Y), ValueError, "y: expected a list of 2 arrays"),
        (lambda: fitted(Y).score(Y[:2]), ValueError, "y: expected at least horizon = 3 observ"),
        (
            lambda: fitted(Y).score(np.full(6, np.nan)),
            ValueError,
            "actual: expected at least one observation",
        ),
        (lambda: seasonal_naive(Y[:2], 1, 3), ValueError, "y: expected at least period = 3"),
        (
            lambda: mean_absolute_scaled_error(Y, Y[1:], Y),
            ValueError,
            r"forecast: expected shape \(60, 1\) like actual",
        ),
        (lambda: mean_absolute_scaled_error(Y, Y, Y, 60), ValueError, "training: expected observ"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_is_refused_changes_nothing():
    forecaster = fitted(Y, future=Y)
    before = forecaster.forecast(future_covariates=Y[:3])
    with pytest.raises(ValueError, match="future_covariates"):
        forecaster.update(Y[:5], future_covariates=Y[:4])
    with pytest.raises(ValueError, match="y: expected"):
        forecaster.fit(Y[:5], future_covariates=Y[:5])
    assert_same_bits(forecaster.forecast(future_covariates=Y[:3]), before, "forecast")
