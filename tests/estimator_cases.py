"""Small data and parameters for the tests of estimators."""

import numpy as np

import fastrnn as fr

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
