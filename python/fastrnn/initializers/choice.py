"""Which rule fills which parameter of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fastrnn import _checks
from fastrnn.initializers.drawing import generator
from fastrnn.initializers.rules import (
    BIASES,
    STATES,
    Constant,
    ForgetBias,
    GlorotNormal,
    GlorotUniform,
    Identity,
    Initializer,
    Normal,
    Orthogonal,
    Target,
    Uniform,
)

_NAMED: dict[str, Initializer] = {
    "uniform": Uniform(),
    "normal": Normal(),
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "glorot_uniform": GlorotUniform(),
    "glorot_normal": GlorotNormal(),
    "orthogonal": Orthogonal(),
    "identity": Identity(),
    "forget_bias": ForgetBias(),
}

Choice = str | Initializer | Mapping[str, str | Initializer]


class Initializable(Protocol):
    """What `initialize` can fill: `LSTM`, `GRU`, `RNN` and their single layers."""

    def _targets(self) -> list[Target]: ...


def initialize(
    layer: Initializable, initializer: Choice, *, seed: int | np.random.Generator | None = None
) -> None:
    """Give parameters of a recurrent layer new initial values, in place.

    What the `initializer` keyword of the layers does. Parameters that are not named keep their
    values.

    Parameters
    ----------
    layer : LSTM, GRU, RNN or RecurrentLayer
    initializer : str, Initializer or mapping
        A mapping says which parameters: its keys are kinds (``"weight_ih"``, ``"weight_hh"``,
        ``"bias_ih"``, ``"bias_hh"``, ``"bias"`` for both, ``"weight_peephole"``, ``"weight_hr"``,
        ``"norm_weight_ih"`` and the like, ``"h0"``, ``"c0"``), for all levels and directions, or
        go on with one level and direction (``"weight_hh_l1_reverse"``), which comes before kinds.
        Its values, and what stands for all alone, are an `Initializer` or the name of one with its
        defaults: ``"uniform"``, ``"normal"``, ``"zeros"``, ``"ones"``, ``"glorot_uniform"``,
        ``"glorot_normal"``, ``"orthogonal"``, ``"identity"``, ``"forget_bias"``. One alone is for
        all weights and biases that it suits: matrices for Glorot and orthogonal, weight_hh for the
        identity, both biases for the forget bias and chrono. Gains and shifts of layer
        normalisation (1 and 0 at first) and initial states are changed by their names only.
    seed : int, numpy.random.Generator or None, default None

    Raises
    ------
    TypeError, ValueError
        If an initializer is unknown, suits no parameter or not the one it is given for, or a key
        names no parameter of this layer. Nothing has changed then.

    Examples
    --------
    >>> import fastrnn as fr
    >>> from fastrnn.initializers import ForgetBias, initialize
    >>> layer = fr.LSTM(3, 4, num_layers=2, seed=0)
    >>> initialize(layer, {"weight_hh": "orthogonal", "bias": ForgetBias(1.0)}, seed=1)
    >>> w = layer.parameters["weight_hh_l1"][:4]
    >>> bool(abs(w @ w.T - [[i == j for i in range(4)] for j in range(4)]).max() < 1e-6)
    True
    >>> layer.parameters["bias_ih_l0"].reshape(4, 4)[:, 0].tolist()  # i f g o
    [0.0, 1.0, 0.0, 0.0]
    """
    if not hasattr(layer, "_targets"):
        raise TypeError(f"layer: expected an LSTM, GRU or RNN, got {type(layer).__name__}")
    rng = generator(seed)
    targets = layer._targets()
    for target, chosen in zip(targets, _chosen(targets, initializer), strict=True):
        if chosen is not None:
            chosen.fill(target, rng)


def _chosen(targets: list[Target], initializer: Choice) -> list[Initializer | None]:
    """Return for each target what is to fill it, None to leave it."""
    if not isinstance(initializer, Mapping):
        rule = _named("initializer", initializer)
        chosen = [
            None if _by_name_only(target) or rule.unfit(target) else rule for target in targets
        ]
        if not any(chosen):
            raise ValueError(
                f"initializer: expected one for this layer's parameters, got {rule}, which is for "
                f"{rule.unfit(targets[-1])}"
            )
        return chosen
    chosen = [None] * len(targets)
    # The more a key says, the later it is applied: bias, bias_ih, bias_l0, bias_ih_l0.
    for key in sorted(initializer, key=lambda key: ("_l" in str(key), not _is_pair(key))):
        what = f"initializer[{key!r}]"
        rule = _named(what, initializer[key])
        places = [i for i, target in enumerate(targets) if key in _keys(target)]
        if not places:
            known = sorted({key for target in targets for key in _keys(target)})
            raise ValueError(f"{what}: expected a key among {', '.join(known)}")
        if rule.both_biases and not _is_pair(key):
            raise ValueError(f"{what}: expected the key 'bias' for {rule}, which sets both biases")
        for place in places:
            meant_for = rule.unfit(targets[place])
            if meant_for is not None:
                raise ValueError(f"{what}: {rule} is for {meant_for}")
            chosen[place] = rule
    return chosen


def _by_name_only(target: Target) -> bool:
    return target.kind in STATES or target.kind.startswith("norm_")


def _is_pair(key: Any) -> bool:
    return str(key) == "bias" or str(key).startswith("bias_l")


def _keys(target: Target) -> list[str]:
    """Return the keys of a mapping that mean this parameter."""
    kinds = [target.kind, *(["bias"] if target.kind in BIASES else [])]
    return kinds + [kind + target.suffix for kind in kinds if target.suffix]


def _named(what: str, value: Any) -> Initializer:
    if isinstance(value, Initializer):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected a name or an Initializer, got {type(value).__name__}")
    return _NAMED[_checks.choice(what, value, tuple(_NAMED))]
