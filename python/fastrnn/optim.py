"""Optimizers on one flat vector of parameters, in place, and gradient clipping.

Formulas and defaults are PyTorch's (documentation of ``torch.optim``). In the equations p are the
parameters, g the gradients; weight decay (but for `AdamW`) adds ``weight_decay * p`` to g first.
Options are attributes, checked whenever they are set. Nothing here judges gradients: NaN and
infinity go through as arithmetic has it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, ops
from fastrnn._checks import FloatArray
from fastrnn.clipping import clip_by_global_norm, clip_by_value

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_by_global_norm",
    "clip_by_value",
]

#: Each of these options is at least 0 and below its bound.
_BOUNDS = {
    "learning_rate": math.inf,
    "weight_decay": math.inf,
    "epsilon": math.inf,
    "momentum": 1,
    "alpha": 1,
}


class Optimizer(ABC):
    """Changes parameters by gradients; keeps vectors of its own, as long as the parameters.

    Attributes
    ----------
    learning_rate : float
        May be changed between steps; a finite number of at least 0.
    weight_decay : float
    steps : int
        Taken so far.
    """

    learning_rate: float
    weight_decay: float

    def __post_init__(self) -> None:
        self.reset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _BOUNDS:
            value = _below(name, value, _BOUNDS[name])
        elif name == "betas":
            if not isinstance(value, (tuple, list)) or len(value) != 2:
                raise ValueError(f"betas: expected a pair of numbers, got {value!r}")
            value = tuple(_below(f"betas[{i}]", beta, 1) for i, beta in enumerate(value))
        super().__setattr__(name, value)

    def reset(self) -> None:
        """Forget everything learned from earlier steps; the options stay."""
        self.steps = 0
        self._state: dict[str, FloatArray] = {}
        self._scratch: tuple[FloatArray, ...] = ()

    def step(self, parameters: FloatArray, gradients: FloatArray) -> None:
        """Change `parameters` in place by one step; allocates at the first step only.

        Parameters
        ----------
        parameters, gradients : ndarray, (P,)
            float32 or float64, contiguous, without common memory. Gradients stay as they are.

        Raises
        ------
        TypeError, ValueError
            If they are not so, or not like those of earlier steps. Nothing has changed then.
        """
        _checks.flat_vector("parameters", parameters)
        _checks.flat_vector("gradients", gradients)
        _check_alike("gradients", gradients, parameters, "like parameters")
        for known in (*self._state.values(), *self._scratch):
            _check_alike("parameters", parameters, known, "as before (else call reset() first)")
        if not parameters.flags.writeable:
            raise ValueError("parameters: expected a writable array, got a read-only one")
        if np.may_share_memory(parameters, gradients):
            raise ValueError("gradients: expected memory apart from parameters, got an overlap")
        if not self._scratch:
            self._scratch = (np.empty_like(parameters), np.empty_like(parameters))
        for name in self._state_names():
            if name not in self._state:
                self._state[name] = np.zeros_like(parameters)
        self.steps += 1
        with np.errstate(all="ignore"):
            self._update(parameters, gradients, *self._scratch)

    @abstractmethod
    def _state_names(self) -> tuple[str, ...]:
        """Return the names of the vectors that are state."""

    @abstractmethod
    def _update(self, p: FloatArray, g: FloatArray, a: FloatArray, b: FloatArray) -> None:
        """Change p by g, all (P,); a and b are scratch."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return what it takes to go on bit for bit, as copies that a safetensors file can hold.

        Returns
        -------
        dict of str to ndarray
            ``steps`` int64 () and ``learning_rate`` float64 (); after the first step also the
            optimizer's vectors, (P,).
        """
        numbers = {"steps": np.array(self.steps), "learning_rate": np.array(self.learning_rate)}
        return numbers | {name: vector.copy() for name, vector in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; options but the learning rate stay as they are.

        Parameters
        ----------
        state : mapping of str to ndarray, () or (P,)
            Copied.

        Raises
        ------
        TypeError, ValueError
            If it is another optimizer's or damaged; nothing has changed then.
        """
        steps: Any = np.asarray(dict(state).get("steps"))[()]
        if not isinstance(steps, np.integer) or steps < 0:
            raise ValueError(f"state['steps']: expected a number of steps, got {steps}")
        wanted = ("steps", "learning_rate", *(self._state_names() if steps else ()))
        if set(state) != set(wanted):
            raise ValueError(f"state: expected {', '.join(wanted)}, got {', '.join(state)}")
        rate = _below("learning_rate", np.asarray(state["learning_rate"])[()], math.inf)
        vectors = {name: np.array(state[name]) for name in wanted[2:]}
        for name, vector in vectors.items():
            _checks.flat_vector(f"state[{name!r}]", vector)
            _check_alike(f"state[{name!r}]", vector, vectors[wanted[2]], f"like {wanted[2]}")
        self.reset()
        self.steps, self.learning_rate, self._state = int(steps), rate, vectors

    def _decayed(self, p: FloatArray, g: FloatArray, out: FloatArray) -> FloatArray:
        """Return g + weight_decay * p, all (P,), in `out` where that differs from g."""
        if not self.weight_decay:
            return g
        np.multiply(p, self.weight_decay, out=out)
        out += g
        return out


@dataclass(eq=False)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964; Nesterov 1983).

    ``v = momentum * v + g``, ``p -= learning_rate * v``; Nesterov: ``p -= learning_rate *
    (g + momentum * v)``.

    Parameters
    ----------
    learning_rate : float
    momentum : float, default 0.0
        In [0, 1).
    nesterov : bool, default False
        Needs momentum.
    weight_decay : float, default 0.0

    Raises
    ------
    TypeError, ValueError
        If an option is not as above, negative or not finite; for every optimizer.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> p = np.array([1.0, 2.0])
    >>> fr.optim.SGD(0.5).step(p, np.array([1.0, -1.0]))
    >>> p.tolist()
    [0.5, 2.5]
    """

    learning_rate: float
    momentum: float = 0.0
    _: KW_ONLY
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, got 0")
        super().__post_init__()

    def _state_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def _update(self, p: FloatArray, g: FloatArray, a: FloatArray, b: FloatArray) -> None:
        g = self._decayed(p, g, b)
        if self.momentum:
            velocity = self._state["velocity"]
            velocity *= self.momentum
            velocity += g
            if self.nesterov:
                np.multiply(velocity, self.momentum, out=a)
                a += g
                g = a
            else:
                g = velocity
        np.multiply(g, self.learning_rate, out=a)
        p -= a


@dataclass(eq=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1).

    ``m = beta1 m + (1 - beta1) g``, ``s = beta2 s + (1 - beta2) g^2``; after t steps
    ``p -= learning_rate m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon)``.

    Parameters
    ----------
    learning_rate : float, default 1e-3
    betas : pair of float, default (0.9, 0.999)
        Decay of the means of gradients and of their squares, in [0, 1).
    epsilon : float, default 1e-8
    weight_decay : float, default 0.0

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> p = np.array([1.0])
    >>> fr.optim.Adam(0.1).step(p, np.array([7.0]))
    >>> round(float(p[0]), 6)
    0.9
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    _: KW_ONLY
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def _state_names(self) -> tuple[str, ...]:
        return ("sum", "square_sum")

    def _update(self, p: FloatArray, g: FloatArray, a: FloatArray, b: FloatArray) -> None:
        g = self._decayed(p, g, b)
        beta1, beta2 = self.betas
        correction1 = 1 - beta1**self.steps
        correction2 = 1 - beta2**self.steps
        total, square = self._state["sum"], self._state["square_sum"]
        # Kept are the sums m = beta1 m + g and s = beta2 s + g^2; Adam's means are (1 - beta1) m
        # and (1 - beta2) s. With r^2 = (1 - beta2) / correction2:
        # p -= rate (1 - beta1) / correction1 * m / (r sqrt(s) + epsilon)
        root = math.sqrt((1 - beta2) / correction2)
        rate = self.learning_rate * (1 - beta1) / (correction1 * root)
        ops.adam(p, g, total, square, (beta1, beta2), self.epsilon / root, rate)


@dataclass(eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    ``p -= learning_rate * weight_decay * p``, then as `Adam` without weight decay.

    Parameters
    ----------
    learning_rate, betas, epsilon
        As for `Adam`.
    weight_decay : float, default 1e-2

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> p = np.array([1.0])
    >>> fr.optim.AdamW(0.1, weight_decay=0.5).step(p, np.array([0.0]))
    >>> p.tolist()
    [0.95]
    """

    _: KW_ONLY
    weight_decay: float = 1e-2

    def _decayed(self, p: FloatArray, g: FloatArray, out: FloatArray) -> FloatArray:
        p *= 1 - self.learning_rate * self.weight_decay
        return g


@dataclass(eq=False)
class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6e): gradients over the root of their mean square.

    ``s = alpha s + (1 - alpha) g^2``, ``u = g / (sqrt(s) + epsilon)``, ``p -= learning_rate * u``;
    with momentum ``v = momentum * v + u``, ``p -= learning_rate * v``.

    Parameters
    ----------
    learning_rate : float, default 1e-2
    alpha : float, default 0.99
        Decay of the mean of squares, in [0, 1).
    epsilon : float, default 1e-8
    momentum : float, default 0.0
        In [0, 1).
    weight_decay : float, default 0.0
    """

    learning_rate: float = 1e-2
    alpha: float = 0.99
    _: KW_ONLY
    epsilon: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def _state_names(self) -> tuple[str, ...]:
        return ("square", "velocity") if self.momentum else ("square",)

    def _update(self, p: FloatArray, g: FloatArray, a: FloatArray, b: FloatArray) -> None:
        g = self._decayed(p, g, b)
        square = self._state["square"]
        np.multiply(g, g, out=a)
        a *= 1 - self.alpha
        square *= self.alpha
        square += a
        np.sqrt(square, out=a)
        a += self.epsilon
        np.divide(g, a, out=a)
        if self.momentum:
            velocity = self._state["velocity"]
            velocity *= self.momentum
            velocity += a
            np.multiply(velocity, self.learning_rate, out=a)
        else:
            a *= self.learning_rate
        p -= a


def _check_alike(name: str, vector: FloatArray, model: FloatArray, why: str) -> None:
    if vector.shape != model.shape or vector.dtype != model.dtype:
        raise ValueError(
            f"{name}: expected {model.dtype} {model.shape} {why}, got {vector.dtype} {vector.shape}"
        )


def _below(name: str, value: Any, bound: float) -> float:
    number = _checks.number(name, value)
    if not 0 <= number < bound:
        raise ValueError(f"{name}: expected 0 <= {name} < {bound}, got {value}")
    return number
