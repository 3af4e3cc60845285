"""What the estimators share: parameters, the network, training and prediction."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastrnn import _checks, optim
from fastrnn.data import Dataset
from fastrnn.estimators.inputs import Sequences, sample_weights, sequences, steps_of
from fastrnn.losses import Loss
from fastrnn.models import sequence_model
from fastrnn.protocol import Layer
from fastrnn.ragged import Ragged
from fastrnn.standardize import Standardize, mean_and_scale
from fastrnn.training import History, Trainer, predict

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
    "sgd": optim.SGD,
}


class RecurrentEstimator(BaseEstimator, ABC):
    """Parameters as `RNNRegressor` describes them; subclasses say what targets and outputs are.

    A subclass defines `_prepared`, `_loss` and, if its model has more than the network,
    `_model_of` and `_network`.
    """

    _loss: Loss | str
    model_: Any
    history_: History
    optimizer_: optim.Optimizer

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
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        dtype: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.pooling = pooling
        self.network_options = network_options
        self.standardize = standardize
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    # ---- what a subclass says ----

    @abstractmethod
    def _prepared(
        self, x: Sequences, y: Any, weights: NDArray[np.float64] | None, *, reset: bool
    ) -> tuple[Any, Any, int]:
        """Return targets and mask as `Dataset` takes them and how many outputs there are.

        With `reset`, set what is learned from targets (classes, scale); else compare with it.
        """

    def _strata(self, data: Dataset) -> Any:
        """Return what shall be alike in both parts of early stopping, (N,), or None."""
        return None

    def _model_of(self, network: Layer) -> Layer:
        """Return the model that users get, whose outputs have the units of the targets."""
        return network

    @property
    def _network(self) -> Layer:
        """The part of `model_` that is trained and whose outputs meet the loss."""
        network: Layer = self.model_
        return network

    # ---- training ----

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train anew, or go on where ``warm_start`` is true.

        Parameters
        ----------
        X : array-like (n, T) or (n, T, F), or a list of arrays (T_n, F) or (T_n,)
        y : array-like
            Targets per sequence, or per step as a list of arrays like X.
        sample_weight : array-like (n,), or None, default None
            Of the sequences, at least 0.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter is not as described.
        FloatingPointError
            If the loss or a gradient is not finite.
        """
        reset = not (self.warm_start and hasattr(self, "model_"))
        with self._all_or_nothing():
            data = self._dataset(X, y, sample_weight, reset=reset)
            self.history_ = self._train(data, self.epochs, early_stopping=self.early_stopping)
        return self

    def _go_on(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Train for one epoch, on a new network if there is none: what `partial_fit` does."""
        first = not hasattr(self, "model_")
        with self._all_or_nothing():
            data = self._dataset(X, y, sample_weight, reset=first)
            history = self._train(data, 1, early_stopping=False)
        if first:
            self.history_ = history
        else:
            self.history_.epochs.extend(history.epochs)
        return self

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Take back attributes that were set, if an error comes."""
        before = dict(self.__dict__)
        try:
            yield
        except Exception:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _dataset(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Dataset:
        """Return checked data without the sequences that have no weight; make the network."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, "
                "but the target y is None."
            )
        dtype = self.dtype if reset else self.model_.dtype
        if dtype is not None:
            dtype = _checks.float_dtype(dtype)
        x = sequences(self, X, reset=reset, dtype=dtype)
        weights = sample_weights(sample_weight, len(x))
        targets, mask, outputs = self._prepared(x, y, weights, reset=reset)
        data = Dataset(x, targets, mask=mask)
        counted = weights
        if mask is not None and not data.per_step:
            counted = np.asarray(mask, np.float64)
        if counted is not None and not counted.all():
            kept = np.flatnonzero(counted)
            data, weights = data.subset(kept), None if weights is None else weights[kept]
        if reset:
            self._begin(data, weights, outputs)
        return data

    def _begin(self, data: Dataset, weights: NDArray[np.float64] | None, outputs: int) -> None:
        """Make network, optimizer and generator."""
        rows = data.x.rows if isinstance(data.x, Ragged) else data.x.reshape(-1, data.x.shape[2])
        steps = data.x.shape[1] if data.lengths is None else data.lengths
        first = None
        if _checks.switch("standardize", self.standardize):
            if weights is not None:
                weights = np.repeat(weights, steps)
            first = Standardize(*mean_and_scale(rows, weights), dtype=rows.dtype)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self._generator = np.random.default_rng(seed)
        network = sequence_model(
            rows.shape[1],
            outputs,
            cell=self.cell,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            pooling=None if data.per_step else self.pooling,
            standardize=first,
            network_options=copy.deepcopy(self.network_options),
            dtype=rows.dtype,
            seed=self._generator,
        )
        kind = _checks.choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        optimizer = OPTIMIZERS[kind](learning_rate=self.learning_rate)
        self.model_, self.optimizer_ = self._model_of(network), optimizer

    def _train(self, data: Dataset, epochs: int, *, early_stopping: bool) -> History:
        """Train the network for some epochs."""
        network = self._network
        if data.per_step != network.keeps_time:
            wanted = ("sequence", "step")[network.keeps_time]
            raise ValueError(f"y: expected a target per {wanted} as in the first call, got others")
        held_out = None
        if early_stopping:
            parts = train_test_split(
                np.arange(len(data)),
                test_size=self.validation_fraction,
                random_state=int(self._generator.integers(2**31)),
                stratify=self._strata(data),
            )
            data, held_out = (data.subset(np.sort(part)) for part in parts)
        self.optimizer_.learning_rate = self.learning_rate
        trainer = Trainer(network, self._loss, self.optimizer_, clip_norm=self.clip_norm)
        return trainer.fit(
            data,
            held_out,
            epochs=epochs,
            batch_size=self.batch_size,
            seed=int(self._generator.integers(2**31)),
            patience=self.patience if early_stopping else None,
            progress=self.verbose,
        )

    # ---- prediction ----

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _outputs(self, X: Any) -> tuple[Sequences, NDArray[np.float64]]:
        """Return checked sequences and the network's outputs: (N, C), or (sum of T_n, C)."""
        check_is_fitted(self)
        network = self._network
        x = sequences(self, X, reset=False, dtype=network.dtype)
        outputs = predict(network, x)
        rows = np.concatenate(outputs) if isinstance(outputs, list) else outputs
        return x, rows.astype(np.float64)

    def _score_weights(self, x: Sequences, sample_weight: Any) -> NDArray[np.float64] | None:
        """Return the weight of each row of `_outputs`, None where all are equal."""
        weights = sample_weights(sample_weight, len(x))
        if weights is not None and self._network.keeps_time:
            weights = np.repeat(weights, steps_of(x))
        return weights
