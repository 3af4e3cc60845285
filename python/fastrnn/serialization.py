"""Models to and from files: safetensors layout, configuration in the header, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _checks, safetensors_file
from fastrnn._checks import FloatArray
from fastrnn.bidirectional import Bidirectional
from fastrnn.checkpointing import Checkpointed
from fastrnn.composition import Sequential, Stacked
from fastrnn.dropout import Dropout
from fastrnn.feedforward import Embedding, Linear
from fastrnn.layers import GRU, LSTM, RNN
from fastrnn.pooling import Last, MeanPool
from fastrnn.protocol import Layer
from fastrnn.recurrent import RecurrentLayer
from fastrnn.residual import Residual
from fastrnn.seq2seq.encoder_decoder import EncoderDecoder
from fastrnn.standardize import Standardize
from fastrnn.tied_sequential import TiedSequential

_FORMAT = "1"
_MORE = "more/"  # before the names of arrays that are no parameters
#: Those that can have bfloat16 weights.
_RECURRENT = ("LSTM", "GRU", "RNN", "RecurrentLayer", "EncoderDecoder")
_SIMPLE: dict[str, type[Layer]] = {
    c.__name__: c
    for c in (
        LSTM,
        GRU,
        RNN,
        RecurrentLayer,
        Linear,
        Embedding,
        Dropout,
        Last,
        MeanPool,
        Standardize,
        EncoderDecoder,
    )
}
_CHAINS: dict[str, type[Sequential] | type[Stacked]] = {
    c.__name__: c for c in (Sequential, Stacked, TiedSequential)
}


def from_config(config: Any) -> Layer:
    """Make the layer that ``layer.config()`` describes, with new parameters.

    Parameters
    ----------
    config : dict

    Raises
    ------
    ValueError
        If `config` describes no layer.
    """
    if not isinstance(config, dict) or "type" not in config:
        raise ValueError(f"config: expected a dict with a type, got {config!r}")
    kind = config["type"]
    arguments = {key: value for key, value in config.items() if key != "type"}
    try:
        if kind in _SIMPLE:
            return _SIMPLE[kind](**arguments)
        if kind in _CHAINS:
            layers = [from_config(layer) for layer in arguments.pop("layers")]
            return _CHAINS[kind](layers, **arguments)
        if kind == "Residual":
            return Residual(from_config(arguments.pop("layer")), **arguments)
        if kind == "Bidirectional":
            layer, twin = (from_config(arguments.pop(k)) for k in ("layer", "reverse_layer"))
            return Bidirectional(layer, reverse_layer=twin, **arguments)  # type: ignore[arg-type]
        if kind == "Checkpointed":
            return Checkpointed(from_config(arguments.pop("layer")), **arguments)  # type: ignore[arg-type]
    except (TypeError, KeyError) as error:
        raise ValueError(f"config of {kind}: {error}") from error
    raise ValueError(f"config: expected a known type of layer, got {kind!r}")


def rebuild(config: dict[str, Any], vector: FloatArray) -> Layer:
    """Make the layer of `config` with the parameters of `vector` (P,): how layers are unpickled."""
    layer = from_config(config)
    layer.parameter_vector[...] = vector
    return layer


def converted(layer: Layer, dtype: Any) -> Layer:
    """Make a copy of `layer` with another dtype: what `Layer.to` does."""
    array_dtype, bfloat16 = _checks.recurrent_dtype(dtype)
    config = _with_dtype(layer.config(), str(array_dtype), bfloat16)
    return rebuild(config, layer.parameter_vector)


def _with_dtype(config: Any, dtype: str, bfloat16: bool) -> Any:
    """Return `config` with the dtype put into every layer in it."""
    if isinstance(config, list):
        return [_with_dtype(entry, dtype, bfloat16) for entry in config]
    if not isinstance(config, dict):
        return config
    changed = {key: _with_dtype(value, dtype, bfloat16) for key, value in config.items()}
    if "dtype" in changed:
        changed["dtype"] = "bfloat16" if bfloat16 and config["type"] in _RECURRENT else dtype
    return changed


def save(
    model: Layer, path: str | os.PathLike[str], *, metadata: dict[str, str] | None = None
) -> None:
    """Write a model's configuration and parameters to one file.

    The file has the safetensors layout: any safetensors reader finds the parameters under their
    names. It is written to a temporary file first and then moved, so that an interrupted call
    leaves what was there before.

    Parameters
    ----------
    model : layer
        Any layer or composition.
    path : path-like
        Where to; an existing file is replaced.
    metadata : dict of str to str, or None
        Kept in the header beside the configuration.

    Raises
    ------
    TypeError
        If `model` is no layer.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastrnn as fr
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> model = fr.GRU(3, 8, seed=0)
    >>> fr.save(model, path)
    >>> bool((fr.load(path).parameter_vector == model.parameter_vector).all())
    True
    """
    save_with_more(model, path, {}, metadata)


def save_with_more(
    model: Layer,
    path: str | os.PathLike[str],
    more: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """As `save`, with arrays beside the parameters, for which `load` does not ask.

    Parameters
    ----------
    model : layer
    path : path-like
    more : mapping of str to ndarray, any shape
        Kept under ``more/NAME``.
    metadata : mapping of str to str, or None
    """
    if not isinstance(model, Layer):
        raise TypeError(f"model: expected a layer, got {type(model).__name__}")
    header = dict(metadata or {}) | {
        "fastrnn_format": _FORMAT,
        "fastrnn_config": json.dumps(model.config()),
    }
    beside = {_MORE + name: array for name, array in more.items()}
    safetensors_file.write(path, dict(model.parameters) | beside, header)


def load(path: str | os.PathLike[str]) -> Layer:
    """Read a model that `save` has written.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    layer
        With the saved parameters.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is damaged or was not written by `save`.
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | os.PathLike[str]) -> tuple[Layer, dict[str, str]]:
    """As `load`; also return the metadata given to `save`.

    Parameters
    ----------
    path : path-like
    """
    model, metadata, _ = load_with_more(path)
    return model, metadata


def load_with_more(
    path: str | os.PathLike[str],
) -> tuple[Layer, dict[str, str], dict[str, NDArray[Any]]]:
    """As `load`; also return the metadata and the arrays given to `save_with_more`.

    Parameters
    ----------
    path : path-like
    """
    tensors, header = safetensors_file.read(path)
    where = os.fspath(path)
    more = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_MORE)}
    if "fastrnn_config" not in header:
        raise ValueError(f"{where}: expected a model written by fastrnn.save, got other content")
    if header.get("fastrnn_format") != _FORMAT:
        got = header.get("fastrnn_format")
        raise ValueError(f"{where}: expected fastrnn format {_FORMAT}, got {got}")
    try:
        model = from_config(json.loads(header["fastrnn_config"]))
    except ValueError as error:  # includes JSON's
        raise ValueError(f"{where}: {error}") from error
    if set(tensors) != set(model.parameters):
        odd = sorted(set(tensors) ^ set(model.parameters))[0]
        raise ValueError(f"{where}: expected the parameters of the configuration, got {odd} amiss")
    for name, view in model.parameters.items():
        value = tensors[name]
        if value.shape != view.shape or value.dtype != view.dtype:
            raise ValueError(
                f"{where}: {name}: expected {view.dtype} {view.shape}, "
                f"got {value.dtype} {value.shape}"
            )
    for name, view in model.parameters.items():
        np.copyto(view, tensors[name])
    own = ("fastrnn_format", "fastrnn_config")
    metadata = {key: value for key, value in header.items() if key not in own}
    return model, metadata, {name.removeprefix(_MORE): more[name] for name in more}
