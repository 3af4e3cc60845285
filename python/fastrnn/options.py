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
    """The options that `LSTM`, `GRU` and `RNN` have in common, given to them as keywords.

    Parameters
    ----------
    bias : bool, default True
        Two biases, bias_ih and bias_hh, as in PyTorch; independent units have bias_ih alone.
    recurrent_bias : bool, default True
        False: bias_ih alone.
    batch_first : bool, default True
        Sequences are (N, T, features); False: (T, N, features).
    dropout : float, default 0.0
        Dropout on the outputs of every layer except the last, in training; this and the following
        probabilities are at least 0 and below 1.
    input_dropout : float, default 0.0
        Dropout on x, in training.
    recurrent_dropout : float, default 0.0
        Dropout on h where it enters a product of the next step, in training: one mask (N, H) for
        all steps of a row (Gal and Ghahramani 2016, "A theoretically grounded application of
        dropout in recurrent neural networks").
    drop_connect : float, default 0.0
        Dropout on the elements of weight_hh, in training: one mask for a whole pass (Wan et al.
        2013; in recurrent networks Merity et al. 2018).
    variational : bool, default False
        The masks of `dropout` and `input_dropout` are the same at all steps of a row (Gal and
        Ghahramani 2016) instead of drawn for each.
    zoneout_h : float, default 0.0
        In training each number of h keeps its old value with this probability; at inference h is
        the expectation of that (Krueger et al. 2017).
    bidirectional : bool, default False
        A second set of weights reads each row from its last valid step to its first.
    merge : {"concat", "sum", "mean", "product"}, default "concat"
        How the outputs of both directions become one in every layer, as for `Bidirectional`.
    residual : bool, default False
        From the second layer on, add each layer's input, after dropout, to its output
        (`Residual`); their sizes have to agree.
    layer_norm : bool, default False
        Normalise W x, R h and, where the cell has c, c on its way to h (Ba et al. 2016), with
        parameters norm_weight_ih_l0, norm_bias_ih_l0, norm_weight_hh_l0, norm_bias_hh_l0 (G*H,),
        norm_weight_c_l0, norm_bias_c_l0 (H,), ...; independent units have no R h.
    activation_clip : float or None, default None
        What the activations of gates and candidates see lies within -+ this.
    gradient_clip_value, gradient_clip_norm : float or None, default None
        In BPTT, limits of each row's gradient of the state before every step: of its numbers, then
        of its norm.
    pad_output : {"zero", "repeat"} or float, default "zero"
        What y holds behind the ends of rows: zeros, each row's last valid output (then `backward`
        reads dy there too; rows without a valid step have zeros), or a number.
    learn_initial_state : bool, default False
        Parameters h0_l0, and c0_l0 where the cell has c, (H,), ..., zero at first, stand for the
        initial state of every row where a call is given none.
    initializer : str, Initializer, mapping or None, default None
        Initial values other than uniform in +-1/sqrt(H), as for `fastrnn.initializers.initialize`:
        ``{"weight_hh": "orthogonal", "bias": "forget_bias"}``. Other parameters have the values
        that they have without it. Not part of `config`, as the values are saved.
    dtype : dtype, default float32
        float32 or float64; ``"bfloat16"`` as `to` makes it.
    seed : int, numpy.random.Generator or None, default None
        For the initial values and all masks.
    reverse : bool, default False
        Run backwards in time (what `Bidirectional` makes of a layer for its second direction).

    Raises
    ------
    TypeError, ValueError
        If one is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> layer = fr.GRU(3, 8, zoneout_h=0.1, layer_norm=True)
    >>> layer.options.zoneout_h
    0.1
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
        checked: dict[str, Any] = {
            name: _checks.switch(name, getattr(self, name)) for name in _SWITCHES
        }
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
