"""Forecast the next 24 hours of Seattle's temperature from the last 168, with an interval.

A GRU with 32 units is trained on the first ten months of a year and forecasts the rest of it, day
by day, each time from what was measured until then. Run it: python examples/temperature_forecast.py
"""

import argparse
import time

import numpy as np

import fastrnn as fr
from fastrnn.forecasting import Forecaster, ForecastOptions, TrainingOptions, seasonal_naive

HORIZON = 24
TEST = 60 * 24


def main(epochs: int = 10, test: int = TEST) -> float:
    """Print mean absolute errors of the network and of naive forecasts; return the network's."""
    y = fr.datasets.hourly_temperatures()["seattle"].values
    train, held_out = y[:-test], y[-test:]
    options = ForecastOptions(
        window=168, horizon=HORIZON, difference=24, hidden_size=32, quantiles=(0.1, 0.5, 0.9)
    )
    forecaster = Forecaster(options)
    start = time.perf_counter()
    forecaster.fit(train, training=TrainingOptions(epochs=epochs, seed=0, progress=True))
    print(f"trained on {len(train)} hours in {time.perf_counter() - start:.1f} s")

    quantiles = forecaster.rolling_forecasts(held_out, quantiles=True)  # (days, 24, 3)
    days = held_out.reshape(-1, HORIZON)
    naive = {
        period: [seasonal_naive(y[: len(train) + k], HORIZON, period) for k in range(0, test, 24)]
        for period in (1, 24)
    }
    error = float(np.abs(quantiles[..., 1] - days).mean())
    print(f"mean absolute error over {len(days)} days, degrees Fahrenheit:")
    print(f"  last value          {np.abs(naive[1] - days).mean():.3f}")
    print(f"  same hour yesterday {np.abs(naive[24] - days).mean():.3f}")
    print(f"  GRU                 {error:.3f}")
    inside = (quantiles[..., 0] <= days) & (days <= quantiles[..., 2])
    print(f"the 80 % interval holds {inside.mean():.1%} of the hours")
    return error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
