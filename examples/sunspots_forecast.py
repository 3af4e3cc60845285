"""Forecast the last 66 years of the sunspot numbers, one year ahead and eleven, three seeds each.

The network forecasts one year; eleven are forecast by feeding it with its own forecasts. Beside
naive forecasts stands an autoregression of order 9 by least squares, the classical model of this
series (Yule 1927). Run it: python examples/sunspots_forecast.py
"""

import argparse

import numpy as np

import fastrnn as fr

TEST = 66
ORDER = 9


def rolling(y, horizon, forecast):
    """Return the mean absolute error of ``forecast(history, horizon)`` over the last 66 years."""
    begin = len(y) - TEST
    errors = [
        np.abs(forecast(y[:k], horizon) - y[k : k + horizon])
        for k in range(begin, len(y) - horizon + 1, horizon)
    ]
    return float(np.mean(errors))


def autoregression(train):
    """Return a forecast function of the model fitted to a series."""
    past = np.lib.stride_tricks.sliding_window_view(train, ORDER)[:-1]
    rows = np.column_stack([past, np.ones(len(past))])
    weights = np.linalg.lstsq(rows, train[ORDER:], rcond=None)[0]

    def forecast(history, horizon):
        values = list(history[-ORDER:])
        for _ in range(horizon):
            values.append(float(np.dot(values[-ORDER:], weights[:-1]) + weights[-1]))
        return np.array(values[ORDER:])

    return forecast


def main(epochs: int = 50, seeds: int = 3) -> dict[int, list[float]]:
    """Print mean absolute errors; return the network's by horizon, one a seed."""
    y = fr.datasets.sunspots().values.astype(float)
    train, held_out = y[:-TEST], y[-TEST:]
    network: dict[int, list[float]] = {1: [], 11: []}
    for horizon, errors in network.items():
        for seed in range(seeds):
            forecaster = fr.RNNForecaster(
                window=33, horizon=horizon, strategy="recursive", hidden_size=16, epochs=epochs,
                random_state=seed,
            ).fit(train)  # fmt: skip
            found = forecaster.rolling_forecasts(held_out)
            errors.append(float(np.abs(found.ravel() - held_out).mean()))
    print("mean absolute error        1 year  11 years ahead")
    for name, forecast in (
        ("last value", lambda history, h: fr.forecasting.seasonal_naive(history, h)),
        ("eleven years before", lambda history, h: fr.forecasting.seasonal_naive(history, h, 11)),
        ("autoregression, order 9", autoregression(train)),
    ):
        print(f"{name:25} {rolling(y, 1, forecast):7.1f} {rolling(y, 11, forecast):9.1f}")
    for one, eleven in zip(network[1], network[11], strict=True):
        print(f"{'GRU, 16 units':25} {one:7.1f} {eleven:9.1f}")
    return network


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50)
    main(parser.parse_args().epochs)
