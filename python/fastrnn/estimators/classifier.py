"""Classes of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from fastrnn.data import Dataset
from fastrnn.estimators.base import RecurrentEstimator
from fastrnn.estimators.inputs import Sequences, like_steps, per_step_targets, steps_of
from fastrnn.losses import softmax


class RNNClassifier(ClassifierMixin, RecurrentEstimator):
    """Recurrent network that tells classes, with scikit-learn's conventions.

    X is a table (n, T), whose rows are univariate series of T steps; an array (n, T, F); or a list
    of arrays (T_n, F) or (T_n,) of different lengths. y holds labels, numbers or strings: (n,), or
    for a label at every step (n, T) or a list of arrays (T_n,): then predictions have that form.

    Weights of sequences and classes are multiplied. Weight k counts as k equal sequences in the
    mean of a batch's losses (and that of sequences in means and standard deviations); sequences of
    weight 0 are left out. The same `random_state` gives the same bits.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default None
        Weight of each label, 1 where it has none; "balanced": n / (classes * n of the class).
    cell, hidden_size, num_layers, bidirectional, dropout, pooling, network_options, standardize
        The network: see `RNNRegressor`.
    epochs, batch_size, optimizer, learning_rate, clip_norm
        Training: see `RNNRegressor`.
    early_stopping, validation_fraction, patience
        See `RNNRegressor`; classes have the same share of both parts.
    warm_start, dtype, random_state, verbose
        See `RNNRegressor`.

    Attributes
    ----------
    classes_ : ndarray, (C,)
        The labels, sorted.
    model_ : layer
        For `fastrnn.save`, ...; its outputs (N, C), or (N, T, C), are scores before the softmax.
    history_, optimizer_, n_features_in_, feature_names_in_
        See `RNNRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((rng.integers(5, 15), 2)) for _ in range(100)]
    >>> y = np.array(["falls" if x[-1, 0] < x[0, 0] else "rises" for x in X])
    >>> model = fr.RNNClassifier(hidden_size=16, learning_rate=0.01, random_state=0).fit(X, y)
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    >>> model.score(X, y) > 0.9
    True
    """

    classes_: NDArray[Any]
    _given_classes: NDArray[Any] | None = None
    _loss = "softmax_cross_entropy"

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden_size: int | Sequence[int] = 64,
        num_layers: int | None = None,
        bidirectional: bool = True,
        dropout: float = 0.0,
        pooling: str = "last",
        network_options: dict[str, Any] | None = None,
        standardize: bool = True,
        epochs: int = 100,
        batch_size: int = 32,
        optimizer: str = "adam",
        learning_rate: float = 3e-3,
        clip_norm: float | None = 1.0,
        class_weight: Mapping[Any, float] | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        dtype: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            cell=cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            pooling=pooling,
            network_options=network_options,
            standardize=standardize,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            clip_norm=clip_norm,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            warm_start=warm_start,
            dtype=dtype,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on this part of the data; the optimizer's state is kept.

        The first call fixes what X is scaled by.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like (C,), or None
            All labels that will come; needed in the first call alone.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the first call has no `classes`, later ones have others, or ``class_weight`` is
            "balanced", which needs all data.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight: expected a dict or None for partial_fit, got {self.class_weight!r}"
            )
        if hasattr(self, "model_"):
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError("classes: expected those of the first call, got others")
            return self._go_on(X, y, sample_weight)
        if classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        self._given_classes = np.unique(classes)
        try:
            return self._go_on(X, y, sample_weight)
        finally:
            del self._given_classes

    def decision_function(self, X: Any) -> Any:
        """Return scores before the softmax; of two classes, that of the second above the first.

        Parameters
        ----------
        X : array-like (n, T) or (n, T, F), or a list of arrays (T_n, F) or (T_n,)

        Returns
        -------
        ndarray of float64 (n, C), for two classes (n,); per step (n, T, C) or a list of arrays
        """
        x, scores = self._outputs(X)
        if scores.shape[1] == 2:
            scores = scores[:, 1] - scores[:, 0]
        return self._formed(x, scores)

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like (n, T) or (n, T, F), or a list of arrays (T_n, F) or (T_n,)

        Returns
        -------
        ndarray of float64 (n, C); per step (n, T, C) or a list of arrays (T_n, C)
        """
        x, scores = self._outputs(X)
        return self._formed(x, softmax(scores))

    def predict(self, X: Any) -> Any:
        """Return labels.

        Parameters
        ----------
        X : array-like (n, T) or (n, T, F), or a list of arrays (T_n, F) or (T_n,)

        Returns
        -------
        ndarray (n,); per step (n, T) or a list of arrays (T_n,)
        """
        x, scores = self._outputs(X)
        return self._formed(x, self.classes_[scores.argmax(axis=1)])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of right labels, of all steps where they have labels.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        x, scores = self._outputs(X)
        found = self.classes_[scores.argmax(axis=1)]
        wanted, _ = self._labels(x, y)
        return float(
            accuracy_score(wanted, found, sample_weight=self._score_weights(x, sample_weight))
        )

    def _formed(self, x: Sequences, rows: NDArray[Any]) -> Any:
        return like_steps(x, rows) if self._network.keeps_time else rows

    def _labels(self, x: Sequences, y: Any) -> tuple[NDArray[Any], bool]:
        """Return labels (n,) or (sum of T_n,), and whether they are per step."""
        listed = per_step_targets(x, y)
        if listed is None:
            rows = np.asarray(y)
            if rows.ndim == 2 and rows.shape[1] > 1:
                listed = per_step_targets(x, list(rows))
        if listed is not None:
            labels = np.concatenate(listed)
        else:
            labels = column_or_1d(y, warn=True)
            check_consistent_length(x, labels)
        check_classification_targets(labels)
        return labels, listed is not None

    def _prepared(
        self, x: Sequences, y: Any, weights: NDArray[np.float64] | None, *, reset: bool
    ) -> tuple[Any, Any, int]:
        labels, per_step = self._labels(x, y)
        if reset:
            given = self._given_classes
            self.classes_ = np.unique(labels) if given is None else given
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        unknown = np.flatnonzero(self.classes_[codes] != labels)
        if unknown.size:
            raise ValueError(
                f"y: expected one of the classes {self.classes_.tolist()}, "
                f"got {labels[unknown[0]]!r}"
            )
        mask = weights
        if weights is not None and per_step:
            mask = np.repeat(weights, steps_of(x))
        if self.class_weight is not None:
            factors = _class_weights(self.class_weight, self.classes_, codes, mask)
            mask = factors[codes] if mask is None else mask * factors[codes]
            if not mask.any():
                raise ValueError("class_weight: expected a weight above zero, got only zeros")
        codes = codes.astype(np.int64)
        if per_step:
            codes = like_steps(x, codes)
            mask = None if mask is None else like_steps(x, mask)
        return codes, mask, len(self.classes_)

    def _strata(self, data: Dataset) -> Any:
        return None if data.per_step else data.y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _class_weights(
    given: Any, classes: NDArray[Any], codes: NDArray[Any], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return one weight for each class, (C,)."""
    if isinstance(given, Mapping):
        factors = np.array([given.get(label, 1.0) for label in classes.tolist()], np.float64)
        if not np.all((factors >= 0) & (factors < np.inf)):
            raise ValueError("class_weight: expected finite numbers of at least 0, got others")
        return factors
    if given != "balanced":
        raise ValueError(f'class_weight: expected a dict, "balanced" or None, got {given!r}')
    counts = np.bincount(codes, weights, minlength=len(classes)).astype(np.float64)
    present = counts > 0
    factors = np.zeros(len(classes))
    factors[present] = counts.sum() / (present.sum() * counts[present])
    return factors
