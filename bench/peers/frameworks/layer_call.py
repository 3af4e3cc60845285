"""fastrnn: the layers, called as users call them."""

from __future__ import annotations

import importlib.metadata
import zlib
from pathlib import Path
from typing import Any

import fastrnn as fr
from bench.peers.frameworks.program import Arrays, Program
from bench.peers.problem import Problem
from fastrnn._isa import kernels


def version() -> str:
    """Return the installed version, and the instruction set and checksum of the kernels in use.

    The checksum keeps `--resume` from mixing the times of two builds.
    """
    try:
        number = importlib.metadata.version("fastrnn")
    except importlib.metadata.PackageNotFoundError:
        number = "(source tree)"
    path = Path(str(kernels.__file__))
    instruction_set = kernels.__name__.rpartition("._")[2]
    return f"{number} {instruction_set} {zlib.crc32(path.read_bytes()):08x}"


def set_num_threads(count: int) -> None:
    """Limit the kernels' threads."""
    fr.set_num_threads(count)


def make_layer(problem: Problem) -> Any:
    """Return the layer with the problem's weights."""
    case = problem.point.case
    kind = {"lstm": fr.LSTM, "gru": fr.GRU, "rnn": fr.RNN}[problem.point.cell]
    layer = kind(case.input_size, case.hidden_size, dtype=problem.point.dtype, seed=0)
    for name, values in problem.weights.items():
        layer.parameters[name][...] = values
    return layer


def state_arrays(state: Any) -> Arrays:
    """Return a layer's state, (1, N, H) each, under its names."""
    parts = state if isinstance(state, tuple) else (state,)
    return {name: part[0] for name, part in zip(("h_n", "c_n"), parts, strict=False)}


def prepare(problem: Problem) -> Program:
    """Build the call of a layer, or its forward and backward pass."""
    layer = make_layer(problem)
    x, dy, lengths = problem.x, problem.dy, problem.lengths

    def infer() -> Any:
        return layer(x, lengths=lengths)

    def infer_result(result: Any) -> Arrays:
        y, state = result
        return {"y": y} | state_arrays(state)

    carried: Any = None

    def step() -> Any:
        nonlocal carried
        y, carried = layer(x, carried)
        return y, carried

    def train() -> Any:
        layer.zero_grad()
        y, _, tape = layer.forward(x, lengths=lengths)
        dx, _ = layer.backward(tape, dy)
        return y, dx

    def train_result(result: Any) -> Arrays:
        y, dx = result
        return {"y": y, "dx": dx} | {f"d{k}": v for k, v in layer.gradients.items()}

    if problem.point.mode == "training":
        return Program(train, train_result)
    return Program(step if problem.point.carries_state else infer, infer_result)
