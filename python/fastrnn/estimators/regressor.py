"""Numbers from sequences."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, check_consistent_length

from fastrnn.composition import Sequential
from fastrnn.estimators.base import RecurrentEstimator
from fastrnn.estimators.inputs import Sequences, like_steps, per_step_targets, steps_of
from fastrnn.models import with_units
from fastrnn.protocol import Layer
from fastrnn.standardize import mean_and_scale


class RNNRegressor(RegressorMixin, RecurrentEstimator):
    """Recurrent network that predicts numbers, with scikit-learn's conventions.

    X is a table (n, T), whose rows are univariate series of T steps; an array (n, T, F); or a list
    of arrays (T_n, F) or (T_n,) of different lengths. y is (n,) or (n, k); for a target at every
    step (n, T, k), or a list of arrays (T_n,) or (T_n, k): then predictions have that form. Targets
    are scaled to mean 0 and standard deviation 1 for training; predictions have their units.

    Sequences of weight k count as k equal ones in the mean of a batch's losses and in means and
    standard deviations; those of weight 0 are left out. The same `random_state` gives the same
    bits.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}, default "lstm"
    hidden_size : int or sequence of int, default 64
        One for each layer, or one for all.
    num_layers : int or None, default None
        None: as many as `hidden_size` has, else 1.
    bidirectional : bool, default True
        Read sequences in both directions. A model for `fastrnn.Stream` needs False.
    dropout : float, default 0.0
        On the outputs of every recurrent layer, in training.
    pooling : {"last", "mean"}, default "last"
        Whether the final state or the mean of all steps' outputs enters the last layer; of no
        meaning where there is a target at every step.
    network_options : dict or None, default None
        More options of `LSTM`, `GRU` or `RNN`, such as ``{"layer_norm": True}``.
    standardize : bool, default True
        Scale each feature of X to mean 0 and standard deviation 1, by the data of the first call.
    epochs : int, default 100
    batch_size : int, default 32
    optimizer : {"adam", "adamw", "rmsprop", "sgd"}, default "adam"
    learning_rate : float, default 3e-3
    clip_norm : float or None, default 1.0
        Largest norm of the gradients of all parameters together.
    early_stopping : bool, default False
        Hold out a part of the data, and end when its loss has not fallen for `patience` epochs,
        with the parameters of the best epoch.
    validation_fraction : float, default 0.1
        That part.
    patience : int, default 10
    warm_start : bool, default False
        `fit` goes on from the parameters and the optimizer that an earlier call has left.
    dtype : {"float32", "float64"} or None, default None
        Of the network; None: float32 if X is, else float64. float32 trains faster.
    random_state : int, RandomState instance or None, default None
        Of initial values, order of batches, dropout and the held out part.
    verbose : bool, default False
        One line on standard error, where that is a terminal.

    Attributes
    ----------
    model_ : layer
        For `fastrnn.save`, ...; its outputs (N, k), or (N, T, k), have the units of y.
    history_ : History
        What training showed; losses are those of scaled targets.
    optimizer_ : optimizer
    n_features_in_ : int
        T of a table, else F.
    feature_names_in_ : ndarray of str, (T,)
        Where X was a table with names.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((rng.integers(5, 15), 2)) for _ in range(100)]
    >>> y = np.array([10 * x[:, 0].mean() for x in X])
    >>> model = fr.RNNRegressor(hidden_size=16, learning_rate=0.01, random_state=0).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    >>> model.score(X, y) > 0.9
    True
    """

    _mean: NDArray[np.float64]
    _scale: NDArray[np.float64]
    _columns: int  # axes of y behind n, or n and T

    _loss = "mean_squared_error"

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on this part of the data; the optimizer's state is kept.

        The first call fixes what X and y are scaled by.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        return self._go_on(X, y, sample_weight)

    def predict(self, X: Any) -> Any:
        """Return predictions in the form and the units of y.

        Parameters
        ----------
        X : array-like (n, T) or (n, T, F), or a list of arrays (T_n, F) or (T_n,)

        Returns
        -------
        ndarray of float64 (n,), (n, k), (n, T) or (n, T, k), or a list of arrays
        """
        x, rows = self._predicted(X)
        return like_steps(x, rows) if self._network.keeps_time else rows

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R^2, over all steps where they have targets.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        x, rows = self._predicted(X)
        wanted, _, _ = self._rows(x, y)
        return float(r2_score(wanted, rows, sample_weight=self._score_weights(x, sample_weight)))

    def _predicted(self, X: Any) -> tuple[Sequences, NDArray[np.float64]]:
        x, rows = self._outputs(X)
        rows = rows * self._scale + self._mean
        return x, rows if self._columns else rows[:, 0]

    def _rows(self, x: Sequences, y: Any) -> tuple[NDArray[np.float64], int, bool]:
        """Return targets (n, k) or (sum of T_n, k), axes behind those, and whether per step."""
        listed = per_step_targets(x, y)
        if listed is not None:
            y = np.concatenate(listed)
        y = check_array(
            y, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name="y", estimator=self
        )
        per_step = listed is not None or y.ndim == 3
        if listed is None:
            check_consistent_length(x, y)
            if per_step:
                if not isinstance(x, np.ndarray) or y.shape[1] != x.shape[1]:
                    raise ValueError(f"y: expected as many steps as X has, got shape {y.shape}")
                y = y.reshape(-1, y.shape[2])
        if y.ndim not in (1, 2):
            raise ValueError(f"y: expected shape (n,), (n, k) or (n, T, k), got {y.shape}")
        return y.reshape(len(y), -1), y.ndim - 1, per_step

    def _prepared(
        self, x: Sequences, y: Any, weights: NDArray[np.float64] | None, *, reset: bool
    ) -> tuple[Any, Any, int]:
        rows, columns, per_step = self._rows(x, y)
        mask = weights
        if weights is not None and per_step:
            mask = np.repeat(weights, steps_of(x))
        if reset:
            counted = slice(None) if mask is None else np.flatnonzero(mask)
            self._mean, self._scale = mean_and_scale(
                rows[counted], None if mask is None else mask[counted]
            )
            self._columns = columns
        elif columns != self._columns or rows.shape[1] != self._mean.size:
            raise ValueError(
                f"y: expected {self._mean.size} numbers per target as in the first call, "
                f"got {rows.shape[1]}"
            )
        rows = (rows - self._mean) / self._scale
        if not per_step:
            return rows, mask, rows.shape[1]
        return like_steps(x, rows), None if mask is None else like_steps(x, mask), rows.shape[1]

    def _model_of(self, network: Layer) -> Sequential:
        return with_units(network, self._mean, self._scale)

    @property
    def _network(self) -> Layer:
        model: Sequential = self.model_
        return model.layers[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.three_d_array = True
        return tags
