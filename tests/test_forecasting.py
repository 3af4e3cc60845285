"""Forecasters: they learn what there is to learn, bit for bit as written out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fastrnn as fr
from fastrnn.forecasting import (
    Forecaster,
    ForecastOptions,
    TrainingOptions,
    mean_absolute_scaled_error,
    seasonal_naive,
)
from fastrnn.forecasting.prediction import one_step_network
from fastrnn.forecasting.scaling import Scale
from fastrnn.forecasting.series import filled
from fastrnn.testing import assert_near, assert_same_bits
from forecast_cases import QUICK, fitted, second_order, waves


def rolling_actual(y, horizon, stride=None):
    stride = stride or horizon
    return np.stack([y[k : k + horizon] for k in range(0, len(y) - horizon + 1, stride)])


def rolling_naive(train, test, horizon, period):
    origins = range(0, len(test) - horizon + 1, horizon)
    whole = np.concatenate([train, test])
    return np.stack([seasonal_naive(whole[: len(train) + k], horizon, period) for k in origins])


def mae(found, wanted):
    return float(np.nanmean(np.abs(found - wanted)))


# What is learned


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
@pytest.mark.parametrize("every_step", [True, False])
def test_one_step_errors_of_a_second_order_process_are_near_its_noise(strategy, every_step):
    y = second_order()
    train, test = y[:900], y[900:]
    forecaster = fitted(
        train, TrainingOptions(epochs=15, seed=0), strategy=strategy, every_step=every_step,
        window=10, horizon=1, hidden_size=8,
    )  # fmt: skip
    found = forecaster.rolling_forecasts(test)[:, 0]
    best = 1.6 * y[899:-1] - 0.8 * y[898:-2]
    deviation = np.sqrt(np.mean((found - test) ** 2))
    assert np.sqrt(np.mean((best - test) ** 2)) < deviation < 1.12  # the noise's is 1
    assert np.sqrt(np.mean(np.diff(y[899:]) ** 2)) > 1.4  # the last value's
    assert mae(found, best) < 0.3


@pytest.mark.parametrize(
    "options", [{}, {"strategy": "recursive"}, {"difference": 24}, {"every_step": False}]
)
def test_waves_are_forecast_better_than_by_naive_forecasts(options):
    y = waves(700)
    train, test = y[:580], y[580:]
    training = TrainingOptions(epochs=12, seed=0)
    forecaster = fitted(train, training, window=30, horizon=12, hidden_size=16, **options)
    actual = rolling_actual(test, 12)
    error = mae(forecaster.rolling_forecasts(test), actual)
    naive = [mae(rolling_naive(train, test, 12, period), actual) for period in (1, 24)]
    assert error < 0.4 * min(naive)
    assert error > 0.07  # noise of mean size 0.08 is not to be known
    assert forecaster.score(test) < 1


def test_trends_are_followed_by_differences():
    y = 5 * np.arange(300.0) + waves(300)
    forecaster = fitted(y[:280], TrainingOptions(epochs=15, seed=0), difference=1, window=24,
                        hidden_size=16)  # fmt: skip
    assert mae(forecaster.rolling_forecasts(y[280:]), rolling_actual(y[280:], 3)) < 0.5
    straight = 7 + 0.5 * np.arange(60.0)  # differences are constant
    found = fitted(straight, TrainingOptions(epochs=9, seed=0), difference=1).forecast()
    assert_allclose(found, 37 + 0.5 * np.arange(3.0), rtol=0, atol=0.1)


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_a_future_covariate_that_explains_all_is_used(strategy):
    x = np.random.default_rng(0).standard_normal(500)
    y = 3 * x + 1  # of the same step: nothing else is known
    forecaster = fitted(y[:400], TrainingOptions(epochs=15, seed=0), future=x[:400],
                        strategy=strategy, hidden_size=16)  # fmt: skip
    found = forecaster.rolling_forecasts(y[400:], future_covariates=x[400:])
    assert mae(found, rolling_actual(y[400:], 3)) < 0.25  # 2.4 without
    assert_same_bits(forecaster.forecast(3, future_covariates=x[400:403]), found[0], "forecast")


def test_a_past_covariate_that_explains_all_is_used():
    x = np.random.default_rng(0).standard_normal((500, 2))
    y = np.concatenate([np.zeros(3), 2 * x[:-3, 1]])  # three steps later
    forecaster = fitted(y[:400], TrainingOptions(epochs=15, seed=0), past=x[:400], hidden_size=16)
    found = forecaster.rolling_forecasts(y[400:], past_covariates=x[400:])
    assert mae(found, rolling_actual(y[400:], 3)) < 0.25  # 1.6 without


def test_intervals_cover_what_they_promise_and_do_not_cross():
    y = second_order(2500)
    train, test = y[:1500], y[1500:]
    forecaster = fitted(
        train, TrainingOptions(epochs=15, seed=0), quantiles=(0.1, 0.5, 0.9), hidden_size=8
    )
    found = forecaster.rolling_forecasts(test, quantiles=True)
    actual = rolling_actual(test, 3)
    assert (np.diff(found, axis=2) >= 0).all()
    for step in range(3):
        low, middle, high = np.moveaxis(found[:, step], 1, 0)
        wanted = actual[:, step]
        assert 0.74 < np.mean((low <= wanted) & (wanted <= high)) < 0.86  # of 333
        assert 0.42 < np.mean(wanted <= middle) < 0.58
    width = (found[:, :, 2] - found[:, :, 0]).mean(axis=0)
    # 2 * 1.2816 deviations, which grow as 1, sqrt(1 + 1.6^2), ...
    assert_allclose(width / 2.5631, [1.0, 1.887, 2.55], rtol=0.1)
    assert_same_bits(forecaster.rolling_forecasts(test), found[..., 1], "medians")


# What is computed


@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize("lag", [None, 1, 5])
@pytest.mark.parametrize("covariate", [False, True])
def test_recursive_forecasts_are_a_recursion_by_hand(every_step, lag, covariate):
    y = waves(80)
    x = np.cos(np.arange(90.0)) if covariate else None
    forecaster = fitted(
        y, future=None if x is None else x[:80], strategy="recursive", difference=lag,
        every_step=every_step,
    )  # fmt: skip
    network = one_step_network(forecaster.model)
    scale = Scale.fit(y[:, None], lag or 0)
    levels = scale.to_levels(y[:, None])[:, 0].tolist()
    covariates = None if x is None else (x - x[:80].mean()) / x[:80].std()

    def inputs(t):
        change = levels[t] - (levels[t - lag] if lag else 0.0)
        return [change] if covariates is None else [change, covariates[t + 1]]

    seen = [inputs(t) for t in range(72, 80)]
    forecasts = []
    for t in range(80, 90):
        outputs, _ = network(np.array([seen], np.float32))  # the whole past again and again
        levels.append(float(outputs[0, -1, 0]) + (levels[t - lag] if lag else 0.0))
        forecasts.append(levels[-1])
        if t + 1 < 90:
            seen.append([float(outputs[0, -1, 0]), *inputs(t)[1:]])
    by_hand = scale.from_levels(np.reshape(forecasts, (-1, 1, 1)), 80)[:, 0, 0]
    found = forecaster.forecast(10, future_covariates=None if x is None else x[80:])
    assert_same_bits(found, by_hand, "forecast")
    assert_same_bits(
        forecaster.forecast(4, future_covariates=None if x is None else x[80:84]), found[:4], "4"
    )


@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize("lag", [None, 1, 2, 5])
def test_training_batches_are_the_windows_by_hand(every_step, lag):
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((n, 2)) for n in (20, 17)]
    parts[0][9, 1] = parts[1][:2] = np.nan
    pasts = [rng.standard_normal((n, 1)) for n in (20, 17)]
    futures = [rng.standard_normal((n, 2)) for n in (20, 17)]
    options = ForecastOptions(window=4, horizon=3, difference=lag, every_step=every_step)
    prepared = fr.forecasting.preparation.prepare(
        fr.forecasting.preparation.Given(parts, pasts, futures), options, TrainingOptions()
    )
    m = lag or 0
    scales = [Scale.fit(part, m) for part in parts]
    levels = [s.to_levels(filled(part)) for s, part in zip(scales, parts, strict=True)]
    past, future = (
        [(p - np.concatenate(all_).mean(axis=0)) / np.concatenate(all_).std(axis=0) for p in all_]
        for all_ in (pasts, futures)
    )
    row = 0
    for s in range(2):
        for start in range(m, len(parts[s]) - 4 - 3 + 1):
            x, y, mask = [], [], []
            for t in range(start, start + 4):
                z = levels[s][t] - (levels[s][t - m] if m else 0)
                x.append(np.concatenate([z, past[s][t], *future[s][t + 1 : t + 4]]))
                ahead = []
                for h in range(1, 4):
                    base = levels[s][t + h - m * -(-h // m)] if m else 0
                    ahead.append(levels[s][t + h] - base)
                y.append(np.concatenate(ahead))
                mask.append(~np.isnan(parts[s][t + 1 : t + 4]).ravel())
            last = slice(None) if every_step else -1
            batch = prepared.windows.batch([row])
            assert_near(batch.x[0], np.array(x), "x", "float32")
            assert_near(batch.y[0], np.array(y)[last], "y", "float32")
            assert np.array_equal(batch.mask[0], np.array(mask)[last])
            row += 1
    assert row == len(prepared.windows)
    several = prepared.windows.batch([3, 1])
    assert_same_bits(several.x[1], prepared.windows.batch([1]).x[0], "x")
    both = list(prepared.windows.batches(None, batch_size=4, start=1))
    assert len(both) == prepared.windows.num_batches(4) - 1
    assert_same_bits(both[0].x, prepared.windows.batch([4, 5, 6, 7]).x, "x")


def test_direct_forecasts_are_the_network_s_last_outputs_in_the_series_units():
    y = 50 + 7 * np.stack([waves(60), waves(60, seed=1)], axis=1)
    forecaster = fitted(y, quantiles=(0.2, 0.5))
    scale = Scale.fit(y)
    outputs, _ = forecaster.model(scale.to_levels(y[-8:])[None].astype(np.float32))
    by_hand = np.sort(outputs[0, -1].reshape(3, 2, 2), axis=2) * scale.scale[:, None]
    by_hand += scale.mean[:, None]
    assert_near(forecaster.forecast_quantiles(), by_hand, "quantiles", "float32")
    assert_same_bits(forecaster.forecast(), forecaster.forecast_quantiles()[..., 1], "medians")
    assert_same_bits(forecaster.forecast(2), forecaster.forecast()[:2], "two steps")


def test_units_do_not_matter():
    y = waves(80)
    found = fitted(y).forecast()
    assert_same_bits(fitted(1024 * y).forecast(), 1024 * found, "x 1024")
    assert_allclose(fitted(1000 * y + 5).forecast(), 1000 * found + 5, rtol=1e-3)
    found, other = (fitted(series, difference=1).forecast() for series in (y, 1000 * y + 5))
    assert_allclose(other, 1000 * found + 5, rtol=1e-3)


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    y = waves(80)
    forecasts = [fitted(y, TrainingOptions(epochs=2, seed=seed)).forecast() for seed in (0, 0, 1)]
    assert_same_bits(forecasts[0], forecasts[1], "forecast")
    assert (forecasts[0] != forecasts[2]).all()


def test_constant_columns_are_forecast_as_constants():
    y = np.stack([waves(80), np.full(80, 0.1), np.zeros(80)], axis=1)
    forecaster = fitted(y, TrainingOptions(epochs=20, seed=0), hidden_size=8)
    assert forecaster._memories[0].scale.scale[1:].tolist() == [1.0, 1.0]
    assert_allclose(forecaster.forecast()[:, 1:], np.full((3, 2), [0.1, 0.0]), atol=0.1)


def test_rolling_forecasts_are_those_after_updates_and_change_nothing():
    for options, past, future in (
        ({"quantiles": (0.5, 0.8)}, 1, 2),
        ({"strategy": "recursive", "difference": 4}, 0, 2),
        ({"difference": 2, "every_step": False}, 1, 0),
    ):
        rng = np.random.default_rng(0)
        y = rng.standard_normal((100, 2))
        y[63:66, 0] = np.nan
        x = [rng.standard_normal((100, n)) if n else None for n in (past, future)]

        def cut(begin, end, x=x):
            parts = [None if part is None else part[begin:end] for part in x]
            return dict(zip(("past_covariates", "future_covariates"), parts, strict=True))

        forecaster = fitted(y[:60], past=cut(0, 60)["past_covariates"],
                            future=cut(0, 60)["future_covariates"], **options)  # fmt: skip
        found = forecaster.rolling_forecasts(y[60:], stride=2, **cut(60, 100))
        assert found.shape == (19, 3, 2)
        for k in range(19):
            now = cut(60 + 2 * k, 63 + 2 * k)["future_covariates"]
            assert_near(forecaster.forecast(future_covariates=now), found[k], f"{k}", "float64")
            forecaster.update(y[60 + 2 * k : 62 + 2 * k], **cut(60 + 2 * k, 62 + 2 * k))


def test_series_of_a_panel_are_scaled_by_themselves_and_do_not_mix():
    panel = [waves(80), 100 + 10 * waves(60, seed=1)]
    forecaster = fitted(panel)
    found = forecaster.forecast()
    assert [part.shape for part in found] == [(3,), (3,)]
    assert 50 < found[1].mean() < 150
    again = fitted([panel[0], panel[1] / 8])
    assert_same_bits(again.forecast()[1] * 8, found[1], "eighths")
    assert_same_bits(again.forecast()[0], found[0], "the other one")
    rolling = forecaster.rolling_forecasts([waves(90)[80:], waves(64)[60:]])
    assert [part.shape for part in rolling] == [(3, 3), (1, 3)]
    forecaster.update([np.zeros(5), np.full(2, 100.0)])
    assert forecaster.forecast()[0].mean() != found[0].mean()


def test_gaps_are_filled_before_and_masked_behind():
    y = waves(120)
    holes = y.copy()
    holes[[0, 1, 30, 31, 32, 77, 119]] = np.nan
    assert filled(holes[:, None])[[0, 1, 32, 119], 0].tolist() == [y[2], y[2], y[29], y[118]]
    found = fitted(holes, TrainingOptions(epochs=10, seed=0)).forecast()
    assert np.isfinite(found).all()
    batch = fr.forecasting.preparation.prepare(
        fr.forecasting.preparation.Given(holes), ForecastOptions(window=8, horizon=3), QUICK
    ).windows.batch([24])
    assert (~batch.mask[0]).sum() == 3 * 3  # steps 30, 31 and 32, each 1, 2 and 3 steps ahead
    holes[40:60] = np.nan
    for every_step, left_out in ((True, {*range(39, 50)}), (False, {22, *range(32, 50)})):
        options = ForecastOptions(window=8, horizon=3, every_step=every_step)
        given = fr.forecasting.preparation.Given(holes)
        starts = fr.forecasting.preparation.prepare(given, options, QUICK).windows.starts
        assert set(range(110)) - set(starts.tolist()) == left_out  # nothing to forecast there
    none = [row if row == row else None for row in holes.tolist()]
    assert_same_bits(fitted(none).forecast(), fitted(holes).forecast(), "None is NaN")


def test_validation_is_the_end_and_training_stops_early():
    y = waves(300, noise=3.0)  # little to learn, soon learned
    training = TrainingOptions(epochs=40, seed=0, validation_fraction=0.2, patience=2)
    forecaster = fitted(y, training)
    history = forecaster.history
    assert history.stopped_early
    assert history.best_epoch == len(history.epochs) - 3
    prepare = fr.forecasting.preparation.prepare
    options = ForecastOptions(window=8, horizon=3)
    prepared = prepare(fr.forecasting.preparation.Given(y), options, training)
    assert prepared.windows.starts[-1] + 8 + 3 == 240
    assert prepared.validation.starts[[0, -1]].tolist() == [240 - 8, 300 - 11]
    batch = prepared.validation.batch([0, 1])
    assert batch.mask.any(axis=(0, 2)).tolist() == [False] * 7 + [True]


def test_the_learning_rate_falls_along_a_cosine():
    forecaster = Forecaster(ForecastOptions(window=8, hidden_size=4))
    training = TrainingOptions(epochs=4, learning_rate=0.1, seed=0)
    history = forecaster.fit(waves(200), training=training)
    cosine = [0.1 * (1 + np.cos(np.pi * k / 4)) / 2 for k in range(4)]
    assert history.values("learning_rate") == pytest.approx(cosine)


def test_long_series_are_trained_on_some_windows_the_newest_among_them():
    y = waves(9000)
    prepare, given = fr.forecasting.preparation.prepare, fr.forecasting.preparation.Given(y)
    options = ForecastOptions(window=8, horizon=3)
    starts = prepare(given, options, TrainingOptions()).windows.starts
    assert len(starts) < 2500
    assert starts[-1] == 9000 - 11
    assert set(np.diff(starts)) == {4}
    starts = prepare(given, options, TrainingOptions(stride=50)).windows.starts
    assert starts[-1] == 9000 - 11
    assert set(np.diff(starts)) == {50}
    batch = prepare(given, options, TrainingOptions()).windows.batch(np.arange(32))
    assert batch.x.shape == (32, 8, 1)


# Files, baselines, real series


@pytest.mark.parametrize("panel", [False, True])
def test_a_file_holds_all(tmp_path, panel):
    rng = np.random.default_rng(0)
    y = [rng.standard_normal((60, 2)), rng.standard_normal((50, 2))]
    past, future = ([rng.standard_normal((n, k)) for n in (60, 50)] for k in (1, 2))
    ahead = [rng.standard_normal((3, 2)) for _ in range(2)]
    if not panel:
        y, past, future, ahead = y[0], past[0], future[0], ahead[0]
    forecaster = fitted(
        y, past=past, future=future, difference=2, quantiles=(0.1, 0.5), dropout=0.1, num_layers=2
    )
    path = tmp_path / "forecaster.safetensors"
    forecaster.save(path)
    loaded = Forecaster.load(path)
    assert loaded.options == forecaster.options
    for one, other in zip(
        np.atleast_1d(np.array(forecaster.forecast_quantiles(future_covariates=ahead))),
        np.atleast_1d(np.array(loaded.forecast_quantiles(future_covariates=ahead))),
        strict=True,
    ):
        assert_same_bits(one, other, "forecast")
    forecaster.update(y, past_covariates=past, future_covariates=future)
    loaded.update(y, past_covariates=past, future_covariates=future)
    assert forecaster.score(y, past_covariates=past, future_covariates=future) == loaded.score(
        y, past_covariates=past, future_covariates=future
    )
    assert fr.load(path).parameter_vector.size == forecaster.model.parameter_vector.size


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_size": (4, 3)},
        {"hidden_size": [4, 4], "num_layers": 2, "cell": "lstm"},
        {"num_layers": 3, "cell": "rnn", "every_step": False},
        {"strategy": "recursive", "every_step": False, "dropout": 0.2},
    ],
)
def test_files_hold_networks_of_all_options(tmp_path, options):
    forecaster = fitted(waves(60), **options)
    forecaster.save(tmp_path / "forecaster.safetensors")
    loaded = Forecaster.load(tmp_path / "forecaster.safetensors")
    assert_same_bits(loaded.forecast(), forecaster.forecast(), "forecast")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 1', '"format": 2', "expected format 1"),
        ('"window": 8', '"window": 9', "forecaster: values: expected"),
        ('"horizon": 3', '"horizon": 4', "expected the network of the options"),
        ('"features": 1', '"features": -1', "features: expected an integer"),
        ('"count": 1', '"count": true', "count: expected an integer"),
        ('"hidden_size": 4', '"hidden_size": 1000000000', "expected the network of the options"),
        ('"num_layers": null', '"num_layers": 1000000000', "num_layers: expected those of"),
        ('"horizon": 3', '"horizon": 300000000', "expected the network of the options"),
        ('"strategy"', '"tragedy"', "unexpected keyword"),
        ('"scale": [', '"scale": [-', "scale: expected numbers above 0"),
        ('"options"', '"ptions"', "options"),
    ],
)
def test_damaged_files_are_refused(tmp_path, old, new, message):
    forecaster = fitted(waves(60))
    path = tmp_path / "forecaster.safetensors"
    forecaster.save(path)
    model, metadata = fr.serialization.load_with_metadata(path)
    text = metadata["fastrnn_forecaster"]
    assert old in text
    fr.save(model, path, metadata={"fastrnn_forecaster": text.replace(old, new, 1)})
    with pytest.raises(ValueError, match=rf"forecaster\.safetensors: .*{message}"):
        Forecaster.load(path)
    fr.save(model, path)
    with pytest.raises(ValueError, match="expected a forecaster written by Forecaster.save"):
        Forecaster.load(path)


def test_naive_forecasts_and_scaled_errors():
    y = np.array([1.0, 2.0, 4.0, np.nan])
    assert seasonal_naive(y, 2).tolist() == [4.0, 4.0]
    assert seasonal_naive(y[:3, None], 4, 3).tolist() == [[1.0], [2.0], [4.0], [1.0]]
    # mean errors 3 and naive ones (1 + 2) / 2
    assert mean_absolute_scaled_error([5.0, np.nan], [2.0, 0.0], y) == 2.0
    assert mean_absolute_scaled_error([1.0], [1.0], [5.0, 5.0]) == 0.0
    assert mean_absolute_scaled_error([1.0], [2.0], [5.0, 5.0]) == np.inf
    train, test = waves(100), waves(130)[100:]
    forecaster = fitted(train)
    wanted = mean_absolute_scaled_error(test, forecaster.rolling_forecasts(test).ravel(), train)
    assert_near(forecaster.score(test), wanted, "score")
    forecaster = fitted(train, difference=24)
    forecasts = forecaster.rolling_forecasts(test).ravel()
    wanted = mean_absolute_scaled_error(test, forecasts, train, period=24)
    assert_near(forecaster.score(test), wanted, "score by season")


def test_sunspots_and_co2_are_forecast_better_than_by_naive_forecasts():
    sunspots = fr.datasets.sunspots().values
    forecaster = fitted(sunspots[:260], TrainingOptions(epochs=40, seed=0), window=22, horizon=1,
                        hidden_size=16)  # fmt: skip
    assert forecaster.score(sunspots[260:]) < 1.0  # 1: the error of the last value, in training
    co2 = fr.datasets.co2().values
    train, test = co2[:2100], co2[2100:]
    forecaster = fitted(train, TrainingOptions(epochs=6, seed=0, stride=8), window=52, horizon=13,
                        difference=52, hidden_size=16)  # fmt: skip
    actual = rolling_actual(test, 13)
    error = mae(forecaster.rolling_forecasts(test), actual)
    assert error < 0.7 * mae(rolling_naive(train, test, 13, 52), actual)
    assert error < 0.7 * mae(rolling_naive(train, test, 13, 1), actual)
