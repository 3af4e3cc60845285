"""Optimizers on one flat vector of parameters, in place, and gradient clipping.

Formulas and defaults are PyTorch's (documentation of ``torch.optim``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray


class Optimizer(ABC):
    """Changes parameters by gradients; keeps vectors of its own, as long as the parameters.

    Attributes
    ----------
    learning_rate : float
        May be changed between steps.
    """

    #: Names of the vectors that are state, in `state_dict`.
    _state_names: tuple[str, ...] = ()
    _scratch_count = 1

    def __init__(self, learning_rate: float, weight_decay: float) -> None:
        self.learning_rate = _at_least_zero("learning_rate", learning_rate)
        self.weight_decay = _at_least_zero("weight_decay", weight_decay)
        self.reset()

    def reset(self) -> None:
        """Forget everything learned from earlier steps."""
        self.steps = 0
        self._state: dict[str, FloatArray] = {}
        self._scratch: list[FloatArray] = []

    def step(self, parameters: FloatArray, gradients: FloatArray) -> None:
        """Change `parameters` in place by one step.

        Parameters
        ----------
        parameters, gradients : ndarray, (P,)
            float32 or float64, contiguous.

        Raises
        ------
        TypeError, ValueError
            If they are not so, or not like those of earlier steps.
        """
        _check_vectors(parameters, gradients)
        if not self._scratch or self._scratch[0].dtype != parameters.dtype:
            self._scratch = [np.empty_like(parameters) for _ in range(self._scratch_count)]
        if not self._state:
            self._state = {name: np.zeros_like(parameters) for name in self._state_names}
        for vector in (*self._state.values(), *self._scratch):
            if vector.shape != parameters.shape or vector.dtype != parameters.dtype:
                raise ValueError(
                    f"parameters: expected {vector.dtype} {vector.shape} as in earlier steps, "
                    f"got {parameters.dtype} {parameters.shape}; call reset() to begin anew"
                )
        self.steps += 1
        self._update(parameters, gradients)

    @abstractmethod
    def _update(self, parameters: FloatArray, gradients: FloatArray) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """Return the step count and copies of the vectors: what it takes to go on exactly."""
        return {"steps": self.steps} | {k: v.copy() for k, v in self._state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
            If it is another optimizer's; nothing has changed then.
        """
        names = set(state) - {"steps"}
        if "steps" not in state or (names and names != set(self._state_names)):
            expected = ", ".join(("steps", *self._state_names))
            raise ValueError(f"state: expected {expected}, got {', '.join(sorted(state))}")
        self.reset()
        self.steps = int(state["steps"])
        self._state = {name: np.array(state[name]) for name in self._state_names if name in names}

    def _decayed(
        self, parameters: FloatArray, gradients: FloatArray, out: FloatArray
    ) -> FloatArray:
        """Return gradients + weight_decay * parameters, in `out` where that differs."""
        if not self.weight_decay:
            return gradients
        np.multiply(parameters, self.weight_decay, out=out)
        out += gradients
        return out


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
        Adds ``weight_decay * p`` to the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> p = np.array([1.0, 2.0])
    >>> fr.optim.SGD(0.5).step(p, np.array([1.0, -1.0]))
    >>> p.tolist()
    [0.5, 2.5]
    """

    _scratch_count = 2

    def __init__(
        self,
        learning_rate: float,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = _fraction("momentum", momentum)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, got 0")
        if self.momentum:
            self._state_names = ("velocity",)
        super().__init__(learning_rate, weight_decay)

    def _update(self, parameters: FloatArray, gradients: FloatArray) -> None:
        change, spare = self._scratch
        g = self._decayed(parameters, gradients, spare)
        if self.momentum:
            velocity = self._state["velocity"]
            velocity *= self.momentum
            velocity += g
            if self.nesterov:
                np.multiply(velocity, self.momentum, out=change)
                change += g
                g = change
            else:
                g = velocity
        np.multiply(g, self.learning_rate, out=change)
        parameters -= change


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1).

    Parameters
    ----------
    learning_rate : float, default 1e-3
    betas : pair of float, default (0.9, 0.999)
        Decay of the means of gradients and of their squares, in [0, 1).
    epsilon : float, default 1e-8
    weight_decay : float, default 0.0
        Adds ``weight_decay * p`` to the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> p = np.array([1.0])
    >>> fr.optim.Adam(0.1).step(p, np.array([7.0]))
    >>> round(float(p[0]), 6)
    0.9
    """

    _state_names = ("sum", "square_sum")
    _scratch_count = 2
    _decoupled = False

    def __init__(
        self,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"betas: expected a pair of numbers, got {betas!r}")
        self.betas = (_fraction("betas[0]", betas[0]), _fraction("betas[1]", betas[1]))
        self.epsilon = _at_least_zero("epsilon", epsilon)
        super().__init__(learning_rate, weight_decay)

    def _update(self, parameters: FloatArray, gradients: FloatArray) -> None:
        beta1, beta2 = self.betas
        correction1 = 1 - beta1**self.steps
        correction2 = 1 - beta2**self.steps
        rate = self.learning_rate
        total, square = self._state["sum"], self._state["square_sum"]
        a, b = self._scratch
        if self._decoupled:
            parameters *= 1 - rate * self.weight_decay
            g = gradients
        else:
            g = self._decayed(parameters, gradients, b)
        # Kept are the sums m = beta1 m + g and s = beta2 s + g^2; Adam's means are (1 - beta1) m
        # and (1 - beta2) s. With r^2 = (1 - beta2) / correction2:
        # p -= rate (1 - beta1) / correction1 * m / (r sqrt(s) + epsilon), in ten passes.
        np.multiply(g, g, out=a)
        square *= beta2
        square += a
        total *= beta1
        total += g
        root = math.sqrt((1 - beta2) / correction2)
        np.sqrt(square, out=a)
        a += self.epsilon / root
        np.divide(total, a, out=a)
        a *= rate * (1 - beta1) / (correction1 * root)
        parameters -= a


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    Parameters
    ----------
    learning_rate, betas, epsilon
        As for `Adam`.
    weight_decay : float, default 1e-2
        Parameters shrink by ``learning_rate * weight_decay`` of themselves at each step.
    """

    _decoupled = True

    def __init__(
        self,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        epsilon: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(learning_rate, betas, epsilon=epsilon, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6e): gradients over the root of their mean square.

    Parameters
    ----------
    learning_rate : float, default 1e-2
    alpha : float, default 0.99
        Decay of the mean of squares, in [0, 1).
    epsilon : float, default 1e-8
    momentum : float, default 0.0
        In [0, 1).
    weight_decay : float, default 0.0
        Adds ``weight_decay * p`` to the gradient.
    """

    _scratch_count = 2

    def __init__(
        self,
        learning_rate: float = 1e-2,
        alpha: float = 0.99,
        *,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha = _fraction("alpha", alpha)
        self.epsilon = _at_least_zero("epsilon", epsilon)
        self.momentum = _fraction("momentum", momentum)
        self._state_names = ("square", "velocity") if self.momentum else ("square",)
        super().__init__(learning_rate, weight_decay)

    def _update(self, parameters: FloatArray, gradients: FloatArray) -> None:
        a, spare = self._scratch
        g = self._decayed(parameters, gradients, spare)
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
        parameters -= a


def clip_by_global_norm(gradients: FloatArray, max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`, in place.

    As PyTorch's ``clip_grad_norm_``: by ``max_norm / (norm + 1e-6)`` (Pascanu et al. 2013).

    Parameters
    ----------
    gradients : ndarray, (P,)
        Contiguous. Left as they are where the norm is not finite.
    max_norm : float
        More than 0.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError
        If `max_norm` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn.optim import clip_by_global_norm
    >>> g = np.array([3.0, 4.0])
    >>> clip_by_global_norm(g, 1.0)
    5.0
    >>> g.round(4).tolist()
    [0.6, 0.8]
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm: expected more than 0, got {max_norm}")
    norm = float(np.sqrt(np.dot(gradients, gradients)))
    if not 1e-15 < norm < 1e15 and gradients.size:  # squares may have left float32's range
        largest = float(np.abs(gradients).max())
        if 0 < largest < np.inf:
            scaled = gradients.astype(np.float64) / largest
            norm = largest * float(np.sqrt(np.dot(scaled, scaled)))
        else:
            norm = largest
    if max_norm < norm < np.inf:
        gradients *= max_norm / (norm + 1e-6)
    return norm


def clip_by_value(gradients: FloatArray, max_value: float) -> None:
    """Clip each gradient to [-max_value, max_value], in place.

    Parameters
    ----------
    gradients : ndarray, (P,)
    max_value : float
        More than 0.

    Raises
    ------
    ValueError
        If `max_value` is not above 0.
    """
    if not max_value > 0:
        raise ValueError(f"max_value: expected more than 0, got {max_value}")
    np.clip(gradients, -max_value, max_value, out=gradients)


def _check_vectors(parameters: FloatArray, gradients: FloatArray) -> None:
    for name, vector in (("parameters", parameters), ("gradients", gradients)):
        if not isinstance(vector, np.ndarray) or vector.dtype not in (np.float32, np.float64):
            got = getattr(vector, "dtype", type(vector).__name__)
            raise TypeError(f"{name}: expected a float32 or float64 array, got {got}")
        if vector.ndim != 1 or not vector.flags.c_contiguous:
            raise ValueError(f"{name}: expected one contiguous axis, got shape {vector.shape}")
    if parameters.shape != gradients.shape or parameters.dtype != gradients.dtype:
        raise ValueError(
            f"gradients: expected {parameters.dtype} {parameters.shape} like parameters, "
            f"got {gradients.dtype} {gradients.shape}"
        )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    return float(value)


def _at_least_zero(name: str, value: Any) -> float:
    number = _number(name, value)
    if not 0 <= number < np.inf:
        raise ValueError(f"{name}: expected a finite number of at least 0, got {value}")
    return number


def _fraction(name: str, value: Any) -> float:
    number = _number(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name}: expected 0 <= {name} < 1, got {value}")
    return number
