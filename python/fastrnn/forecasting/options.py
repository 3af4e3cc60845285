"""How a series is to be forecast, and how the network that does it is to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastrnn import _checks, losses, optim
from fastrnn.composition import Sequential
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Linear
from fastrnn.layers import CELLS
from fastrnn.losses.quantile import ascending_quantiles
from fastrnn.pooling import Last
from fastrnn.protocol import Layer

LOSSES = ("mean_squared_error", "mean_absolute_error", "huber")
STRATEGIES = ("direct", "recursive")


@dataclass(frozen=True)
class ForecastOptions:
    """What is forecast from what, and by which network.

    Parameters
    ----------
    window : int, default 32
        L: the network sees the last L observations.
    horizon : int, default 1
        H: how many steps ahead are forecast.
    strategy : {"direct", "recursive"}, default "direct"
        "direct": one output for each of the H steps. "recursive": the network forecasts one step,
        and its forecasts are its next inputs, for as many steps as asked for (Taieb et al. 2012,
        Expert Systems with Applications 39).
    quantiles : sequence of float or None, default None
        Ascending, 0.5 among them: forecast these quantiles by `fastrnn.losses.QuantileLoss`; the
        median is the point forecast. Not with "recursive": the intervals of one step, fed with
        their median, would not widen as they should.
    difference : int or None, default None
        m: the network sees y[t] - y[t-m] and forecasts the difference to the (seasonal) naive
        forecast of period m. 1 for series that drift, the season for seasonal ones.
    cell : {"lstm", "gru", "rnn"}, default "gru"
    hidden_size : int or sequence of int, default 32
    num_layers : int or None, default None
        None: 1, or as many as sizes.
    dropout : float, default 0.0
        Between layers and before the output.
    loss : {"mean_squared_error", "mean_absolute_error", "huber"}, default "mean_squared_error"
        Without `quantiles`.
    every_step : bool, default True
        Train on the forecasts from every step of a window ("forking sequences", Wen et al. 2017,
        arXiv:1711.11053), L times as many targets for hardly more work; False: on that of its last
        step, which alone is used to forecast.

    Raises
    ------
    TypeError, ValueError
        If an option is not as above.
    """

    window: int = 32
    horizon: int = 1
    strategy: str = "direct"
    quantiles: tuple[float, ...] | None = None
    difference: int | None = None
    cell: str = "gru"
    hidden_size: int | tuple[int, ...] = 32
    num_layers: int | None = None
    dropout: float = 0.0
    loss: str = "mean_squared_error"
    every_step: bool = True

    def __post_init__(self) -> None:
        sizes = self.hidden_size
        values: dict[str, Any] = {
            "window": _checks.positive_integer("window", self.window),
            "horizon": _checks.positive_integer("horizon", self.horizon),
            "strategy": _checks.choice("strategy", self.strategy, STRATEGIES),
            "cell": _checks.choice("cell", self.cell, tuple(CELLS)),
            "hidden_size": tuple(sizes) if isinstance(sizes, (list, tuple)) else sizes,
            "dropout": _checks.probability("dropout", self.dropout),
            "loss": _checks.choice("loss", self.loss, LOSSES),
            "every_step": _checks.switch("every_step", self.every_step),
        }
        _checks.layer_sizes(values["hidden_size"], self.num_layers)
        if self.difference is not None:
            values["difference"] = _checks.positive_integer("difference", self.difference)
        if self.quantiles is not None:
            values["quantiles"] = ascending_quantiles(self.quantiles)
            if 0.5 not in values["quantiles"]:
                raise ValueError(
                    "quantiles: expected 0.5, the point forecast, among them, "
                    f"got {list(values['quantiles'])}"
                )
            if self.strategy == "recursive":
                raise ValueError(
                    'quantiles: expected None with strategy "recursive", got '
                    f"{list(values['quantiles'])}; one-step intervals fed with their median do "
                    'not widen with the horizon: use "direct"'
                )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def lag(self) -> int:
        """The lag m of the differences; 0 for none."""
        return self.difference or 0

    @property
    def steps_ahead(self) -> int:
        """How many steps ahead the network forecasts: the horizon, or 1 if it is recursive."""
        return self.horizon if self.strategy == "direct" else 1

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles, or 0.5 alone for the point forecast."""
        return self.quantiles or (0.5,)

    def make_loss(self) -> losses.Loss:
        """Return the loss that the network is trained with."""
        if self.quantiles is not None:
            return losses.QuantileLoss(self.quantiles)
        return losses.get(self.loss)

    def network_sizes(self, features: int, past: int, future: int) -> tuple[int, int]:
        """Return the numbers of the network's inputs and outputs."""
        inputs = features + past + self.steps_ahead * future
        return inputs, self.steps_ahead * features * len(self.levels)

    def make_network(self, features: int, past: int, future: int, seed: int) -> Layer:
        """Return a new network for so many targets and covariates.

        Its inputs are, side by side: the targets, the past covariates, and the future covariates
        of the next steps; its outputs (..., steps ahead, features, quantiles), flattened.
        """
        sizes = _checks.layer_sizes(self.hidden_size, self.num_layers)
        inputs, outputs = self.network_sizes(features, past, future)
        hidden = self.hidden_size
        recurrent = CELLS[self.cell](
            inputs,
            list(hidden) if isinstance(hidden, tuple) else hidden,
            self.num_layers,
            dropout=self.dropout if len(sizes) > 1 else 0.0,  # between layers
            seed=seed,
        )
        between: list[Layer] = [] if self.every_step else [Last()]
        if self.dropout:
            between.append(Dropout(self.dropout))
        return Sequential([recurrent, *between, Linear(sizes[-1], outputs, seed=seed + 1)])


@dataclass(frozen=True)
class TrainingOptions:
    """How a forecasting network is trained: Adam, its learning rate falling to 0 along a cosine.

    Parameters
    ----------
    epochs : int, default 50
    batch_size : int, default 32
        Windows a step.
    learning_rate : float, default 0.01
        At the beginning (Loshchilov and Hutter 2017, eq. 5, without restarts).
    clip_norm : float or None, default 1.0
        Of the gradients of all parameters together.
    stride : int or None, default None
        Steps from one training window to the next; None: 1, or as many as make an epoch about 64
        steps where a series is long.
    validation_fraction : float, default 0.0
        Share of each series' end whose forecasts are not trained on, but watched after each epoch.
    patience : int or None, default None
        End when the validation loss has not fallen for so many epochs; keep the best parameters.
    seed : int or None, default None
        With the same seed, forecasts are the same bits.
    progress : bool, default False
        One line on standard error, where that is a terminal.

    Raises
    ------
    TypeError, ValueError
        If an option is not as above.
    """

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.01
    clip_norm: float | None = 1.0
    stride: int | None = None
    validation_fraction: float = 0.0
    patience: int | None = None
    seed: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "stride", "patience"):
            value = getattr(self, name)
            if value is not None or name in ("epochs", "batch_size"):
                _checks.positive_integer(name, value)
        if self.seed is not None:
            _checks.count("seed", self.seed)
        _checks.above_zero("learning_rate", self.learning_rate)
        optim.Adam(self.learning_rate)
        _checks.limit("clip_norm", self.clip_norm)
        _checks.probability("validation_fraction", self.validation_fraction)
        if self.patience is not None and not self.validation_fraction:
            raise ValueError("patience: expected a validation_fraction above 0 with it, got 0")
