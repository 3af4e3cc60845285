"""Estimators in the tools of scikit-learn, in other processes, and without scikit-learn."""

import io
import pickle
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastrnn as fr
from estimator_cases import BOTH, QUICK, labels_of, ragged, targets_of
from fastrnn import testing


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
