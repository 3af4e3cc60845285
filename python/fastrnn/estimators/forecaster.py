"""The forecaster with scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastrnn.estimators.frames import Likeness, column_names, numbers
from fastrnn.forecasting import Forecaster, ForecastOptions, TrainingOptions
from fastrnn.forecasting.series import is_panel
from fastrnn.training import History


class RNNForecaster(BaseEstimator):
    """Forecasts series by a recurrent network; `fastrnn.forecasting` holds what it is made of.

    The series comes first, ``fit(y, X=None)``, as in sktime and darts: it is what is forecast, X
    is what helps. scikit-learn's tools hand over what they are given by position, so that
    ``GridSearchCV(RNNForecaster(), grid, cv=TimeSeriesSplit()).fit(y)``, or ``.fit(y, X)``, work:
    each split is scored by forecasts of what follows the training part. They number their own
    arguments X and y; pass them without names. `check_estimator` is not for forecasters: it
    predicts rows, not times.

    Parameters
    ----------
    window : int, default 32
        L: the network sees the last L observations.
    horizon : int, default 1
        H: how many steps ahead are forecast.
    strategy : {"direct", "recursive"}, default "direct"
        H outputs, or one output that is the next input.
    quantiles : sequence of float or None, default None
        Quantiles to forecast, 0.5 among them, such as (0.1, 0.5, 0.9). Only with "direct".
    difference : int or None, default None
        Learn changes over so many steps: 1 for series that drift, the season for seasonal ones.
    future_columns : "all", None, or sequence of names or positions, default "all"
        The columns of X that are known for the steps to be forecast too, and have to be given to
        `predict`; the other ones are seen up to the present only.
    cell : {"lstm", "gru", "rnn"}, default "gru"
    hidden_size : int or sequence of int, default 32
    num_layers : int or None, default None
    dropout : float, default 0.0
        Between layers and before the output.
    loss : {"mean_squared_error", "mean_absolute_error", "huber"}, default "mean_squared_error"
        Without `quantiles`.
    every_step : bool, default True
        Train on the forecasts from every step of a window, not from the last one alone.
    epochs : int, default 50
    batch_size : int, default 32
    learning_rate : float, default 0.01
        Of Adam at the beginning; it falls to 0 along a cosine.
    clip_norm : float or None, default 1.0
    stride : int or None, default None
        Steps from one training window to the next; None: 1, more for long series.
    early_stopping : bool, default False
        Hold out the series' ends, and end when forecasts of them get no better.
    validation_fraction : float, default 0.1
        What is held out then.
    patience : int, default 10
        Epochs without getting better.
    random_state : int, RandomState or None, default None
        With the same integer, forecasts are the same bits.
    verbose : bool, default False
        A line of progress on a terminal.

    Attributes
    ----------
    forecaster_ : fastrnn.forecasting.Forecaster
        ``forecaster_.save(path)`` writes it to one file.
    history_ : History

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> y = np.sin(np.arange(300) * 0.3)
    >>> forecaster = fr.RNNForecaster(window=20, horizon=5, epochs=20, random_state=0)
    >>> forecast = forecaster.fit(y[:280]).predict()
    >>> forecast.shape, bool(np.abs(forecast - y[280:285]).max() < 0.1)
    ((5,), True)
    """

    forecaster_: Forecaster
    history_: History

    def __init__(
        self,
        window: int = 32,
        horizon: int = 1,
        *,
        strategy: str = "direct",
        quantiles: Sequence[float] | None = None,
        difference: int | None = None,
        future_columns: Any = "all",
        cell: str = "gru",
        hidden_size: int | Sequence[int] = 32,
        num_layers: int | None = None,
        dropout: float = 0.0,
        loss: str = "mean_squared_error",
        every_step: bool = True,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        clip_norm: float | None = 1.0,
        stride: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.window = window
        self.horizon = horizon
        self.strategy = strategy
        self.quantiles = quantiles
        self.difference = difference
        self.future_columns = future_columns
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.loss = loss
        self.every_step = every_step
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.stride = stride
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, y: Any, X: Any = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        y : array-like (T,) or (T, F), pandas or polars Series or DataFrame, or a list of them
            Observations, with NaN where there is none; F > 1: several targets. A list: several
            series, with one network for all. A column of times of a polars frame is no target.
        X : the same, or None
            Covariates of the same times, without gaps; see `future_columns`.

        Returns
        -------
        RNNForecaster
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is not as described; nothing is trained then.
        """
        forecaster = Forecaster(
            ForecastOptions(
                self.window, self.horizon, self.strategy,
                None if self.quantiles is None else tuple(self.quantiles),
                self.difference, self.cell,
                self.hidden_size if np.ndim(self.hidden_size) == 0 else tuple(self.hidden_size),  # type: ignore[arg-type]
                self.num_layers, self.dropout, self.loss, self.every_step,
            )
        )  # fmt: skip
        held_out = self.early_stopping
        training = TrainingOptions(
            self.epochs, self.batch_size, self.learning_rate, self.clip_norm, self.stride,
            validation_fraction=self.validation_fraction if held_out else 0.0,
            patience=self.patience if held_out else None,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            progress=self.verbose,
        )  # fmt: skip
        columns = _Columns.of(X, self.future_columns)
        likenesses = [Likeness.of(part) for part in (y if is_panel(y) else [y])]
        self.history_ = forecaster.fit(_arrays("y", y), **columns.split(X), training=training)
        self.forecaster_, self._columns, self._likenesses = forecaster, columns, likenesses
        return self

    def predict(self, horizon: int | None = None, X: Any = None) -> Any:
        """Forecast the steps after the last observation.

        Parameters
        ----------
        horizon : int or None, default None
            Steps; None: the parameter `horizon`, which "direct" forecasts do not exceed.
        X : covariates of these steps, or None
            Of all columns or of the `future_columns` alone; ("direct": of the parameter
            `horizon` steps).

        Returns
        -------
        ndarray (horizon,) or (horizon, F), Series or DataFrame like y, or a list of them
            Medians where there are `quantiles`. The index, or column of times, goes on where it
            was regular; else an index of pandas counts the steps, and there is no column of times.
        """
        check_is_fitted(self)
        found = self.forecaster_.forecast(horizon, future_covariates=self._columns.future(X))
        if not is_panel(found):
            return self._likenesses[0].forecast(found)
        return [like.forecast(part) for like, part in zip(self._likenesses, found, strict=True)]

    def predict_quantiles(self, horizon: int | None = None, X: Any = None) -> Any:
        """Forecast the parameter `quantiles` of the steps after the last observation.

        Parameters
        ----------
        horizon, X
            As for `predict`.

        Returns
        -------
        ndarray, (horizon, Q) or (horizon, F, Q), or a list of them
            Ascending along the last axis.
        """
        check_is_fitted(self)
        return self.forecaster_.forecast_quantiles(
            horizon, future_covariates=self._columns.future(X)
        )

    def predict_interval(
        self, horizon: int | None = None, X: Any = None, *, coverage: float | None = None
    ) -> Any:
        """Forecast an interval in which an observation lies with a given probability.

        Parameters
        ----------
        horizon, X
            As for `predict`.
        coverage : float or None, default None
            0.8: from quantile 0.1 to 0.9, which have to be among the parameter `quantiles`; None:
            from the first to the last of them.

        Returns
        -------
        ndarray, (horizon, 2) or (horizon, F, 2), or a list of them
            Lower and upper bounds.

        Raises
        ------
        ValueError
            If the quantiles are not there.
        """
        check_is_fitted(self)
        levels = self.forecaster_.options.quantiles
        ends = [0, -1]
        if coverage is not None and levels is not None:
            wanted = ((1 - coverage) / 2, (1 + coverage) / 2)
            ends = [int(np.argmin(np.abs(np.array(levels) - level))) for level in wanted]
            if any(abs(levels[i] - level) > 1e-9 for i, level in zip(ends, wanted, strict=True)):
                raise ValueError(
                    f"coverage: expected quantiles {wanted[0]:.6g} and {wanted[1]:.6g} for "
                    f"{coverage}, got {list(levels)}"
                )
        found = self.predict_quantiles(horizon, X)
        if is_panel(found):
            return [part[..., ends] for part in found]
        return found[..., ends]

    def update(self, y: Any, X: Any = None) -> Self:
        """Append observations that forecasts start after; nothing is trained.

        Parameters
        ----------
        y : as for `fit`
            The observations after those known so far.
        X : their covariates, or None

        Returns
        -------
        RNNForecaster
            Itself.
        """
        check_is_fitted(self)
        arrays = _arrays("y", y)
        likenesses = [
            like.after(part, len(part))
            for like, part in zip(self._likenesses, y if is_panel(y) else [y], strict=False)
        ]
        self.forecaster_.update(arrays, **self._columns.split(X))
        self._likenesses = likenesses
        return self

    def rolling_forecasts(self, y: Any, X: Any = None, *, stride: int | None = None) -> Any:
        """Forecast again and again while observations come in; nothing changes.

        Parameters
        ----------
        y : as for `fit`
            The observations after those known so far, at least `horizon`.
        X : their covariates, or None
        stride : int or None, default None
            Steps between forecasts; None: the parameter `horizon`.

        Returns
        -------
        ndarray, (K, horizon) or (K, horizon, F), or a list of them
            The k-th is the forecast after ``update(y[:k * stride])``.
        """
        check_is_fitted(self)
        return self.forecaster_.rolling_forecasts(
            _arrays("y", y), stride=stride, **self._columns.split(X)
        )

    def score(self, y: Any, X: Any = None) -> float:
        """Return minus the mean absolute scaled error of `rolling_forecasts`: more is better.

        -1 is as good as naive forecasts, of period `difference` or 1, over the training series
        one period ahead (Hyndman and Koehler 2006).

        Parameters
        ----------
        y : as for `fit`
            The observations after those known so far, at least `horizon`.
        X : their covariates, or None
        """
        check_is_fitted(self)
        return -self.forecaster_.score(_arrays("y", y), **self._columns.split(X))


def _arrays(name: str, value: Any) -> Any:
    """Return one array, or a list of arrays for a panel."""
    if is_panel(value):
        return [numbers(f"{name}[{i}]", part) for i, part in enumerate(value)]
    return numbers(name, value)


class _Columns:
    """Which columns of X are known for the future, and which up to the present only."""

    def __init__(self, names: list[Any] | None, known: list[int], seen: list[int]) -> None:
        self._names, self._known, self._seen = names, known, seen

    @classmethod
    def of(cls, X: Any, future_columns: Any) -> _Columns:
        first = X[0] if is_panel(X) else X
        if first is None:
            if not isinstance(future_columns, str) and future_columns:
                raise ValueError("future_columns: expected an X with these columns, got None")
            return cls(None, [], [])
        names = column_names(first)
        array = np.asarray(numbers("X", first))
        width = 1 if array.ndim < 2 else array.shape[1]
        if isinstance(future_columns, str):
            if future_columns != "all":
                raise ValueError(
                    f'future_columns: expected "all", None or a list, got {future_columns!r}'
                )
            known = list(range(width))
        else:
            known = [_position(column, names, width) for column in future_columns or ()]
        return cls(names, known, [i for i in range(width) if i not in known])

    def split(self, X: Any) -> dict[str, Any]:
        """Return the arguments of the core for covariates of observed steps."""
        if X is None:
            return {}
        parts = {}
        for name, columns in (("past_covariates", self._seen), ("future_covariates", self._known)):
            if columns:
                parts[name] = self._picked(X, columns, narrow=False)
        return parts

    def future(self, X: Any) -> Any:
        """Return the covariates of steps to be forecast."""
        return None if X is None else self._picked(X, self._known, narrow=True)

    def _picked(self, X: Any, columns: list[int], *, narrow: bool) -> Any:
        if is_panel(X):
            return [self._picked(part, columns, narrow=narrow) for part in X]
        names, array = column_names(X), np.asarray(numbers("X", X))
        array = array[:, None] if array.ndim == 1 else array
        if names is not None and self._names is not None:
            missing = [self._names[i] for i in columns if self._names[i] not in names]
            if missing:
                raise ValueError(f"X: expected column {missing[0]!r} as in fit, got {names}")
            return array[:, [names.index(self._names[i]) for i in columns]]
        width = len(self._known) + len(self._seen)
        if narrow and array.shape[1] == len(columns):
            return array
        if array.shape[1] != width:
            raise ValueError(f"X: expected {width} columns as in fit, got {array.shape[1]}")
        return array[:, columns]


def _position(column: Any, names: list[Any] | None, width: int) -> int:
    if names is not None and column in names:
        return names.index(column)
    if isinstance(column, (int, np.integer)) and 0 <= column < width:
        return int(column)
    raise ValueError(
        f"future_columns: expected names of columns of X or 0..{width - 1}, got {column!r}"
    )
