"""A sequence of layers whose last one has the first one's weight: tied embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrnn._checks import FloatArray
from fastrnn.composition import Sequential
from fastrnn.feedforward import Embedding, Linear
from fastrnn.protocol import Layer, Shapes, adopt, bind_children, check_free
from fastrnn.sharing import Holders


class TiedSequential(Sequential):
    """`Sequential` in which the last layer's weight is the embedding of the first.

    Scores are y E^T + b with the vectors E that the tokens are read by (Press and Wolf 2017, "Using
    the output embedding to improve language models"; Inan, Khosravi and Socher 2017, "Tying word
    vectors and word classifiers"). The one weight, ``0.weight``, has the sum of both gradients and
    begins with the last layer's initial values: an embedding's N(0, 1) would make scores far from
    each other.

    Parameters
    ----------
    layers : sequence of layers
        `Embedding(V, E)` first, `Linear(E, V)` last; between them layers from E to E features.
        Where a recurrent layer puts out H others, put a `Linear` from H to E behind it.

    Raises
    ------
    ValueError
        If sizes do not fit, or a layer is already part of a model.
    TypeError
        If the first and last layer are no such, or dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> model = fr.TiedSequential([fr.Embedding(50, 8), fr.GRU(8, 8, seed=0), fr.Linear(8, 50)])
    >>> scores, state = model(np.array([[1, 2, 3]]))
    >>> scores.shape, "2.weight" in model.parameters
    ((1, 3, 50), False)
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        first, last = (layers[0], layers[-1]) if len(layers) > 1 else (None, None)
        if not isinstance(first, Embedding) or not isinstance(last, Linear):
            raise TypeError(
                "layers: expected Embedding first and Linear last, "
                f"got {', '.join(type(layer).__name__ for layer in layers) or 'none'}"
            )
        wanted, got = first.shapes()["weight"], last.shapes()["weight"]
        if wanted != got:
            raise ValueError(
                f"layers[{len(layers) - 1}]: expected weight of shape (V, E) = {wanted} like the "
                f"embedding's, got {got}; put a Linear to E features before it"
            )
        self._embedding, self._output = first, last
        super().__init__(layers)

    def _take_in(self) -> None:
        check_free(self.layers)
        values = self._output._parameter_vector.copy()
        count = self._embedding._parameter_vector.size
        # The embedding behind the others, the output's bias behind it: both layers' parameters are
        # then contiguous, and overlap.
        adopt(self, [*self.layers[1:-1], self._embedding], own=values.size - count)
        self._output._owned = True
        self._parameter_vector[-values.size :] = values

    def shapes(self) -> Shapes:
        """Names and shapes of the parameters: those of `Sequential` less the last weight."""
        own = len(self.layers) - 1
        shapes = super().shapes()
        embedding, _ = shapes.pop("0.weight"), shapes.pop(f"{own}.weight")
        bias = {name: shapes.pop(name) for name in (f"{own}.bias",) if name in shapes}
        return shapes | {"0.weight": embedding} | bias

    def _bind(self, parameters: FloatArray, gradients: FloatArray, holders: Holders) -> None:
        Layer._bind(self, parameters, gradients, holders)
        bind_children(self, [*self.layers[1:-1], self._embedding])
        tail = slice(-self._output._parameter_vector.size, None)
        self._output._bind(parameters[tail], gradients[tail], holders)

    def config(self) -> dict[str, Any]:
        """Return the configurations of the layers."""
        return super().config() | {"type": "TiedSequential"}
