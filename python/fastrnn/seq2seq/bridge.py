"""From an encoder's final state to a decoder's initial state."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn._checks import FloatArray
from fastrnn.state_trees import like


def bridged(final: Any, num_layers: int, num_directions: int) -> Any:
    """Return the decoder's initial state: the directions of each layer side by side.

    Parameters
    ----------
    final : ndarray (num_layers * num_directions, N, H), or a pair of them
        Of the encoder.
    num_layers, num_directions : int

    Returns
    -------
    state : ndarray (num_layers, N, num_directions * H), or a pair of them
    """
    if num_directions == 1:
        return final

    def joined(part: FloatArray) -> FloatArray:
        layers = part.reshape(num_layers, num_directions, *part.shape[1:])
        return np.concatenate(list(layers.swapaxes(0, 1)), axis=-1)

    return like(final, joined)


def unbridged(dinitial: Any, num_layers: int, num_directions: int) -> Any:
    """Return the gradient of the encoder's final state.

    Parameters
    ----------
    dinitial : ndarray (num_layers, N, num_directions * H), or a pair of them
        Gradient of what `bridged` returned.
    num_layers, num_directions : int

    Returns
    -------
    dfinal : ndarray (num_layers * num_directions, N, H), or a pair of them
    """
    if num_directions == 1:
        return dinitial

    def parted(part: FloatArray) -> FloatArray:
        layers = np.stack(np.split(part, num_directions, axis=-1), axis=1)
        return layers.reshape(num_layers * num_directions, *layers.shape[2:])

    return like(dinitial, parted)
