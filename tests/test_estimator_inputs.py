"""Estimators: the forms of X and y, the network's options, and what is refused."""

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import KFold, cross_val_score

import fastrnn as fr
from estimator_cases import BOTH, QUICK, SMALL, labels_of, ragged, targets_of
from fastrnn import testing


@pytest.mark.parametrize("kind", BOTH)
def test_tables_arrays_and_lists_are_the_same_univariate_series(kind):
    table = np.random.default_rng(0).standard_normal((12, 5))
    y = targets_of(kind, table[:, :, None])
    fitted = kind(**QUICK).fit(table, y)
    assert fitted.n_features_in_ == 5
    for x in (table[:, :, None], list(table), [row[:, None] for row in table]):
        other = kind(**QUICK).fit(x, y)
        assert other.n_features_in_ == 1
        assert other.predict(x).tolist() == fitted.predict(table).tolist()
        assert other.predict(table).tolist() == fitted.predict(table).tolist()
    objects = np.empty(12, object)
    objects[:] = list(table)
    assert fitted.predict(objects).tolist() == fitted.predict(table).tolist()
    with pytest.raises(ValueError, match=r"X: expected shape \(n, 5\) as in fit, got 3 axes"):
        fitted.predict(table[:, :, None])
    with pytest.raises(ValueError, match="as in fit, got sequences of different lengths"):
        fitted.predict([row[: i % 3 + 1] for i, row in enumerate(table)])


def test_padded_and_ragged_rows_are_predicted_alike():
    x = np.random.default_rng(0).standard_normal((10, 6, 3))
    model = fr.RNNRegressor(**QUICK).fit(x, x.sum(axis=(1, 2)))
    assert model.n_features_in_ == 3
    assert model.predict(x[:, :4]).tolist() == model.predict([row[:4] for row in x]).tolist()
    mixed = model.predict([x[0], x[1, :4], x[2, :1]])
    assert mixed.tolist() == [model.predict([x[n, :t]])[0] for n, t in enumerate((6, 4, 1))]


def test_lists_of_lists():
    x = [[[1, 2], [3, 4], [5, 6]], [[1, 0]], [[0, 1], [2, 2]]]
    model = fr.RNNClassifier(**QUICK).fit(x, ["a", "b", "b"])
    assert model.predict(x).tolist() == model.predict([np.array(row) for row in x]).tolist()
    equal = [row[:1] for row in x]  # an array (3, 1, 2)
    assert model.predict(equal).shape == (3,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_x_unless_given(dtype):
    x, y = ragged(dtype=dtype), labels_of(ragged())
    model = fr.RNNClassifier(**QUICK).fit(x, y)
    assert model.model_.dtype == dtype
    assert fr.RNNClassifier(**QUICK).fit(x[0], y[: len(x[0])]).model_.dtype == dtype
    assert fr.RNNClassifier(**QUICK, dtype="float32").fit(x, y).model_.dtype == np.float32
    model.partial_fit(ragged(dtype=np.float32), y)
    assert model.model_.dtype == dtype


def test_labels_per_step():
    x = ragged(40, seed=3)
    y = [np.where(row[:, 0].cumsum() < 0, "below", "above") for row in x]
    model = fr.RNNClassifier(**SMALL, random_state=0).fit(x, y)
    found = model.predict(x)
    assert [row.shape for row in found] == [row.shape for row in y]
    assert found[0].dtype.kind == "U"
    right = np.concatenate([a == b for a, b in zip(found, y, strict=True)])
    assert model.score(x, y) == pytest.approx(right.mean())
    assert right.mean() > 0.9
    assert [row.shape for row in model.predict_proba(x)] == [(len(row), 2) for row in x]
    scores = cross_val_score(fr.RNNClassifier(**QUICK), x, y, cv=KFold(3))
    assert np.isfinite(scores).all()
    padded = np.random.default_rng(0).standard_normal((10, 6, 2))
    for targets in (padded[:, :, 0] > 0, (padded[:, :, 0] > 0).tolist()):
        model = fr.RNNClassifier(**QUICK).fit(padded, targets)
        assert model.predict(padded).shape == (10, 6)
        assert model.predict_proba(padded).shape == (10, 6, 2)


def test_numbers_per_step():
    x = ragged(40, seed=3)
    y = [100 + 10 * row[:, 0].cumsum() for row in x]
    model = fr.RNNRegressor(**SMALL, random_state=0).fit(x, y)
    assert [row.shape for row in model.predict(x)] == [row.shape for row in y]
    assert model.score(x, y) > 0.9
    columns = [np.stack([row, -row], axis=1) for row in y]
    model = fr.RNNRegressor(**QUICK).fit(x, columns)
    assert [row.shape for row in model.predict(x)] == [row.shape for row in columns]
    padded = np.random.default_rng(0).standard_normal((10, 6, 2))
    model = fr.RNNRegressor(**QUICK).fit(padded, padded[:, :, :1])
    assert model.predict(padded).shape == (10, 6, 1)


def test_a_model_of_steps_runs_as_a_stream_and_from_a_file(tmp_path):
    x = ragged(20)
    y = [10 + row[:, 0].cumsum() for row in x]
    fitted = fr.RNNRegressor(**QUICK, bidirectional=False).fit(x, y)
    fr.save(fitted.model_, tmp_path / "model")
    stream = fr.Stream(fr.load(tmp_path / "model"))
    steps = [stream.step(row[None])[0, 0] for row in x[0]]
    np.testing.assert_allclose(steps, fitted.predict(x[:1])[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([np.ones((2, 1)), np.ones((3, 2))], [0, 1], r"X\[1\]: expected F = 1 features"),
        ([np.ones(2), np.full(3, np.nan)], [0, 1], r"X\[1\]: expected finite numbers"),
        ([np.ones(2), np.array(["a"])], [0, 1], r"X\[1\]: expected numbers, got <U1"),
        ([np.ones((2, 1, 1)), np.ones(1)], [0, 1], r"X\[0\]: expected shape \(T, F\) or \(T,\)"),
        ([[[1, 2], [3]], [[1, 2]]], [0, 1], r"X\[0\]: expected an array, got a ragged list"),
        ([np.ones(2), np.ones(3)], [0, 1, 0], "inconsistent numbers of samples"),
        ([np.ones(2), np.ones(3)], [np.zeros(2)], "y: expected N = 2 targets like X, got 1"),
        ([np.ones(2), np.ones(3)], [np.zeros(2, int)] * 2, r"y\[1\]: expected 3 steps like X"),
        (np.ones((2, 2, 2, 2)), [0, 1], "4 axes|dim 4"),
        (np.full((2, 2, 2), np.inf), [0, 1], "X contains infinity"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_refused_data(kind, x, y, message):
    with pytest.raises(ValueError, match=message):
        kind(**QUICK).fit(x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "elman"}, "cell: expected one of lstm, gru, rnn"),
        ({"optimizer": "lbfgs"}, "optimizer: expected one of"),
        ({"pooling": "max"}, "pooling: expected one of last, mean"),
        ({"network_options": {"merge": "sum"}}, 'pooling: expected "mean" with merge'),
        ({"network_options": {"seed": 3}}, "network_options: expected options without seed"),
        ({"epochs": 0}, "epochs: expected"),
        ({"hidden_size": 0}, "hidden_size: expected"),
        ({"learning_rate": -1.0}, "learning_rate: expected"),
        ({"dtype": "int32"}, "dtype"),
        ({"standardize": "yes"}, "standardize: expected"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_refused_parameters(kind, options, message):
    x = ragged()
    with pytest.raises((ValueError, TypeError), match=message):
        kind(**QUICK | options).fit(x, targets_of(kind, x))


@pytest.mark.parametrize("kind", BOTH)
def test_a_call_that_fails_leaves_the_estimator_as_it_was(kind):
    x = ragged()
    y = targets_of(kind, x)
    model = kind(**QUICK)
    for bad in ({"epochs": 0}, {"cell": "elman"}):
        with pytest.raises(ValueError, match="expected"):
            model.set_params(**bad).fit(x, y)
        with pytest.raises(NotFittedError):
            model.predict(x)
        model.set_params(**QUICK, cell="lstm")
    before = model.fit(x, y).predict(x)
    other = np.random.default_rng(0).standard_normal((24, 3))
    with pytest.raises(ValueError, match="patience: expected"):
        model.set_params(early_stopping=True, patience=0).fit(other, y)
    assert model.predict(x).tolist() == before.tolist()


def test_columns_of_labels_warn():
    x, y = ragged(), labels_of(ragged())
    with pytest.warns(DataConversionWarning, match="column-vector"):
        fr.RNNClassifier(**QUICK).fit(x, y[:, None])


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "num_layers": 2, "dropout": 0.3},
        {"cell": "rnn", "hidden_size": (6, 4), "pooling": "mean"},
        {"network_options": {"layer_norm": True, "merge": "sum"}, "pooling": "mean"},
        {"optimizer": "rmsprop", "clip_norm": None, "standardize": False, "bidirectional": False},
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_options_are_used_and_the_same_seed_gives_the_same_bits(kind, options):
    x = ragged()
    y = targets_of(kind, x)
    first, second = (kind(**QUICK | options).fit(x, y) for _ in range(2))
    vector = first.model_.parameter_vector
    testing.assert_same_bits(vector, second.model_.parameter_vector, "parameters")
    plain = kind(**QUICK).fit(x, y).model_.parameter_vector
    assert vector.shape != plain.shape or not np.allclose(vector, plain)
    other = kind(**QUICK | options | {"random_state": 1}).fit(x, y)
    assert not np.allclose(vector, other.model_.parameter_vector)
