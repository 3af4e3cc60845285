"""A forecaster as one safetensors file: the network's parameters, everything else as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fastrnn import _checks, serialization
from fastrnn.forecasting.memory import Memory
from fastrnn.forecasting.options import ForecastOptions
from fastrnn.forecasting.preparation import Sizes
from fastrnn.forecasting.scaling import Scale
from fastrnn.forecasting.series import Numbers
from fastrnn.protocol import Layer

_KEY = "fastrnn_forecaster"
_FORMAT = 1
Scales = tuple[Scale | None, Scale | None]


def write(
    path: str | os.PathLike[str],
    model: Layer,
    options: ForecastOptions,
    sizes: Sizes,
    memories: Sequence[Memory],
    covariate_scales: Scales,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write a forecaster; an interrupted call leaves what was there before.

    Parameters
    ----------
    path : path-like
    model : layer
    options : ForecastOptions
    sizes : Sizes
    memories : sequence of Memory
    covariate_scales : pair of Scale or None
    metadata : dict of str to str or None, default None
        More to keep.
    """
    content = {
        "format": _FORMAT,
        "options": asdict(options),
        "sizes": asdict(sizes),
        "series": [asdict(memory) for memory in memories],
        "covariate_scales": [None if s is None else asdict(s) for s in covariate_scales],
    }
    text = json.dumps(content, default=np.ndarray.tolist)  # floats come back bit for bit
    serialization.save(model, path, metadata=(metadata or {}) | {_KEY: text})


def read(
    path: str | os.PathLike[str],
) -> tuple[Layer, ForecastOptions, Sizes, list[Memory], Scales]:
    """Read what `write` has written.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or was not written by `write`.
    """
    model, metadata = serialization.load_with_metadata(path)
    where = os.fspath(path)
    if _KEY not in metadata:
        raise ValueError(
            f"{where}: expected a forecaster written by Forecaster.save, got another model"
        )
    try:
        content = json.loads(metadata[_KEY])
        if content["format"] != _FORMAT:
            raise ValueError(f"expected format {_FORMAT}, got {content['format']!r:.40}")
        layers = content["options"]["num_layers"]
        if layers is not None and not 0 < layers <= len(model.parameters):
            raise ValueError(f"num_layers: expected those of the network, got {layers!r:.40}")
        options = ForecastOptions(**content["options"])
        sizes = _sizes(content["sizes"])
        past, future = content["covariate_scales"]
        scales = (_scale(past, sizes.past), _scale(future, sizes.future))
        memories = [_memory(entry, options, sizes) for entry in content["series"]]
        if len(memories) != sizes.count:
            raise ValueError(f"expected {sizes.count} series, got {len(memories)}")
        _check_network(model, options, sizes)
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{where}: forecaster: {error}") from error
    return model, options, sizes, memories, scales


def _check_network(model: Layer, options: ForecastOptions, sizes: Sizes) -> None:
    """Raise unless a network is that of the options; sizes first: a file may claim any."""
    found = model.config()
    counts = (sizes.features, sizes.past, sizes.future)
    first, last = found["layers"][0], found["layers"][-1]
    hidden = _checks.layer_sizes(first["hidden_size"], first["num_layers"])
    wanted = _checks.layer_sizes(options.hidden_size, options.num_layers)
    ends = (first["input_size"], last["output_size"])
    if (
        ends != options.network_sizes(*counts)
        or hidden != wanted
        or found != options.make_network(*counts, 0).config()
    ):
        raise ValueError("expected the network of the options, got another")


def _sizes(content: dict[str, Any]) -> Sizes:
    sizes = Sizes(**content)
    for name, least in (("features", 1), ("past", 0), ("future", 0), ("count", 1)):
        value = getattr(sizes, name)
        if type(value) is not int or not least <= value < 2**31:
            raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r:.40}")
    return sizes


def _scale(content: Any, columns: int) -> Scale | None:
    if columns == 0:
        return None
    names = ("mean", "scale", "drift")
    scale = Scale(*(_numbers(name, content[name], (columns,)) for name in names))
    if not (scale.scale > 0).all():
        raise ValueError("scale: expected numbers above 0, got others")
    return scale


def _memory(content: dict[str, Any], options: ForecastOptions, sizes: Sizes) -> Memory:
    scale = _scale(content["scale"], sizes.features)
    count, rows = content["count"], options.lag + options.window
    if scale is None or type(count) is not int or not rows <= count < 2**53:
        raise ValueError(f"count: expected at least {rows}, got {count!r:.40}")
    naive = np.asarray(content["naive_error"], np.float64)  # NaN where there was none
    if naive.shape != (sizes.features,):
        raise ValueError(f"naive_error: expected shape ({sizes.features},), got {naive.shape}")
    covariates = [
        _numbers(name, content[name], (options.window, columns)) if columns else None
        for name, columns in (("past", sizes.past), ("future", sizes.future))
    ]
    values = _numbers("values", content["values"], (rows, sizes.features))
    return Memory(scale, naive, count, values, *covariates)


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> Numbers:
    array = np.asarray(value, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers {shape}, got shape {array.shape}")
    return array
