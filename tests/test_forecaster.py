"""The estimator: scikit-learn's tools, frames in and out, columns, intervals, updates."""

import datetime
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score

import fastrnn as fr
from fastrnn.testing import assert_same_bits
from forecast_cases import waves

SMALL = {"window": 8, "horizon": 3, "hidden_size": 4, "epochs": 2, "random_state": 0}
Y = waves(60)
FORECAST = fr.RNNForecaster(**SMALL).fit(Y).predict()


# scikit-learn


def test_parameters_stay_untouched_and_clones_forecast_the_same():
    quantiles, sizes = [0.1, 0.5], [4, 3]
    forecaster = fr.RNNForecaster(**{**SMALL, "hidden_size": sizes}, quantiles=quantiles)
    assert forecaster.quantiles is quantiles
    assert forecaster.fit(Y) is forecaster
    assert forecaster.get_params()["hidden_size"] is sizes
    assert forecaster.quantiles is quantiles
    again = clone(forecaster)
    assert not hasattr(again, "forecaster_")
    assert_same_bits(again.fit(Y).predict(), forecaster.predict(), "forecast")
    assert again.set_params(window=9).fit(Y).forecaster_.options.window == 9
    assert len(forecaster.history_.epochs) == 2


def test_all_parameters_reach_the_core():
    values = {
        "window": 7, "horizon": 2, "strategy": "direct", "quantiles": (0.5,), "difference": 2,
        "cell": "lstm", "hidden_size": (3, 4), "num_layers": 2, "dropout": 0.25, "loss": "huber",
        "every_step": False,
    }  # fmt: skip
    training = {"epochs": 3, "batch_size": 5, "learning_rate": 0.02, "clip_norm": 0.05, "stride": 3}
    forecaster = fr.RNNForecaster(**values, **training, random_state=1).fit(Y)
    options = forecaster.forecaster_.options
    assert {name: getattr(options, name) for name in values} == values
    config = forecaster.forecaster_.model.config()["layers"]
    assert [part["type"] for part in config] == ["LSTM", "Last", "Dropout", "Linear"]
    assert [config[0]["dropout"], config[2]["p"]] == [0.25, 0.25]
    base = forecaster.predict()
    for name, value in {**training, "random_state": 2}.items():
        other = {**training, "random_state": 1, name: value * 2}
        assert (fr.RNNForecaster(**values, **other).fit(Y).predict() != base).any(), name


@pytest.mark.parametrize("kind", ["array", "pandas"])
def test_grids_are_searched_over_splits_in_time(kind):
    y, x = waves(120), np.stack([np.arange(120.0), np.cos(np.arange(120))], axis=1)
    if kind == "pandas":
        index = pd.date_range("2020-01-01", periods=120, freq="D")
        y, x = pd.Series(y, index), pd.DataFrame(x, index, columns=["a", "b"])
    cv = TimeSeriesSplit(2)
    grid = {"hidden_size": [2, 4]}
    for given in ((y,), (y, x)):
        search = GridSearchCV(
            fr.RNNForecaster(**SMALL), grid, cv=cv, error_score="raise", n_jobs=1
        ).fit(*given)
        best = search.best_estimator_
        assert best.hidden_size == search.best_params_["hidden_size"]
        scores = search.cv_results_["split1_test_score"]
        train, test = list(cv.split(np.zeros(120)))[1]
        places = [part if kind == "array" else part.iloc for part in given]
        rows = [(place[train], place[test]) for place in places]
        by_hand = fr.RNNForecaster(**{**SMALL, "hidden_size": 4}).fit(*(r[0] for r in rows))
        assert by_hand.score(*(r[1] for r in rows)) == scores[1]
        assert by_hand.score(*(r[1] for r in rows)) < 0
    assert len(cross_val_score(fr.RNNForecaster(**SMALL), y, x, cv=cv)) == 2


@pytest.mark.slow
def test_grids_are_searched_in_two_processes():
    search = GridSearchCV(
        fr.RNNForecaster(**SMALL), {"hidden_size": [2, 4]}, cv=TimeSeriesSplit(2), n_jobs=2
    )
    assert np.isfinite(search.fit(Y).cv_results_["mean_test_score"]).all()


def test_pickles_forecast_the_same_and_go_on():
    index = pd.date_range("2020-01-01", periods=60, freq="D")
    forecaster = fr.RNNForecaster(**SMALL).fit(pd.Series(Y, index))
    again = pickle.loads(pickle.dumps(forecaster))
    pd.testing.assert_series_equal(again.predict(), forecaster.predict())
    assert again.update(Y[:5]).predict().index[0] == pd.Timestamp("2020-03-06")


def test_early_stopping_holds_out_the_end():
    y = waves(300, noise=3.0)
    forecaster = fr.RNNForecaster(
        **{**SMALL, "epochs": 40}, early_stopping=True, validation_fraction=0.2, patience=2
    )
    assert forecaster.fit(y).history_.stopped_early
    assert len(fr.RNNForecaster(**SMALL).fit(y).history_.values("validation_loss")) == 0


def test_what_is_not_fitted_says_so():
    for call in ("predict", "predict_quantiles", "predict_interval"):
        with pytest.raises(NotFittedError):
            getattr(fr.RNNForecaster(), call)()
    for call in ("update", "score", "rolling_forecasts"):
        with pytest.raises(NotFittedError):
            getattr(fr.RNNForecaster(), call)(Y)


def test_neither_pandas_nor_polars_is_imported():
    code = (
        "import sys, numpy as np, sklearn.base, fastrnn as fr\n"
        "before = set(sys.modules)\n"
        "fr.RNNForecaster(window=4, epochs=1).fit(np.arange(20.0)).predict()\n"
        "print(sorted({'pandas', 'polars'} & (set(sys.modules) - before)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# Frames


INDICES = {
    "days": pd.date_range("2020-01-31", periods=70, freq="D"),
    "month ends": pd.date_range("2020-01-31", periods=70, freq="ME"),
    "business days": pd.date_range("2020-01-31", periods=70, freq="B"),
    "hours with a zone": pd.date_range("2020-03-28", periods=70, freq="h", tz="Europe/Berlin"),
    "days with a zone": pd.date_range("2020-02-01", periods=70, freq="D", tz="Europe/Berlin"),
    "quarters": pd.period_range("2020Q1", periods=70, freq="Q"),
    "numbers": pd.RangeIndex(10, 80),
    "fives": pd.Index(np.arange(0, 350, 5)),
    "durations": pd.to_timedelta(np.arange(70), unit="h"),
}


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("known", [True, False])
def test_indices_of_pandas_go_on(name, known):
    index = INDICES[name].rename("when")
    if not known:
        index = pd.Index(list(index), name="when")  # has no frequency of its own
    series = pd.Series(waves(70), index, name="height")
    forecaster = fr.RNNForecaster(**SMALL).fit(series[:60])
    found = forecaster.predict()
    assert found.name == "height"
    assert found.index.name == "when"
    assert found.index.tolist() == index[60:63].tolist()
    assert_same_bits(found.to_numpy(), FORECAST, "forecast")
    assert forecaster.update(series[60:64]).predict().index.tolist() == index[64:67].tolist()
    assert forecaster.update(Y[:2]).predict().index.tolist() == index[66:69].tolist()
    with pytest.raises(ValueError, match="y: expected times that go on with"):
        forecaster.update(series[60:64])


def test_irregular_indices_of_pandas_become_the_steps_ahead():
    for index in (
        pd.date_range("2020-01-01", periods=61, freq="D").delete(30),
        pd.Index([f"row {i}" for i in range(60)]),
        pd.Index(np.arange(60) ** 2),
    ):
        found = fr.RNNForecaster(**SMALL).fit(pd.Series(Y, index)).update(Y[:2]).predict()
        assert found.index.tolist() == [1, 2, 3]


def test_frames_of_pandas_come_back_as_frames():
    index = pd.date_range("2020-01-01", periods=60, freq="h")
    frame = pd.DataFrame({"a": Y, "b": 10 * Y}, index).astype({"b": "Float64"})
    frame.loc[index[7], "b"] = pd.NA
    found = fr.RNNForecaster(**SMALL).fit(frame).predict()
    assert found.columns.tolist() == ["a", "b"]
    assert found.index.tolist() == [index[-1] + pd.Timedelta(hours=k) for k in (1, 2, 3)]
    values = frame.to_numpy(float, na_value=np.nan)
    assert_same_bits(fr.RNNForecaster(**SMALL).fit(values).predict(), found.to_numpy(), "frame")
    with pytest.raises(TypeError, match=r"y: expected numbers, got datetime64.*; times belong in"):
        fr.RNNForecaster(**SMALL).fit(frame.reset_index())


TIMES = {
    "hours": pl.datetime_range(
        datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 3, 21), "1h", eager=True
    ),
    "months": pl.date_range(
        datetime.date(2020, 1, 31), datetime.date(2025, 10, 31), "1mo", eager=True
    ),
    "years": pl.date_range(datetime.date(1950, 1, 1), datetime.date(2019, 1, 1), "1y", eager=True),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_of_polars_go_on(name):
    times = TIMES[name]
    assert len(times) == 70
    frame = pl.DataFrame({"when": times, "a": waves(70), "b": [*range(69), None]})
    forecaster = fr.RNNForecaster(**SMALL).fit(frame[:60])
    found = forecaster.predict()
    assert found.columns == ["when", "a", "b"]
    assert found["when"].dtype == times.dtype
    assert found["when"].to_list() == times[60:63].to_list()
    values = frame[:60].drop("when").to_numpy()
    assert_same_bits(fr.RNNForecaster(**SMALL).fit(values).predict(), found[:, 1:].to_numpy(), "f")
    found = forecaster.update(frame[60:64]).predict()
    assert found["when"].to_list() == times[64:67].to_list()
    with pytest.raises(ValueError, match="y: expected times that go on with"):
        forecaster.update(frame[60:64])


def test_other_frames_of_polars():
    series = fr.RNNForecaster(**SMALL).fit(pl.Series("a", Y)).predict()
    assert isinstance(series, pl.Series)
    assert series.name == "a"
    assert_same_bits(series.to_numpy(), FORECAST, "forecast")
    irregular = TIMES["hours"].gather([*range(30), *range(31, 61)])
    frame = pl.DataFrame({"when": irregular, "a": Y})
    assert fr.RNNForecaster(**SMALL).fit(frame).predict().columns == ["a"]
    with pytest.raises(TypeError, match="y: expected at most one column of times, got"):
        fr.RNNForecaster(**SMALL).fit(frame.with_columns(pl.col("when").alias("then")))
    with pytest.raises(TypeError, match="y: expected numbers"):
        fr.RNNForecaster(**SMALL).fit(pl.DataFrame({"a": Y, "b": ["x"] * 60}))


def test_panels_of_frames_come_back_as_such():
    index = pd.date_range("2020-01-01", periods=60, freq="D")
    panel = [pd.Series(Y, index, name="one"), pd.Series(Y[:50], index[10:], name="two")]
    forecaster = fr.RNNForecaster(**SMALL, quantiles=(0.1, 0.5)).fit(panel)
    found = forecaster.predict()
    assert [part.name for part in found] == ["one", "two"]
    assert found[1].index[0] == pd.Timestamp("2020-03-01")
    assert [part.shape for part in forecaster.predict_quantiles()] == [(3, 2)] * 2
    assert [part.shape for part in forecaster.predict_interval()] == [(3, 2)] * 2
    found = forecaster.update([part[:0] for part in panel]).predict()
    assert found[0].index[0] == pd.Timestamp("2020-03-01")


# Columns of X, intervals


@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
def test_columns_of_the_future_are_chosen_by_name_or_place(kind):
    x = np.random.default_rng(0).standard_normal((63, 3))
    columns = ["a", "b", "c"]
    future_columns = [2, 0] if kind == "array" else ["c", "a"]
    make = {
        "array": lambda part: part,
        "pandas": lambda part: pd.DataFrame(part, columns=columns),
        "polars": lambda part: pl.DataFrame(part, schema=columns),
    }[kind]
    forecaster = fr.RNNForecaster(**SMALL, future_columns=future_columns).fit(Y, make(x[:60]))
    core = fr.forecasting.Forecaster(forecaster.forecaster_.options)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    core.fit(
        Y, past_covariates=x[:60, 1], future_covariates=x[:60, [2, 0]],
        training=fr.forecasting.TrainingOptions(epochs=2, seed=seed),
    )  # fmt: skip
    wanted = core.forecast(future_covariates=x[60:, [2, 0]])
    assert_same_bits(forecaster.predict(X=make(x[60:])), wanted, "all columns")
    if kind == "array":
        assert_same_bits(forecaster.predict(X=x[60:, [2, 0]]), wanted, "those of the future")
    elif kind == "pandas":
        reordered = make(x[60:])[["a", "c"]]
        assert_same_bits(forecaster.predict(X=reordered), wanted, "those of the future")
        with pytest.raises(ValueError, match="X: expected column 'c' as in fit"):
            forecaster.predict(X=make(x[60:])[["a", "b"]])
    with pytest.raises(ValueError, match="X: expected (3 columns|column 'b') as in fit"):
        forecaster.update(
            Y[:10], make(x[:10])[:, [2, 0]] if kind == "array" else make(x[:10])[["a", "c"]]
        )
    rolling = forecaster.rolling_forecasts(Y[:10], make(x[:10]))
    assert rolling.shape == (3, 3)
    assert forecaster.update(Y[:10], make(x[:10])).predict(X=make(x[60:])).shape == (3,)


def test_columns_may_be_all_of_the_past_or_all_of_the_future():
    x = np.random.default_rng(0).standard_normal(60)
    assert fr.RNNForecaster(**SMALL, future_columns=None).fit(Y, x).predict().shape == (3,)
    forecaster = fr.RNNForecaster(**SMALL).fit(Y, x)
    assert forecaster.predict(X=x[:3]).shape == (3,)
    recursive = fr.RNNForecaster(**SMALL, strategy="recursive").fit(Y, x)
    assert recursive.predict(20, x[:20]).shape == (20,)


def test_intervals_are_quantiles_by_coverage():
    forecaster = fr.RNNForecaster(**SMALL, quantiles=(0.05, 0.1, 0.5, 0.9, 0.95)).fit(Y)
    quantiles = forecaster.predict_quantiles()
    assert quantiles.shape == (3, 5)
    assert_same_bits(forecaster.predict_interval(), quantiles[:, [0, 4]], "all")
    assert_same_bits(forecaster.predict_interval(coverage=0.8), quantiles[:, [1, 3]], "0.8")
    assert_same_bits(forecaster.predict_interval(2, coverage=0.9), quantiles[:2, [0, 4]], "0.9")
    assert_same_bits(forecaster.predict(), quantiles[:, 2], "median")
    several = fr.RNNForecaster(**SMALL, quantiles=(0.1, 0.5)).fit(np.stack([Y, Y], axis=1))
    assert several.predict_interval().shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: (
                fr.RNNForecaster(**SMALL, quantiles=(0.1, 0.5))
                .fit(Y)
                .predict_interval(coverage=0.8)
            ),
            ValueError,
            "coverage: expected quantiles 0.1 and 0.9 for 0.8, got",
        ),
        (lambda: fr.RNNForecaster(**SMALL).fit(Y).predict_interval(), ValueError, "quantiles: exp"),
        (
            lambda: fr.RNNForecaster(**SMALL, future_columns="none").fit(Y, Y),
            ValueError,
            'future_columns: expected "all", None or a list',
        ),
        (
            lambda: fr.RNNForecaster(**SMALL, future_columns=[1]).fit(Y, Y),
            ValueError,
            r"future_columns: expected names of columns of X or 0\.\.0, got 1",
        ),
        (
            lambda: fr.RNNForecaster(**SMALL, future_columns=["a"]).fit(Y),
            ValueError,
            "future_columns: expected an X with these columns",
        ),
        (lambda: fr.RNNForecaster(**SMALL).fit(Y, Y).predict(), ValueError, "future_covariates: e"),
        (
            lambda: fr.RNNForecaster(**SMALL).fit(Y, Y).update(Y, np.zeros((60, 2))),
            ValueError,
            "X: expected 1 columns as in fit, got 2",
        ),
        (
            lambda: (
                fr.RNNForecaster(**SMALL, future_columns=[0])
                .fit(Y, np.stack([Y, Y], axis=1))
                .update(Y, Y)
            ),
            ValueError,
            "X: expected 2 columns as in fit, got 1",
        ),
        (lambda: fr.RNNForecaster(**SMALL, cell="x").fit(Y), ValueError, "cell: expected"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
