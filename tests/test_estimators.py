"""Estimators: scikit-learn's checks, learning, weights, and going on."""

import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import fastrnn as fr
from estimator_cases import BOTH, EXACT, QUICK, SMALL, labels_of, numbers_of, ragged, targets_of
from fastrnn import testing


# scikit-learn casts labels that are NaN to integers on the way to its own error
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks([fr.RNNClassifier(**SMALL), fr.RNNRegressor(**SMALL)])
def test_what_scikit_learn_expects(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("kind", BOTH)
def test_what_scikit_learn_expects_with_default_parameters(kind):
    results = check_estimator(kind(), on_skip=None)
    assert len(results) > 55
    assert sum(result["status"] == "passed" for result in results) >= len(results) - 1


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


def test_sample_and_class_weights_are_multiplied():
    x = ragged(13)
    y, weights = labels_of(x), np.array([2, 0, 1, 3, 1, 0, 1, 1, 2, 1, 1, 2, 1])
    chosen = np.repeat(np.arange(13), weights)
    for rule in ({"falls": 3.0}, "balanced"):
        weighted = fr.RNNClassifier(**EXACT, class_weight=rule).fit(x, y, sample_weight=weights)
        repeated = fr.RNNClassifier(**EXACT, class_weight=rule)
        repeated.fit([x[n] for n in chosen], y[chosen])
        np.testing.assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), rtol=1e-9)


@pytest.mark.parametrize("kind", BOTH)
def test_sequences_of_weight_zero_are_left_out_of_batches(kind):
    x, options = ragged(20), QUICK | {"batch_size": 4}
    y = targets_of(kind, x)
    kept = np.arange(20) % 3 > 0
    weighted = kind(**options).fit(x, y, sample_weight=kept)
    alone = kind(**options).fit([x[n] for n in np.flatnonzero(kept)], y[kept])
    assert weighted.optimizer_.steps == alone.optimizer_.steps == 8
    vectors = [model.model_.parameter_vector for model in (weighted, alone)]
    np.testing.assert_allclose(*vectors, rtol=1e-9)


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


def test_the_held_out_part_has_the_same_share_of_each_class():
    x = ragged()
    model = fr.RNNClassifier(**QUICK, early_stopping=True, validation_fraction=0.5)
    with pytest.raises(ValueError, match="least populated class"):
        model.fit(x, ["rare"] + ["common"] * 23)
    model.fit(x, ["rare"] * 2 + ["common"] * 22)
    assert len(model.history_.values("validation_accuracy")) == 2
