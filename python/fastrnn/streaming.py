"""Step by step: a model whose state stays between calls, one call into C++ for the whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastrnn import _checks, ops
from fastrnn._checks import FloatArray
from fastrnn.checkpointing import Checkpointed
from fastrnn.composition import Sequential, Stacked
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Embedding, Linear
from fastrnn.network import RecurrentNetwork
from fastrnn.protocol import Layer, walk
from fastrnn.recurrent import RecurrentLayer
from fastrnn.residual import Residual
from fastrnn.standardize import Standardize

_MAGIC = b"fastrnn stream 1\n"


class Stream:
    """Run a model one time step at a time.

    Outputs and states are bit for bit those of the model over the whole sequence. The weights are
    those that the model had when the stream was made; the model may change or go afterwards.

    Parameters
    ----------
    model : layer
        `LSTM`, `GRU`, `RNN`, `Stacked`, `Sequential`, `Residual`, `Linear`, in any nesting, with
        `Standardize` before the first or after the last of them; `Dropout` does nothing. All layers
        have to run forward in time and to know no later step. `Embedding` may be the first: steps
        then take tokens.
    batch_size : int, default 1
        N: independent streams side by side, each with its state.

    Raises
    ------
    TypeError
        If a layer cannot run step by step (`Bidirectional`, `Last`, ...).
    ValueError
        If a layer runs backwards in time.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.Sequential([fr.LSTM(3, 8, seed=0), fr.Linear(8, 2, seed=1)])
    >>> x = np.ones((1, 5, 3), np.float32)
    >>> stream = fr.Stream(model)
    >>> y = [stream.step(x[:, t]) for t in range(5)]
    >>> bool((np.stack(y, axis=1) == model(x)[0]).all())
    True
    """

    def __init__(self, model: Layer, batch_size: int = 1) -> None:
        self._model = model
        self.batch_size = _checks.positive_integer("batch_size", batch_size)
        collected: list[_Leaf | Standardize] = []
        _collect(model, collected)
        self._before, leaves, self._after = _apart(collected)
        self.dtype = leaves[0].dtype
        self.input_size = leaves[0].input_size
        self.output_size = leaves[-1].output_size
        self._recurrent = [
            (i, leaf) for i, leaf in enumerate(leaves) if isinstance(leaf, RecurrentLayer)
        ]
        self._stack = ops.stream_stack([_stage(leaf) for leaf in leaves], self.batch_size)
        # Of a model of tokens: their vectors are looked up before the stack.
        embedding = _embedding_of(model)
        if any(isinstance(part, Embedding) and part is not embedding for part in walk(model)):
            raise TypeError("model: expected Embedding as the first layer only, got one behind")
        self._vectors = None if embedding is None else embedding._weight.copy()
        self._shape = (self.batch_size, self.output_size)
        self._x_shape = (self.batch_size, self.input_size)
        # What models have learned to begin with; the others' states are zero.
        self._initial = [
            (stage, h.copy(), None if c is None else c.copy())
            for (stage, _), (h, c) in zip(
                self._recurrent, _flatten(model, None, self.batch_size), strict=True
            )
            if h.any() or (c is not None and c.any())
        ]
        self._begin()

    def step(self, x: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Advance by one time step.

        Parameters
        ----------
        x : ndarray, (N, input_size), or (N,) of int
            Of the model's dtype, features side by side; tokens where the model begins with
            `Embedding`.
        out : ndarray, (N, output_size), or None
            Where y goes; may be x. With it a step allocates nothing but a standardized x.

        Returns
        -------
        ndarray, (N, output_size)
            `out` where one is given.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above; the state has not changed then.
        RuntimeError
            If another thread is in a step of this stream.
        """
        if out is None:
            out = np.empty(self._shape, self.dtype)
        if self._vectors is not None:
            x = self._looked_up(x, self._vectors)
        # What is not as it has to be goes on to the stack, which says what is wrong.
        if self._before and getattr(x, "shape", ()) == self._x_shape and x.dtype == self.dtype:
            for layer in self._before:
                x = layer.applied(x)
        self._stack.step(x, out)
        for layer in self._after:
            layer.applied(out, out=out)
        return out

    def _looked_up(self, x: Any, vectors: FloatArray) -> FloatArray:
        tokens = np.asarray(x)
        if tokens.dtype.kind not in "iu":
            raise TypeError(f"x: expected integer tokens, got {tokens.dtype}")
        if tokens.shape != (self.batch_size,):
            raise ValueError(
                f"x: expected shape (N,) = ({self.batch_size},) tokens, got {tokens.shape}"
            )
        if tokens.min() < 0 or tokens.max() >= len(vectors):
            wrong = tokens[(tokens < 0) | (tokens >= len(vectors))][0]
            raise ValueError(f"x: expected tokens in 0..{len(vectors) - 1}, got {wrong}")
        return np.asarray(vectors[tokens])

    def reset(self, rows: Any = None) -> None:
        """Set states to the initial ones: zero, or what the model had learned.

        Parameters
        ----------
        rows : ndarray of bool, (N,), or None
            The streams that begin anew; None: all.

        Raises
        ------
        TypeError, ValueError
            If `rows` is not as above; no state has changed then.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrnn as fr
        >>> stream = fr.Stream(fr.GRU(3, 8, seed=0), batch_size=2)
        >>> y = stream.step(np.ones((2, 3), np.float32))
        >>> stream.reset([True, False])
        >>> [bool(row.any()) for row in stream.state[0]]
        [False, True]
        """
        if rows is None:
            self._stack.reset()
            self._begin()
            return
        chosen = _checks.rows_of_batch("rows", rows, self.batch_size)
        initial = list(_flatten(self._model, None, self.batch_size))
        for (stage, _), now, begin in zip(self._recurrent, self._states(), initial, strict=True):
            for part, first in zip(now, begin, strict=True):
                if part is not None and first is not None:
                    part[chosen] = first[chosen]
            self._stack.write_state(stage, *now)

    def _begin(self) -> None:
        for stage, h, c in self._initial:
            self._stack.write_state(stage, h, c)

    @property
    def state(self) -> Any:
        """The state after the last step, as the model returns it: copies; can be set."""
        return _structure(self._model, iter(self._states()))

    @state.setter
    def state(self, value: Any) -> None:
        flat = list(_flatten(self._model, value, self.batch_size))
        for (stage, _), (h, c) in zip(self._recurrent, flat, strict=True):
            self._stack.write_state(stage, h, c)

    def to_bytes(self) -> bytes:
        """Return the state as bytes, for `from_bytes` of a stream of an equal model."""
        return self._header() + b"".join(
            part.tobytes() for state in self._states() for part in state if part is not None
        )

    def from_bytes(self, data: bytes) -> None:
        """Set the state from what `to_bytes` returned.

        Parameters
        ----------
        data : bytes
            Of a stream with the same cells, sizes, dtype and batch_size.

        Raises
        ------
        ValueError
            If `data` is of another stream or incomplete; the state has not changed then.
        """
        header = self._header()
        states = self._states()
        parts = [part for state in states for part in state if part is not None]
        if not data.startswith(header):
            raise ValueError("data: expected the state of a stream of an equal model, got another")
        expected = len(header) + sum(part.nbytes for part in parts)
        if len(data) != expected:
            raise ValueError(f"data: expected {expected} bytes, got {len(data)}")
        place = len(header)
        for part in parts:
            part[...] = np.frombuffer(data, part.dtype, part.size, place).reshape(part.shape)
            place += part.nbytes
        for (stage, _), (h, c) in zip(self._recurrent, states, strict=True):
            self._stack.write_state(stage, h, c)

    def _states(self) -> list[tuple[FloatArray, FloatArray | None]]:
        states = []
        for stage, layer in self._recurrent:
            sizes = layer.state_sizes
            h, *cells = (np.empty((self.batch_size, size), self.dtype) for size in sizes)
            c = cells[0] if cells else None
            self._stack.read_state(stage, h, c)
            states.append((h, c))
        return states

    def _header(self) -> bytes:
        cells = " ".join(_description(layer) for _, layer in self._recurrent)
        little = self.dtype.newbyteorder("<").str
        return _MAGIC + f"{little} {self.batch_size} {cells}\n".encode()


def _description(layer: RecurrentLayer) -> str:
    projection = layer.options.projection_size
    return f"{layer.cell}:{layer.hidden_size}" + (f":{projection}" if projection else "")


class _Sum(NamedTuple):
    """The end of a residual connection around the leaves from `source` on."""

    source: int
    input_size: int
    output_size: int
    dtype: np.dtype[Any]


_Leaf = RecurrentLayer | Linear | _Sum


def _apart(
    collected: list[_Leaf | Standardize],
) -> tuple[list[Standardize], list[_Leaf], list[Standardize]]:
    """Return the standardizations before all leaves, the leaves, and those after them."""
    places = [i for i, leaf in enumerate(collected) if not isinstance(leaf, Standardize)]
    if not places:
        raise ValueError("model: expected at least one layer with weights, got none")
    first, end = places[0], places[-1] + 1
    leaves: list[_Leaf] = []
    for leaf in collected[first:end]:
        if isinstance(leaf, Standardize):
            raise TypeError(
                "model: expected Standardize before or after all other layers, got one between them"
            )
        leaves.append(leaf._replace(source=leaf.source - first) if isinstance(leaf, _Sum) else leaf)
    before = [leaf for leaf in collected[:first] if isinstance(leaf, Standardize)]
    after = [leaf for leaf in collected[end:] if isinstance(leaf, Standardize)]
    for layers, size in ((before, leaves[0].input_size), (after, leaves[-1].output_size)):
        for layer in layers:
            if layer.mean.size != size:
                raise ValueError(
                    f"model: expected a Standardize of {size} features, got {layer.mean.size}"
                )
    return before, leaves, after


def _collect(layer: Layer, leaves: list[_Leaf | Standardize]) -> None:
    """Append the layers with weights, the sums between them and standardizations, in order."""
    if isinstance(layer, RecurrentNetwork):
        _collect(layer._stack, leaves)
    elif isinstance(layer, Checkpointed):  # streams keep no tape
        _collect(layer.layer, leaves)
    elif isinstance(layer, (Sequential, Stacked)):
        for child in layer.layers:
            _collect(child, leaves)
    elif isinstance(layer, Residual):
        source = len(leaves)
        _collect(layer.layer, leaves)
        if any(isinstance(leaf, Standardize) for leaf in leaves[source:]):
            raise TypeError("model: expected Residual without Standardize in it, got one with it")
        leaves.append(_Sum(source, layer.input_size, layer.output_size, layer.dtype))
    elif isinstance(layer, RecurrentLayer):
        if layer.reverse:
            raise ValueError("model: expected layers that run forward in time, got a reversed one")
        leaves.append(layer)
    elif isinstance(layer, (Linear, Standardize)):
        leaves.append(layer)
    elif not isinstance(layer, (Dropout, Embedding)):
        raise TypeError(
            "model: expected recurrent layers that run forward in time, Linear, Standardize and "
            f"Dropout, got {type(layer).__name__}"
        )


def _embedding_of(model: Layer) -> Embedding | None:
    """Return the embedding that a model begins with."""
    while isinstance(model, Sequential):
        model = model.layers[0]
    return model if isinstance(model, Embedding) else None


def _stage(leaf: _Leaf) -> ops.Stage:
    if isinstance(leaf, Linear):
        return ops.linear_stage(leaf._weight, leaf._bias)
    if isinstance(leaf, _Sum):
        return ops.add_stage(leaf.output_size, leaf.source, leaf.dtype)
    return ops.recurrent_stage(leaf._kind, leaf._weights)


def _structure(layer: Layer, states: Iterator[tuple[FloatArray, FloatArray | None]]) -> Any:
    """Return the next states in the form in which `layer` returns its own."""
    if isinstance(layer, RecurrentLayer):
        h, c = next(states)
        return h if c is None else (h, c)
    if isinstance(layer, RecurrentNetwork):
        return layer._packed(_structure(layer._stack, states))
    if isinstance(layer, Checkpointed):
        return _structure(layer.layer, states)
    if isinstance(layer, (Sequential, Stacked)):
        return tuple(_structure(child, states) for child in layer.layers)
    return _structure(layer.layer, states) if isinstance(layer, Residual) else None


def _flatten(
    layer: Layer, value: Any, batch: int
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Yield the recurrent layers' parts of a state in `layer`'s form; None is the initial one."""
    if isinstance(layer, RecurrentLayer):
        h, c = layer._state("state", value, batch)
        if h is None:
            zero, *cells = (np.zeros((batch, size), layer.dtype) for size in layer.state_sizes)
            yield zero, cells[0] if cells else None
        else:
            yield np.ascontiguousarray(h), None if c is None else np.ascontiguousarray(c)
    elif isinstance(layer, RecurrentNetwork):
        yield from _flatten(layer._stack, layer._initial_states(value, batch), batch)
    elif isinstance(layer, Checkpointed):
        yield from _flatten(layer.layer, value, batch)
    elif isinstance(layer, (Sequential, Stacked)):
        for child, part in zip(layer.layers, layer._states("state", value), strict=True):
            yield from _flatten(child, part, batch)
    elif isinstance(layer, Residual):
        yield from _flatten(layer.layer, value, batch)
