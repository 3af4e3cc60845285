"""Initial values of parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray


def generator(seed: int | np.random.Generator | None) -> np.random.Generator:
    """Return a random generator: `seed` itself if it is one, else a new one.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        None draws fresh entropy.

    Raises
    ------
    TypeError, ValueError
        If `seed` is no seed.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is not None:
        if isinstance(seed, (bool, float)) or not isinstance(seed, (int, np.integer)):
            raise TypeError(f"seed: expected an integer or None, got {type(seed).__name__}")
        if seed < 0:
            raise ValueError(f"seed: expected at least 0, got {seed}")
    return np.random.default_rng(seed)


def random_key(rng: np.random.Generator) -> int:
    """Return 64 random bits: what all masks of one forward pass follow from."""
    return int(rng.integers(2**64, dtype=np.uint64))


def uniform_fan(vector: FloatArray, fan: int, rng: np.random.Generator) -> None:
    """Fill `vector` in place with U(-1/sqrt(fan), 1/sqrt(fan)), as PyTorch's recurrent layers.

    Parameters
    ----------
    vector : ndarray, (P,)
    fan : int
        hidden_size for recurrent layers, input_size for `Linear`.
    rng : numpy.random.Generator

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.initializers import uniform_fan
    >>> w = np.zeros(1000, np.float32)
    >>> uniform_fan(w, 4, np.random.default_rng(0))
    >>> bool(np.abs(w).max() <= 0.5)
    True
    """
    bound = 1.0 / np.sqrt(fan)
    _fill(vector, rng.uniform(-bound, bound, vector.size))


def normal(vector: FloatArray, rng: np.random.Generator) -> None:
    """Fill `vector` in place with N(0, 1), as PyTorch's embeddings.

    Parameters
    ----------
    vector : ndarray, (P,)
    rng : numpy.random.Generator
    """
    _fill(vector, rng.standard_normal(vector.size))


def _fill(vector: FloatArray, values: np.ndarray[Any, Any]) -> None:
    vector[...] = values  # drawn in float64, so that both dtypes start from the same numbers


# ---- what users choose from ----


@dataclass(frozen=True)
class Target:
    """One parameter of a recurrent layer, to be filled.

    Attributes
    ----------
    kind : str
        Its name without level and direction: ``"weight_hh"``.
    suffix : str
        The rest of its name: ``"_l0_reverse"``; empty for a single layer.
    array : ndarray, (G*H, F), (P, H), (G*H,) or (H,)
        To be written in place.
    cell : str
        As for `RecurrentLayer`.
    hidden_size : int
        H.
    """

    kind: str
    suffix: str
    array: FloatArray
    cell: str
    hidden_size: int

    def blocks(self) -> FloatArray:
        """Return a view (G, H, ...) with one block per gate; (1, ...) where there are no gates."""
        gates = self.array.shape[0] // self.hidden_size if self.kind in _GATED else 1
        return self.array.reshape(gates, -1, *self.array.shape[1:])


class Initializer(ABC):
    """A rule for initial values; the classes below are the rules there are."""

    #: Whether it sets both biases of a cell together.
    both_biases: ClassVar[bool] = False

    @abstractmethod
    def unfit(self, target: Target) -> str | None:
        """Return what the rule is for if it is not for this parameter, else None."""

    @abstractmethod
    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place, from draws in float64."""


class _ForAll(Initializer):
    def unfit(self, target: Target) -> str | None:
        """Return None: it is for all parameters."""
        return None


class _ForMatrices(Initializer):
    def unfit(self, target: Target) -> str | None:
        """Return what it is for unless the parameter is a matrix."""
        return None if target.array.ndim == 2 else "a matrix such as weight_ih or weight_hh"


class _ForBothBiases(Initializer):
    both_biases = True

    def unfit(self, target: Target) -> str | None:
        """Return what it is for unless the parameter is a bias of a cell that has such a gate."""
        fits = target.kind in _BIASES and target.cell in _KEEPING_GATE
        return None if fits else "the biases of a cell with a forget or update gate"


@dataclass(frozen=True)
class Uniform(_ForAll):
    """U(-bound, bound); what layers begin with, as in PyTorch.

    Parameters
    ----------
    bound : float or None, default None
        None: 1 / sqrt(H).
    """

    bound: float | None = None

    def __post_init__(self) -> None:
        if self.bound is not None:
            _checks.above_zero("bound", self.bound)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        bound = target.hidden_size**-0.5 if self.bound is None else self.bound
        _fill(target.array, rng.uniform(-bound, bound, target.array.shape))


@dataclass(frozen=True)
class Normal(_ForAll):
    """N(0, std^2).

    Parameters
    ----------
    std : float, default 0.01
    """

    std: float = 0.01

    def __post_init__(self) -> None:
        _checks.above_zero("std", self.std)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        _fill(target.array, self.std * rng.standard_normal(target.array.shape))


@dataclass(frozen=True)
class Constant(_ForAll):
    """One value everywhere; ``"zeros"`` is ``Constant(0.0)``, ``"ones"`` is ``Constant(1.0)``.

    Parameters
    ----------
    value : float, default 0.0
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        _checks.number("value", self.value)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        target.array[...] = self.value


@dataclass(frozen=True)
class GlorotUniform(_ForMatrices):
    """U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16).

    The fans are those of one gate's block (H, F): fan_in = F, fan_out = H. (Keras and
    ``torch.nn.init`` take fan_out = G*H, as if all gates were one matrix.)

    Parameters
    ----------
    gain : float, default 1.0
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _checks.above_zero("gain", self.gain)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        bound = self.gain * np.sqrt(6.0 / sum(target.blocks().shape[1:]))
        _fill(target.array, rng.uniform(-bound, bound, target.array.shape))


@dataclass(frozen=True)
class GlorotNormal(_ForMatrices):
    """N(0, s^2), s = gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 12).

    The fans are those of one gate's block, as for `GlorotUniform`.

    Parameters
    ----------
    gain : float, default 1.0
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _checks.above_zero("gain", self.gain)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        std = self.gain * np.sqrt(2.0 / sum(target.blocks().shape[1:]))
        _fill(target.array, std * rng.standard_normal(target.array.shape))


@dataclass(frozen=True)
class Orthogonal(_ForMatrices):
    """Each gate's block is gain times a random orthogonal matrix (Saxe et al. 2014).

    Where a block is not square, its rows or columns, whichever are fewer, are orthonormal times
    gain. The blocks are drawn one by one from the uniform (Haar) distribution: Q of the QR
    decomposition of a normal matrix, with the signs that make R's diagonal positive.

    Parameters
    ----------
    gain : float, default 1.0
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _checks.above_zero("gain", self.gain)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        for block in target.blocks():
            wide = block.shape[0] < block.shape[1]
            q, r = np.linalg.qr(rng.standard_normal(block.shape[::-1] if wide else block.shape))
            q *= np.copysign(self.gain, np.diagonal(r))
            _fill(block, q.T if wide else q)


@dataclass(frozen=True)
class Identity(Initializer):
    """weight_hh is gain times the identity, in each gate's block (Le, Jaitly and Hinton 2015).

    The paper's IRNN is ``fr.RNN(I, H, nonlinearity="relu", initializer={"weight_hh": "identity",
    "weight_ih": fr.initializers.Normal(0.001), "bias": "zeros"})``.

    Parameters
    ----------
    gain : float, default 1.0
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _checks.number("gain", self.gain)

    def unfit(self, target: Target) -> str | None:
        """Return what it is for unless the parameter is square blocks from h to h."""
        fits = target.kind == "weight_hh" and target.array.ndim == 2
        square = fits and target.array.shape[1] == target.hidden_size
        return None if square else "weight_hh, (G*H, H)"

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        target.blocks()[...] = self.gain * np.eye(target.hidden_size)


@dataclass(frozen=True)
class ForgetBias(_ForBothBiases):
    """The bias of the gate that keeps the state: f of the LSTM, z of the GRU; other biases zero.

    A positive value makes the cell remember at first (Gers et al. 2000; Jozefowicz et al. 2015
    recommend 1). The two biases of a cell are added, so the value stands in bias_ih and bias_hh is
    zero.

    Parameters
    ----------
    value : float, default 1.0
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        _checks.number("value", self.value)

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        target.array[...] = 0
        if target.kind == "bias_ih":
            target.blocks()[_KEEPING_GATE[target.cell]] = self.value


@dataclass(frozen=True)
class Chrono(_ForBothBiases):
    """Memory over times up to `max_steps` at first (Tallec and Ollivier 2018, equation 16).

    LSTM: b_f = log(u), b_i = -b_f, with u drawn from U(1, max_steps - 1) for each unit. GRU, whose
    z keeps the state: b_z = log(u). Other biases are zero. The values stand in bias_ih; bias_hh
    is zero.

    Parameters
    ----------
    max_steps : float
        The longest time over which to remember; more than 2.
    """

    max_steps: float

    def __post_init__(self) -> None:
        if _checks.number("max_steps", self.max_steps) <= 2:
            raise ValueError(f"max_steps: expected more than 2, got {self.max_steps}")

    def fill(self, target: Target, rng: np.random.Generator) -> None:
        """Write the parameter's array in place."""
        target.array[...] = 0
        if target.kind == "bias_ih":
            keep = np.log(rng.uniform(1.0, self.max_steps - 1.0, target.hidden_size))
            _fill(target.blocks()[_KEEPING_GATE[target.cell]], keep)
            if target.cell in _WRITING_GATE:
                _fill(target.blocks()[_WRITING_GATE[target.cell]], -keep)


_BIASES = ("bias_ih", "bias_hh")
_GATED = ("weight_ih", "weight_hh", *_BIASES)  # one block of H rows per gate
_STATES = ("h0", "c0")
#: Which gate multiplies the old state: f of i f g o, z of r z n.
_KEEPING_GATE = {"lstm": 1, "lstm_peephole": 1, "gru": 1, "gru_reset_before": 1}
#: Which gate multiplies what is new, where it is another one: i of i f g o.
_WRITING_GATE = {"lstm": 0, "lstm_peephole": 0}

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
    return target.kind in _STATES or target.kind.startswith("norm_")


def _is_pair(key: Any) -> bool:
    return str(key) == "bias" or str(key).startswith("bias_l")


def _keys(target: Target) -> list[str]:
    """Return the keys of a mapping that mean this parameter."""
    kinds = [target.kind, *(["bias"] if target.kind in _BIASES else [])]
    return kinds + [kind + target.suffix for kind in kinds if target.suffix]


def _named(what: str, value: Any) -> Initializer:
    if isinstance(value, Initializer):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected a name or an Initializer, got {type(value).__name__}")
    return _NAMED[_checks.choice(what, value, tuple(_NAMED))]
