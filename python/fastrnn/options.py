"""The options that LSTM, GRU and RNN have in common, as one value."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict

import numpy as np

from fastrnn import _checks, output_padding
from fastrnn.initializers import Choice
from fastrnn.merging import MERGES


class Options(TypedDict, total=False):
    """The fields of `NetworkOptions` as keyword arguments."""

    bias: bool
    recurrent_bias: bool
    batch_first: bool
    dropout: float
    input_dropout: float
    recurrent_dropout: float
    drop_connect: float
    variational: bool
    zoneout_h: float
    bidirectional: bool
    merge: str
    residual: bool
    layer_norm: bool
    activation_clip: float | None
    gradient_clip_value: float | None
    gradient_clip_norm: float | None
    pad_output: str | float
    learn_initial_state: bool
    initializer: Choice | None
    dtype: Any
    seed: int | np.random.Generator | None
    reverse: bool


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The options that `LSTM`, `GRU` and `RNN` have in common; see `RecurrentNetwork`.

    Raises
    ------
    TypeError, ValueError
        If one is not as described there.
    """

    bias: bool = True
    recurrent_bias: bool = True
    batch_first: bool = True
    dropout: float = 0.0
    input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    drop_connect: float = 0.0
    variational: bool = False
    zoneout_h: float = 0.0
    bidirectional: bool = False
    merge: str = "concat"
    residual: bool = False
    layer_norm: bool = False
    activation_clip: float | None = None
    gradient_clip_value: float | None = None
    gradient_clip_norm: float | None = None
    pad_output: str | float = "zero"
    learn_initial_state: bool = False
    initializer: Choice | None = None
    dtype: Any = "float32"
    seed: int | np.random.Generator | None = None
    reverse: bool = False

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {name: bool(getattr(self, name)) for name in _SWITCHES}
        for name in _PROBABILITIES:
            checked[name] = _checks.probability(name, getattr(self, name))
        for name in _LIMITS:
            checked[name] = _checks.limit(name, getattr(self, name))
        _checks.choice("merge", self.merge, MERGES)
        if self.merge != "concat" and not self.bidirectional:
            raise ValueError(f"merge: expected bidirectional=True with {self.merge!r}, got False")
        checked["pad_output"] = output_padding.checked(self.pad_output)
        array_dtype, bfloat16 = _checks.recurrent_dtype(self.dtype)
        checked["dtype"] = "bfloat16" if bfloat16 else str(array_dtype)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, layer: type[Any], given: Mapping[str, Any]) -> Self:
        """Return the options given to a layer as keywords.

        Parameters
        ----------
        layer : type
            With options of its own beside these.
        given : mapping

        Raises
        ------
        TypeError
            If there is a keyword that names no option.
        """
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                options = ", ".join([*own_options(layer), *known])
                raise TypeError(
                    f"{name}: expected an option of {layer.__name__} ({options}), "
                    f"got {name}={given[name]!r}"
                )
        return cls(**given)

    def config(self) -> dict[str, Any]:
        """Return those that belong into files: all that are always written or not the default."""
        return {
            field.name: value
            for field in fields(self)
            if field.name not in _NOT_WRITTEN
            and ((value := getattr(self, field.name)) != field.default or field.name in _WRITTEN)
        }


# The values of initial parameters and the state of generators are not part of a configuration.
_NOT_WRITTEN = ("initializer", "seed")
_WRITTEN = ("bias", "batch_first", "dropout", "bidirectional", "dtype")

_SWITCHES = (
    "bias", "recurrent_bias", "batch_first", "variational", "bidirectional", "residual",
    "layer_norm", "learn_initial_state", "reverse",
)  # fmt: skip
_PROBABILITIES = ("dropout", "input_dropout", "recurrent_dropout", "drop_connect", "zoneout_h")
_LIMITS = ("activation_clip", "gradient_clip_value", "gradient_clip_norm")


def own_options(layer: type[Any]) -> dict[str, Any]:
    """Return the options that a layer's constructor has beside the common ones, with defaults."""
    return layer.__init__.__kwdefaults__ or {}


def signature_with(own: inspect.Signature) -> inspect.Signature:
    """Return a constructor's signature with the common options in the place of ``**options``.

    Parameters
    ----------
    own : inspect.Signature
        Of `__init__`, with self and ``**options``.
    """
    common = inspect.signature(NetworkOptions).parameters.values()
    _, *first, _ = own.parameters.values()
    return inspect.Signature([*first, *common])
