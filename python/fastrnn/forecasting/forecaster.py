"""The forecaster: networks that forecast series, NumPy arrays in and out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrnn import _checks, optim
from fastrnn.forecasting import files, preparation
from fastrnn.forecasting.baselines import scaled_error
from fastrnn.forecasting.memory import Memory
from fastrnn.forecasting.options import ForecastOptions, TrainingOptions
from fastrnn.forecasting.prediction import forecast_levels
from fastrnn.forecasting.preparation import Given, Prepared, Sizes
from fastrnn.forecasting.scaling import Scale
from fastrnn.forecasting.series import Numbers
from fastrnn.forecasting.windows import gathered
from fastrnn.parallel import Communicator
from fastrnn.protocol import Layer
from fastrnn.training import History, Trainer
from fastrnn.training.callbacks import LearningRate
from fastrnn.training.schedules import Cosine


class Forecaster:
    """Forecasts one series or several (a panel, with one network for all).

    Each series is scaled by its own mean and deviation, covariates by those of all series. Gaps
    (NaN) in y are never trained towards; where the network reads y, they are filled by the last
    observation. Gaps in covariates are refused: only their owner knows what belongs there.

    Parameters
    ----------
    options : ForecastOptions or None, default None
        None: all defaults.

    Attributes
    ----------
    model : layer or None
        None before `fit`.
    history : History or None

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> y = np.sin(np.arange(400) * 0.3)
    >>> options = fr.forecasting.ForecastOptions(window=20, horizon=5)
    >>> forecaster = fr.forecasting.Forecaster(options)
    >>> training = fr.forecasting.TrainingOptions(epochs=10, seed=0)
    >>> history = forecaster.fit(y[:380], training=training)
    >>> bool(np.abs(forecaster.forecast() - y[380:385]).max() < 0.1)
    True
    """

    def __init__(self, options: ForecastOptions | None = None) -> None:
        self.options = ForecastOptions() if options is None else options
        if not isinstance(self.options, ForecastOptions):
            raise TypeError(f"options: expected ForecastOptions, got {type(options).__name__}")
        self.model: Layer | None = None
        self.history: History | None = None
        self._sizes = Sizes()
        self._memories: list[Memory] = []
        self._covariate_scales: tuple[Scale | None, Scale | None] = (None, None)

    def fit(
        self,
        y: Any,
        *,
        past_covariates: Any = None,
        future_covariates: Any = None,
        training: TrainingOptions | None = None,
        callbacks: Sequence[Any] = (),
        resume: str | os.PathLike[str] | None = None,
        communicator: Communicator | None = None,
    ) -> History:
        """Train a new network.

        Parameters
        ----------
        y : array-like (T,) or (T, F), or a list of arrays
            F targets; a list or tuple of arrays is a panel.
        past_covariates : array-like (T,) or (T, P), or a list, or None
            Known up to the present only. Not with strategy "recursive", which would have to
            forecast them too: make them targets, columns of y.
        future_covariates : array-like (T,) or (T, E), or a list, or None
            Also known for the steps to be forecast, such as the calendar.
        training : TrainingOptions or None, default None
        callbacks : sequence, default ()
            As for `Trainer`.
        resume : path-like or None, default None
            A checkpoint, as for `Trainer.fit`.
        communicator : Communicator or None, default None
            As for `Trainer`.

        Returns
        -------
        History

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above, or a series is too short; the forecaster has not
            changed then.
        """
        how = TrainingOptions() if training is None else training
        if not isinstance(how, TrainingOptions):
            raise TypeError(f"training: expected TrainingOptions, got {type(training).__name__}")
        if past_covariates is not None and self.options.strategy == "recursive":
            raise ValueError(
                'past_covariates: expected None with strategy "recursive", which would have to '
                "forecast them: make them columns of y, or future_covariates if they are known"
            )
        prepared = preparation.prepare(
            Given(y, past_covariates, future_covariates), self.options, how
        )
        seeds = np.random.SeedSequence(how.seed).generate_state(2).tolist()
        sizes = prepared.sizes
        model = self.options.make_network(sizes.features, sizes.past, sizes.future, seeds[0])
        self.history = _trained(
            model, prepared, self.options, how, seeds[1], callbacks, resume, communicator
        )
        self.model, self._sizes = model, sizes
        self._memories = prepared.memories
        self._covariate_scales = prepared.covariate_scales
        return self.history

    def forecast(self, horizon: int | None = None, *, future_covariates: Any = None) -> Any:
        """Forecast the steps after the last observation.

        Parameters
        ----------
        horizon : int or None, default None
            Steps; None: ``options.horizon``, which is also the most if the strategy is "direct".
        future_covariates : array-like (H,) or (H, E), or a list, or None
            Those of the steps to be forecast, if there were some in training: with "direct"
            always ``options.horizon`` of them.

        Returns
        -------
        ndarray of float64, (horizon,) or (horizon, F) like y, or a list for a panel
            Medians where quantiles are forecast.

        Raises
        ------
        RuntimeError
            Before `fit`.
        TypeError, ValueError
            If an argument is not as above.
        """
        median = self.options.levels.index(0.5)
        return self._shaped([part[..., median] for part in self._next(horizon, future_covariates)])

    def forecast_quantiles(
        self, horizon: int | None = None, *, future_covariates: Any = None
    ) -> Any:
        """Forecast the quantiles of ``options.quantiles``.

        Parameters
        ----------
        horizon, future_covariates
            As for `forecast`.

        Returns
        -------
        ndarray of float64, (horizon, Q) or (horizon, F, Q), or a list for a panel
            Ascending along the last axis.

        Raises
        ------
        RuntimeError
            Before `fit`.
        TypeError, ValueError
            If an argument is not as above or there are no quantiles.
        """
        self._check_quantiles()
        return self._shaped(self._next(horizon, future_covariates))

    def update(
        self, y: Any, *, past_covariates: Any = None, future_covariates: Any = None
    ) -> Forecaster:
        """Append observations that forecasts start after; nothing is trained.

        Parameters
        ----------
        y : array-like (n,) or (n, F), or a list for a panel
            The observations after those known so far.
        past_covariates, future_covariates : array-like (n, P) and (n, E), or lists, or None
            Those of the same steps.

        Returns
        -------
        Forecaster
            Itself.

        Raises
        ------
        RuntimeError
            Before `fit`.
        TypeError, ValueError
            If an argument is not as above; nothing has changed then.
        """
        given = self._given(Given(y, past_covariates, future_covariates))
        self._memories = [
            memory.extended(*rows).cut(self.options)
            for memory, rows in zip(self._memories, given, strict=True)
        ]
        return self

    def rolling_forecasts(
        self,
        y: Any,
        *,
        stride: int | None = None,
        past_covariates: Any = None,
        future_covariates: Any = None,
        quantiles: bool = False,
    ) -> Any:
        """Forecast again and again while observations come in; nothing changes.

        The k-th forecast is that after ``update(y[:k * stride])``; there are as many as have all
        their H = ``options.horizon`` steps in y.

        Parameters
        ----------
        y : array-like (n,) or (n, F), or a list for a panel
            The observations after those known so far, at least H.
        stride : int or None, default None
            None: H.
        past_covariates, future_covariates : array-like (n, P) and (n, E), or lists, or None
        quantiles : bool, default False

        Returns
        -------
        ndarray of float64, (K, H) or (K, H, F), with an axis (Q,) behind if asked for, or a list

        Raises
        ------
        RuntimeError
            Before `fit`.
        TypeError, ValueError
            If an argument is not as above.
        """
        if quantiles:
            self._check_quantiles()
        step = (
            self.options.horizon if stride is None else _checks.positive_integer("stride", stride)
        )
        found = self._rolling(Given(y, past_covariates, future_covariates), step)
        median = self.options.levels.index(0.5)
        return self._shaped([f if quantiles else f[..., median] for f in found], axis=2)

    def score(self, y: Any, *, past_covariates: Any = None, future_covariates: Any = None) -> float:
        """Return the mean absolute scaled error of `rolling_forecasts`; less than 1 is good.

        Errors are in units of those of the naive forecast (of period ``options.difference``, or 1)
        one period ahead over the training series (Hyndman and Koehler 2006); the mean over series.

        Parameters
        ----------
        y, past_covariates, future_covariates
            As for `rolling_forecasts`.

        Raises
        ------
        RuntimeError
            Before `fit`.
        TypeError, ValueError
            If an argument is not as above or nothing was observed.
        """
        given = Given(y, past_covariates, future_covariates)
        horizon, median = self.options.horizon, self.options.levels.index(0.5)
        forecasts = self._rolling(given, horizon)
        scores = []
        for (values, _, _), found, memory in zip(
            self._given(given), forecasts, self._memories, strict=True
        ):
            wanted = values[: len(found) * horizon].reshape(-1, horizon, values.shape[1])
            errors = np.abs(found[..., median] - wanted)
            scores.append(scaled_error(errors, memory.naive_error))
        return float(np.mean(scores))

    def save(self, path: str | os.PathLike[str], *, metadata: dict[str, str] | None = None) -> None:
        """Write network, options, scales and the ends of the series to one file.

        Parameters
        ----------
        path : path-like
            A safetensors file; `fastrnn.load` reads the network alone. Replaced at once.
        metadata : dict of str to str or None, default None
            More to keep in the file; see `fastrnn.serialization.load_with_metadata`.

        Raises
        ------
        RuntimeError
            Before `fit`.
        OSError
            If the file cannot be written.
        """
        files.write(path, self._fitted(), self.options, self._sizes, self._memories,
                    self._covariate_scales, metadata)  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """Read what `save` has written; there is no history then.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged or was not written by `save`.
        """
        model, options, sizes, memories, scales = files.read(path)
        forecaster = cls(options)
        forecaster.model, forecaster._sizes = model, sizes
        forecaster._memories, forecaster._covariate_scales = memories, scales
        return forecaster

    def _fitted(self) -> Layer:
        if self.model is None:
            raise RuntimeError("forecaster: expected fit to be called first")
        return self.model

    def _check_quantiles(self) -> None:
        if self.options.quantiles is None:
            raise ValueError("quantiles: expected some in the options, got None")

    def _given(self, given: Given) -> list[preparation.SeriesRows]:
        self._fitted()
        return preparation.checked_rows(given, self._sizes)

    def _next(self, horizon: int | None, future_covariates: Any) -> list[Numbers]:
        """Return forecasts (h, F, Q) after the last observation, for each series."""
        self._fitted()
        options, sizes = self.options, self._sizes
        steps = options.horizon if horizon is None else _checks.positive_integer("horizon", horizon)
        if options.strategy == "direct" and steps > options.horizon:
            raise ValueError(
                f"horizon: expected at most {options.horizon}, as in the options, got {steps}; "
                'train with a longer one, or with strategy "recursive"'
            )
        needed = options.horizon if options.strategy == "direct" else steps
        known = preparation.checked_future(future_covariates, needed, sizes)
        nothing = np.empty((0, sizes.features))
        none = np.empty((0, sizes.past))
        memories = [
            memory.extended(nothing, none, future)
            for memory, future in zip(self._memories, known, strict=True)
        ]
        start = np.zeros(1, np.intp)
        return [self._from(memory, start, steps)[0] for memory in memories]

    def _rolling(self, given: Given, stride: int) -> list[Numbers]:
        """Return forecasts (K, H, F, Q) for each series."""
        horizon = self.options.horizon
        found = []
        for s, (memory, rows) in enumerate(zip(self._memories, self._given(given), strict=True)):
            count = len(rows[0])
            if count < horizon:
                where = f"y[{s}]" if self._sizes.panel else "y"
                raise ValueError(
                    f"{where}: expected at least horizon = {horizon} observations, got {count}"
                )
            starts = np.arange(0, count - horizon + 1, stride)
            longer = memory.extended(*rows)
            found.append(self._from(longer, starts, horizon, known=memory.count))
        return found

    def _from(self, memory: Memory, starts: Any, horizon: int, known: int | None = None) -> Numbers:
        """Return forecasts (K, horizon, F, Q) from windows that begin at some rows of a memory."""
        options = self.options
        model = self._fitted()
        levels = gathered(memory.levels(), starts, options.lag + options.window)
        scale_past, scale_future = self._covariate_scales
        past = future = None
        if memory.past is not None and scale_past is not None:
            past = gathered(preparation.scaled(memory.past, scale_past), starts, options.window)
        if memory.future is not None and scale_future is not None:
            ahead = options.horizon if options.strategy == "direct" else horizon
            rows = preparation.scaled(memory.future, scale_future)
            future = gathered(rows, starts + 1, options.window + ahead - 1)
        found = forecast_levels(model, levels, past, future, options, horizon)
        first = memory.count if known is None else known
        for k, start in enumerate(starts.tolist()):
            found[k] = memory.scale.from_levels(found[k], first + start)
        return found

    def _shaped(self, parts: list[Numbers], axis: int = 1) -> Any:
        """Return forecasts without the axis of targets where y had none; one, or a list."""
        if self._sizes.univariate:
            parts = [np.squeeze(part, axis=axis) for part in parts]
        return parts if self._sizes.panel else parts[0]


def _trained(
    model: Layer,
    prepared: Prepared,
    options: ForecastOptions,
    how: TrainingOptions,
    seed: int,
    callbacks: Sequence[Any],
    resume: str | os.PathLike[str] | None,
    communicator: Communicator | None,
) -> History:
    batches = prepared.windows.num_batches(how.batch_size)
    cosine = Cosine(how.epochs)
    trainer = Trainer(
        model,
        options.make_loss(),
        optim.Adam(how.learning_rate),
        clip_norm=how.clip_norm,
        callbacks=[LearningRate(lambda step: cosine(step // batches)), *callbacks],
        communicator=communicator,
    )
    return trainer.fit(
        prepared.windows,
        prepared.validation,
        epochs=how.epochs,
        batch_size=how.batch_size,
        seed=seed,
        patience=how.patience,
        progress=how.progress,
        resume=resume,
    )
