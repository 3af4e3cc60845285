"""Rules for initial values, which users choose from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastrnn import _checks
from fastrnn._checks import FloatArray
from fastrnn.initializers.drawing import fill_with

BIASES = ("bias_ih", "bias_hh")
_GATED = ("weight_ih", "weight_hh", *BIASES)  # one block of H rows per gate
STATES = ("h0", "c0")
#: Which gate multiplies the old state: f of i f g o, z of r z n.
_KEEPING_GATE = {"lstm": 1, "lstm_peephole": 1, "gru": 1, "gru_reset_before": 1}
#: Which gate multiplies what is new, where it is another one: i of i f g o.
_WRITING_GATE = {"lstm": 0, "lstm_peephole": 0}


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
        fits = target.kind in BIASES and target.cell in _KEEPING_GATE
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
        fill_with(target.array, rng.uniform(-bound, bound, target.array.shape))


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
        fill_with(target.array, self.std * rng.standard_normal(target.array.shape))


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
        fill_with(target.array, rng.uniform(-bound, bound, target.array.shape))


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
        fill_with(target.array, std * rng.standard_normal(target.array.shape))


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
            fill_with(block, q.T if wide else q)


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
            fill_with(target.blocks()[_KEEPING_GATE[target.cell]], keep)
            if target.cell in _WRITING_GATE:
                fill_with(target.blocks()[_WRITING_GATE[target.cell]], -keep)
