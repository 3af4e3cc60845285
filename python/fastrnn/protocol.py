"""The protocol that all layers speak, and where their parameters live."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn.embedding_gradient import AddTo, EmbeddingGradient
from fastrnn.sharing import Holders

Shapes = dict[str, tuple[int, ...]]


class Tape:
    """What one `forward` call keeps for one `backward` call of the same layer."""

    __slots__ = ("_content", "_owner")

    def __init__(self, owner: Layer, content: Any) -> None:
        self._owner = owner
        self._content: Any = (content,)

    def content(self, layer: Layer) -> Any:
        """Return the content without using the tape up; raise unless it is `layer`'s and unused."""
        if self._owner is not layer:
            raise ValueError(
                f"tape: expected one made by this {type(layer).__name__}, "
                f"got one made by another {type(self._owner).__name__}"
            )
        if self._content is None:
            raise RuntimeError("tape: already used by a backward pass; run forward again")
        return self._content[0]

    def use(self, layer: Layer) -> Any:
        """Return the content and let go of it."""
        content = self.content(layer)
        self._content = None
        return content

    def discard(self) -> None:
        """Let go of a tape that no backward pass will use; its memory is used again.

        Raises
        ------
        RuntimeError
            If it was used before.
        """
        self._owner._discard(self)

    def backward(
        self, layer: Layer, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[Any, Any]:
        """Do what `Layer.backward` says, with this kind of tape: check, then run."""
        layer._check_backward(self, dy, dstate)
        return layer._backward(self, dy, dstate, input_gradient=input_gradient)


class Layer(ABC):
    """What every layer and every composition of layers provides.

    The parameters of a layer are named views of one contiguous vector, its gradients views of
    another. Putting a layer into a composition moves its parameters into the composition's
    vectors: take views from ``layer.parameters`` after composing.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._owned = False
        self._parameter_vector = np.empty(0, dtype)
        self._gradient_vector = np.empty(0, dtype)
        self._gradient_bytes = self._gradient_vector.view(np.uint8)
        self._holders = Holders()
        self._gradients: Mapping[str, FloatArray] = MappingProxyType({})

    # ---- parameters ----

    @property
    def parameters(self) -> Mapping[str, FloatArray]:
        """Writable views of the parameters by name; writing takes effect at the next call.

        While anyone holds one (or an array made from it), each call compares all weights with
        those it has packed; writing through a bare address that outlives its array goes unnoticed.
        """
        return views(self.parameter_vector, self.shapes())

    @property
    def gradients(self) -> Mapping[str, FloatArray]:
        """Views of the gradients by name; `backward` adds to them."""
        return self._gradients

    @property
    def parameter_vector(self) -> FloatArray:
        """All parameters as one contiguous vector (P,), writable."""
        if not self._parameter_vector.size:
            return self._parameter_vector
        return self._holders.share(self._parameter_vector)

    @property
    def gradient_vector(self) -> FloatArray:
        """All gradients as one contiguous vector (P,), writable."""
        return self._gradient_vector

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        self._gradient_bytes.fill(0)

    def shapes(self) -> Shapes:
        """Names and shapes of the parameters, in the order of the vector."""
        return {}

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        """Make `parameters` and `gradients`, each (P,), the vectors that this layer lives in."""
        self._parameter_vector, self._gradient_vector = parameters, gradients
        # NumPy fills bytes faster than numbers: with memset.
        self._gradient_bytes = gradients.view(np.uint8)
        self._holders = holders
        self._gradients = views(gradients, self.shapes())

    # ---- running ----

    #: Whether the output still has the time axis of the input.
    keeps_time = True
    #: Whether it can go on from the state after earlier steps of its input.
    runs_on = True
    #: The step of longer sequences at which forward passes begin: masks are drawn by it.
    _first_step = 0
    #: Whether sequences are (N, T, features) rather than (T, N, features); True where either does.
    batch_first = True

    @abstractmethod
    def __call__(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, Any]:
        """Run for inference: nothing is kept; dropout is off. Returns (y, state)."""

    @abstractmethod
    def forward(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, Any, Tape]:
        """Run for training. Returns (y, state, tape)."""

    def backward(
        self, tape: Tape, dy: Any, dstate: Any = None, *, input_gradient: bool = True
    ) -> tuple[Any, Any]:
        """Back-propagate; add into `gradients`.

        Parameters
        ----------
        tape : Tape
            Of this layer's `forward`; used up.
        dy : ndarray, shape of y, or None; a list of them where x was one
            Gradient of y; None is zero. Not read at invalid steps.
        dstate : as the state `forward` returns, or None
            Gradient of the final state; None is zero.
        input_gradient : bool, default True
            Whether dx is wanted.

        Returns
        -------
        dx : ndarray, shape of x, or None; a list of them where x was one
            Zero at invalid steps.
        dstate : as the state
            Gradient of the initial state.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above. Nothing has changed then; the tape stays usable.
        RuntimeError
            If the tape was used before, or the parameters have changed since `forward`.
        """
        return tape.backward(self, dy, dstate, input_gradient=input_gradient)

    @abstractmethod
    def _check_backward(self, tape: Tape, dy: Any, dstate: Any) -> None:
        """Raise before any work unless `_backward` can run."""

    @abstractmethod
    def _backward(
        self, tape: Tape, dy: Any, dstate: Any, *, input_gradient: bool
    ) -> tuple[Any, Any]:
        """Back-propagate with arguments that `_check_backward` has passed."""

    def _discard(self, tape: Tape) -> None:
        """Take back the memory of a tape that no backward pass will use."""
        tape.use(self)

    def _embedding_gradient(self, tape: Tape, *, batch_first: bool) -> EmbeddingGradient | None:
        """Return what the layer above may add to, instead of a backward pass of this one.

        None where there is no such, or it would take longer. `batch_first` is the layer's above.
        """
        return None

    def _adds_by_token(self) -> bool:
        """Whether `_backward` takes an `EmbeddingGradient` as `add_to`."""
        return False

    def _begin_weight_sums(self) -> None:  # noqa: B027
        """Sum weight gradients over several backward passes as if over one."""

    def _end_weight_sums(self) -> None:  # noqa: B027
        """Add those sums to `gradients`."""

    def _parts(self) -> tuple[Layer, ...]:
        """Return the layers that this one is made of."""
        return ()

    def reseed(self, rng: np.random.Generator) -> None:  # noqa: B027
        """Draw random numbers (dropout masks) from `rng` from now on."""

    # ---- configuration ----

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return what makes an equal layer, less the parameters' values: plain JSON values."""

    def to(self, dtype: Any) -> Layer:
        """Return a copy of this layer with another dtype.

        ``"bfloat16"`` is for inference and `Stream`: the kernels read the recurrent layers' weight
        matrices rounded to bfloat16, half the memory of float32. Inputs, outputs, states, biases
        and sums stay float32, and so do `parameters`, which are rounded when they are packed;
        layers without recurrence stay float32. Where the processor multiplies bfloat16
        (AVX512-BF16), x and h are rounded to it in the products; elsewhere weights are widened,
        and results are bit for bit those of float32 weights with bfloat16 values.

        Parameters
        ----------
        dtype : dtype
            float32, float64 or ``"bfloat16"``.

        Returns
        -------
        layer
            With its own parameters, converted; gradients zero. This layer stays as it is.

        Raises
        ------
        TypeError
            If `dtype` is none of these.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrnn as fr
        >>> layer = fr.LSTM(3, 256, seed=0)
        >>> x = np.ones((1, 5, 3), np.float32)
        >>> y, _ = layer.to("bfloat16")(x)
        >>> y.dtype, bool(abs(y - layer(x)[0]).max() < 0.01)
        (dtype('float32'), True)
        """
        from fastrnn.serialization import converted

        return converted(self, dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        # By configuration and vector: pickled views would come apart from their vector.
        from fastrnn.serialization import rebuild

        return rebuild, (self.config(), self.parameter_vector.copy())


class Recurrent(Layer):
    """A layer (N, T, input_size) -> (N, T, output_size) that carries a state over time."""

    input_size: int
    output_size: int

    @abstractmethod
    def __call__(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[Any, Any]:
        """As `Layer.__call__`; y goes to `out` (N, T, output_size) where one is given.

        Where `reset`, (N, T) of bool or 0 and 1, is true, a row begins anew: the state that crosses
        the boundary before this step is zero, running either way in time. (T, N) where x has time
        first.
        """

    @abstractmethod
    def forward(
        self,
        x: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        out: FloatArray | None = None,
        reset: Any = None,
    ) -> tuple[Any, Any, Tape]:
        """As `Layer.forward`, with `out` and `reset` as for a call."""

    @abstractmethod
    def _backward(
        self,
        tape: Tape,
        dy: Any,
        dstate: Any,
        *,
        input_gradient: bool,
        add_to: AddTo = None,
    ) -> tuple[Any, Any]:
        """As `Layer._backward`; dx is added to `add_to` where it is given, which is then dx."""

    def _run_beside(
        self,
        other: Recurrent,
        x: Any,
        states: tuple[Any, Any],
        lengths: Any,
        outs: tuple[FloatArray | None, FloatArray | None],
        reset: Any = None,
        *,
        record: bool,
    ) -> tuple[Any, Any]:
        """Run this layer and `other` over x; what each returns, of `forward` where `record`."""
        first, second = (
            (layer.forward if record else layer)(
                x, state, lengths=lengths, out=out, **reset_for(layer, reset)
            )
            for layer, state, out in zip((self, other), states, outs, strict=True)
        )
        return first, second

    def _backward_beside(
        self,
        other: Recurrent,
        tapes: tuple[Tape, Tape],
        dys: tuple[Any, Any],
        dstates: tuple[Any, Any],
        *,
        input_gradient: bool,
        add_to: AddTo,
    ) -> tuple[Any, tuple[Any, Any]]:
        """As `_backward`, for this layer and `other`, which have read the same x: dx is the sum."""
        dx, first = self._backward(
            tapes[0], dys[0], dstates[0], input_gradient=input_gradient, add_to=add_to
        )
        dx, second = other._backward(
            tapes[1], dys[1], dstates[1], input_gradient=input_gradient, add_to=dx
        )
        return dx, (first, second)

    @abstractmethod
    def reversed_twin(self, seed: int | np.random.Generator | None) -> Recurrent:
        """Return a layer like this one that runs the other way in time, with its own weights."""

    @abstractmethod
    def training_bytes(
        self, batch_size: int, steps: int, lengths: Any = None, *, reset: bool = False
    ) -> int:
        """Return the memory of a forward and backward pass beside x, y, dy and dx, in bytes.

        Parameters
        ----------
        batch_size, steps : int
            N and T.
        lengths : ndarray of int, (N,), or None
        reset : bool, default False
            Whether the pass has resets.
        """


def walk(layer: Layer) -> Iterator[Layer]:
    """Yield a layer and all that it is made of, each before its parts."""
    yield layer
    for part in layer._parts():
        yield from walk(part)


def reset_for(layer: Layer, reset: Any) -> dict[str, Any]:
    """Return ``{"reset": reset}`` where one is given and a layer, or a part of it, has a state.

    Parameters
    ----------
    layer : layer
    reset : ndarray of bool, (N, T) or (T, N), or None
    """
    if reset is None or not _has_state(layer):
        return {}
    return {"reset": reset}


def check_reset(layer: Layer, reset: Any) -> None:
    """Raise if resets are given to a layer that has no state.

    Parameters
    ----------
    layer : layer
    reset : ndarray of bool, (N, T) or (T, N), or None
    """
    if reset is not None and not _has_state(layer):
        raise ValueError(
            f"reset: expected None, as no layer in this {type(layer).__name__} carries a state, "
            "got an array"
        )


def _has_state(layer: Layer) -> bool:
    return any(isinstance(part, Recurrent) and not part._parts() for part in walk(layer))


def views(vector: FloatArray, shapes: Shapes) -> Mapping[str, FloatArray]:
    """Cut a contiguous vector into read-only-named, writable arrays.

    Parameters
    ----------
    vector : ndarray, (P,)
    shapes : dict
        Name to shape; the sizes add up to P.
    """
    named, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        named[name] = vector[start : start + size].reshape(shape)
        start += size
    return MappingProxyType(named)


def own_vectors(layer: Layer) -> None:
    """Give `layer` vectors of its own, zero."""
    count = sum(int(np.prod(shape)) for shape in layer.shapes().values())
    layer._bind(np.zeros(count, layer.dtype), np.zeros(count, layer.dtype), Holders())


def adopt(parent: Layer, children: list[Layer], own: int = 0) -> None:
    """Move the children's parameters, values kept, into new vectors of `parent`.

    Behind them is room for as many parameters of the parent's own, zero.
    """
    check_free(children)
    count = sum(child._parameter_vector.size for child in children) + own
    parameters, gradients = np.zeros(count, parent.dtype), np.zeros(count, parent.dtype)
    start = 0
    for child in children:
        end = start + child._parameter_vector.size
        parameters[start:end] = child._parameter_vector
        start = end
        child._owned = True
    parent._bind(parameters, gradients, Holders())


def check_free(children: Sequence[Layer]) -> None:
    """Raise if a layer is part of a model already, or twice among `children`."""
    for i, child in enumerate(children):
        if child._owned or any(child is other for other in children[:i]):
            raise ValueError(
                f"layers[{i}]: expected a {type(child).__name__} of its own, "
                "got one that is already part of a model"
            )


def bind_children(parent: Layer, children: list[Layer]) -> None:
    """Bind each child to its part of the parent's vectors, in order."""
    start = 0
    for child in children:
        end = start + child._parameter_vector.size
        parameters, gradients = parent._parameter_vector, parent._gradient_vector
        child._bind(parameters[start:end], gradients[start:end], parent._holders)
        start = end
