"""Estimators: scikit-learn's checks, forms of X and y, weights, and going on."""

import io
import pickle
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastrnn as fr
from fastrnn import testing

SMALL = {"hidden_size": 8, "epochs": 50, "learning_rate": 0.02}
QUICK = {"hidden_size": 4, "epochs": 2, "random_state": 0}
EXACT = {"hidden_size": 4, "epochs": 8, "batch_size": 1000, "dtype": "float64", "random_state": 0}
BOTH = [fr.RNNClassifier, fr.RNNRegressor]


def ragged(count=24, features=2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, features)).astype(dtype) for n in rng.integers(3, 9, count)]


def labels_of(x):
    return np.array(["falls" if row[:, 0].mean() < 0 else "rises" for row in x])


def numbers_of(x):
    return np.array([1000 + 50 * row[:, 0].mean() for row in x])


def targets_of(kind, x):
    return labels_of(x) if kind is fr.RNNClassifier else numbers_of(x)


# scikit-learn casts labels that are NaN to integers on the way to its own error
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks([fr.RNNClassifier(**SMALL), fr.RNNRegressor(**SMALL)])
def test_what_scikit_learn_expects(estimator, check):
    check(estimator)


# ---- learning ----


def test_japanese_vowels_with_default_parameters(capfd):
    data = fr.datasets.japanese_vowels()
    names = np.array(data.class_names)
    model = fr.RNNClassifier(random_state=0).fit(data.train_x, names[data.train_y])
    assert model.score(data.test_x, names[data.test_y]) > 0.95
    assert model.model_.dtype == np.float32
    assert capfd.readouterr() == ("", "")


def test_regression_in_the_units_of_the_targets():
    x = ragged(80)
    y = numbers_of(x)
    model = fr.RNNRegressor(**SMALL, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.9
    assert abs(model.predict(x).mean() - y.mean()) < 5
    whole = fr.predict(model.model_, x)[:, 0]
    np.testing.assert_allclose(whole, model.predict(x), rtol=1e-12)


def test_several_targets():
    x = ragged(60)
    y = np.stack([[row[:, 0].mean(), 100 * row[:, 1].mean()] for row in x])
    model = fr.RNNRegressor(**SMALL, random_state=0).fit(x, y)
    assert model.predict(x).shape == (60, 2)
    assert model.score(x, y) > 0.8


# ---- forms of X and y ----


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


# ---- weights ----


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("per_step", [False, True])
def test_weight_k_is_k_equal_sequences(kind, per_step):
    x = ragged(10)
    y = targets_of(kind, x)
    if per_step:
        y = [np.repeat(label, len(row)) for label, row in zip(y, x, strict=True)]
    weights = np.array([2, 0, 1, 3, 1, 0, 1, 1, 2, 1])
    chosen = np.repeat(np.arange(10), weights)
    repeated = kind(**EXACT).fit([x[n] for n in chosen], [y[n] for n in chosen])
    weighted = kind(**EXACT).fit(x, y, sample_weight=weights)
    plain = kind(**EXACT).fit(x, y)
    outputs = [fr.predict(model.model_, x) for model in (repeated, weighted, plain)]
    first, second, unweighted = (np.concatenate(list(rows)) for rows in outputs)
    np.testing.assert_allclose(first, second, rtol=1e-9)
    assert not np.allclose(first, unweighted, rtol=1e-4)
    score = weighted.score(x, y, sample_weight=weights)
    assert score == pytest.approx(weighted.score([x[n] for n in chosen], [y[n] for n in chosen]))


def test_class_weight_k_is_k_equal_sequences_of_the_class():
    x, options = ragged(13), EXACT | {"standardize": False}
    y = labels_of(x)
    chosen = np.repeat(np.arange(13), np.where(y == "falls", 3, 1))
    weighted = fr.RNNClassifier(**options, class_weight={"falls": 3}).fit(x, y)
    repeated = fr.RNNClassifier(**options).fit([x[n] for n in chosen], y[chosen])
    np.testing.assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), rtol=1e-9)
    count = (y == "falls").sum()
    balanced = fr.RNNClassifier(**options, class_weight="balanced").fit(x, y)
    by_hand = {"falls": 13 / (2 * count), "rises": 13 / (2 * (13 - count))}
    given = fr.RNNClassifier(**options, class_weight=by_hand).fit(x, y)
    assert balanced.predict_proba(x).tolist() == given.predict_proba(x).tolist()
    steps = [np.repeat(label, len(row)) for label, row in zip(y, x, strict=True)]
    weighted = fr.RNNClassifier(**options, class_weight={"falls": 3}).fit(x, steps)
    plain = fr.RNNClassifier(**options).fit(x, steps, sample_weight=np.where(y == "falls", 3, 1))
    np.testing.assert_allclose(weighted.predict_proba(x)[0], plain.predict_proba(x)[0], rtol=1e-9)


@pytest.mark.parametrize("weight", ["heavy", {"falls": -1.0}, {"falls": 0, "rises": 0}])
def test_refused_class_weights(weight):
    x = ragged()
    with pytest.raises(ValueError, match="class_weight: expected"):
        fr.RNNClassifier(**QUICK, class_weight=weight).fit(x, labels_of(x))


# ---- going on ----


@pytest.mark.parametrize("kind", BOTH)
def test_partial_fit_learns_and_goes_on_from_a_pickle(kind):
    x = ragged(60)
    y = targets_of(kind, x)
    more = {"classes": ["falls", "rises"]} if kind is fr.RNNClassifier else {}
    options = {"hidden_size": 8, "learning_rate": 0.02, "random_state": 0, "dropout": 0.1}
    model = kind(**options)
    for epoch in range(40):
        if epoch == 20:
            halfway = pickle.dumps(model)
        model.partial_fit(x, y, **more if epoch == 0 else {})
    assert model.score(x, y) > 0.9
    assert len(model.history_.epochs) == 40
    assert model.optimizer_.steps == 80
    copy = pickle.loads(halfway)
    for _ in range(20):
        copy.partial_fit(x, y)
    vectors = [each.model_.parameter_vector for each in (copy, model)]
    testing.assert_same_bits(*vectors, "parameters")


def test_partial_fit_of_classes():
    x, model = ragged(), fr.RNNClassifier(**QUICK)
    y = labels_of(x)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(x, y)
    model.partial_fit(x[:2], ["falls"] * 2, classes=["rises", "stays", "falls"])
    assert model.classes_.tolist() == ["falls", "rises", "stays"]
    assert model.predict_proba(x).shape == (24, 3)
    with pytest.raises(ValueError, match="y: expected one of the classes .* got .*'jumps'"):
        model.partial_fit(x[:1], ["jumps"])
    with pytest.raises(ValueError, match="classes: expected those of the first call"):
        model.partial_fit(x, y, classes=["falls", "rises"])
    with pytest.raises(ValueError, match="y: expected a target per sequence as in the first call"):
        model.partial_fit(x, [np.repeat("falls", len(row)) for row in x])
    with pytest.raises(ValueError, match="class_weight: expected a dict or None for partial_fit"):
        model.set_params(class_weight="balanced").partial_fit(x, y)


def test_warm_start_goes_on_and_fit_begins_anew():
    x = ragged()
    y = numbers_of(x)
    model = fr.RNNRegressor(**QUICK, warm_start=True).fit(x, y)
    first = model.model_.parameter_vector.copy()
    assert model.fit(x, y).optimizer_.steps == 4
    assert not np.allclose(model.model_.parameter_vector, first)
    model.set_params(warm_start=False).fit(x, y)
    testing.assert_same_bits(model.model_.parameter_vector, first, "parameters")


@pytest.mark.parametrize("kind", BOTH)
def test_early_stopping(kind):
    x = ragged(40)
    y = targets_of(kind, x)
    options = {"epochs": 200, "early_stopping": True, "patience": 3, "learning_rate": 0.05}
    model = kind(**QUICK | options).fit(x, y)
    losses = model.history_.values("validation_loss")
    assert model.history_.stopped_early
    assert len(losses) < 200
    assert model.history_.best_epoch == np.argmin(losses)


# ---- the tools of scikit-learn ----


@pytest.mark.parametrize("kind", BOTH)
def test_pipelines_clones_and_feature_names(kind):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(np.random.default_rng(0).standard_normal((20, 4)), columns=[*"abcd"])
    y = targets_of(kind, table.to_numpy()[:, :, None])
    model = kind(**QUICK)
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), model)
    pipeline.fit(table, y)
    assert pipeline.predict(table).shape == (20,)
    assert model.feature_names_in_.tolist() == [*"abcd"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[[*"dcba"]])
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "model_")
    model.fit(ragged(20), y)
    assert not hasattr(model, "feature_names_in_")


SEARCH = """
import numpy as np, fastrnn as fr
from sklearn.model_selection import GridSearchCV
rng = np.random.default_rng(0)
X = [rng.standard_normal((n, 2)) for n in rng.integers(3, 9, 24)]
y = np.array([row[:, 0].mean() < 0 for row in X])
def threads(model, X, y): return fr.get_num_threads()
grid = {"hidden_size": [2, 4]}
options = {"cv": 2, "n_jobs": 2, "refit": False}
search = GridSearchCV(fr.RNNClassifier(epochs=1), grid, scoring=threads, **options).fit(X, y)
print(search.cv_results_["mean_test_score"].max(), fr.get_num_threads())
"""


def test_workers_share_the_processors(monkeypatch):
    for variable in ("FASTRNN_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    result = subprocess.run(
        [sys.executable, "-c", SEARCH], capture_output=True, text=True, check=True
    )
    most, own = result.stdout.split()
    assert float(most) == max(int(own) // 2, 1)
    assert result.stderr == ""


@pytest.mark.parametrize("kind", BOTH)
def test_grid_search_in_two_processes(kind):
    x = ragged()
    y = targets_of(kind, x)
    grid = {"hidden_size": [2, 4], "cell": ["gru", "rnn"]}
    searches = [
        GridSearchCV(kind(**QUICK), grid, cv=2, n_jobs=jobs, error_score="raise").fit(x, y)
        for jobs in (1, 2)
    ]
    one, two = (search.cv_results_["mean_test_score"].tolist() for search in searches)
    assert one == two
    assert searches[0].predict(x).tolist() == searches[1].predict(x).tolist()


def test_a_pickle_predicts_the_same_bits_in_another_process(tmp_path):
    x = ragged()
    model = fr.RNNClassifier(**QUICK).fit(x, labels_of(x))
    (tmp_path / "both").write_bytes(pickle.dumps((model, x, model.predict_proba(x))))
    code = "import pickle, sys; m, x, p = pickle.load(open(sys.argv[1], 'rb'))\n"
    code += "print((m.predict_proba(x) == p).all(), m.predict(x)[0])"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "both")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["True", model.predict(x)[0]]


def blocks_of_the_page():
    page = Path(__file__).parent.parent / "docs" / "estimators.md"
    return [part.split("```")[0] for part in page.read_text().split("```python\n")[1:]]


@pytest.fixture
def ran_page(tmp_path, monkeypatch):
    """The names that the blocks before the last one of docs/estimators.md leave."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    with redirect_stdout(io.StringIO()) as printed:
        for block in blocks_of_the_page()[:-1]:
            exec(block.replace("epochs=40", "epochs=10"), names)  # shown whole, run short
    return names | {"printed": printed.getvalue().splitlines()}


def test_the_page_runs(ran_page):
    accuracy, r_squared, step, search = ran_page["printed"]
    assert float(accuracy) > 0.9
    assert float(r_squared) > 0.9
    streamed, predicted = step.split(" ", 1)
    assert float(streamed.strip("[]")) == pytest.approx(float(predicted))
    assert set(ran_page["search"].best_params_) == {"cell", "learning_rate"}
    assert "learning_rate" in search


@pytest.mark.slow
def test_the_search_of_the_page_over_two_dask_workers(ran_page):
    pytest.importorskip("distributed")
    alone = ran_page["search"]
    exec(blocks_of_the_page()[-1], ran_page)
    search = ran_page["search"]
    assert search is not alone
    for name in ("mean_test_score", "std_test_score"):
        assert search.cv_results_[name].tolist() == alone.cv_results_[name].tolist()
    x = ran_page["data"].test_x
    vectors = [each.best_estimator_.model_.parameter_vector for each in (search, alone)]
    testing.assert_same_bits(*vectors, "parameters")
    assert search.predict(x).tolist() == alone.predict(x).tolist()


def test_without_scikit_learn_the_rest_works():
    code = """
import sys
sys.modules["sklearn"] = None
import fastrnn as fr
from fastrnn import *
print("RNNClassifier" in dir(fr), "RNNClassifier" in globals())
try:
    fr.RNNClassifier
except ImportError as error:
    print(error)
try:
    fr.RNNClusterer
except AttributeError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [
        "True False",
        "fastrnn's estimators need scikit-learn 1.6 or later: pip install 'fastrnn[sklearn]'",
        "module 'fastrnn' has no attribute 'RNNClusterer'",
    ]
