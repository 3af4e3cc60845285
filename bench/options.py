"""The cost of each option over the plain layer: `python -m bench.options`.

A call of the plain layer and one with the option, in turns on one thread, float32; medians and
ratios. Training is a forward and a backward pass, with the masks drawn anew for each, so that the
figure holds all that a user waits for.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fastrnn as fr
from bench.in_turns import seconds

BATCH, STEPS, INPUTS, HIDDEN = 32, 100, 128, 128

ACTIVATIONS = {"gate_activation": "hard_sigmoid", "candidate_activation": "softsign"}


class Case(NamedTuple):
    """An option of one layer.

    Attributes
    ----------
    layer : type
        `LSTM`, `GRU` or `RNN`.
    options : dict
        What the layer is given, and the plain layer is not.
    plain : dict
        What both are given.
    with_resets : bool
        Whether the calls have a mask of resets.
    """

    layer: Any
    options: dict[str, Any]
    plain: dict[str, Any]
    with_resets: bool


def cases() -> list[Case]:
    """Return every option, of each layer that has it."""
    common: list[dict[str, Any]] = [
        {"layer_norm": True},
        {"zoneout_h": 0.1},
        {"recurrent_dropout": 0.25},
        {"input_dropout": 0.25},
        {"drop_connect": 0.25},
        {"activation_clip": 3.0},
        {"gradient_clip_value": 0.1},
        {"gradient_clip_norm": 0.1},
        {"recurrent_bias": False},
    ]
    own: dict[Any, list[dict[str, Any]]] = {
        fr.LSTM: [
            {"peepholes": True},
            {"coupled_gates": True},
            {"proj_size": HIDDEN // 2},
            {"cell_clip": 3.0},
            {"zoneout_c": 0.1},
            {"zoneout_h": 0.1, "zoneout_c": 0.1},
            ACTIVATIONS | {"output_activation": "hard_tanh"},
        ],
        fr.GRU: [{"reset_after": False}, ACTIVATIONS],
        fr.RNN: [{"nonlinearity": "softsign"}, {"independent": True}],
    }
    found = [Case(layer, options, {}, False) for layer in own for options in own[layer] + common]
    found += [Case(layer, {}, {}, True) for layer in own]
    found += [
        Case(fr.GRU, options, {"reset_after": False}, False)
        for options in ({"layer_norm": True}, {"zoneout_h": 0.1}, {"recurrent_dropout": 0.25})
    ]
    return found


def calls(layer: Any, reset: Any) -> dict[str, Callable[[], object]]:
    """Return a call of inference and one of training on random numbers."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, STEPS, INPUTS), np.float32)
    dy = rng.standard_normal((BATCH, STEPS, layer.output_size), np.float32)
    more = {} if reset is None else {"reset": reset}

    def train() -> None:
        _, _, tape = layer.forward(x, **more)
        layer.backward(tape, dy)

    return {"inference": lambda: layer(x, **more), "training": train}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    arguments = parser.parse_args()
    fr.set_num_threads(1)
    print(f"(N, T, I, H) = ({BATCH}, {STEPS}, {INPUTS}, {HIDDEN}), float32, one thread;")
    print("milliseconds of the plain layer and of the one with the option, and their ratio\n")
    print("| layer | option | inference | | times | training | | times |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for layer, options, plain, with_resets in cases():
        text = ", ".join(f"{name}={value}" for name, value in options.items())
        text = "reset mask, one in ten" if with_resets else text
        name = layer.__name__ + "".join(f", {k}={v}" for k, v in plain.items())
        if arguments.only not in f"{name} {text}":
            continue
        reset = np.random.default_rng(1).random((BATCH, STEPS)) < 0.1 if with_resets else None
        pair = (
            calls(layer(INPUTS, HIDDEN, seed=0, **plain), None),
            calls(layer(INPUTS, HIDDEN, seed=0, **plain, **options), reset),
        )
        row = f"| {name} | {text} |"
        for what in ("inference", "training"):
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(arguments.rounds):
                for of, way in zip(times, pair, strict=True):
                    of.append(seconds(way[what], 0.0))
            ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
            usual, other = (statistics.median(of) * 1e3 for of in times)
            row += f" {usual:.2f} | {other:.2f} | {ratio:.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
