"""The command line with series: files, later observations, defaults, what is refused."""

import inspect

import numpy as np
import pytest

import fastrnn as fr
from cli_cases import (
    FAST,
    own_folder,  # noqa: F401
    refused,
    run,
    said,
    sales,
    write_series,
)
from fastrnn.forecasting import Forecaster, ForecastOptions, TrainingOptions

pytestmark = pytest.mark.usefixtures("own_folder")


def numbers(result, name="forecast"):
    return [row[name] for row in result["forecasts"]]


@pytest.mark.parametrize("name", ["sunspots", "co2", "temperatures"])
def test_bundled_series(name, capsys):
    result = run(capsys, "train", name, "--epochs", 1, "--hidden-size", 8)
    assert result["task"] == "forecast"
    assert result["targets"] == [name]
    assert np.isfinite(numbers(result)).all()
    assert numbers(run(capsys, "predict", result["model"])) == numbers(result)


def test_what_is_learned_is_tested_on_the_end(capsys, tmp_path):
    write_series(tmp_path / "sales.csv", sales(300)[:, :1], names=["units"])
    result = run(capsys, "train", "sales.csv", "--difference", 12, "--epochs", 5)
    forecaster = Forecaster(ForecastOptions(difference=12))
    forecaster.fit(sales(270)[:, :1], training=TrainingOptions(epochs=5, seed=0))
    end = sales(30, 270)[:, :1]
    assert result["mean_absolute_scaled_error"] == forecaster.score(end)
    assert numbers(result) == forecaster.update(end).forecast().ravel().tolist()
    assert result["naive_mean_absolute_scaled_error"] == pytest.approx(1, abs=0.05)
    assert result["mean_absolute_scaled_error"] < 0.2


def test_targets_quantiles_and_later_observations(capsys, tmp_path):
    write_series(tmp_path / "sales.csv", sales(200))
    arguments = ("--target", "units", "--horizon", 3, "--quantiles", "0.1,0.5,0.9")
    result = run(capsys, "train", "sales.csv", *arguments, *FAST)
    assert result["targets"] == ["units"]
    assert [(row["step"], row["target"]) for row in result["forecasts"]] == [
        (1, "units"), (2, "units"), (3, "units"),
    ]  # fmt: skip
    for quantiles in numbers(result, "quantiles"):
        assert list(quantiles) == ["0.1", "0.5", "0.9"]
        assert sorted(quantiles.values()) == list(quantiles.values())
    model = "sales.safetensors"
    assert run(capsys, "predict", model)["forecasts"] == result["forecasts"]
    # Columns are found by name, whatever their order.
    write_series(tmp_path / "later.csv", sales(9, 200)[:, ::-1], names=["price", "units"])
    forecaster = Forecaster.load(model)
    later = sales(9, 200)
    expected = forecaster.update(later[:, :1], past_covariates=later[:, 1:]).forecast_quantiles()
    found = run(capsys, "predict", model, "later.csv")
    assert [list(q.values()) for q in numbers(found, "quantiles")] == expected[:, 0].tolist()
    assert run(capsys, "predict", model)["forecasts"] == result["forecasts"]  # not kept
    lines = said(capsys, "predict", model).splitlines()
    assert [line.split("\t")[:2] for line in lines] == [[str(k), "units"] for k in (1, 2, 3)]
    assert lines[0].split("\t")[2].startswith("0.1: ")


def test_a_model_of_one_column_takes_the_only_column(capsys, tmp_path):
    series = sales(120)[:, 0]
    np.save(tmp_path / "one.npy", series[:100])
    run(capsys, "train", "one.npy", *FAST)
    write_series(tmp_path / "later.csv", series[100:, None], names=["sold"])
    expected = Forecaster.load("one.safetensors").update(series[100:, None]).forecast()
    assert numbers(run(capsys, "predict", "one.safetensors", "later.csv")) == expected[0].tolist()


def test_columns_that_are_not_there(capsys, tmp_path):
    write_series(tmp_path / "sales.csv", sales(100))
    write_series(tmp_path / "units.csv", sales(9)[:, :1], names=["units"])
    run(capsys, "train", "sales.csv", "--target", "units", *FAST)
    message = "units.csv: expected a column price, got units"  # never the units for the price
    assert message in refused(capsys, "predict", "sales.safetensors", "units.csv")
    write_series(tmp_path / "sold.csv", sales(9)[:, :1], names=["sold"])
    message = "sold.csv: expected a column units, got sold"
    assert message in refused(capsys, "predict", "sales.safetensors", "sold.csv")
    message = "--target: expected one of units, price, got unit"
    assert message in refused(capsys, "train", "sales.csv", "--target", "unit")
    message = "--target: expected each column once, got units twice"
    assert message in refused(capsys, "train", "sales.csv", "--target", "units,units")
    message = "--target: expected none for co2, got x"
    assert message in refused(capsys, "train", "co2", "--target", "x")


def test_gaps(capsys, tmp_path):
    values = sales(200)
    values[::17, 0] = np.nan
    write_series(tmp_path / "gaps.csv", values)
    result = run(capsys, "train", "gaps.csv", *FAST)
    assert np.isfinite(numbers(result)).all()
    assert np.isfinite(result["mean_absolute_scaled_error"])
    values[5, 1] = np.nan
    write_series(tmp_path / "gaps.csv", values)
    message = "past_covariates[5, 0]: expected a number, got NaN"
    assert message in refused(capsys, "train", "gaps.csv", "--target", "units", *FAST)


def test_little_data_and_constant_data(capsys, tmp_path):
    np.save(tmp_path / "ten.npy", np.arange(10.0))
    message = "y: expected at least window + horizon = 32 + 1 observations, got 9"
    assert message in refused(capsys, "train", "ten.npy")
    assert run(capsys, "train", "ten.npy", "--window", 3, *FAST)["steps_known"] == 10
    message = "--horizon: expected less than the 10 steps there are, got 10"
    assert message in refused(capsys, "train", "ten.npy", "--horizon", 10)
    np.save(tmp_path / "constant.npy", np.full(60, 5.0))
    result = run(capsys, "train", "constant.npy", *FAST)
    assert result["mean_absolute_scaled_error"] is None  # infinite: JSON has no such number


def test_the_held_out_end(capsys, tmp_path):
    np.save(tmp_path / "series.npy", sales(100)[:, 0])
    few = ("train", "series.npy", "--window", 5, *FAST)
    assert run(capsys, *few, "--horizon", 20)["forecasts"][-1]["step"] == 20  # longer than 0.1
    message = "--held-out: expected at least the horizon = 20 of 100 steps, got 10"
    assert message in refused(capsys, *few, "--horizon", 20, "--held-out", 0.1)
    for share in ("0", "1", "2", "-1", "nan"):
        message = "--held-out: expected a share above 0 and below 1"
        assert message in refused(capsys, *few, f"--held-out={share}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quantiles", "0.1,x"], "--quantiles: expected numbers separated by commas"),
        (["--quantiles", "0.1,0.9"], "quantiles: expected 0.5, the point forecast, among them"),
        (["--strategy", "both"], "--strategy: invalid choice"),
        (["--difference", "0"], "difference: expected at least 1, got 0"),
        (["--label", "x"], "--label: expected with --task classify, got --task forecast"),
        (["--steps", "3"], "--steps: expected with --task text, got --task forecast"),
    ],
)
def test_arguments_refused(arguments, message, capsys):
    assert message in refused(capsys, "train", "sunspots", *arguments)


def test_models_of_another_kind(capsys, tmp_path):
    forecaster = Forecaster(ForecastOptions(window=4))
    forecaster.fit(sales(60)[:, 0], training=TrainingOptions(epochs=1, seed=0))
    forecaster.save(tmp_path / "own.st")
    message = "own.st: expected a model written by fastrnn train"
    assert message in refused(capsys, "predict", "own.st")
    assert "expected a model written by CharLM.save" in refused(capsys, "generate", "own.st")


def test_defaults_are_those_of_the_forecaster(capsys):
    text = " ".join(said(capsys, "train", "--help").split())
    options, training = ForecastOptions(), TrainingOptions()
    assert f"{options.cell} for forecasts" in text
    assert f"{options.hidden_size} for forecasts" in text
    assert f"{training.epochs} for forecasts" in text
    assert f"{training.learning_rate} for forecasts" in text
    assert f"steps ahead; default: {options.horizon}" in text
    assert f"steps looked back at; default: {options.window}" in text
    assert f"default: {options.strategy}" in text
    of_text = inspect.signature(fr.CharLM.fit).parameters
    assert f"{of_text['epochs'].default} for text" in text
    assert f"{of_text['learning_rate'].default} for text" in text
    assert f"{fr.CharLM().hidden_size} for text" in text
    for parameters in (of_text, inspect.signature(TrainingOptions).parameters):
        assert parameters["batch_size"].default == 32
    assert "--batch-size N default: 32" in text
